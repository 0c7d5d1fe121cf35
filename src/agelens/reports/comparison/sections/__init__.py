"""The chapters of the page.

Facts come from `agelens.evaluation`.
"""
