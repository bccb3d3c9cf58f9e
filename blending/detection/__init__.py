"""Boxes and masks that models found tile by tile, joined into those of the whole picture."""
