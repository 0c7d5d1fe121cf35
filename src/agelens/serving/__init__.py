"""The HTTP service and its web page; needs the extra `serve`.

Imports `agelens.predictor` and what lies below it.
"""
