"""A folder of any size in bounded memory: mean age per picture, bad files passed over."""

import sys
from pathlib import Path

import agelens
from agelens.images.sources import find

folder = sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent / "pictures"
for answer in agelens.load().predict_stream(find([folder])):
    if answer.error is not None:
        print(f"{answer.name}: {answer.error}")
    elif answer.predictions:
        ages = [person.age for person in answer.predictions]
        print(f"{answer.name}: {len(ages)} people, mean age {sum(ages) / len(ages):.1f}")
