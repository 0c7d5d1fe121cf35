"""agelens itself, run as every peer is: MODEL, with --chips for pictures that are aligned."""

from pathlib import Path

from worker import Answer, Peer, Picture, parser, serve

import agelens
from agelens.faces.alignment import warp
from agelens.faces.detector import Detector
from agelens.inference.runtime import CHIP, Model
from agelens.predictor import Predictor

WEIGHTS = Path(agelens.__file__).parent / "weights"
PACKAGES = ("agelens", "numpy", "onnxruntime", "opencv-python-headless")


def main() -> None:
    """Serve."""
    command_line = parser()
    command_line.add_argument("model")
    command_line.add_argument("--chips", action="store_true")
    given = command_line.parse_args()
    model, detector = Model(given.model, threads=1), Detector()
    predictor = Predictor(model, threads=1)

    def pipeline(picture: Picture) -> Answer:
        found = predictor.predict(picture, chips=given.chips)
        if not found:
            return None
        return {"age": found[0].age, "gender": found[0].gender and found[0].gender.value}

    def cut(picture: Picture) -> Picture | None:
        if given.chips:
            return picture[None]
        faces = detector.detect(picture)  # largest first
        return warp(picture, faces[0].landmarks, CHIP)[None] if faces else None

    def network(chips: Picture) -> None:
        model.run(chips)
        if predictor.flip:
            model.run(chips[:, :, ::-1].copy())

    others = [] if given.chips else list(WEIGHTS.glob("face_detection*.onnx"))
    serve(Peer(PACKAGES, [model.path], others, pipeline, cut, network), given)


if __name__ == "__main__":
    main()
