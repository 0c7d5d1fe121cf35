"""The forms in which labelled faces come, one module for each; registry.py tells which it is."""
