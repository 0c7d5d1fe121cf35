"""From a dataset folder to a model file; the only part that knows torch."""
