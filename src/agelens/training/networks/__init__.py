"""Networks: backbones, heads, feature fusion, ensembles; loss, checkpoints, device.

Imports `agelens.training.recipes`.
"""
