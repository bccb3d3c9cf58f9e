"""Controls (ControlNet, Control LoRA, T2I adapter) for a tile.

A tile's control is a shallow copy, so that it keeps everything the host or another pack put on it (strength, time
range, loaded network, VAE, hooks), with the hint under the tile in place of the whole one and none of what the
original has cached. Conditions that share a control share its copy for a tile: the host batches them only then.
"""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch

from ...blending.layout.grid import Rect
from .hints import cut_hint
from .notices import Notices
from .own_pictures import CANVAS, OwnTile
from .planes import ENDS, Wrap, within

# Copies are kept for the next step (what they made of their hints is dear) as long as they take no more than this.
KEPT_BYTES = 1 << 30

CACHES = ("cond_hint", "extra_concat", "control_input")
HOST_MODULE = "comfy.controlnet"


class Origin(NamedTuple):
    """Where a tile's control came from."""

    control: Any
    view: Rect
    frame: Rect
    own: OwnTile | None


class _Way(NamedTuple):
    """How a control is cut: to which tiles, with its pictures on which frame, and for how many pictures each (None = as they are)."""

    views: tuple[Rect, ...]
    frame: Rect
    own: OwnTile | None
    batch: int | None


class _Kept(NamedTuple):
    made: Any
    source: Any
    hint: Any

    def size(self) -> int:
        """Bytes that the copy holds of its own: its picture where that is no view, and what was made of it."""
        shared = None if self.hint is None else self.hint.untyped_storage().data_ptr()
        held = {}
        for tensor in _tensors([getattr(self.made, "cond_hint_original", None), *(getattr(self.made, name, None) for name in CACHES)]):
            held[tensor.untyped_storage().data_ptr()] = tensor.numel() * tensor.element_size()
        held.pop(shared, None)
        return sum(held.values())


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, (list, tuple, dict)):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _tensors(part)


class ControlCropper:
    """Makes the controls of tiles, for one sampling run, of a canvas that is joined to itself where it may `wrap` (y, x)."""

    def __init__(self, notices: Notices, wrap: Wrap = ENDS) -> None:
        self._notices, self._wrap = notices, wrap
        self._kept: OrderedDict[tuple, _Kept] = OrderedDict()
        self._resized: dict[tuple, tuple] = {}
        self._grown = False

    def begin(self) -> None:
        """A new tile: what was used longest ago is dropped where too much is kept."""
        if not self._grown:
            return
        self._grown = False
        sizes = {key: kept.size() for key, kept in self._kept.items()}
        held = sum(sizes.values())
        for key, size in sizes.items():
            if held <= KEPT_BYTES:
                break
            held -= size
            del self._kept[key]

    def crop(self, control: Any, view: Rect, frame: Rect, own: OwnTile | None = None) -> Any:
        """The control for one tile.

        Args:
            control: the host's control, at the head of its chain. It is not changed.
            view: the tile, in cells of the canvas.
            frame: the part of the canvas the host lays the hint over: all of it, or the condition's area.
            own: the tile whose prompt brought the control along: a hint that shows the tile is laid over its place.

        Raises:
            ValueError: where the control's hint is no picture.
        """
        made = self._made(control, _Way((view,), frame, own, None))
        made.tilework_origin = Origin(control, view, frame, own)
        return made

    def stack(self, controls: list[Any], batch: int) -> Any | None:
        """One control for several tiles in a batch of `batch` pictures each, or None where there is none.

        Args:
            controls: one per tile, as `crop` made them.
            batch: pictures per tile.
        """
        origins = [getattr(control, "tilework_origin", None) for control in controls]
        if any(origin is None for origin in origins):
            return None
        first = origins[0]
        if any(origin.control is not first.control or origin[2:] != first[2:] for origin in origins) or not _stackable(first.control):
            return None
        return self._made(first.control, _Way(tuple(origin.view for origin in origins), first.frame, first.own, batch))

    def _made(self, control: Any, way: _Way) -> Any:
        key = (id(control), way)
        hint = getattr(control, "cond_hint_original", None)
        kept = self._kept.get(key)
        if kept is None or kept.source is not control or kept.hint is not hint:
            kept = self._kept[key] = _Kept(self._make(control, way), control, hint)
            self._grown = True
        self._kept.move_to_end(key)
        return kept.made

    def _make(self, control: Any, way: _Way) -> Any:
        self._check(control)
        made = copy.copy(control)
        for name in CACHES:
            if hasattr(made, name):
                setattr(made, name, None)
        if isinstance(getattr(made, "extra_args", None), dict):
            made.extra_args = made.extra_args.copy()
        hint = getattr(control, "cond_hint_original", None)
        if hint is not None:
            ratio = control.compression_ratio
            pixels = ratio * control.vae.spacial_compression_encode() if control.vae is not None else ratio
            made.cond_hint_original = self._pictures(control, hint, pixels, way)
            made.extra_concat_orig = [self._pictures(control, extra, ratio, way) for extra in control.extra_concat_orig]
        if getattr(control, "previous_controlnet", None) is not None:
            made.previous_controlnet = self._made(control.previous_controlnet, way)
        clones = getattr(control, "multigpu_clones", None) or {}
        made.multigpu_clones = {device: self._made(clone, way) for device, clone in clones.items()}
        return made

    def _frame(self, control: Any, picture: torch.Tensor, way: _Way) -> Rect:
        """The part of the canvas that a picture of the control lies on."""
        if way.own is None:
            return way.frame
        size = tuple(picture.shape[-2:])
        shown = way.own.shown_by(size)
        if not shown.sure:
            self._notices.warn(f"hint in doubt {size}", way.own.doubt(f"the hint of control {type(control).__name__}", size, shown))
        return way.frame if shown.what == CANVAS else way.own.frame

    def _pictures(self, control: Any, picture: torch.Tensor, ratio: float, way: _Way) -> torch.Tensor:
        """What lies under each of the views, `ratio` pixels to a cell, one after the other."""
        frame = self._frame(control, picture, way)

        def pixels(rect: Rect) -> Rect:
            return Rect(*(round(length * ratio) for length in rect))

        size = pixels(frame)[2:]
        # What shows a tile alone, or lies on an area, has ends of its own.
        wrap = self._wrap if frame.y == frame.x == 0 and way.own is None else ENDS
        cuts = [cut_hint(picture, pixels(within(view, frame)), size, control.upscale_algorithm, self._resized, wrap) for view in way.views]
        return cuts[0] if way.batch is None else torch.cat([_repeated(one, way.batch) for one in cuts])

    def _check(self, control: Any) -> None:
        name = type(control).__name__
        hint = getattr(control, "cond_hint_original", None)
        if hint is not None and not (isinstance(hint, torch.Tensor) and hint.ndim >= 4):
            raise ValueError(
                f"the hint of control {name} is a {type(hint).__name__} and no picture, and cannot be cut into tiles: remove this "
                "control or sample without tiles"
            )
        if type(control).__module__ != HOST_MODULE:
            self._notices.warn(
                f"control {name}",
                f"control {name} is not one of ComfyUI's own: its hint is cut to each tile, but whatever other pictures it holds "
                "are given to every tile whole",
            )
        elif hint is None:
            self._notices.warn(f"hint {name}", f"control {name} has no hint to cut: every tile is given it as it is")


def _repeated(picture: torch.Tensor, batch: int) -> torch.Tensor:
    """`picture` [n, ...] for `batch` pictures, taken again from the first where there are fewer, as the host does."""
    return picture[torch.arange(batch, device=picture.device) % picture.shape[0]]


def _stackable(control: Any) -> bool:
    """Whether tiles can be pictures of one batch to every control of the chain."""
    while control is not None:
        # Of other packs' controls nothing is known about batches.
        if type(control).__module__ != HOST_MODULE:
            return False
        if control.cond_hint_original is None or control.cond_hint_original.ndim != 4:
            return False
        # A VAE for video takes a batch for frames.
        if control.vae is not None and getattr(control.vae, "latent_dim", 2) != 2:
            return False
        control = control.previous_controlnet
    return True
