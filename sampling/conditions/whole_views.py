"""Conditions for a small view of the whole canvas: what a model is told when it is shown all of the picture at its own size.

A view is every s-th cell of the canvas, or means of blocks of cells (`blending.fusion.dilated`, `blending.fusion.pooled`).
Whatever lies on the canvas is seen as the canvas is: masks, areas as the masks that they are, tensors of the latent's size,
references. Hints are resized to the view as the host would resize them, GLIGEN boxes keep their place in the picture, and the
prompts of Tile Prompts count in their tiles' share of the view. What the model's patches hold is theirs: the host stretches it
over whatever it is called with, which for a view of the whole is right.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any, Protocol

import torch

from ...blending.layout.grid import Rect
from .areas import frame_of, tile_mask
from .boxes import boxes_fit
from .controls import ControlCropper
from .cropping import Cond, ConditionCropper
from .notices import Notices
from .planes import whole
from .stacking import stack_conds
from .tensors import SmallWhole, cut_tensors
from .tile_prompts import OWN_KEY, is_a_repetition


class SmallView(Protocol):
    """A small picture of the whole canvas."""

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) in cells."""

    def gather(self, canvas: torch.Tensor) -> torch.Tensor:
        """The view of a plane [..., H, W] of the canvas' size."""


class _Unsaid(Notices):
    """For what holds for tiles and not for a view of everything."""

    def warn(self, kind: str, message: str) -> None:
        pass


class WholeViews:
    """Makes the conditions of small views of one canvas, for one sampling run.

    What controls have made of their hints is kept from step to step, as long as this object is.

    Args:
        canvas: the latent's sizes behind its channels, in cells: (h, w), or (t, h, w) of a video latent.
        downscale: image pixels per cell.
        device: where the latent is; None = the host's device.
    """

    def __init__(self, canvas: Sequence[int], downscale: int, device: torch.device | None = None) -> None:
        self._cropper = ConditionCropper(canvas, downscale, device=device)
        self._controls = ControlCropper(_Unsaid())
        self.canvas = self._cropper.canvas

    def conds(self, conds: Sequence[list[Cond] | None], view: SmallView, sigma: float | None = None) -> list[list[Cond] | None]:
        """The conditions of a view of the whole canvas. What was given is not changed.

        A condition that counts nowhere in the view is left out.

        Args:
            conds: as CALC_COND_BATCH gets them, for the whole canvas; an entry may be None.
            view: of the canvas.
            sigma: the canvas' noise level, where the view is asked about at another one (a pooled view): the time ranges of
                prompts and controls are then judged by it, and taken off.

        Raises:
            ValueError: for a condition that cannot be made to fit.
        """
        self._controls.begin()
        seen = []
        for entry in conds:
            if entry is None:
                seen.append(None)
                continue
            ones = (self._one(cond, view, sigma) for cond in entry if not is_a_repetition(cond, entry))
            seen.append([one for one in ones if one is not None])
        return seen

    def joined(self, per_view: list[list[list[Cond] | None]], batch: int) -> list[list[Cond] | None] | None:
        """The conditions of several views of one size as those of one latent that holds them along its batch.

        Args:
            per_view: what `conds` returned for each of them.
            batch: pictures per view.

        Returns:
            None where they cannot be joined: the views must then be run one by one.
        """
        return stack_conds(per_view, batch, self._controls)

    def _one(self, cond: Cond, view: SmallView, sigma: float | None) -> Cond | None:
        all_of_it = whole(self.canvas)
        if sigma is not None and not _in_time(cond, sigma):
            return None
        cond = self._cropper.handled(cond, all_of_it)
        if cond is None:
            return None
        own = cond.pop(OWN_KEY, None)
        tile = SmallWhole(self.canvas, all_of_it, True, self._cropper.notices, None, small=view)
        frame = frame_of(cond, self.canvas)
        mask = tile_mask(cond, self.canvas, all_of_it, self._cropper.device)
        if "mask" not in cond:
            cond.pop("mask_strength", None)
        cond.pop("area", None)
        if mask is not None:
            cond["mask"] = tile.of(mask)
            if not cond["mask"].any():
                return None
        cond["model_conds"] = cut_tensors(cond["model_conds"], tile)
        if isinstance(cond.get("uuid"), uuid.UUID):
            # What patches keep by it (sparse attention) is kept of tiles and of views apart.
            cond["uuid"] = uuid.uuid5(cond["uuid"], repr(("whole", view.shape, getattr(view, "index", None))))
        if sigma is not None:
            cond = {name: value for name, value in cond.items() if name not in ("timestep_start", "timestep_end")}
        if cond.get("control") is not None:
            cond["control"] = self._control(cond["control"], view, frame, own, sigma)
        if "gligen" in cond:
            at = own.frame if own is not None and boxes_fit(cond["gligen"], own.frame) else frame
            cond["gligen"] = _placed(cond["gligen"], at, self.canvas, view.shape)
        return cond

    def _control(self, control: Any, view: SmallView, frame: Rect, own: Any, sigma: float | None) -> Any:
        """A control whose hint lies on the view as the whole one lies on its part of the canvas."""
        if own is not None:
            own = own._replace(frame=_in_view(own.frame, self.canvas, view.shape))
        made = self._controls.crop(control, Rect(0, 0, *view.shape), _in_view(frame, self.canvas, view.shape), own)
        if sigma is not None:
            for copied, given in zip(_chain(made), _chain(control), strict=True):
                span = given.timestep_range
                # The copies are ours. The host leaves out a control where the noise level is not within its range.
                copied.timestep_range = None if span is None or span[1] <= sigma <= span[0] else (-1.0, float("inf"))
        return made


def _chain(control: Any) -> list[Any]:
    found = []
    while control is not None:
        found.append(control)
        control = control.previous_controlnet
    return found


def _in_time(cond: Cond, sigma: float) -> bool:
    """Whether the host would take a condition into account at a noise level."""
    return not (("timestep_start" in cond and sigma > cond["timestep_start"]) or ("timestep_end" in cond and sigma < cond["timestep_end"]))


def _in_view(rect: Rect, canvas: tuple[int, ...], shape: tuple[int, int]) -> Rect:
    """A rectangle of the canvas in cells of the view, which need not be whole ones."""
    down, across = (seen / cells for seen, cells in zip(shape, canvas[-2:], strict=True))
    return Rect(rect.y * down, rect.x * across, rect.height * down, rect.width * across)


def _placed(gligen: tuple[Any, ...], frame: Rect, canvas: tuple[int, ...], shape: tuple[int, int]) -> tuple[Any, ...]:
    """GLIGEN boxes, counted from the corner of `frame`, in cells of the view; the host divides them by its size."""
    if gligen[0] != "position":
        return gligen
    boxes = []
    for box in gligen[2]:
        if len(box) != 5:
            raise ValueError(
                f"a GLIGEN box of {len(box)} values cannot be shown in a small view of the whole picture (known: embedding, height, "
                "width, y, x): remove the GLIGEN boxes"
            )
        embedding, height, width, y, x = box
        placed = _in_view(Rect(frame.y + y, frame.x + x, height, width), canvas, shape)
        boxes.append((embedding, placed.height, placed.width, placed.y, placed.x))
    return (*gligen[:2], boxes, *gligen[3:])
