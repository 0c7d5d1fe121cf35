"""The networks: backbones, heads, feature fusion, ensembles; their loss and their checkpoints.

Imports `agelens.training.recipes`.
"""
