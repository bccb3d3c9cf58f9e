"""Which parts of a picture tiles are planned for: around objects, on a mask, by their numbers."""
