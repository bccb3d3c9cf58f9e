"""Scenes of which it can be counted whether a picture is one picture, and two small diffusion models that were trained on them."""
