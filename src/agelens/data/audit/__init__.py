"""What may be wrong in a data set: damaged files, duplicates, odd faces, label errors.

Figures only; `agelens.reports.audit` shows them.
"""
