"""A prompt for every tile, of those words of the whole picture's prompt that belong to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch

from ..blending.coherence.word_coverage import words_of_tiles
from ..blending.layout.grid_layout import GridLayout
from ..blending.pixels.counted import counted
from ..host.progress import check_cancelled
from .attention_maps import attention_maps
from .prompt_words import prompt_words


class TileTexts(NamedTuple):
    """One of each per tile, in order."""

    texts: list[str]
    conditioning: list[list]


def encoded(clip: Any, text: str) -> list:
    """CONDITIONING of a text, as CLIP Text Encode makes it."""
    return clip.encode_from_tokens_scheduled(clip.tokenize(text))


def tile_words(model: Any, clip: Any, text: str, latent: torch.Tensor, layout: GridLayout, threshold: float, share: float) -> TileTexts:
    """The words of each tile, encoded.

    Args:
        model, clip: the MODEL and its CLIP.
        text: the whole picture's prompt; what a tile falls back to that no word belongs to.
        latent: the whole picture, small, [B, C, h, w].
        layout: of the large picture, of the same proportions.
        threshold: of `words_of_tiles`.
        share: of the sampling range, see `attention_maps`.

    Raises:
        ValueError: in words for the user.
    """
    _check_picture(latent, layout)
    base = encoded(clip, text)
    words = prompt_words(clip, text, base[0][0].shape[1])
    if not words:
        return TileTexts([text] * len(layout), [base] * len(layout))
    maps = attention_maps(model, base, latent, [word.tokens for word in words], share)
    kept = words_of_tiles(maps, layout, threshold)
    texts = [" ".join(words[number].text for number in numbers) if 0 < len(numbers) < len(words) else text for numbers in kept]
    return encoded_texts(clip, texts, {text: base})


def encoded_texts(clip: Any, texts: Sequence[str], known: dict[str, list] | None = None) -> TileTexts:
    """Texts of all tiles, each different one encoded once."""
    known = dict(known or {})
    for text in texts:
        if text not in known:
            check_cancelled()
            known[text] = encoded(clip, text)
    return TileTexts(list(texts), [known[text] for text in texts])


def captioned(clip: Any, texts: Sequence[str], layout: GridLayout) -> TileTexts:
    """Texts that came for every tile: they stay as they are.

    Raises:
        ValueError: where there are more or fewer than tiles.
    """
    if len(texts) != len(layout):
        raise ValueError(
            f"{counted(len(texts), 'text')} came for {counted(len(layout), 'tile')}: give one for the whole picture, or one per tile"
        )
    return encoded_texts(clip, texts)


def _check_picture(latent: torch.Tensor, layout: GridLayout) -> None:
    height, width = latent.shape[-2:]
    tall, wide = layout.canvas
    if abs(height * wide / tall - width) > 1.5 and abs(width * tall / wide - height) > 1.5:
        raise ValueError(
            f"the latent of {width} x {height} cells has not the proportions of the layout's picture of {wide} x {tall}: give the whole "
            "picture made small, with VAE Encode"
        )
    if not latent.any():
        raise ValueError("the latent is empty, and there is nothing to look at: give the picture made small, with VAE Encode")
