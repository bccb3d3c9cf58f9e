"""Attention of many small windows in few calls, in chunks of bounded memory."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from .token_grid import TokenGrid
from .windows import Patch

# (queries [b, heads, n, d], keys [b, key heads, m, d], values [b, key heads, m, e], mask or None) -> [b, n, heads * e].
Attend = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor | None], torch.Tensor]
# (text's queries or keys [b, heads, text, d], (row, column) where each of w windows begins) -> [w, b, heads, text, d]: the same,
# as if that were the origin.
Turn = Callable[[torch.Tensor, Sequence[tuple[int, int]]], torch.Tensor]
KEYS = 4096


def _never(error: Exception) -> bool:
    return False


@dataclass
class Chunks:
    """How much is done at once.

    Attributes:
        keys: image keys that are copied at once, per picture of the batch: as many windows as make up that number, at
            least one. So much memory is taken beside the result: keys, values and queries of these windows.
        between: called before every chunk; it may raise to stop.
        too_much: whether an error means that a chunk half as large may do.
    """

    keys: int = KEYS
    between: Callable[[], None] = lambda: None
    too_much: Callable[[Exception], bool] = _never

    def run(self, patches: Sequence[Patch], call: Callable[[Sequence[Patch]], None]) -> None:
        """Give all patches to `call`, those of one shape together. Where memory runs out, halves, down to one row of queries.

        Raises:
            whatever `call` raises, except for memory that a smaller chunk may do with.
        """
        shapes: dict[tuple[int, int], list[Patch]] = defaultdict(list)
        for patch in patches:
            shapes[patch.shape].append(patch)
        for group in shapes.values():
            waiting = list(reversed(group))
            while waiting:
                size = _area(waiting[-1].key_rows, waiting[-1].key_columns)
                # A halved patch has another shape than those that wait behind it.
                most = max(self.keys // size, 1)
                part = [waiting.pop()]
                while waiting and len(part) < most and waiting[-1].shape == part[0].shape:
                    part.append(waiting.pop())
                self.between()
                try:
                    call(part)
                    continue
                except Exception as error:
                    if not self.too_much(error) or (len(part) == 1 and part[0].shape[0] == 1):
                        raise
                # Outside of the handler: the error holds on to everything that filled the memory.
                if len(part) > 1:
                    self.keys = size * ((len(part) + 1) // 2)
                else:
                    part = list(part[0].halves())
                waiting += reversed(part)


def _area(rows: tuple[int, int], columns: tuple[int, int]) -> int:
    return (rows[1] - rows[0]) * (columns[1] - columns[0])


@dataclass
class WindowAttention:
    """Attention of patches of an image's queries to their windows, and to every token that is not of the image.

    Args:
        attend: the attention itself.
        q: [b, heads, n, d].
        k: [b, key heads, n, d].
        v: [b, key heads, n, e].
        grid: where the image is among the n tokens.
        mask: added to the scores, or False where a key is not seen: [n], [n, n], [b, n, n] or [b, heads, n, n], where b,
            heads and the queries may be 1.
        turn: for models with rotary positions: gives text as if the window's first token were the image's. The text then
            takes part in every window.
    """

    attend: Attend
    q: torch.Tensor
    k: torch.Tensor
    v: torch.Tensor
    grid: TokenGrid
    mask: torch.Tensor | None = None
    turn: Turn | None = None

    def __post_init__(self) -> None:
        if self.mask is not None:
            while self.mask.ndim < 2:
                self.mask = self.mask[None]
            self.mask = self.mask[(None,) * (4 - self.mask.ndim)] if self.mask.ndim != 3 else self.mask[:, None]

    def of_tokens(self, numbers: slice) -> torch.Tensor:
        """What some of the tokens get out of all of them, [b, m, heads * e]."""
        mask = self.mask
        if mask is not None and mask.shape[2] > 1:
            mask = mask[:, :, numbers]
        return self.attend(self.q[:, :, numbers], self.k, self.v, mask)

    def of_patches(self, patches: Sequence[Patch]) -> torch.Tensor:
        """What patches of one shape get out of their windows, [patches, b, (text +) rows * columns, heads * e].

        The text's part, where there is a `turn`, comes first.
        """
        first, batch = self.grid.first, self.q.shape[0]
        keys, values = (self._beside_windows(tensor, patches, tensor is self.k) for tensor in (self.k, self.v))
        text = first if self.turn else 0
        area = _area(patches[0].rows, patches[0].columns)
        queries = self.q.new_empty(len(patches), batch, self.q.shape[1], text + area, self.q.shape[-1])
        image = self.grid.image(self.q, 2)
        if text:
            queries[:, :, :, :text] = self.turn(self.q[:, :, :first], _origins(patches))
        for to, patch in zip(queries, patches, strict=True):
            part = image[:, :, slice(*patch.rows), slice(*patch.columns)]
            to[:, :, text:].unflatten(2, patch.shape).copy_(part)
        found = self.attend(queries.flatten(0, 1), keys.flatten(0, 1), values.flatten(0, 1), self._masks(patches))
        return found.unflatten(0, (len(patches), batch))

    def _beside_windows(self, tokens: torch.Tensor, patches: Sequence[Patch], turned: bool) -> torch.Tensor:
        """[patches, b, key heads, others + window, d]: tokens before the image, of the window, and behind the image."""
        first, end, image = self.grid.first, self.grid.end, self.grid.image(tokens, 2)
        area = _area(patches[0].key_rows, patches[0].key_columns)
        behind = tokens.shape[2] - end
        joined = tokens.new_empty(len(patches), *tokens.shape[:2], first + area + behind, tokens.shape[-1])
        before = tokens[:, :, :first]
        joined[:, :, :, :first] = self.turn(before, _origins(patches)) if turned and self.turn and first else before
        joined[:, :, :, first + area :] = tokens[:, :, end:]
        for to, patch in zip(joined, patches, strict=True):
            window = image[:, :, slice(*patch.key_rows), slice(*patch.key_columns)]
            to[:, :, first : first + area].unflatten(2, window.shape[2:4]).copy_(window)
        return joined

    def _masks(self, patches: Sequence[Patch]) -> torch.Tensor | None:
        if self.mask is None:
            return None
        found = []
        for patch in patches:
            count = self.mask.shape[-1]
            keys = (torch.arange(self.grid.first), self.grid.numbers(patch.key_rows, patch.key_columns), torch.arange(self.grid.end, count))
            part = self.mask[..., torch.cat(keys).to(self.mask.device)]
            if part.shape[2] > 1:
                text = torch.arange(self.grid.first if self.turn else 0)
                queries = torch.cat((text, self.grid.numbers(patch.rows, patch.columns)))
                part = part[:, :, queries.to(part.device)]
            found.append(part.expand(self.q.shape[0], -1, -1, -1))
        return torch.cat(found)


def _origins(patches: Sequence[Patch]) -> list[tuple[int, int]]:
    return [(patch.key_rows[0], patch.key_columns[0]) for patch in patches]
