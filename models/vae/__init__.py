"""VAEs in tiles."""
