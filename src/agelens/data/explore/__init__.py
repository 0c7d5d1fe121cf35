"""Explore a dataset folder: what is in it, what is strange in it, and what it means."""
