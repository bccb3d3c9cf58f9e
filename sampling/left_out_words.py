"""Where on a picture a word counts: where the model sees something else when the word is left out of the prompt.

Needs neither the model's attention nor its tokens, so it works for every model and every text encoder; it takes one call of
the model per word, on the small picture.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import torch

from ..host.progress import watched
from .attention_maps import predicted, without_tiles

PIECE = re.compile(r"\\.|\s+|.", re.DOTALL)
LARGEST_SIDE = 16  # of a map: single cells of a prediction are noise


def spaced_words(text: str) -> list[str]:
    """The words of a prompt as they are written: what stands between two spaces, and a bracket with its weight and all that is in it.

    >>> spaced_words("a (red sun:1.3), over hills")
    ['a', '(red sun:1.3),', 'over', 'hills']
    >>> spaced_words("((red sun:1.2) hills:1.1) lake")
    ['((red sun:1.2) hills:1.1)', 'lake']
    """
    closes = text.count(")") >= text.count("(") and text.count("]") >= text.count("[")
    words, depth, now = [], 0, ""
    for piece in PIECE.findall(text):
        # Brackets that are never closed hold nothing together.
        depth = max(depth + (piece in "([") - (piece in ")]"), 0) if closes and len(piece) == 1 else depth
        if piece.isspace() and depth == 0:
            words, now = [*words, now], ""
        else:
            now += piece
    return [word for word in [*words, now] if word.strip()]


def left_out_maps(model: Any, encode: Callable[[str], list], words: Sequence[str], latent: torch.Tensor, share: float) -> torch.Tensor:
    """How much the model's picture changes, place by place, where one word is left out.

    Args:
        model: a MODEL, asked without tiles.
        encode: text -> CONDITIONING.
        words: of the prompt.
        latent: the picture [B, C, h, w].
        share: of the sampling range that its noise belongs to.

    Returns:
        [words, h', w'], root mean squares over channels and pictures, of at most 16 x 16 cells.
    """
    alone = without_tiles(model)
    whole = predicted(alone, encode(" ".join(words)), latent, share)
    found = []
    for index in watched(range(len(words)), len(words)):
        rest = [word for number, word in enumerate(words) if number != index]
        change = (predicted(alone, encode(" ".join(rest)), latent, share) - whole).float().square().mean((0, 1))
        found.append(change.reshape(-1, *change.shape[-2:]).mean(0).sqrt())
    maps = torch.stack(found)
    return torch.nn.functional.adaptive_avg_pool2d(maps, tuple(min(side, LARGEST_SIDE) for side in maps.shape[-2:]))
