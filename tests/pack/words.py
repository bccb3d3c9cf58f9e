"""A text encoder of whole words, for models whose prompts have 16 numbers per token."""

from __future__ import annotations

import re
import zlib
from typing import Any

import torch

from .coherence import scenes
from .convolution import seeded


class WordTokenizer:
    """One token per word or sign, in the form of the host's tokenizers; at least `scenes.TOKENS` of them."""

    def __init__(self) -> None:
        self.vocabulary: list[str] = [""]

    def number(self, word: str) -> int:
        """Of a word, which is learnt."""
        if word not in self.vocabulary:
            self.vocabulary.append(word)
        return self.vocabulary.index(word)

    def tokenize_with_weights(self, text: str, return_word_ids: bool = False, **more: Any) -> dict[str, list]:
        """{"words": [[(token, weight, word id), ...]]}; without the ids where they are not asked for."""
        tokens = [(self.number(word), 1.0, 1) for word in re.findall(r"\w+|[^\w\s]+", text)]
        tokens += [(0, 1.0, 0)] * (scenes.TOKENS - len(tokens))
        return {"words": [tokens if return_word_ids else [token[:2] for token in tokens]]}

    @property
    def words(self) -> WordTokenizer:
        """The part of that name."""
        return self

    def untokenize(self, tokens: list[tuple]) -> list[tuple]:
        """Each token with its piece of the vocabulary."""
        return [(token, f"{self.vocabulary[token[0]]}</w>") for token in tokens]

    def decode(self, numbers: list[int], skip_special_tokens: bool = True) -> str:
        """The text of tokens."""
        return " ".join(self.vocabulary[number] for number in numbers)


class WordClip:
    """What nodes use of a CLIP. Words of the drawn scenes have the scenes' vectors, others vectors of their own."""

    def __init__(self) -> None:
        self.tokenizer = WordTokenizer()

    def tokenize(self, text: str, return_word_ids: bool = False, **more: Any) -> dict[str, list]:
        """The tokenizer's."""
        return self.tokenizer.tokenize_with_weights(text, return_word_ids, **more)

    def encode_from_tokens_scheduled(self, tokens: dict[str, list]) -> list:
        """CONDITIONING."""
        said = [self.tokenizer.vocabulary[token[0]] for token in tokens["words"][0]]
        known = _scene_words()
        context = torch.stack([known.get(word, _of_its_own(word)) for word in said])[None]
        pooled = [scenes.prompts()[kind, scope][1] for kind in scenes.KINDS for scope in scenes.SCOPES if kind in said and scope in said]
        return [[context, {"pooled_output": pooled[0] if pooled else torch.zeros(1, scenes.POOLED_DIM)}]]


def _scene_words() -> dict[str, torch.Tensor]:
    """Each word of `scenes.prompts` with its vector."""
    prompts = scenes.prompts()
    found = {"": torch.zeros(scenes.CONTEXT_DIM)}
    for (kind, scope), (context, _) in ((said, prompt) for said, prompt in prompts.items() if said):
        found |= dict(zip(("a", kind, scope, "b"), context[0], strict=True))
    return found


def _of_its_own(word: str) -> torch.Tensor:
    return torch.randn(scenes.CONTEXT_DIM, generator=seeded(zlib.crc32(word.encode())))
