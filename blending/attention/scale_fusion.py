"""What is coarse from attention in windows, what is fine from attention over everything.

FreeScale (Qiu et al., "FreeScale: Unleashing the Resolution of Diffusion Models via Tuning-Free Scale Fusion", ICCV 2025).
"""

from __future__ import annotations

import torch

from .chunks import Chunks, WindowAttention
from .windows import plan_views

CHANNELS = 128  # that are blurred at once


def scale_fused_attention(
    work: WindowAttention, window: tuple[int, int], offset: tuple[int, int] = (0, 0), chunks: Chunks | None = None
) -> torch.Tensor:
    """Self-attention of which the low band comes from windows and the high band from all tokens.

    The windows have half of themselves in common with the next one and are averaged where they overlap. Tokens that are not
    of the image are those of attention over everything. Takes three results' memory beside what the attention itself takes.

    Args:
        work: the tokens; a `turn` is not heeded.
        window: (rows, columns) that the model was trained on; one not smaller than the grid gives plain attention.
        offset: (rows, columns) by which the windows are shifted, 0 to half a window.
        chunks: how much is done at once.

    Returns:
        [b, n, heads * e], in the order of the tokens.
    """
    grid, chunks = work.grid, chunks or Chunks()
    everything = work.attend(work.q, work.k, work.v, work.mask)
    if all(side >= length for side, length in zip(window, grid.size, strict=True)):
        return everything
    views = plan_views(grid.size, window, offset)
    local = torch.zeros_like(grid.image(everything, 1), dtype=everything.float().dtype)
    counts = local.new_zeros(*grid.size, 1)
    work = WindowAttention(work.attend, work.q, work.k, work.v, grid, work.mask)

    def add(part):
        for view, found in zip(part, work.of_patches(part), strict=True):
            place = slice(*view.rows), slice(*view.columns)
            local[:, place[0], place[1]] += found.unflatten(1, view.shape)
            counts[place] += 1

    chunks.run(views, add)
    local /= counts
    factors = tuple(-(-length // side) for length, side in zip(grid.size, window, strict=True))
    image = grid.image(everything, 1)
    image.copy_(low_of_first(local, image, factors))
    return everything


def low_of_first(local: torch.Tensor, everywhere: torch.Tensor, factors: tuple[int, int]) -> torch.Tensor:
    """The low band of the first and the high band of the second: G(local) + everywhere - G(everywhere).

    Args:
        local, everywhere: [b, rows, columns, channels].
        factors: (rows, columns): how many times the trained size the grid is, rounded up: G is a Gaussian of sigma 1 with
            2 * factor - 1 taps, so that 1 is no filter at all.

    Returns:
        the same shape, with the second's type of numbers.
    """
    from torchvision.transforms.functional import gaussian_blur

    # As the second plus a blurred difference: two that are equal come back as they are.
    result = everywhere.clone()
    taps = [2 * factor - 1 for factor in reversed(factors)]
    for start in range(0, local.shape[-1], CHANNELS):
        part = slice(start, start + CHANNELS)
        difference = (local[..., part] - everywhere[..., part].to(local.dtype)).movedim(-1, 1)
        result[..., part] += gaussian_blur(difference, taps, [1.0, 1.0]).movedim(1, -1).to(result.dtype)
    return result
