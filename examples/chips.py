"""Align faces once, predict them as chips: the two halves of `predict`, by hand."""

from pathlib import Path

import agelens
from agelens.faces.alignment import warp_all
from agelens.faces.detector import Detector
from agelens.images.decode import read

picture = read(Path(__file__).parent / "pictures/group.jpg")
faces = Detector().detect(picture)
chips = warp_all(picture, [face.landmarks for face in faces])  # uint8 (N, 200, 200, 3)
for face, (person,) in zip(faces, agelens.load().predict(chips, chips=True), strict=True):
    print(f"{face.box.width:4.0f} px wide: {person.gender} {person.age:.1f}")
