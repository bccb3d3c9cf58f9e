"""Attention over a large canvas in parts that a model was trained on."""
