"""Hold Bands to Reference: every prediction is led to a reference, its coarse and its fine by weights of their own.

It changes what the model predicts, after guidance and on the whole canvas, when its tiles are fused: no gradient goes through
the model, so that quantised models and any attention will do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from ..blending.frequency.consistency import LowBand, check_bands, hold_bands, low_band_for, reference_share
from ..blending.layout.cutting import crop
from ..blending.layout.grid import Rect
from .guide_reference import fitting_shape
from .patch_order import HELD_BANDS, put_after_guidance, put_wrapper, take_from_guidance, take_off
from .run_memory import memory_of, with_memory
from .sampling_range import SamplingRange
from .tile_place import RUN, wrap_of

SAME_SIZE, AVERAGED = "same size", "averaged"
OPERATORS = (SAME_SIZE, AVERAGED)
HELD = "tilework_held_bands"
PLANE = (-2, -1)
EVER = SamplingRange()


@dataclass(frozen=True, eq=False)
class BandHold:
    """What was asked for. Immutable, for clones of a model share it.

    Attributes:
        reference: `samples` of a LATENT [B, C, ..., h, w].
        wavelet: one of `blending.frequency.consistency.HELD_WAVELETS`.
        levels: 1 to 12.
        low, high: weights of the coarse and of the fine, 0 (free) or more; 1 is half of the way.
        operator: one of OPERATORS: what of the picture is compared with the reference, itself or its means over square cells.
        where: in the sampling range.

    Raises:
        ValueError: in words for the user.
        RuntimeError: in words, where PyWavelets is not installed.
    """

    reference: torch.Tensor
    wavelet: str = "haar"
    levels: int = 2
    low: float = 1.0
    high: float = 0.1
    operator: str = SAME_SIZE
    where: SamplingRange = EVER

    def __post_init__(self) -> None:
        for name, weight in (("low", self.low), ("high", self.high)):
            try:
                reference_share(weight)
            except ValueError as reason:
                raise ValueError(f"{name}: {reason}") from None
        if self.operator not in OPERATORS:
            raise ValueError(f"operator {self.operator!r} is not known: use one of {', '.join(OPERATORS)}")
        check_bands(self.wavelet, self.levels)

    @property
    def nothing(self) -> bool:
        """Whether a run is the same to the bit without it."""
        return (self.low == 0 and self.high == 0) or self.where.empty


def held_to(model: Any, hold: BandHold) -> Any:
    """A clone of a MODEL that is held so; applied to one that is already, the last settings count."""
    from comfy.patcher_extension import WrappersMP

    patched = model.clone()
    if hold.nothing:
        patched.model_options.pop(HELD, None)
        take_from_guidance(patched, _after_guidance)
        take_off(patched, HELD_BANDS)
        return patched
    with_memory(patched)
    patched.model_options[HELD] = hold
    put_wrapper(patched, WrappersMP.OUTER_SAMPLE, HELD_BANDS, _outer_sample)
    put_after_guidance(patched, HELD_BANDS, _after_guidance)
    return patched


class HeldRun:
    """One run of a sampler: the reference as the run needs it, and the bands of the canvas.

    Memory: the reference, and for sides of h and w cells (h * h + w * w) / 2 ** levels numbers; a step takes three canvases more.

    Args:
        hold: what was asked for.
        model: the BaseModel.
        canvas: shape of what is sampled, [B, C, ..., H, W].

    Raises:
        ValueError: in words, before anything runs, where it cannot be done.
    """

    def __init__(self, hold: BandHold, model: Any, canvas: tuple[int, ...]) -> None:
        if len(canvas) not in (4, 5):
            raise ValueError(
                f"the latent has {len(canvas)} dimensions and no plane to hold: sample it without Hold Bands to Reference, or give it a "
                "latent of pictures"
            )
        self.hold, self.canvas = hold, canvas
        shape = fitting_shape(tuple(hold.reference.shape), canvas)
        if not hold.reference.any():
            raise ValueError("reference is an empty latent: connect one of a picture, from a sampler or a VAE Encode")
        self.cell = _cell(hold.operator, shape[-2:], canvas[-2:])
        self._reference = model.process_latent_in(hold.reference.float().reshape(shape))
        self._band: tuple[tuple, LowBand] | None = None

    def held(self, x0: torch.Tensor, args: dict[str, Any]) -> torch.Tensor:
        """A prediction after guidance of the whole canvas, or of a tile that is sampled by itself, as the host's `args` tell of it."""
        options = args["model_options"]
        alone = getattr(options.get(RUN), "alone", None)
        cells = tuple(self.canvas[-2:]) if alone is None else alone.shape
        if tuple(x0.shape[-2:]) != cells or not self.hold.where.holds(args["model"].model_sampling, args["sigma"]):
            return x0  # another time, or somebody asks about something else
        self._reference = self._reference.to(x0.device)
        part = self._reference if alone is None else crop(self._reference, self._in_reference(alone.rect), PLANE)
        wrap = wrap_of(options) if alone is None else (False, False)
        return hold_bands(x0, part, self.hold.low, self.hold.high, self._band_of(part, wrap), self.cell)

    def _in_reference(self, rect: Rect) -> Rect:
        sides = (rect.y, rect.x, rect.height, rect.width)
        if any(side % self.cell for side in sides):
            raise ValueError(
                f"with order sequential, operator {AVERAGED} needs tiles that begin and end where cells of the reference do, every "
                f"{self.cell} cells, and a tile of {rect.width} x {rect.height} lies at {rect.x}, {rect.y}: use order fused, or operator "
                f"{SAME_SIZE}"
            )
        return Rect(*(side // self.cell for side in sides))

    def _band_of(self, part: torch.Tensor, wrap: tuple[bool, bool]) -> LowBand:
        key = (tuple(part.shape[-2:]), wrap, part.device)
        if self._band is None or self._band[0] != key:
            band = low_band_for(key[0], self.hold.wavelet, self.hold.levels, wrap)
            self._band = key, LowBand(*(rows.to(part.device) for rows in band))
        return self._band[1]


def _cell(operator: str, small: tuple[int, int], large: tuple[int, int]) -> int:
    """How many cells of the canvas a side of the reference's cells is."""
    (rows, columns), (height, width) = small, large
    sizes = f"reference is {columns} x {rows} cells and the canvas {width} x {height}"
    if operator == SAME_SIZE:
        if (rows, columns) != (height, width):
            raise ValueError(f"{sizes}: enlarge the reference to the canvas (Upscale Latent), or use operator {AVERAGED}")
        return 1
    cell = height // rows
    if (rows * cell, columns * cell) != (height, width):
        near = max(round(width / columns), 1)
        raise ValueError(
            f"{sizes}, {width / columns:.3g} and {height / rows:.3g} times as large: operator {AVERAGED} needs a whole number, the same "
            f"for both sides. Make the canvas {columns * near} x {rows * near} cells, or enlarge the reference to it and use operator "
            f"{SAME_SIZE}"
        )
    return cell


def _outer_sample(executor, noise, latent_image, *args, **more):
    """One run: it is looked through before the model is loaded."""
    guider = executor.class_obj
    hold, memory = guider.model_options.get(HELD), memory_of(guider.model_options)
    if hold is not None and memory is not None:
        memory.kept[HELD_BANDS] = HeldRun(hold, guider.model_patcher.model, tuple(noise.shape))
    return executor(noise, latent_image, *args, **more)


def _after_guidance(args: dict[str, Any]) -> torch.Tensor:
    memory = memory_of(args["model_options"])
    run = None if memory is None else memory.kept.get(HELD_BANDS)
    return args["denoised"] if run is None else run.held(args["denoised"], args)
