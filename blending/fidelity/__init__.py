"""What a result changed of its source beyond resolution: tone, structure, text, place."""
