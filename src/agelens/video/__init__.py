"""Clips, streams and cameras: read frames, track people, fuse predictions, annotate, write.

Imports `agelens.faces`, `agelens.output` and what lies below them.
"""
