"""agelens itself, asked as every peer is: MODEL, with --chips for pictures that are aligned."""

from pathlib import Path

from worker import Answer, Peer, Picture, serve, words

from agelens.faces.alignment import warp_all
from agelens.faces.detector import Detector
from agelens.inference.runtime import CHIP, Model
from agelens.predictor import Predictor
from agelens.provenance import versions


def main() -> None:
    """Answer."""
    parser = words()
    parser.add_argument("model")
    parser.add_argument("--chips", action="store_true")
    given = parser.parse_args()
    model = Model(given.model, threads=1)
    predictor = Predictor(model, threads=1)
    detector = Detector()

    def pipeline(picture: Picture) -> Answer:
        found = predictor.predict(picture, chips=given.chips)
        if not found:
            return None
        return {"age": found[0].age, "gender": found[0].gender and found[0].gender.value}

    def cut(picture: Picture) -> Picture | None:
        if given.chips:
            return picture[None]
        faces = detector.detect(picture)[:1]
        return warp_all(picture, [face.landmarks for face in faces], CHIP) if faces else None

    def network(chips: Picture) -> None:
        model.run(chips)
        if predictor.flip:
            model.run(chips[:, :, ::-1].copy())

    kept = ("agelens", "numpy", "onnxruntime", "opencv-python-headless")
    found = {name: version for name, version in versions().items() if name in kept}
    others = [] if given.chips else [Path(detector.file)]
    serve(
        Peer(found, [model.path], others, pipeline, cut, network),
        given.side,
        given.time,
    )


if __name__ == "__main__":
    main()
