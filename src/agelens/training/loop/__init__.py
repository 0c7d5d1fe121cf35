"""The training loop: epochs, validation, early stopping, checkpoints, resuming.

Imports `agelens.training.batches` and what lies below it.
"""
