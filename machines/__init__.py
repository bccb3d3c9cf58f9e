"""Many pictures on many machines: what `farm.py` does. ComfyUI never loads it, and no node needs it.

Standard library alone where a comment does not say otherwise. Rooms of the pack are imported inside functions.
"""
