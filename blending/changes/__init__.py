"""What an edit changed, told from what it only shifted or tinted, and put into the original."""
