"""DeepFace's `analyze` for age and gender, implemented with agelens.

>>> from agelens.compat import deepface as DeepFace
>>> DeepFace.analyze("photo.jpg", actions=("age", "gender"))

Arguments, result and errors are those of deepface 0.0.103. The differences:

- Emotion and race are not predicted: they are not in the default of `actions`, and requesting
  them raises UnsupportedAction.
- Faces are detected by YuNet whatever `detector_backend` says ("skip" takes the whole picture as
  the face), and are always aligned.
- `gender` is the appearance label of UTKFace, in DeepFace's words "Woman" and "Man".
- Addresses (http://...) are not fetched: pass the bytes as a file object.
"""

import base64
import binascii
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import IO, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from agelens.errors import AgelensError, BadPicture, ConfigError, PictureError
from agelens.images import decode
from agelens.predictor import Predictor, load
from agelens.results import Box, Prediction

Image: TypeAlias = str | Path | IO[bytes] | NDArray[Any]
"""A path, "data:image/...;base64,...", an open file, or BGR (H, W, 3)."""

ACTIONS = ("age", "gender")


class FaceNotDetected(AgelensError, ValueError):
    """No face in the picture, although `enforce_detection` requires one."""


class UnsupportedAction(AgelensError, ValueError):
    """An action that is not predicted."""

    exit_code = 2


class UnreadableImage(BadPicture, ValueError):
    """An input that is not a picture; a ValueError, as in DeepFace."""


def analyze(
    img_path: Image | Sequence[Image], actions: str | Sequence[str] = ACTIONS,
    enforce_detection: bool = True, detector_backend: str = "opencv", align: bool = True,
    expand_percentage: int = 0, silent: bool = False, anti_spoofing: bool = False,
) -> list[dict[str, Any]] | list[list[dict[str, Any]]]:  # fmt: skip
    """Return age and gender of every face, in the form of `DeepFace.analyze`.

    One picture gives a list with a dict for each face, largest first: `age` (whole years),
    `gender` ({"Woman": 1.2, "Man": 98.8}, per cent), `dominant_gender`, `region` (x, y, w, h in
    pixels, and right_eye, left_eye of the person as (x, y)) and `face_confidence` (0 to 1). A list
    of pictures, or BGR (B, H, W, 3), gives a list of such lists. `align`, `expand_percentage` and
    `silent` are accepted and ignored.

    Raises FaceNotDetected if there is no face; with `enforce_detection=False` the whole picture is
    taken as a face, with a confidence of 0. Raises UnsupportedAction and UnreadableImage, which
    are ValueErrors as well, and ConfigError for `anti_spoofing`, which agelens cannot do.
    """
    wanted = (actions,) if isinstance(actions, str) else tuple(actions)
    if not wanted:
        raise UnsupportedAction("no actions: expected some of 'age', 'gender'")
    for action in wanted:
        if action in ("emotion", "race"):
            raise UnsupportedAction(
                f"action {action!r} is not predicted by agelens: ask for 'age' and 'gender', "
                "as in  analyze(picture, actions=('age', 'gender'))"
            )
        if action not in ACTIONS:
            raise UnsupportedAction(f"action {action!r}: expected 'age' or 'gender'")
    if anti_spoofing:
        raise ConfigError("anti_spoofing=True: agelens cannot tell a person from a photo of one")
    skip = detector_backend == "skip"
    if isinstance(img_path, (list, tuple)) or (
        isinstance(img_path, np.ndarray) and img_path.ndim == 4
    ):
        return [_analyze(one, wanted, enforce_detection, skip) for one in img_path]
    return _analyze(img_path, wanted, enforce_detection, skip)


def _analyze(image: Any, actions: Sequence[str], enforce: bool, skip: bool) -> list[dict[str, Any]]:
    picture = _read(image)
    height, width = picture.shape[:2]
    predictor = _predictor()
    found = [] if skip else predictor.predict(picture)
    if not found:
        if enforce and not skip:
            raise FaceNotDetected(
                "Face could not be detected. Please confirm that the picture is a face photo "
                "or consider to set enforce_detection param to False."
            )
        side = max(height, width)
        top, left = (side - height) // 2, (side - width) // 2
        square = np.zeros((side, side, 3), np.uint8)
        square[top : top + height, left : left + width] = picture
        found = predictor.predict([square], chips=True)[0]
    return [_face_dict(face, actions, width, height) for face in found]


@cache
def _predictor() -> Predictor:
    return load()


def _face_dict(face: Prediction, actions: Sequence[str], width: int, height: int) -> dict[str, Any]:
    values: dict[str, Any] = {}
    if "age" in actions:
        values["age"] = round(face.age)
    if "gender" in actions:
        female = face.female_probability
        values["gender"] = {"Woman": 100 * female, "Man": 100 * (1 - female)}
        values["dominant_gender"] = "Woman" if female >= 0.5 else "Man"
    box = face.box or Box(0.0, 0.0, float(width), float(height))
    x, y = int(box.left), int(box.top)
    region: dict[str, Any] = {  # in whole pixels, inside the picture as DeepFace's is
        "x": x, "y": y,
        "w": min(width - x - 1, int(box.width)), "h": min(height - y - 1, int(box.height)),
        "left_eye": None, "right_eye": None,
    }  # fmt: skip
    if face.landmarks is not None:
        for eye in ("left_eye", "right_eye"):
            across, down = (int(v) for v in getattr(face.landmarks, eye))
            if 0 <= across < width and 0 <= down < height:
                region[eye] = (across, down)
    return values | {"region": region, "face_confidence": round(face.detection_score or 0.0, 2)}


def _read(image: Any) -> decode.Picture:
    try:
        if isinstance(image, np.ndarray):
            if image.ndim == 3 and image.shape[2] in (3, 4):  # BGR or BGRA; grey stays
                image = image[:, :, [2, 1, 0, 3][: image.shape[2]]]
            return decode.from_array(image)
        if isinstance(image, (str, Path)):
            text = str(image)
            if text.startswith("data:image/"):
                return decode.read(base64.b64decode(text.partition(",")[2], validate=True))
            if text.lower().startswith(("http://", "https://")):
                raise BadPicture(f"{text!r}: addresses are not fetched; pass a path or a file")
            return decode.read(Path(text))
        data = image.read() if callable(getattr(image, "read", None)) else None
        if isinstance(data, bytes):
            return decode.read(data)
    except binascii.Error as error:
        message = f"not base64: {error}; expected data:image/...;base64,..."
        raise UnreadableImage(message) from error
    except PictureError as error:
        raise UnreadableImage(str(error)) from error
    raise UnreadableImage(
        f"an input of type {type(image).__name__}: expected a path, BGR uint8 (H, W, 3), "
        "a file opened to read bytes, or data:image/...;base64,..."
    )
