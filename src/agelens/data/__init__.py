"""From labelled pictures to a data set folder: import, folds, alignment, statistics, audit.

Figures only, no page. Imports `agelens.video` and what lies below it.
"""
