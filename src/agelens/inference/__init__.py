"""From aligned chips to answers: the ONNX runtime, age distributions, batched models, uncertainty.

Imports only `agelens.errors`, `agelens.results` and `agelens.provenance`.
"""
