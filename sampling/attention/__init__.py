"""Which of a model's attentions go over the picture, and how they are made to go over parts of it."""
