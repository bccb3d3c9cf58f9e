"""Joining the conditions of several tiles, so that one call of the model does for all of them.

The tiles lie one after the other along the batch, all pictures of the first, then all of the second. What the tiles
share is repeated for them by the host; what differs is brought to a tile's number of pictures first and joined then.
"""

from __future__ import annotations

from typing import Any

import comfy.conds
import torch

from .controls import ControlCropper

# Models that take the batch for something else than pictures.
BATCH_IS_FRAMES = frozenset({"num_video_frames"})

_NO = object()


def stack_conds(tiles: list[list[list[dict[str, Any]] | None]], batch: int, controls: ControlCropper) -> list | None:
    """The conditions of `tiles` (as `ConditionCropper.crop` made them) as those of one latent, or None.

    Args:
        tiles: per tile the lists of conditions.
        batch: pictures per tile.
        controls: where the tiles' controls were made.

    Returns:
        None where the tiles differ in more than their pictures, masks and hints: in which conditions they have, or in
        GLIGEN boxes, which the host knows only for a whole batch.
    """
    if len(tiles) == 1:
        return tiles[0]
    if len({len(tile) for tile in tiles}) > 1:
        return None
    stacked = []
    for lists in zip(*tiles, strict=True):
        if any(one is None for one in lists):
            if any(one is not None for one in lists):
                return None
            stacked.append(None)
            continue
        if len({len(one) for one in lists}) > 1:
            return None
        joined = [_stack_one(list(same), batch, controls) for same in zip(*lists, strict=True)]
        if any(one is None for one in joined):
            return None
        stacked.append(joined)
    return stacked


def _stack_one(conds: list[dict[str, Any]], batch: int, controls: ControlCropper) -> dict[str, Any] | None:
    if any(cond.keys() != conds[0].keys() for cond in conds):
        return None
    stacked = {}
    for key in conds[0]:
        joined = _stack_value(key, [cond[key] for cond in conds], batch, controls)
        if joined is _NO:
            return None
        stacked[key] = joined
    return stacked


def _stack_value(key: str, values: list[Any], batch: int, controls: ControlCropper) -> Any:
    if key == "model_conds":
        return _stack_tensors(values, batch)
    if key == "mask":
        return _stack_masks(values, batch)
    if all(value is values[0] for value in values[1:]):
        return values[0] if key != "control" or values[0] is None else _or_no(controls.stack(values, batch))
    if key == "control":
        return _NO if any(value is None for value in values) else _or_no(controls.stack(values, batch))
    return values[0] if all(_same(value, values[0]) for value in values[1:]) else _NO


def _or_no(value: Any) -> Any:
    return _NO if value is None else value


def _same(a: Any, b: Any) -> bool:
    simple = (str, bytes, int, float, bool, tuple)
    return a is b or (isinstance(a, simple) and isinstance(b, simple) and a == b)


def _stack_tensors(values: list[dict[str, Any]], batch: int) -> Any:
    first = values[0]
    if any(value.keys() != first.keys() for value in values) or BATCH_IS_FRAMES & first.keys():
        return _NO
    stacked = {}
    for name in first:
        tensors = [value[name] for value in values]
        if all(tensor is tensors[0] for tensor in tensors[1:]) and _repeats(tensors[0], batch):
            stacked[name] = tensors[0]
            continue
        if any(type(tensor) is not type(tensors[0]) for tensor in tensors):
            return _NO
        tensors = [tensor.process_cond(batch_size=batch, area=None) for tensor in tensors]
        if not all(tensors[0].can_concat(tensor) for tensor in tensors[1:]):
            return _NO
        stacked[name] = tensors[0]._copy_with(tensors[0].concat(tensors[1:]))
    return stacked


def _repeats(value: Any, batch: int) -> bool:
    """Whether the host, repeating it over the whole batch, gives every tile what it would have alone."""
    content = value.cond
    if isinstance(value, comfy.conds.CONDConstant):
        return True
    return all(one.shape[0] in (1, batch) for one in (content if isinstance(content, list) else [content]))


def _stack_masks(masks: list[torch.Tensor], batch: int) -> Any:
    # The host takes as many masks as there are pictures, or repeats a number of them that divides the pictures.
    cut = [mask[:batch] for mask in masks]
    if any(batch % mask.shape[0] for mask in cut) or len({mask.shape[1:] for mask in cut}) > 1:
        return _NO
    return torch.cat([mask.repeat(batch // mask.shape[0], *[1] * (mask.ndim - 1)) for mask in cut])
