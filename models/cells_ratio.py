"""Image pixels per latent cell of a VAE."""

from __future__ import annotations

from typing import Any


def cells_ratio(vae: Any, decode: bool = True) -> int:
    """Image pixels per latent cell, when decoding or encoding.

    Raises:
        ValueError: for a VAE of something that is no picture.
    """
    ratio = vae.spacial_compression_decode() if decode else vae.spacial_compression_encode()
    planes = getattr(vae, "latent_dim", 2) in (2, 3) and getattr(vae, "extra_1d_channel", None) is None
    if not planes or not isinstance(ratio, int) or not 1 <= ratio <= 256:
        raise ValueError(
            "this VAE is not one of pictures (of sound, for instance), and has no tiles: connect the VAE of an image or video model"
        )
    return ratio
