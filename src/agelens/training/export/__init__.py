"""From a checkpoint to the file that ships: ONNX export, quantization, release.

Imports `agelens.training.loop` and what lies below it.
"""
