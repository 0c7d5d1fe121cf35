"""From the bytes of files to upright RGB pictures, within limits: decode, inputs, sources,
media types, resampling.

Imports only `agelens.errors` and `agelens.results`.
"""
