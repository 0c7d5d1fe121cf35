"""Read labelled faces in each form they are published in; one module for each form.

Imports `agelens.data` modules for archives, labels and sources.
"""
