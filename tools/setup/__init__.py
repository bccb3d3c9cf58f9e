"""A host of its own for tests and demo: packages, ComfyUI, a browser."""
