"""The model card, as a page.

Facts come from `agelens.evaluation` and from the model file.
"""
