"""Calls of other libraries, implemented with agelens, for code that migrates.

Imports `agelens.predictor` and what lies below it.
"""
