"""What the user asks of a tiled VAE, and what every way of doing it shares: planning, loading, going smaller."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Any

import torch

from ...blending.layout.grid import Rect
from ...blending.layout.grid_layout import GridLayout
from ...blending.networks.back_off import BackOff
from ...blending.networks.tile_plan import Needs, TilePlan, plan_tiles
from ...blending.stages.plan import Region, stage_cores
from ...host.memory import free_after_loading, is_out_of_memory
from ..choices import MODES
from ..memory import fit_for_vae

# A planned tile is no larger than this: the halo is a few hundredths of it by then, and a cancel waits for the tile.
LARGEST = 2048
SMALLEST = 64


@dataclass(frozen=True)
class VAETiles:
    """What the user asks for.

    Attributes:
        mode: one of MODES.
        tile_width, tile_height: image pixels, halo not counted; 0 for planned.
        overlap: image pixels that two neighbours share; -1 for as many as the VAE needs.
    """

    mode: str = "exact"
    tile_width: int = 0
    tile_height: int = 0
    overlap: int = -1

    @property
    def typed(self) -> list[int]:
        """The sides that are not left to be planned."""
        return [side for side in (self.tile_width, self.tile_height) if side]

    def check_overlap(self) -> None:
        """Raise ValueError where neighbouring tiles would share all of themselves: for tiles that are cut out and blended."""
        if self.typed and self.overlap >= min(self.typed):
            least = min(self.typed)
            raise ValueError(f"overlap {self.overlap} must be smaller than the tile of {least} px: use {least // 2} or less, or -1")

    def check(self, ratio: int) -> None:
        """Raise ValueError for what cannot be meant; `ratio` is image pixels per latent cell."""
        if self.mode not in MODES:
            raise ValueError(f"mode {self.mode!r} is not known: use one of {', '.join(MODES)}")
        for name, value in (("tile_width", self.tile_width), ("tile_height", self.tile_height)):
            if value < 0:
                raise ValueError(f"{name} {value} is not a tile size: use 0 to have it planned, or {SMALLEST} and more, for example 1024")
            if value % ratio:
                low = value // ratio * ratio
                raise ValueError(
                    f"{name} {value} is not a whole number of this VAE's latent cells of {ratio} px: use {low or ratio} or {low + ratio}"
                )
            if 0 < value < SMALLEST:
                raise ValueError(f"{name} {value} is too small to be worth a run: use {SMALLEST} or more, for example 512")
        if self.overlap < -1:
            raise ValueError(f"overlap {self.overlap} is negative: use -1 to take it from the VAE, or 0 and more")


@dataclass
class Outcome:
    """What was done, for the node to show.

    Attributes:
        tile: (height, width) in image pixels, as it was when the run was over.
        layout: the finest tiles, in image pixels; without what they read around them.
        lines: in plain words.
    """

    tile: tuple[int, int]
    layout: GridLayout
    lines: list[str] = field(default_factory=list)

    @property
    def grid(self) -> tuple[int, ...]:
        """(rows, columns)."""
        return self.layout.counts


class Shrinking:
    """Smaller tiles when the memory runs out, a few times.

    Args:
        tile: (height, width) in image pixels.
        ratio: image pixels per latent cell.
        overlap: image pixels.
    """

    def __init__(self, tile: tuple[int, int], ratio: int, overlap: int = 0) -> None:
        self.ratio = ratio
        self.plan = TilePlan(tile[1], tile[0], overlap, 1)
        self.back_off = BackOff(ratio, max(SMALLEST, ratio))

    @property
    def tile(self) -> tuple[int, int]:
        """(height, width) in image pixels."""
        return self.plan.tile_height, self.plan.tile_width

    def __call__(self, error: Exception) -> tuple[int, int] | None:
        """The tile to go on with, in latent cells; None where the error is another."""
        if not is_out_of_memory(error):
            return None
        self.plan = self.back_off.next(self.plan)
        logging.warning("Tilework: out of memory; going on with VAE tiles of %s x %s px", self.plan.tile_width, self.plan.tile_height)
        return self.plan.tile_height // self.ratio, self.plan.tile_width // self.ratio


def planned_tile(
    vae: Any,
    decode: bool,
    size: tuple[int, int],
    asked: VAETiles,
    ratio: int,
    halo: int = 0,
    held: float = 0,
    needs: Needs | None = None,
    overlap: int = 0,
) -> tuple[int, int]:
    """(height, width) of a tile in image pixels, its halo not counted: what is asked, or what fits the memory.

    Args:
        vae: the host's VAE.
        decode: or encode.
        size: (height, width) of the picture.
        asked: by the user.
        ratio: image pixels per latent cell.
        halo: image pixels that are read beyond the tile, to each side.
        held: bytes that are held on the VAE's device beside the tile.
        needs: memory of a tile; what is known of the VAE where None.
        overlap: image pixels that neighbours share as parts of the tile itself.
    """
    whole = tuple(-(-side // ratio) * ratio for side in size)
    tile = [asked.tile_height, asked.tile_width]
    if 0 in tile:
        both = -(-2 * halo // ratio) * ratio
        memory, free = needs or fit_for_vae(vae, decode), free_after_loading([vae.patcher], torch.device(vae.device)) - held
        largest = -(-(LARGEST + both) // ratio) * ratio
        plan = plan_tiles(
            size[1], size[0], memory, free, overlap=both + overlap, multiple_of=ratio, smallest=SMALLEST, largest=largest,
            inputs=("overlap",),
        )  # fmt: skip
        fits = plan.tile_height, plan.tile_width
        # A tile as large as the picture has no neighbours to read from.
        room = [side if one >= side else one - both for side, one in zip(whole, fits, strict=True)]
        tile = [one or fit for one, fit in zip(tile, room, strict=True)]
    return tuple(min(side, one) for side, one in zip(whole, tile, strict=True))


def load(vae: Any, decode: bool, tile: tuple[int, int], beside: float = 0.0) -> None:
    """Ask the host for the VAE on its device, with memory for one tile (height, width in image pixels) and `beside` bytes more."""
    import comfy.model_management

    needed = fit_for_vae(vae, decode).needs(tile[1], tile[0]) + beside
    comfy.model_management.load_models_gpu([vae.patcher], memory_required=needed, force_full_load=vae.disable_offload)


def even_layout(size: tuple[int, int], tile: tuple[int, int], ratio: int) -> GridLayout:
    """The tiles that `plan.stage_cores` cuts a picture of whole cells into, as a layout: where they differ by a cell, the larger size.

    Args:
        size, tile: (height, width) in image pixels.
        ratio: image pixels per cell.
    """
    height, width = (side // ratio for side in size)
    parts = stage_cores(Region(0, height, 0, width), (tile[0] // ratio, tile[1] // ratio))
    rows, columns = (max(part.bottom - part.top for part in parts), max(part.right - part.left for part in parts))
    return GridLayout(size, tuple(Rect(part.top * ratio, part.left * ratio, rows * ratio, columns * ratio) for part in parts))


def class_name(vae: Any, half: bool | None = None) -> str:
    """The class of the VAE, or of its decoder (True) or encoder (False) where it has one."""
    model = vae.first_stage_model
    return type(model if half is None else getattr(model, "decoder" if half else "encoder", model)).__name__
