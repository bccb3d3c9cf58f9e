"""A prompt for every tile, of those words of the whole picture's prompt that belong to it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch

from ..blending.coherence.word_coverage import words_of_tiles
from ..blending.layout.grid_layout import GridLayout
from ..blending.pixels.counted import counted
from ..host.progress import check_cancelled
from .attention_maps import attention_maps
from .left_out_words import left_out_maps, spaced_words
from .prompt_words import UnreadableWordsError, prompt_words

WORD_METHODS = ("auto", "attention", "left out")
# A map is kept for each word and attention, half a gigabyte for this many with Flux; one call of the model each where words are left out.
MOST_WORDS = 300


class TileTexts(NamedTuple):
    """One of each per tile, in order."""

    texts: list[str]
    conditioning: list[list]


def encoded(clip: Any, text: str) -> list:
    """CONDITIONING of a text, as CLIP Text Encode makes it."""
    return clip.encode_from_tokens_scheduled(clip.tokenize(text))


def tile_words(
    model: Any, clip: Any, text: str, latent: torch.Tensor, layout: GridLayout, threshold: float, share: float, method: str = "auto"
) -> TileTexts:
    """The words of each tile, encoded.

    Args:
        model, clip: the MODEL and its CLIP.
        text: the whole picture's prompt; what a tile falls back to that no word belongs to.
        latent: the whole picture, small, [B, C, h, w].
        layout: of the large picture, of the same proportions.
        threshold: of `words_of_tiles`.
        share: of the sampling range, see `attention_maps`.
        method: one of WORD_METHODS.

    Raises:
        ValueError: in words for the user.
    """
    if method not in WORD_METHODS:
        raise ValueError(f"method {method!r} is not known: use one of {', '.join(WORD_METHODS)}")
    _check_picture(latent, layout)
    base = encoded(clip, text)
    words, maps = _looked_for(model, clip, text, base, latent, share, method)
    if len(words) < 2:
        return TileTexts([text] * len(layout), [base] * len(layout))
    kept = words_of_tiles(maps, layout, threshold)
    texts = [" ".join(words[number] for number in numbers) if 0 < len(numbers) < len(words) else text for numbers in kept]
    return encoded_texts(clip, texts, {text: base})


def _looked_for(
    model: Any, clip: Any, text: str, base: list, latent: torch.Tensor, share: float, method: str
) -> tuple[list[str], torch.Tensor | None]:
    """The prompt's words, and where on the picture each of them is."""
    if method != "left out":
        try:
            words = _few(prompt_words(clip, text, base[0][0].shape[1]))
            maps = attention_maps(model, base, latent, [word.tokens for word in words], share) if len(words) > 1 else None
            return [word.text for word in words], maps
        except UnreadableWordsError as why:
            if method == "attention":
                raise ValueError(f"{why}: use method left out, or caption the tiles") from why
            logging.info("Tilework: %s; Auto Prompts per Tile leaves each word out once instead", why)
    words = _few(spaced_words(text))
    return words, left_out_maps(model, lambda part: encoded(clip, part), words, latent, share) if len(words) > 1 else None


def _few(words: list) -> list:
    if len(words) > MOST_WORDS:
        raise ValueError(
            f"the text has {len(words)} words, and each is looked for: use at most {MOST_WORDS}, or give a list of one text per tile"
        )
    return words


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
