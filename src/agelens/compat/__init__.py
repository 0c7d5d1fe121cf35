"""Other libraries' calls, answered by agelens, for code that moves over.

Imports `agelens.predictor` and what lies below it.
"""
