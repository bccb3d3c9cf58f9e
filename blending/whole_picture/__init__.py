"""What networks take from the whole picture: found, held still, or pooled over tiles."""
