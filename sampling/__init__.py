"""What the host's sampler needs from Tilework: neither mathematics nor nodes.

These modules know ComfyUI's conditions, controls and wrappers, and `blending`; they never import `nodes`. Each is
imported where it is used: importing this package loads nothing.
"""
