"""Overlapping predictions of a diffusion model become one, step by step."""
