"""The page of `agelens report`: models side by side.

Facts come from `agelens.evaluation`.
"""
