"""What is coarse and what is fine in a picture or a latent."""
