"""From a data set folder to a trained, exported model. The only package that imports torch.

Imports `agelens.evaluation`, `agelens.data` and what lies below them.
"""
