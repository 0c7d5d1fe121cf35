"""`python -m agelens` is the `agelens` command."""

from agelens.cli.app import main

main()
