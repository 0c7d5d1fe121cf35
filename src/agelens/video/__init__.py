"""Clips, streams and cameras: read, people followed in them, marked, recorded."""
