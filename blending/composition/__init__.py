"""Tiles become one picture: blending, cuts, bands, gradients, and the choice between them."""
