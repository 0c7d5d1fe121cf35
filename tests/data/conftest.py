import pytest

from agelens.faces.alignment import warp
from agelens.faces.detector import Detector
from agelens.images.decode import Picture


@pytest.fixture(scope="session")
def detector() -> Detector:
    return Detector()


@pytest.fixture(scope="session")
def portrait(detector: Detector, astronaut: Picture) -> Picture:
    return warp(astronaut, detector.detect(astronaut)[0].landmarks)
