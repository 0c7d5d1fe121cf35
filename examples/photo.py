"""Ages and genders on one photo, and a marked copy of it."""

import sys
from pathlib import Path

from PIL import Image

import agelens
from agelens.images.decode import read
from agelens.output.drawing import annotate

photo = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "pictures/astronaut.jpg"
people = agelens.load().predict(photo)
for person in people:
    low, high = person.age_interval
    print(f"{person.gender} {person.age:.0f} years ({low:.0f}-{high:.0f})")
Image.fromarray(annotate(read(photo), people)).save("marked.png")
