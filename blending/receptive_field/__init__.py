"""How far into a tile its border reaches: measured."""
