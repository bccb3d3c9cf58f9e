"""VAEs whose modules are not known, among them those of video: whole tiles through the host's model, blended where they overlap.

Space is tiled and time is not: a tile has all its frames, and the VAE handles them as it does in the host. That holds
also where the frames are a batch of pictures which the VAE mixes, as SVD's decoder does.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any, NamedTuple

import torch

from ...blending.composition.compose import compose
from ...blending.layout.cutting import cut_cells
from ...blending.layout.grid import Rect, plan_axis
from ...blending.layout.grid_layout import GridLayout
from ...blending.networks.tile_plan import Needs
from ...blending.pixels.counted import counted
from ...blending.pixels.picture import check_finite
from ...host.progress import Watch
from .tiles import LARGEST, Outcome, Shrinking, VAETiles, class_name, planned_tile

# Cells that neighbours share where the user does not say: what is left of a tile border after eight of them is little
# in every VAE looked at, and what attention and normalisation see differently no overlap would mend.
OVERLAP_CELLS = 16

# What of an overlap is thrown away at either end, because a tile is worst at its border. On a TAESD run as a stranger
# (tile 256, overlap 128) the mean error falls from 3.3e-4 to 1.2e-5; where attention makes the difference, nothing changes.
TRIM = 0.375


def decode_in_tiles(vae: Any, samples: torch.Tensor, asked: VAETiles, ratio: int) -> tuple[torch.Tensor, Outcome]:
    """`tiling.decode` for a VAE that is not known."""
    size = samples.shape[-2] * ratio, samples.shape[-1] * ratio

    def run(tile: torch.Tensor) -> torch.Tensor:
        made = vae.first_stage_model.decode(tile.to(device=vae.device, dtype=vae.vae_dtype))
        return vae.process_output(made.to(device=vae.output_device, dtype=vae.vae_output_dtype(), copy=True))

    planes, outcome = _in_tiles(vae, samples, asked, ratio, size, True, run)
    image = planes.movedim(1, -1)
    return image.reshape(-1, *image.shape[-3:]), outcome


def encode_in_tiles(vae: Any, pixels: torch.Tensor, asked: VAETiles, ratio: int) -> tuple[torch.Tensor, Outcome]:
    """`tiling.encode` for a VAE that is not known; the latent as the module gives it."""
    size = pixels.shape[1], pixels.shape[2]
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

    film = source.ndim == 4 and _mixes_frames(vae.first_stage_model, decode)
    frames, name = (source.shape[0], class_name(vae, decode)) if film else (1, class_name(vae))
    logging.info("Tilework: %s is not a VAE known stage by stage; running whole tiles and blending them", name)
    estimate = HostEstimate(vae, tuple(source.shape), ratio if decode else 1, decode)
    tile, overlap, planned = _sizes(vae, asked, ratio, size, decode, estimate, frames)
    together = planned
    shrinking, watch = Shrinking(tile, ratio, overlap), Watch(source.shape[0])
    done: list[torch.Tensor] = []
    with management.cuda_device_context(vae.device):
        while watch.part < source.shape[0]:
            needed = estimate.needs(shrinking.tile[1], shrinking.tile[0], planned or 1)
            management.load_models_gpu([vae.patcher], memory_required=needed, force_full_load=vae.disable_offload)
            together = together or _fitting(vae, estimate, shrinking.tile, frames)
            smaller = None
            try:
                group = source[watch.part : watch.part + together]
                done.append(_one(group, shrinking.tile, overlap, ratio, size, decode, run, watch))
                watch.part += group.shape[0]
            except Exception as error:
                smaller = shrinking(error)
                if smaller is None:
                    raise
            if smaller is not None:
                management.soft_empty_cache()
    layout = _layout(shrinking.tile, overlap, ratio, size)
    grid = layout.counts
    lines = [
        f"{counted(len(layout), 'tile')} of {shrinking.tile[1]} x {shrinking.tile[0]} ({grid[1]} x {grid[0]}), overlap {overlap} px, hann",
        f"{name} is not known stage by stage:",
        f"whole tiles, blended; mode {asked.mode} makes no difference",
    ]
    if source.ndim == 5:
        lines.append(f"{source.shape[2]} frames stay together")
    elif frames > 1:
        lines.append(f"{frames} frames stay together" if together == frames else f"{frames} frames in groups of {together}")
    return done[0] if len(done) == 1 else torch.cat(done), Outcome(shrinking.tile, layout.in_pixels(), lines)


def _mixes_frames(model: Any, decode: bool) -> bool:
    """Whether the pictures of a batch see one another on this way through `model`: they are the frames of a film."""
    from comfy.ldm.modules.temporal_ae import AttnVideoBlock, VideoDecoder

    over_time, other = (VideoDecoder, AttnVideoBlock, torch.nn.Conv3d), "encoder" if decode else "decoder"
    return any(isinstance(module, over_time) for name, module in model.named_modules() if not name.startswith(other))


def _fitting(vae: Any, estimate: HostEstimate, tile: tuple[int, int], frames: int) -> int:
    """How many frames of a tile go through together by the host's own reckoning, so that one tile over all is its run."""
    if frames == 1:
        return 1
    free = vae.patcher.get_free_memory(vae.device)
    return max(1, min(frames, int(free / max(1.0, estimate.needs(tile[1], tile[0])))))


def _sizes(
    vae: Any, asked: VAETiles, ratio: int, size: tuple[int, int], decode: bool, estimate: HostEstimate, frames: int
) -> tuple[tuple[int, int], int, int]:
    """The tile (height, width) and the overlap, in image pixels, and how many frames are planned together; 0 for as many as fit."""
    asked.check_overlap()
    overlap = asked.overlap
    if overlap < 0:
        overlap = min(OVERLAP_CELLS * ratio, *(side // 2 for side in asked.typed or [LARGEST])) // ratio * ratio

    def planned(needs: Needs) -> tuple[int, int]:
        return planned_tile(vae, decode, size, asked, ratio, needs=needs, overlap=overlap)

    if frames > 1 and len(asked.typed) < 2:
        try:
            return planned(_Film(estimate, frames)), overlap, frames
        except ValueError as error:
            # Not even the smallest tile has room for all of them.
            logging.info("Tilework: %s frames do not fit together (%s)", frames, error)
    return planned(estimate), overlap, 0


class _Film(NamedTuple):
    """The memory of tiles that have so many frames."""

    estimate: HostEstimate
    frames: int

    def needs(self, width: int, height: int, batch: int = 1) -> float:
        """Bytes for tiles of that many image pixels."""
        return self.estimate.needs(width, height, batch * self.frames)


def _layout(tile: tuple[int, int], overlap: int, ratio: int, size: tuple[int, int]) -> GridLayout:
    # Each side for itself: one that a single tile covers overlaps nothing, and may be shorter than the overlap.
    ys, xs = (plan_axis(side, one, min(overlap, one - ratio), ratio) for side, one in zip(size, tile, strict=True))
    unit = ratio if not (size[0] % ratio or size[1] % ratio) else 1
    return GridLayout(size, tuple(Rect(y, x, *tile) for y in ys for x in xs), unit=unit)


def _trim(layout: GridLayout) -> int:
    """Source pixels to throw away at either end of an overlap: of the smallest that there is, not of what was asked for."""
    return int((layout.least_overlap or 0) * TRIM)


def _one(
    source: torch.Tensor,
    tile_size: tuple[int, int],
    overlap: int,
    ratio: int,
    size: tuple[int, int],
    decode: bool,
    run: Callable[[torch.Tensor], torch.Tensor],
    watch: Watch,
) -> torch.Tensor:
    """What goes through together, [B, C, (T,) h, w] -> [B, C', (T',) h', w']."""
    layout = _layout(tile_size, overlap, ratio, size)
    tiles = cut_cells(source, layout) if decode else cut_cells(source, layout.in_pixels())
    shape: tuple[int, ...] = ()

    def made() -> Iterator[torch.Tensor]:
        nonlocal shape
        for index, tile in enumerate(tiles):
            watch(index * source.shape[0], len(layout))
            check_finite(tile, f"tile {index} of {'samples' if decode else 'pixels'}")
            out = run(tile)
            shape = tuple(out.shape[:-2])
            # Every plane for itself: four channels are not colour and alpha here.
            yield out.reshape(-1, *out.shape[-2:], 1)
        watch(len(layout) * source.shape[0], len(layout))

    scale = Fraction(1) if decode else Fraction(1, ratio)
    planes = compose(made(), layout.in_pixels(), "hann", trim=_trim(layout), scale=scale)
    return planes.reshape(*shape, *planes.shape[1:3])
