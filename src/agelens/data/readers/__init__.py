"""One module per form of data set, and the registry that chooses among them.

Imports archives, labels, folds and sources of `agelens.data`, and nothing that imports pictures.
"""
