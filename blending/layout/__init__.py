"""Where tiles lie and land: grids, cutting, windows, placement, references."""
