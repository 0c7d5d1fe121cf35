"""Every page that people read: data exploration, audits, model comparison, model cards.

Facts in, charts and HTML out. Imports everything but `agelens.cli`.
"""
