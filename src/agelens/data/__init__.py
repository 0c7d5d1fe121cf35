"""From files of labelled faces to a data set folder: readers, folds, alignment, statistics, audit.

Figures only, no page. Imports `agelens.video` and what lies below it.
"""
