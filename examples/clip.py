"""The people of a clip, or for a minute before the first camera: who, and from when to when."""

import sys
from itertools import takewhile

import agelens

predictor = agelens.load()
moments = predictor.follow(sys.argv[1]) if len(sys.argv) > 1 else predictor.watch(0)
minute = takewhile(lambda moment: moment.time < 60, moments)  # one for each frame looked at
for person in agelens.people(minute):
    print(f"person {person.number}: {person}, {person.views} views")
