"""The page of `agelens data audit`.

Facts come from `agelens.data.audit`.
"""
