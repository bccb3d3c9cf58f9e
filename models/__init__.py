"""The host side of upscale models and VAEs: what they need, how far they see, and running them under ComfyUI's memory management.

Nodes import these modules; they import `blending`, never `nodes`. Each is imported where it is used: importing this
package loads nothing.
"""
