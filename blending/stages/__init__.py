"""A network run step by step, each over all of the picture: tiled without an overlap."""
