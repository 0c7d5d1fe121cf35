"""Predict aligned chips: ONNX Runtime, age distributions, batched models, uncertainty.

Imports only `agelens.errors` and `agelens.results`.
"""
