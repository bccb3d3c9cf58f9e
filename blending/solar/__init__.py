"""Solar curves, and pictures seen through them."""
