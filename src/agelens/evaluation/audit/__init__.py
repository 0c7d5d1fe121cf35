"""Whether a model's certainty holds on a user's own pictures: what `agelens audit-model` calls."""
