"""A tile that also sees the whole canvas: its keys and values at native size beside the tile's own.

Ours, after the idea of DehazeXL (Chen et al., CVPR 2025) that tiles know the whole picture through its tokens; theirs is a
trained network, this needs no training.
"""

from __future__ import annotations

import math

import torch

from .chunks import Attend
from .token_grid import TokenGrid

MOST_TOKENS = 1024


def canvas_tokens(tokens: torch.Tensor, grid: TokenGrid, most: int = MOST_TOKENS) -> torch.Tensor:
    """The image's keys or values [b, heads, n, d] as a copy [b, heads, m, d]: every second, third, ... token, so that m <= most."""
    image, step = grid.image(tokens, 2), 1
    while -(-grid.rows // step) * -(-grid.columns // step) > most:
        step += 1
    return image[:, :, step // 2 :: step, step // 2 :: step].flatten(2, 3).clone()


def attention_beside(
    attend: Attend,
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    more: tuple[torch.Tensor, torch.Tensor],
    share: float,
    mask: torch.Tensor | None = None,
) -> torch.Tensor:
    """Attention to keys k and to further ones that count `share` times as much: log(share) is added to their scores.

    Args:
        attend: the attention itself.
        q, k, v: [b, heads, n, d].
        more: further keys and values [b, heads, m, d].
        share: 0 (they do not count; plain attention) to 1 (like any other).
        mask: as for WindowAttention, of the keys k.

    Returns:
        [b, n, heads * d].

    Raises:
        ValueError: for a share outside of 0..1.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"a share of {share} is not how much further tokens count: use 0 (not at all) to 1 (like the tile's own)")
    if share == 0:
        return attend(q, k, v, mask)
    keys, values = torch.cat((k, more[0]), 2), torch.cat((v, more[1]), 2)
    if share == 1 and mask is None:
        return attend(q, keys, values, None)
    bias = q.new_full((1, 1, 1, keys.shape[2]), math.log(share))
    bias[..., : k.shape[2]] = 0
    if mask is not None:
        mask = mask[:, None] if mask.ndim == 3 else mask[(None,) * (4 - mask.ndim)]
        if mask.dtype == torch.bool:
            mask = torch.zeros_like(mask, dtype=q.dtype).masked_fill(~mask, -math.inf)
        widened = bias.expand(*mask.shape[:3], -1).clone()
        widened[..., : k.shape[2]] += mask.to(q.dtype)
        bias = widened
    return attend(q, keys, values, bias.expand(-1, -1, q.shape[2], -1))
