"""Find the faces of a picture: detection, alignment, face quality, out-of-distribution score.

Imports `agelens.images`, `agelens.inference` and what lies below them.
"""
