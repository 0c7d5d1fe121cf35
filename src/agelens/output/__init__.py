"""Write predictions: tables, JSON and CSV; data frames; boxes and labels drawn onto a picture.

Imports `agelens.images`, `agelens.inference` and what lies below them.
"""
