"""What is in a data set: statistics of labels, pictures and landmarks; imbalance; shortcuts.

Figures only; `agelens.reports.explore` shows them.
"""
