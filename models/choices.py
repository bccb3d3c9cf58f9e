"""What the user chooses between, by the words that workflows hold; nodes show them, and load nothing for it."""

# Tiled VAE.
MODES = ("exact", "statistics", "fast")
# Tiled Upscale: whose statistics a network sees that looks at all of what it is given.
TILE, IMAGE = "tile", "image"
