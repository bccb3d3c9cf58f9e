"""A network run over a picture in tiles: their size, their memory, their channels."""
