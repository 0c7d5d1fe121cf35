"""The command line: each file parses one command, calls one function and prints.

Imports every other package, inside the functions that need it.
"""
