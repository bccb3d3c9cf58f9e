"""Which tokens of a prompt are which word, as far as the host's text encoders tell.

The word numbers that the host's tokenizers give are one for all that stands between two brackets or embeddings, so they say
which tokens are text and not which word. Words are told by the vocabulary's own marks: `</w>` at a word's end (CLIP), and
`\u2581` (T5) or `\u0120` (byte-level) at its beginning.
"""

from __future__ import annotations

from typing import Any, NamedTuple

WORD_END, WORD_BEGINS = "</w>", ("\u2581", "\u0120")
OPENING = "([{<"


class UnreadableWordsError(ValueError):
    """A text encoder or a model does not tell what belongs to which word; method left out needs neither."""


class PromptWord(NamedTuple):
    """One word of a prompt.

    Attributes:
        text: as it can be put in a prompt again, its weight included.
        tokens: its places among the model's text tokens.
    """

    text: str
    tokens: tuple[int, ...]


class _Token(NamedTuple):
    place: int
    number: int
    weight: float


def prompt_words(clip: Any, text: str, length: int) -> list[PromptWord]:
    """The words of a prompt, in order.

    Args:
        clip: the CLIP.
        text: the prompt.
        length: how many text tokens the model is given for it.

    Raises:
        UnreadableWordsError: where this text encoder does not tell.
        ValueError: for an embedding in the text.
    """
    name, offset = _part(clip.tokenize(text, return_word_ids=True), length)
    tokenizer = _tokenizer(clip.tokenizer, name)
    said, empty = (_text_tokens(clip.tokenize(words, return_word_ids=True)[name]) for words in (text, ""))
    said = _without_frame(said, [token.number for token in empty])
    if not said:
        return []
    pieces = [piece for _, piece in tokenizer.untokenize([(token.number, token.weight) for token in said])]
    return [
        PromptWord(_printed(tokenizer, word), tuple(token.place + offset for tokens in word for token in tokens))
        for word in _grouped(said, pieces, text)
    ]


def _part(tokens: dict[str, list], length: int) -> tuple[str, int]:
    """Which of the encoder's parts the model's text tokens come from, and at which of them its own begin."""
    lengths = {name: sum(len(batch) for batch in batches) for name, batches in tokens.items()}
    for name, own in lengths.items():
        if own == length:
            return name, 0
    # SD3 is given CLIP's tokens, and T5's behind them.
    for name, before in lengths.items():
        if name != "t5xxl" and before + lengths.get("t5xxl", 0) == length:
            return "t5xxl", before
    said = ", ".join(f"{own} of {name}" for name, own in lengths.items())
    raise UnreadableWordsError(
        f"this text encoder gives the model {length} tokens and its tokenizer tells of others ({said}), so it is not known which token is "
        "which word"
    )


def _tokenizer(whole: Any, name: str) -> Any:
    for attribute in (f"clip_{name}", name, getattr(whole, "clip", "")):
        part = getattr(whole, attribute, None) if isinstance(attribute, str) and attribute else None
        if part is not None and hasattr(part, "untokenize") and hasattr(part, "decode"):
            return part
    raise UnreadableWordsError(f"the tokenizer of this text encoder ({type(whole).__name__}) does not tell what its tokens say")


def _text_tokens(batches: list[list[tuple]]) -> list[_Token]:
    """Those that are text: no begin, no end, no padding."""
    flat = [token for batch in batches for token in batch]
    text = [(place, *token) for place, token in enumerate(flat) if token[2] != 0]
    if any(not isinstance(number, int) for _, number, _, _ in text):
        raise ValueError("the text names an embedding, which is vectors and no words: take it out, and put it into the base prompt instead")
    return [_Token(place, number, float(weight)) for place, number, weight, _ in text]


def _without_frame(said: list[_Token], empty: list[int]) -> list[_Token]:
    """Without what encoders that are language models put before and behind every prompt."""
    before = 0
    while before < min(len(said), len(empty)) and said[before].number == empty[before]:
        before += 1
    behind = 0
    while behind < min(len(said), len(empty)) - before and said[-1 - behind].number == empty[-1 - behind]:
        behind += 1
    return said[before : len(said) - behind]


def _grouped(said: list[_Token], pieces: list[str], text: str) -> list[list[list[_Token]]]:
    """Tokens by word, and in each word by sign: what holds no letter and no figure goes with its neighbour."""
    ends = any(piece.endswith(WORD_END) for piece in pieces)
    if not ends and not any(piece.startswith(WORD_BEGINS) for piece in pieces) and len(text.split()) > 1:
        raise UnreadableWordsError("the tokens of this text encoder do not tell where words begin")
    parts: list[tuple[list[_Token], str]] = []
    fresh = True
    for token, piece in zip(said, pieces, strict=True):
        if fresh or (not ends and piece.startswith(WORD_BEGINS)):
            parts.append(([], ""))
        tokens, spelled = parts[-1]
        parts[-1] = [*tokens, token], spelled + piece.removesuffix(WORD_END).strip("".join(WORD_BEGINS))
        fresh = ends and piece.endswith(WORD_END)
    words: list[list[list[_Token]]] = []
    waiting: list[list[_Token]] = []  # signs that belong to the word behind them
    for (tokens, spelled), together in zip(parts, _together([spelled for _, spelled in parts], text), strict=True):
        lettered, follows = any(sign.isalnum() for sign in spelled), bool(words) and words[-1][0][0].weight == tokens[0].weight
        if lettered and together and follows and not waiting:
            words[-1].append(tokens)
        elif lettered:
            words.append([*waiting, tokens])
            waiting = []
        elif follows and not waiting and spelled not in OPENING:
            words[-1].append(tokens)
        else:
            waiting.append(tokens)
    return words if not waiting else [*words, waiting]


def _together(spelled: list[str], text: str) -> list[bool]:
    """Whether each part stands in the text right behind the one before: encoders cut 1984 into figures, and don't in two."""
    text, end, together = text.lower(), 0, []
    for part in spelled:
        start = text.find(part.lower(), end) if part else -1
        together.append(start == end and bool(together))
        end = end if start < 0 else start + len(part)
    return together


def _printed(tokenizer: Any, word: list[list[_Token]]) -> str:
    spelled = "".join(tokenizer.decode([token.number for token in tokens]).strip() for tokens in word)
    spelled = spelled.replace("(", "\\(").replace(")", "\\)")
    weight = word[-1][0].weight
    return spelled if weight == 1 else f"({spelled}:{weight:g})"
