"""Model patches that hold a mask or a picture of the canvas, cut to a tile.

A patch is no condition: the host hands it to the network as it is, whatever part of the canvas the network is called
with, and it stretches what it holds over that part. What attention patches (IPAdapter, attention couple), controls that
are patches (Qwen DiffSynth and Z-Image controls, Uni3C, Anima LLLite, SUPIR) and wrappers around the model hold is
searched through (`patch_contents`). What has the canvas' proportions is cut, in copies of the patches that a tile keeps
for the run; the rest is named once.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import torch

from ...blending.layout.grid import Rect
from .notices import Notices
from .patch_contents import CONTAINERS, MOST_LOOKED_AT, CannotCopyError, Contents, Copies, HeldTensor, name_of, search
from .planes import ENDS, Wrap, cut_scaled, has_proportions, whole

# Their tensors are features of a reference or of sound, without a place on the picture.
PLACELESS = frozenset({"UsoStyleProjectorPatch", "MultiTalkCrossAttnPatch"})
# What patches of the host make of their picture at first, and again where it is not there.
MADE_OF_PICTURES = frozenset({"encoded_image", "prepared_render", "cached_features", "temp_data"})

# Wrappers of these kinds are called with a tile.
WRAPPED_TILES = ("apply_model", "diffusion_model")
# Functions that the sampler calls with the whole of what it samples: with order sequential, that is a tile.
OF_THE_SAMPLER = (
    "denoise_mask_function", "sampler_calc_cond_batch_function", "sampler_cfg_function", "sampler_post_cfg_function",
    "sampler_pre_cfg_function",
)  # fmt: skip

# Patches that are made anew for every call are looked through every time.
MOST_PLANS = 16
# Smaller than this, what is not called a mask may be a kernel or a table.
SMALLEST_PICTURE = 8
CHANNELS = 4

Cut = Callable[[torch.Tensor, Rect], torch.Tensor]


class _Plan(NamedTuple):
    """What is cut of a model's patches.

    Attributes:
        number: tells plans apart.
        roots: the patches.
        contents: what was found in them.
        ways: how a tensor is cut, by its id.
        owners: objects whose picture is cut.
        told: the ids of tensors that a warning was given of.
    """

    number: int
    roots: dict[str, Any]
    contents: Contents
    ways: dict[int, Cut]
    owners: list[Any]
    told: set[int]


class PatchCropper:
    """Cuts model patches to tiles, for one sampling run.

    Args:
        canvas: the latent's sizes behind its channels, in cells: (..., h, w).
        patch: cells per token of the model.
        notices: where warnings go.
        keep: for how many tiles copies are kept.
        wrap: (y, x), where the canvas is joined to itself.
    """

    def __init__(self, canvas: tuple[int, ...], patch: int, notices: Notices, keep: int = 1024, wrap: Wrap = ENDS) -> None:
        self._canvas, self._patch, self._notices, self._keep, self._wrap = canvas, patch, notices, keep, wrap
        self._plans: OrderedDict[tuple, _Plan] = OrderedDict()
        self._looked = 0
        # Several cards may ask at a time.
        self._lock = threading.RLock()
        self._made: OrderedDict[tuple, dict[str, Any]] = OrderedDict()

    def cuts(self, model_options: dict[str, Any]) -> bool:
        """Whether tiles differ in their patches, so that they cannot go through the model together."""
        return bool(self._plan(tile_patches(model_options)).ways)

    def cut(self, model_options: dict[str, Any], view: Rect, sampler: bool = False) -> dict[str, Any]:
        """The host's model options for a tile; those given where nothing is cut. What is given is not changed.

        Args:
            model_options: at the time of the call: the host moves patches to the model's device first.
            view: the tile, in cells.
            sampler: whether the whole sampler runs on the tile, so that its own functions are cut as well.
        """
        plan = self._plan(tile_patches(model_options) | (sampler_functions(model_options) if sampler else {}))
        if not plan.ways or view == whole(self._canvas):
            return model_options
        with self._lock:
            key = (plan.number, view)
            if key not in self._made:
                self._made[key] = self._copy(plan, view)
                if len(self._made) > self._keep:
                    self._made.popitem(last=False)
            self._made.move_to_end(key)
            return _with(model_options, self._made[key])

    def name_the_rest(self, model_options: dict[str, Any]) -> None:
        """Warn, once each, of patches that hold a mask or a picture that cannot be cut: each tile will be given all of it."""
        # Not remembered: before the run the host moves patches, and so replaces tensors in them.
        self._look(tile_patches(model_options))

    def _plan(self, roots: dict[str, Any]) -> _Plan:
        with self._lock:
            key = tuple(_leaves(roots))
            if key not in self._plans:
                self._plans[key] = self._look(roots)
                if len(self._plans) > MOST_PLANS:
                    self._plans.popitem(last=False)
            return self._plans[key]

    def _look(self, roots: dict[str, Any]) -> _Plan:
        contents = search(roots)
        ways = {id(one.tensor): way for one in contents.tensors if (way := self._way(one)) is not None}
        self._looked += 1
        plan = _Plan(self._looked, roots, contents, ways, [], set())
        while not self._can_copy(plan):
            pass
        drawn = (one.owner for one in contents.tensors if id(one.tensor) in ways and one.name not in MADE_OF_PICTURES)
        plan.owners.extend({id(owner): owner for owner in drawn}.values())
        self._name(plan)
        return plan

    def _can_copy(self, plan: _Plan) -> bool:
        """Try it. What is held by something that cannot be copied is taken off the plan, and the answer is False."""
        try:
            self._copy(plan, whole(self._canvas))
        except CannotCopyError as error:
            held = [one for one in plan.contents.tensors if id(error.thing) in plan.contents.holders([one.tensor])]
            self._notices.warn(
                f"patch {name_of(error.thing)}",
                f"the model carries {name_of(held[0].owner)}, of which nothing can be cut to tiles, and every tile is given all of it: "
                f"{error}",
            )
            plan.told.update(id(one.tensor) for one in held)
            for tensor in plan.told & plan.ways.keys():
                del plan.ways[tensor]
            return False
        return True

    def _way(self, one: HeldTensor) -> Cut | None:
        """How a tensor is cut, or None for one that has no place on the canvas, or none that is known."""
        tensor = one.tensor
        if tensor.numel() == 0 or tensor.is_complex() or tensor.is_nested or tensor.is_meta or name_of(one.owner) in PLACELESS:
            return None
        if self._is_plane(one):
            return partial(_cut_plane, self._canvas, self._wrap)
        if _channels_last(tensor) and has_proportions(tensor[..., 0], self._canvas):
            return partial(_cut_picture, self._canvas, self._wrap)
        grids = (tuple(-(-cells // side) for cells in self._canvas[-2:]) for side in (self._patch, 1, 2))
        grid = next((grid for grid in grids if tensor.ndim > 0 and tensor.shape[-1] == grid[0] * grid[1]), None)
        return partial(_cut_tokens, self._canvas, self._wrap, grid) if grid is not None and _called_mask(one) else None

    def _is_plane(self, one: HeldTensor) -> bool:
        """Whether a tensor [..., h, w] stands for the canvas."""
        tensor = one.tensor
        if tensor.ndim < 2 or min(tensor.shape[-2:]) == 1 or not has_proportions(tensor, self._canvas) or self._is_between_tokens(one):
            return False
        return tensor.ndim > 3 or _called_mask(one) or _looks_like_a_mask(tensor, self._canvas)

    def _is_between_tokens(self, one: HeldTensor) -> bool:
        """Whether it is a mask [..., tokens, tokens] of which tokens attend to which: square, as the canvas may be."""
        rows, columns = (-(-cells // 2) for cells in self._canvas[-2:])
        side = one.tensor.shape[-1]
        return "att" in one.name.lower() and one.tensor.shape[-2] == side >= rows * columns

    def _copy(self, plan: _Plan, view: Rect) -> dict[str, Any]:
        tensors = [one.tensor for one in plan.contents.tensors if id(one.tensor) in plan.ways]
        copies = Copies(plan.contents.holders(tensors), lambda tensor: plan.ways[id(tensor)](tensor, view))
        made = copies.of(plan.roots)
        for owner in plan.owners:
            attributes = getattr(copies.of(owner), "__dict__", {})
            attributes.update(dict.fromkeys(MADE_OF_PICTURES & attributes.keys()))
        return made

    def _name(self, plan: _Plan) -> None:
        """Warn of what is not cut."""
        cut = {id(owner) for owner in plan.owners}
        pictures: dict[str, list[str]] = {}
        masks: dict[str, HeldTensor] = {}
        for one in plan.contents.tensors:
            kind = name_of(one.owner)
            if (
                id(one.tensor) in plan.ways
                or id(one.tensor) in plan.told
                or kind in PLACELESS
                or (id(one.owner) in cut and one.name in MADE_OF_PICTURES)
            ):
                continue
            if one.tensor.ndim >= 4 and (one.near or _looks_like_a_picture(one.tensor)):
                pictures.setdefault(kind, []).append(one.name)
            elif _called_mask(one) and one.tensor.ndim in (2, 3) and min(one.tensor.shape[-2:]) > 1:
                masks.setdefault(kind, one)
        for kind, names in pictures.items():
            self._notices.warn(
                f"patch {kind}",
                f"the model carries {kind}, which holds a picture of its own ({', '.join(dict.fromkeys(names))}): it is no condition "
                "and cannot be cut, so every tile is given all of it; apply it as a ControlNet, or sample without tiles",
            )
        for kind, one in masks.items():
            (rows, columns), (height, width) = one.tensor.shape[-2:], self._canvas[-2:]
            self._notices.warn(
                f"mask of patch {kind}",
                f"the model carries {kind}, which holds a mask of {columns} x {rows} ({one.name}) that has not the proportions of the "
                f"latent ({width} x {height}): it cannot be cut, so every tile is given all of it; give it the picture's proportions, or "
                "sample without tiles",
            )
        if not plan.contents.complete:
            self._notices.warn(
                "patches too large",
                f"the model's patches hold more than the {MOST_LOOKED_AT} things that are looked through: a mask deeper inside is not cut, "
                "and every tile is given all of it",
            )


def tile_patches(model_options: dict[str, Any]) -> dict[str, Any]:
    """The patches in the host's `model_options` that are called with tiles, by where they are."""
    transformer = model_options.get("transformer_options") or {}
    wrappers = transformer.get("wrappers") or {}
    found = {
        "patches": transformer.get("patches"),
        "patches_replace": transformer.get("patches_replace"),
        "wrappers": {kind: wrappers[kind] for kind in WRAPPED_TILES if wrappers.get(kind)},
    }
    found["model_function_wrapper"] = model_options.get("model_function_wrapper")
    return {name: value for name, value in found.items() if value}


def sampler_functions(model_options: dict[str, Any]) -> dict[str, Any]:
    """The functions in the host's `model_options` that are called with what the sampler samples, by where they are."""
    return {name: model_options[name] for name in OF_THE_SAMPLER if model_options.get(name)}


def _with(model_options: dict[str, Any], parts: dict[str, Any]) -> dict[str, Any]:
    """Model options with other patches, laid out as `tile_patches` and `sampler_functions` give them."""
    options = dict(model_options)
    transformer = dict(options.get("transformer_options") or {})
    for name, value in parts.items():
        if name == "wrappers":
            transformer["wrappers"] = {**transformer.get("wrappers", {}), **value}
        elif name in ("patches", "patches_replace"):
            transformer[name] = value
        else:
            options[name] = value
    options["transformer_options"] = transformer
    return options


def _leaves(value: Any) -> Iterator[Any]:
    """The patches in nested containers, each by its id, with the keys that lead to them."""
    if isinstance(value, dict):
        for key, part in value.items():
            yield key
            yield from _leaves(part)
    elif isinstance(value, CONTAINERS):
        yield len(value)
        for part in value:
            yield from _leaves(part)
    else:
        yield id(value)


def _called_mask(one: HeldTensor) -> bool:
    return "mask" in one.name.lower()


def _looks_like_a_mask(tensor: torch.Tensor, canvas: tuple[int, ...]) -> bool:
    """Whether a tensor that nothing calls a mask is one: no smaller than the canvas, and 0 to 1 everywhere."""
    if any(side < cells for side, cells in zip(tensor.shape[-2:], canvas[-2:], strict=True)):
        return False
    return tensor.dtype == torch.bool or (float(tensor.min()) >= 0 and float(tensor.max()) <= 1)


def _channels_last(tensor: torch.Tensor) -> bool:
    """Whether a tensor [..., h, w, c] is laid out as the host's pictures are."""
    return tensor.ndim >= 4 and tensor.shape[-1] <= CHANNELS and min(tensor.shape[-3:-1]) >= SMALLEST_PICTURE


def _looks_like_a_picture(tensor: torch.Tensor) -> bool:
    """Not a network's kernel, that is, where it is not the patch's own attribute."""
    return _channels_last(tensor) or min(tensor.shape[-2:]) >= SMALLEST_PICTURE


def _cut_plane(canvas: tuple[int, ...], wrap: Wrap, plane: torch.Tensor, view: Rect) -> torch.Tensor:
    rows, columns = canvas[-2:]
    if plane.shape[-2] < rows or plane.shape[-1] < columns:
        # Coarser than the canvas: brought to its cells, or tiles would be cut where the plane's own cells begin.
        flat = plane.reshape(1, -1, *plane.shape[-2:])
        fine = torch.nn.functional.interpolate(flat.float(), size=(rows, columns), mode="nearest-exact").to(plane.dtype)
        plane = fine.reshape(*plane.shape[:-2], rows, columns)
    return cut_scaled(plane, view, canvas, wrap)


def _cut_picture(canvas: tuple[int, ...], wrap: Wrap, picture: torch.Tensor, view: Rect) -> torch.Tensor:
    return _cut_plane(canvas, wrap, picture.movedim(-1, 0), view).movedim(0, -1)


def _cut_tokens(canvas: tuple[int, ...], wrap: Wrap, grid: tuple[int, int], mask: torch.Tensor, view: Rect) -> torch.Tensor:
    """A mask [..., tokens] over the model's tokens, row by row."""
    return cut_scaled(mask.unflatten(-1, grid), view, canvas, wrap).flatten(-2)
