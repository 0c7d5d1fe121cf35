"""Shipped recipes (TOML), how they are found by name, and the checked configuration they become.

May import `agelens.errors` only, and nothing else of `agelens.training`.
"""
