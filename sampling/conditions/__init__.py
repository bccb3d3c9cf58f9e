"""What a model is told beside the picture, cut to the tile: areas, hints, masks, patches."""
