"""The page of `agelens data explore`.

Facts come from `agelens.data.exploration`.
"""
