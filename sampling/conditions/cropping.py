"""The one place where conditions are cut to a tile.

At the host's CALC_COND_BATCH the conditions are lists of dicts, made for the whole latent. Everything in them that has
a place on it is cut here: areas and masks (`areas`), tensors for the model (`tensors`), controls (`controls`), GLIGEN
boxes (`boxes`). What has no place (prompt, pooled prompt, guidance, time range, hooks) is passed on as it is. What has
one and cannot be cut is refused, or warned about once, by name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import comfy.model_management
import torch

from ...blending.layout.grid import Rect
from .areas import frame_of, tile_mask
from .boxes import boxes_fit, cut_boxes
from .controls import ControlCropper
from .notices import Notices
from .patches import PatchCropper
from .planes import ENDS, Wrap, whole, within
from .stacking import stack_conds
from .tensors import PaddedTile, RolledCanvas, Tile, cut_tensors
from .tile_prompts import OWN_KEY, TILE_KEY, for_tile, is_a_repetition

REFERENCE_MODES = ("crop", "whole")

Cond = dict[str, Any]

# Conditions of Tilework's own nodes say under a key of their own how they are cut. A handler gets the condition (a copy
# it may change), the tile in cells and the cropper, before anything else is done to it; it returns the condition for
# the tile, from which the key and whatever it replaces ("area", say) are gone, or None where the tile has none of it. With
# OWN_KEY it may say which tile the condition's pictures were made from.
HANDLERS: dict[str, Callable[[Cond, Rect, ConditionCropper], Cond | None]] = {TILE_KEY: for_tile}


class ConditionCropper:
    """Cuts conditions to tiles, for one sampling run; nothing is remembered from one run to the next.

    Args:
        canvas: the latent's sizes behind its channels, in cells: (h, w), or (t, h, w) of a video latent.
        downscale: image pixels per cell, for handlers whose conditions speak of image pixels.
        reference_latents: "crop" cuts references that have the canvas' proportions, "whole" shows each tile all of them.
        device: where the latent is; None = the host's device.
        patch: cells per token of the model.
        tiles: how many there are at a time.
        wrap: (y, x), where the canvas is joined to itself: tiles that reach over its end are given what lies at its other side.

    Attributes:
        patches: cuts what is no condition, the model's patches.

    Raises:
        ValueError: for a `reference_latents` that is neither, or a canvas that has no plane.
    """

    def __init__(
        self,
        canvas: Sequence[int],
        downscale: int,
        reference_latents: str = "crop",
        device: torch.device | None = None,
        patch: int = 1,
        tiles: int = 1024,
        wrap: Wrap = ENDS,
    ) -> None:
        if reference_latents not in REFERENCE_MODES:
            raise ValueError(f"reference_latents {reference_latents!r} is not known: use one of {', '.join(REFERENCE_MODES)}")
        if len(canvas) not in (2, 3) or min(canvas) < 1:
            raise ValueError(f"a latent of {tuple(canvas)} cells has no plane to cut: expected (h, w) or (t, h, w)")
        self.canvas = tuple(int(cells) for cells in canvas)
        self.downscale = downscale
        self.device = device if device is not None else comfy.model_management.get_torch_device()
        self.notices = Notices()
        self.memo: dict[Any, Any] = {}  # what handlers work out once a run
        self._crop_references = reference_latents == "crop"
        self.wrap = tuple(wrap)
        self._controls = ControlCropper(self.notices, self.wrap)
        # A grid that moves has a few more tiles than one that does not.
        self.patches = PatchCropper(self.canvas, patch, self.notices, keep=2 * tiles + 16, wrap=self.wrap)

    def crop(self, conds: list[list[Cond] | None], view: Rect) -> list[list[Cond] | None]:
        """The conditions of one tile. What was given is not changed; what has no place is shared with it.

        A condition that counts nowhere in the tile is left out: it would add nothing, at the price of the whole model.
        A list may so become empty; the host then gives zero for it, as it does for such a place of an untiled latent.

        Args:
            conds: as CALC_COND_BATCH gets them; an entry may be None.
            view: the tile, in cells; it may reach over the canvas at the right and the bottom. All of the canvas is
                given the conditions as they are.

        Raises:
            ValueError: where the tile does not begin on the canvas, and for a condition that cannot be cut.
        """
        if not (0 <= view.y < self.canvas[-2] and 0 <= view.x < self.canvas[-1] and min(view[2:]) > 0):
            raise ValueError(f"tile {tuple(view)} (y, x, h, w) does not begin on the latent of {self.canvas[-1]} x {self.canvas[-2]} cells")
        return self._crop(conds, view, Tile)

    def pad(self, conds: list[list[Cond] | None], view: Rect) -> list[list[Cond] | None]:
        """The conditions of the canvas with some cells around it, mirrored. What was given is not changed.

        Args:
            conds: as CALC_COND_BATCH gets them; an entry may be None.
            view: what is seen, in cells; it begins before the canvas and ends behind it.
        """
        return self._crop(conds, view, PaddedTile)

    def _crop(self, conds: list[list[Cond] | None], view: Rect, kind: type[Tile]) -> list[list[Cond] | None]:
        self._controls.begin()
        cropped = []
        for entry in conds:
            if entry is None:
                cropped.append(None)
                continue
            ones = (self._crop_one(cond, view, kind) for cond in entry if not is_a_repetition(cond, entry))
            cropped.append([one for one in ones if one is not None])
        return cropped

    def roll(self, conds: list[list[Cond] | None], turn: tuple[int, int]) -> list[list[Cond] | None]:
        """The conditions of a canvas whose cells were rolled by `turn` (y, x). What was given is not changed.

        Raises:
            ValueError: for what cannot be rolled: controls and GLIGEN boxes.
        """
        if turn == (0, 0):
            return conds
        return [None if entry is None else [one for cond in entry if (one := self._roll_one(cond, turn)) is not None] for entry in conds]

    def stack(self, per_tile: list[list[list[Cond] | None]], batch: int = 1) -> list[list[Cond] | None] | None:
        """The conditions of several tiles as those of one latent that holds the tiles along its batch.

        Args:
            per_tile: what `crop` returned for each of them, in the order of the tiles along the batch (all pictures of
                the first tile, then all of the second).
            batch: pictures per tile.

        Returns:
            None where they cannot be joined: the tiles must then be run one by one.
        """
        return stack_conds(per_tile, batch, self._controls)

    def check_options(self, model_options: dict[str, Any]) -> None:
        """Warn, once, of model patches that hold a mask or a picture of their own that cannot be cut."""
        self.patches.name_the_rest(model_options)

    def handled(self, cond: Cond, view: Rect) -> Cond | None:
        """A copy of a condition, of which the handlers have made what it is for a tile."""
        cond = cond.copy()
        for key, handle in HANDLERS.items():
            if key in cond:
                cond = handle(cond, view, self)
                if cond is None:
                    return None
        return cond

    def _roll_one(self, cond: Cond, turn: tuple[int, int]) -> Cond | None:
        all_of_it = whole(self.canvas)
        cond = self.handled(cond, all_of_it)
        if cond is None:
            return None
        for key, what in (("control", "a ControlNet"), ("gligen", "GLIGEN boxes")):
            if cond.get(key) is not None:
                raise ValueError(
                    f"Seamless Tiling cannot be used with {what}, which cannot be rolled with the latent: take one of them out"
                )
        cond.pop(OWN_KEY, None)
        tile = RolledCanvas(self.canvas, all_of_it, self._crop_references, self.notices, turn=turn)
        mask = tile_mask(cond, self.canvas, all_of_it, self.device)
        if "mask" not in cond:
            cond.pop("mask_strength", None)
        cond.pop("area", None)
        if mask is not None:
            cond["mask"] = tile.of(mask)
        cond["model_conds"] = cut_tensors(cond["model_conds"], tile)
        return cond

    def _check_joint(self, cond: Cond, view: Rect, frame: Rect) -> None:
        """Refuse what is placed on an area, or in boxes, for a tile that goes on at the canvas' other side."""
        over = (view.y + view.height > self.canvas[-2] and self.wrap[0]) or (view.x + view.width > self.canvas[-1] and self.wrap[1])
        if over and (cond.get("gligen") is not None or (cond.get("control") is not None and frame != whole(self.canvas))):
            what = "GLIGEN boxes" if cond.get("gligen") is not None else "a ControlNet inside of an area prompt"
            raise ValueError(
                f"the layout wraps around, and {what} cannot follow the picture over its border: split with wrap set to none, or take "
                "it out"
            )

    def _crop_one(self, cond: Cond, view: Rect, kind: type[Tile]) -> Cond | None:
        cond = self.handled(cond, view)
        if cond is None:
            return None
        own = cond.pop(OWN_KEY, None)
        if view == whole(self.canvas):
            return cond
        mask = tile_mask(cond, self.canvas, view, self.device, self.wrap)
        if mask is not None and not mask.any():
            return None
        frame = frame_of(cond, self.canvas)
        if "mask" not in cond:
            # Only a mask has this strength, and the host would give it to the one made of an area.
            cond.pop("mask_strength", None)
        cond.pop("area", None)
        if mask is not None:
            cond["mask"] = mask
        cond["model_conds"] = cut_tensors(cond["model_conds"], kind(self.canvas, view, self._crop_references, self.notices, own, self.wrap))
        self._check_joint(cond, view, frame)
        if cond.get("control") is not None:
            cond["control"] = self._controls.crop(cond["control"], view, frame, own)
        if "gligen" in cond:
            if own is not None and boxes_fit(cond["gligen"], own.frame):
                frame = own.frame
            cond["gligen"] = cut_boxes(cond["gligen"], within(view, frame))
        return cond
