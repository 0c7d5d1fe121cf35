"""Audit of a dataset folder: files, copies, faces and labels that may be wrong."""
