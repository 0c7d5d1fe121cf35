"""apmoe (PyPI): its face expert, a MobileNetV2 that predicts the age only and finds no faces."""

from pathlib import Path

import apmoe
from apmoe.core.types import ModalityData
from apmoe.experts.builtin import FaceAgeExpert
from apmoe.processing.builtin.image_cleaners import ImageCleaner
from worker import Answer, Peer, Picture, parser, serve


def main() -> None:
    """Serve."""
    weights = Path(apmoe.__file__).parent / "weights" / "face_age_expert.keras"
    expert, cleaner = FaceAgeExpert(), ImageCleaner()
    expert.load_weights(str(weights))

    def cut(picture: Picture) -> ModalityData:
        return cleaner.clean(ModalityData(modality="image", data=picture, metadata={}))

    def network(cleaned: ModalityData) -> float:
        return expert.predict({"image": cleaned}).predicted_age

    def pipeline(picture: Picture) -> Answer:
        return {"age": network(cut(picture)), "gender": None}

    packages = ("apmoe", "keras", "tensorflow-cpu")
    serve(Peer(packages, [weights], [], pipeline, cut, network), parser().parse_args())


if __name__ == "__main__":
    main()
