"""Predict any number of pictures once each, on the cores of one machine or on a Ray cluster.

Imports `agelens.predictor` and what lies below it.
"""
