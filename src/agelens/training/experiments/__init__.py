"""Whole runs, and many of them: tuning, cross-validation, ensembles, weight averaging.

Imports every other room of `agelens.training`.
"""
