"""Tiny VAEs of the two families that tile by themselves, through the host's own loader: SeedVR2's and MiniMax H3's.

Narrow, of one or two layers, and seeded; everything else, how they are asked for tiles included, is the host's code.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from .models import seed_parameters

# The group norms have 32 groups, so 32 wide is the least.
WIDTH = 32


@contextmanager
def _narrow(module: Any, name: str, value: Any) -> Iterator[None]:
    """`name` of the host's `module` is `value` for as long as a model is built."""
    said = getattr(module, name)
    setattr(module, name, value)
    try:
        yield
    finally:
        setattr(module, name, said)


def _loaded(build: Callable[[], torch.nn.Module], seed: int) -> Any:
    """The VAE that the host's loader makes of what `build` makes, every number of it drawn from `seed`."""
    import comfy.sd

    model = seed_parameters(build(), seed)
    return comfy.sd.VAE(sd=model.state_dict(), dtype=torch.float32)


def seedvr2(seed: int) -> Any:
    """Latents of 16 channels and 8 px, the frames of a film 4 to one; its latents are scaled by 0.9152 and may come folded."""
    from comfy.ldm.seedvr import vae

    with _narrow(vae, "BYTEDANCE_BLOCK_OUT_CHANNELS", (WIDTH,) * 4):
        return _loaded(vae.VideoAutoencoderKLWrapper, seed)


def minimax_h3(seed: int) -> Any:
    """Latents of 24 channels and 16 px; it always tiles by 128 px here (256 in the trained one), whatever it is asked for."""
    from comfy.ldm.minimax import vae

    small = functools.partial(vae.ViT3DDecoder, num_layers=2, heads=2)
    shape = {"ch": WIDTH, "ch_mult": (1,) * 6, "num_res_blocks": 1, "tile_size": 128, "tile_overlap_min": 32}
    with _narrow(vae, "ViT3DDecoder", small), _narrow(vae, "MiniMaxH3VideoVAE", functools.partial(vae.MiniMaxH3VideoVAE, **shape)):
        return _loaded(vae.MiniMaxH3VideoVAE, seed)
