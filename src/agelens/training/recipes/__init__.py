"""The recipe of a training run: TOML files and the checked configuration they become.

Imports no other room of `agelens.training`.
"""
