"""Attention over a large grid in which every query sees as many keys as the model was trained on."""

from __future__ import annotations

from .chunks import Chunks, WindowAttention
from .windows import Windows, plan_patches


def neighbourhood_attention(work: WindowAttention, windows: Windows, chunks: Chunks | None = None):
    """Self-attention in which an image's queries see a window around them and every token that is not of the image.

    Exact: what dense attention gives with a mask that hides the rest. Every query is written once, so there is nothing to
    blend. Tokens that are not of the image see all tokens. Where `work.turn` is given, the text in front of the image is
    treated as ScaleDiff does for Flux: it takes part in every window as if the window were the whole picture, and what its
    queries get is averaged over the windows.

    Args:
        work: the tokens.
        windows: how the image's grid is cut; one that is not smaller than the grid gives full attention.
        chunks: how much is done at once.

    Returns:
        [b, n, heads * e], in the order of the tokens.

    Raises:
        ValueError: for windows that do not hold their patches.
    """
    grid, q, chunks = work.grid, work.q, chunks or Chunks()
    patches = plan_patches(grid.size, windows)
    if len(patches) == 1:
        return work.attend(q, work.k, work.v, work.mask)
    result = q.new_empty(q.shape[0], q.shape[2], q.shape[1] * work.v.shape[-1])
    image, text = grid.image(result, 1), grid.first if work.turn else 0
    for part in (slice(text, grid.first), slice(grid.end, q.shape[2])):
        if part.start < part.stop:
            result[:, part] = work.of_tokens(part)
    # Tokens say the same as often as there are windows, so the sum of many is kept exact.
    said = result.new_zeros(q.shape[0], text, result.shape[-1], dtype=result.float().dtype) if text else None

    def write(part):
        for patch, found in zip(part, work.of_patches(part), strict=True):
            image[:, slice(*patch.rows), slice(*patch.columns)] = found[:, text:].unflatten(1, patch.shape)
            if said is not None:
                # By the share of the queries, so that a patch cut in halves counts once.
                said.add_(found[:, :text], alpha=patch.shape[0] * patch.shape[1] / (grid.rows * grid.columns))

    chunks.run(patches, write)
    if said is not None:
        result[:, :text] = said.to(result.dtype)
    return result
