"""The command line: each command is parsed, calls one function and prints.

Imports every other package, inside the functions that need it.
"""
