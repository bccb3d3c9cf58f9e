"""Drawings that explain: made with PIL and numpy, without a host. Nodes and help pages use the same."""
