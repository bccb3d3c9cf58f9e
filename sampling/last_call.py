"""What model patches remember of the model's last call, for a function of the sampler that runs after it.

Self-Attention Guidance is made of two functions that share a variable: one replaces an attention and writes down its
scores, the other blurs what the sampler got where the scores are high. The first is called with tiles and the second
with the canvas, so the variable would hold one tile's scores, and the blur of the whole canvas be made of them. Here
the scores of all tiles are fused as their predictions are, and the second function finds those of the canvas.

Other functions that share a variable in this way are found too. What their variable means is not known, so they are
refused once a tile has left a tensor there.
"""

from __future__ import annotations

import dis
import types
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import torch

from ..blending.fusion.views import RectView
from .conditions.patch_contents import name_of, search
from .conditions.patches import sampler_functions, tile_patches

SCORES = ("attn_and_record", "attn_scores")


class LastCall:
    """The variables that a model's patches share with its sampler's functions, for one run.

    Args:
        model_options: the host's, at the run's first prediction.
    """

    def __init__(self, model_options: dict[str, Any]) -> None:
        tiles, sampler = search(tile_patches(model_options)), search(sampler_functions(model_options))
        read = {id(one) for one in sampler.looked_at if isinstance(one, types.CellType)}
        self._shared: list[tuple[types.CellType, str, str]] = []
        for function in tiles.looked_at:
            if isinstance(function, types.FunctionType):
                for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
                    if id(cell) in read:
                        self._shared.append((cell, name, name_of(function)))
        self._looked_at = tiles.looked_at
        self._scores = next((cell for cell, name, patch in self._shared if (patch.split(".")[-1], name) == SCORES), None)
        self._before: list[Any] = []
        self._maps: dict[int, torch.Tensor] = {}

    @cached_property
    def writing(self) -> list[str]:
        """The names of patches that write something down during a call of the model, for whoever comes next."""
        return [name_of(one) for one in self._looked_at if _writes_down(one)]

    def begin(self) -> None:
        """A prediction of the canvas begins."""
        self._before = [_content(cell) for cell, _, _ in self._shared]
        self._maps.clear()
        if self._scores is not None:
            self._scores.cell_contents = None

    def note(self, views: Sequence[RectView], rows: int) -> None:
        """`views` have been through the model together, `rows` pictures each."""
        scores = None if self._scores is None else _content(self._scores)
        if scores is None:
            return
        # As the host sums them up: the mean over the heads, and for each token what all tokens look at it.
        maps = scores.reshape(rows * len(views), -1, *scores.shape[-2:]).mean(1).sum(1)
        for view, part in zip(views, maps.split(rows), strict=True):
            self._maps[view.index] = _in_cells(part, view.shape)
        self._scores.cell_contents = None

    def end(self, canvas: torch.Tensor, views: Sequence[RectView]) -> None:
        """All `views` (every one, in the order of their index) of `canvas` [B, C, h, w] have been through the model.

        Raises:
            ValueError: where a patch left a tensor of the last tile for a function of the sampler.
        """
        for (cell, variable, patch), before in zip(self._shared, self._before, strict=True):
            now = _content(cell)
            if cell is not self._scores and isinstance(now, torch.Tensor) and now is not before:
                raise ValueError(
                    f"the model's patch {patch} remembers the model's last call (in {variable}) for the sampler, and with tiles that is "
                    "the last tile's: take it out, or use Latent Tile Denoise with order sequential"
                )
        self._fuse(canvas, views)
        self._before = []

    def _fuse(self, canvas: torch.Tensor, views: Sequence[RectView]) -> None:
        if self._scores is None:
            return
        if not self._maps:
            # Nobody wrote anything down, so what was there before this prediction stays.
            self._scores.cell_contents = next(
                old for (cell, _, _), old in zip(self._shared, self._before, strict=True) if cell is self._scores
            )
            return
        one = next(iter(self._maps.values()))
        total = torch.zeros((one.shape[0], 1, *canvas.shape[-2:]), device=one.device)
        for view in views:
            view.scatter(self._maps.get(view.index, total.new_zeros((one.shape[0], 1, *view.shape))), total)
        # Scores of one head, in which one token looks at each cell of the canvas as all tokens do together.
        self._scores.cell_contents = total.flatten(2).to(one.dtype)
        self._maps.clear()


def _writes_down(patch: Any) -> bool:
    """Whether a function, or an object that is called, assigns to attributes or to variables of the function around it."""
    called = patch
    if not isinstance(patch, types.FunctionType):
        called = next((vars(kind)["__call__"] for kind in type(patch).__mro__ if "__call__" in vars(kind)), None)
    return isinstance(called, types.FunctionType) and _assigns(called.__code__, frozenset(called.__code__.co_freevars))


def _assigns(code: types.CodeType, outer: frozenset[str]) -> bool:
    # Read off what Python made of it: the text of a function is not always there.
    for one in dis.get_instructions(code):
        if one.opname == "STORE_ATTR" or (one.opname == "STORE_DEREF" and one.argval in outer):
            return True
    return any(_assigns(inner, outer) for inner in code.co_consts if isinstance(inner, types.CodeType))


def _content(cell: types.CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return None  # not assigned yet


def _in_cells(tokens: torch.Tensor, shape: tuple[int, int]) -> torch.Tensor:
    """[B, tokens] of a tile as [B, 1, h, w], every token over the cells it stands for."""
    height, width = shape
    grid = _grid(tokens.shape[-1], height, width)
    return torch.nn.functional.interpolate(tokens.reshape(-1, 1, *grid), size=shape, mode="nearest")


def _grid(tokens: int, height: int, width: int) -> tuple[int, int]:
    """Rows and columns of the tokens of a tile of `height` x `width` cells.

    Networks halve the sides and round up; of another number of tokens, the grid nearest to the tile's proportions.
    """
    for halved in range(max(height, width).bit_length()):
        rows, columns = -(-height // 2**halved), -(-width // 2**halved)
        if rows * columns == tokens:
            return rows, columns
    ideal = (height / width * tokens) ** 0.5
    rows = min((rows for rows in range(1, tokens + 1) if tokens % rows == 0), key=lambda rows: abs(rows - ideal))
    return rows, tokens // rows
