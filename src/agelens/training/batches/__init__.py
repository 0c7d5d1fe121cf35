"""From chips to training batches: loading, augmentation, sample weights, distillation targets.

Imports `agelens.training.networks` and what lies below it.
"""
