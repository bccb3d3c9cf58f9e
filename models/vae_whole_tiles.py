"""VAEs whose modules are not known, among them those of video: whole tiles through the host's model, blended where they overlap.

Space is tiled and time is not: a tile has all its frames, and the VAE handles them as it does in the host. A VAE that
says that it tiles by itself is left to do so.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import torch

from ..blending.canvas import compose
from ..blending.captions import counted
from ..blending.cutting import cut_cells
from ..blending.layout import TileLayout
from .vae_tiles import Outcome, Shrinking, VAETiles, Watch, planned_tile

# Cells that neighbours share where the user does not say: what is left of a tile border after eight of them is little
# in every VAE looked at, and what attention and normalisation see differently no overlap would mend.
OVERLAP_CELLS = 16

# What of an overlap is thrown away at either end, because a tile is worst at its border. On a TAESD run as a stranger
# (tile 256, overlap 128) the mean error falls from 3.3e-4 to 1.2e-5; where attention makes the difference, nothing changes.
TRIM = 0.375


def decode_in_tiles(vae: Any, samples: torch.Tensor, asked: VAETiles, ratio: int) -> tuple[torch.Tensor, Outcome]:
    """`vae_tiling.decode` for a VAE that is not known."""
    size = samples.shape[-2] * ratio, samples.shape[-1] * ratio
    if vae.handles_tiling:
        return _own_tiling(vae, samples, asked, ratio, size, decode=True)

    def run(tile: torch.Tensor) -> torch.Tensor:
        made = vae.first_stage_model.decode(tile.to(device=vae.device, dtype=vae.vae_dtype))
        return vae.process_output(made.to(device=vae.output_device, dtype=vae.vae_output_dtype(), copy=True))

    planes, outcome = _in_tiles(vae, samples, asked, ratio, size, True, run)
    image = planes.movedim(1, -1)
    return image.reshape(-1, *image.shape[-3:]), outcome


def encode_in_tiles(vae: Any, pixels: torch.Tensor, asked: VAETiles, ratio: int) -> tuple[torch.Tensor, Outcome]:
    """`vae_tiling.encode` for a VAE that is not known; the latent as the module gives it."""
    size = pixels.shape[1], pixels.shape[2]
    if vae.handles_tiling:
        return _own_tiling(vae, pixels, asked, ratio, size, decode=False)
    source = pixels.movedim(-1, 1)
    if vae.latent_dim == 3:
        source = source.unsqueeze(2) if vae.not_video else source.movedim(1, 0).unsqueeze(0)

    def run(tile: torch.Tensor) -> torch.Tensor:
        tile = vae.process_input(tile.clone()).to(vae.vae_dtype)
        if getattr(vae.first_stage_model, "comfy_has_chunked_io", False):
            made = vae.first_stage_model.encode(tile, device=vae.device)
        else:
            made = vae.first_stage_model.encode(tile.to(vae.device))
        return made.to(device=vae.output_device, dtype=vae.vae_output_dtype())

    return _in_tiles(vae, source, asked, ratio, size, False, run)


class HostEstimate:
    """The host's own estimate of a VAE's memory, for a tile with all its frames.

    Args:
        vae: the host's VAE.
        shape: of what is coded, the last two sides being those of a plane.
        cell: image pixels per unit of these sides.
        decode: or encode.
    """

    def __init__(self, vae: Any, shape: tuple[int, ...], cell: int, decode: bool) -> None:
        self.estimate = vae.memory_used_decode if decode else vae.memory_used_encode
        self.shape, self.cell, self.dtype = (1, *shape[1:-2]), cell, vae.vae_dtype

    def needs(self, width: int, height: int, batch: int = 1) -> float:
        """Bytes for tiles of that many image pixels."""
        return batch * float(self.estimate((*self.shape, -(-height // self.cell), -(-width // self.cell)), self.dtype))


def _in_tiles(
    vae: Any,
    source: torch.Tensor,
    asked: VAETiles,
    ratio: int,
    size: tuple[int, int],
    decode: bool,
    run: Callable[[torch.Tensor], torch.Tensor],
) -> tuple[torch.Tensor, Outcome]:
    """Tiles of `source` [B, C, (T,) h, w] through `run`, blended; [B, C', (T',) h', w']."""
    import comfy.model_management as management

    logging.info("Tilework: %s is not a VAE known stage by stage; running whole tiles and blending them", _name(vae))
    estimate = HostEstimate(vae, tuple(source.shape), ratio if decode else 1, decode)
    tile, overlap = _sizes(vae, asked, ratio, size, decode, estimate)
    shrinking, watch = Shrinking(tile, ratio, overlap), Watch(source.shape[0])
    done: list[torch.Tensor] = []
    with management.cuda_device_context(vae.device):
        while len(done) < source.shape[0]:
            watch.picture = len(done)
            needed = estimate.needs(shrinking.tile[1], shrinking.tile[0])
            management.load_models_gpu([vae.patcher], memory_required=needed, force_full_load=vae.disable_offload)
            smaller = None
            try:
                done.append(_one(source[len(done)], shrinking, overlap, ratio, size, decode, run, watch))
            except Exception as error:
                smaller = shrinking(error)
                if smaller is None:
                    raise
            if smaller is not None:
                management.soft_empty_cache()
    layout = _layout(shrinking.tile, overlap, ratio, size)
    grid = tuple(len(axis.origins) for axis in layout.axes)
    lines = [
        f"{counted(len(layout))} of {shrinking.tile[1]} x {shrinking.tile[0]} ({grid[1]} x {grid[0]}), overlap {overlap} px, hann",
        f"{_name(vae)} is not known stage by stage:",
        f"whole tiles, blended; mode {asked.mode} makes no difference",
    ]
    if source.ndim == 5:
        lines.append(f"{source.shape[2]} frames stay together")
    return torch.stack(done), Outcome(shrinking.tile, layout.in_pixels(), lines)


def _sizes(
    vae: Any, asked: VAETiles, ratio: int, size: tuple[int, int], decode: bool, estimate: HostEstimate
) -> tuple[tuple[int, int], int]:
    """The tile (height, width) and the overlap, in image pixels."""
    typed = [side for side in (asked.tile_width, asked.tile_height) if side]
    overlap = asked.overlap
    if overlap < 0:
        overlap = min(OVERLAP_CELLS * ratio, *(side // 2 for side in typed)) if typed else OVERLAP_CELLS * ratio
        overlap = overlap // ratio * ratio
    if typed and overlap >= min(typed):
        raise ValueError(f"overlap {overlap} must be smaller than the tile of {min(typed)} px: use {min(typed) // 2} or less, or -1")
    return planned_tile(vae, decode, size, asked, ratio, needs=estimate, overlap=overlap), overlap


def _layout(tile: tuple[int, int], overlap: int, ratio: int, size: tuple[int, int]) -> TileLayout:
    # A single tile overlaps nothing, and may be as small as the picture.
    shared = min(overlap, min(tile) - ratio) if min(tile) > ratio else 0
    return TileLayout.grid(*size, *tile, shared, ratio, unit=ratio if not (size[0] % ratio or size[1] % ratio) else 1)


def _one(
    source: torch.Tensor,
    shrinking: Shrinking,
    overlap: int,
    ratio: int,
    size: tuple[int, int],
    decode: bool,
    run: Callable[[torch.Tensor], torch.Tensor],
    watch: Watch,
) -> torch.Tensor:
    """One picture or film [C, (T,) h, w] -> [C', (T',) h', w']."""
    layout = _layout(shrinking.tile, overlap, ratio, size)
    tiles = cut_cells(source[None], layout) if decode else cut_cells(source[None], layout.in_pixels())
    shape: tuple[int, ...] = ()

    def made() -> Iterator[torch.Tensor]:
        nonlocal shape
        for index, tile in enumerate(tiles):
            watch(index, len(layout))
            if not torch.isfinite(tile).all():
                raise ValueError(f"{'samples' if decode else 'pixels'} has NaN or Inf in tile {index}: look at the node that made it")
            out = run(tile)
            shape = tuple(out.shape[1:-2])
            # Every plane for itself: four channels are not colour and alpha here.
            yield out.reshape(-1, *out.shape[-2:], 1)
        watch(len(layout), len(layout))

    scale = Fraction(1) if decode else Fraction(1, ratio)
    planes = compose(made(), layout.in_pixels(), "hann", trim=int(overlap * TRIM) if len(layout) > 1 else 0, scale=scale)
    return planes.reshape(*shape, *planes.shape[1:3])


def _own_tiling(
    vae: Any, source: torch.Tensor, asked: VAETiles, ratio: int, size: tuple[int, int], decode: bool
) -> tuple[torch.Tensor, Outcome]:
    """A VAE that tiles by itself, through the host."""
    if not torch.isfinite(source).all():
        raise ValueError(f"{'samples' if decode else 'pixels'} has NaN or Inf in it: look at the node that made it")
    unit = ratio if decode else 1
    tile = min(asked.tile_height or 512, size[0]), min(asked.tile_width or 512, size[1])
    overlap = min(tile) // 4 if asked.overlap < 0 else asked.overlap
    sizes = {"tile_x": tile[1] // unit, "tile_y": tile[0] // unit, "overlap": overlap // unit}
    made = vae.decode_tiled(source, **sizes) if decode else vae.encode_tiled(source, **sizes)
    if decode and made.ndim == 5:
        made = made.reshape(-1, *made.shape[-3:])
    grid = tuple(-(-side // one) for side, one in zip(size, tile, strict=True))
    lines = [f"{_name(vae)} tiles by itself, here by {tile[1]} x {tile[0]} px", f"mode {asked.mode} makes no difference"]
    return made, Outcome(tile, grid, lines)


def _name(vae: Any) -> str:
    return type(vae.first_stage_model).__name__
