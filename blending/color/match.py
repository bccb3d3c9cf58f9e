"""Giving a picture the colours of another.

Every method measures both pictures, works out one map of colours, and applies it; `low
frequency` alone works place by place. All is float, in the space that the method names:

- mean-std: sRGB values, channel by channel (the rule of Kling's X-Dub).
- lab: mean and deviation in CIELAB (Reinhard et al., "Color Transfer between Images", 2001).
- mkl: mean and covariance of sRGB values (`transport.py`).
- histogram: all quantiles of sRGB values, channel by channel (`histogram.py`).
- low frequency: the details of the one on the coarse of the other (`low_frequency.py`).
- gain compensation: needs all tiles at once, and has a file of its own (`gain.py`).

Alpha is not a colour: it is kept, and says how much a pixel counts. Values outside 0..1
are colours like any other.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import torch

from ..layout.reference import check_scene, clear_of_hidden, part_size, resized, tile_part
from ..layout.tile_layout import TileLayout
from ..pixels import lab
from ..pixels.chunks import planar, row_chunks
from ..pixels.counted import counted
from ..pixels.memory import empty
from ..pixels.picture import check_finite, check_mask, check_pixels, colours, in_channels, joint_weight, visible
from .histogram import histograms, read_table, tables
from .low_frequency import blur_count, weighted_low_pass
from .moments import Moments, moments
from .settings import GAIN, LOW_FREQUENCY, NothingToMeasureError, check_settings
from .transport import transport

# Added to both variances: two flat pictures then have a gain of one (X-Dub's value). In Lab, whose values are a
# hundred times as large, it also covers what float32 leaves of a grey's a and b.
_VARIANCE_FLOOR = {"mean-std": 1e-7, "lab": 1e-4}
_AFFINE_AT_ONCE = 1 << 20
_LOOKED_UP_AT_ONCE = 1 << 17
# Light goes with the power 2.4 and is cubed on the way back from Lab: beyond this float32 may not hold it.
_LAB_LIMIT = 1e6


def affine(pixels: torch.Tensor, matrix: torch.Tensor, shift: torch.Tensor, out: torch.Tensor) -> None:
    """out = matrix @ pixels + shift, pixel by pixel, in float32.

    Args:
        pixels: [h, w, C].
        matrix: float64 [C, C], or [C] for a gain per channel.
        shift: float64 [C].
        out: float32 [h, w, C], written to.
    """
    matrix, shift = matrix.float().to(pixels.device), shift.float().to(pixels.device)
    if matrix.ndim == 2:
        for part, target in row_chunks(pixels, out):
            target.copy_(torch.addmm(shift, part.reshape(-1, len(shift)).float(), matrix.T).view(target.shape))
        return
    # As rows of width * C numbers: three by three they would be worked on one pixel at a time.
    width = pixels.shape[1]
    matrix, shift = matrix.repeat(width), shift.repeat(width)
    for part, target in row_chunks(pixels, out, pixels=_AFFINE_AT_ONCE):
        flat = part.reshape(part.shape[0], -1).float()
        if target.is_contiguous():
            torch.addcmul(shift, flat, matrix, out=target.view(flat.shape))
        else:
            target.copy_(torch.addcmul(shift, flat, matrix).view(target.shape))


class _Match:
    """One picture [h, w, C] and its reference, measured, and what the method makes of them."""

    def __init__(self, method: str, strength: float, scale: float) -> None:
        self.method, self.strength, self.scale = method, strength, scale

    def run(
        self, pixels: torch.Tensor, other: torch.Tensor, weight: torch.Tensor | None, other_weight: torch.Tensor | None, out: torch.Tensor
    ) -> bool:
        """Write the matched colours to `out` [h, w, C]; False, and nothing written, where there is nothing to change."""
        if self.method == "histogram":
            return self._histogram(pixels, other, weight, other_weight, out)
        if self.method == LOW_FREQUENCY:
            return self._low_frequency(pixels, other, weight, out)  # pixel on pixel: both sides have one weight
        if self.method == "lab":
            return self._lab(pixels, other, weight, other_weight, out)
        own, aim = moments(pixels, weight), moments(other, other_weight)
        if own.same_as(aim):
            return False
        if self.method == "mkl" and len(own.mean) > 1:
            matrix = transport(own.covariance, aim.covariance)
            shift = aim.mean - matrix @ own.mean
            eye = torch.eye(len(shift), dtype=matrix.dtype, device=matrix.device)
        else:
            matrix = _gains(own, aim, _VARIANCE_FLOOR["mean-std"])
            shift = aim.mean - matrix * own.mean
            eye = torch.ones_like(matrix)
        affine(pixels, torch.lerp(eye, matrix, self.strength), self.strength * shift, out)
        return True

    def _lab(self, pixels, other, weight, other_weight, out) -> bool:
        """Means and deviations in Lab, which is linear in f: one matrix there does it."""
        own, aim = moments(pixels, weight, lab.to_f), moments(other, other_weight, lab.to_f)
        if own.same_as(aim):
            return False
        to_lab, _ = lab.lab_map(len(own.mean), own.mean.device)
        in_lab = [m._replace(covariance=to_lab @ m.covariance @ to_lab.T) for m in (own, aim)]
        matrix = torch.linalg.solve(to_lab, _gains(*in_lab, _VARIANCE_FLOOR["lab"])[:, None] * to_lab)
        # In float64: a and b are differences of f times 500, and a rounded shift would be off alike everywhere.
        shift = (aim.mean - matrix @ own.mean)[:, None]
        for part, target in row_chunks(pixels, out):
            source = planar(part)
            made = lab.from_f((matrix @ lab.to_f(source).double() + shift).float())
            target.copy_(self._mixed(source, made).T.reshape(target.shape))
        return True

    def _histogram(self, pixels, other, weight, other_weight, out) -> bool:
        own, aim = histograms(pixels, weight), histograms(other, other_weight)
        if all(a.same_as(b) for a, b in zip(own, aim, strict=True)):
            return False
        lookups = [table.to(pixels.device) for table in tables(own, aim)]
        for part, target in row_chunks(pixels, out, pixels=_LOOKED_UP_AT_ONCE):
            for channel, source in enumerate(planar(part)):
                made = self._mixed(source, read_table(source, own[channel], lookups[channel], inside=weight is None))
                target[..., channel].copy_(made.view(target.shape[:2]))
        return True

    def _low_frequency(self, pixels, other, weight, out) -> bool:
        """HF(x) + LF(r) = x + LF(r - x), the filter being linear."""
        difference = other.float() - pixels.float()
        seen = difference if weight is None else difference[weight > 0]
        if not seen.any():
            return False
        levels = blur_count(self.scale or min(pixels.shape[:2]))
        torch.add(pixels, weighted_low_pass(difference, weight, levels), alpha=self.strength, out=out)
        return True

    def _mixed(self, source: torch.Tensor, made: torch.Tensor) -> torch.Tensor:
        return made if self.strength == 1 else torch.lerp(source, made, self.strength)


def _gains(own: Moments, aim: Moments, floor: float) -> torch.Tensor:
    """Ratio of standard deviations per channel, one where both are nothing."""
    variances = [m.covariance.diagonal().clamp_min(0) + floor for m in (aim, own)]
    return (variances[0] / variances[1]).sqrt()


def match(
    image: torch.Tensor,
    reference: torch.Tensor,
    method: str,
    strength: float = 1.0,
    mask: torch.Tensor | None = None,
    unchanged_only: float = 0.0,
    scale: float = 0.0,
    name: str = "the image",
) -> torch.Tensor:
    """Give `image` the colours of `reference`; each picture of the batch by itself.

        >>> matched = match(torch.rand(1, 32, 32, 3), torch.full((1, 8, 8, 3), 0.5), "mean-std")
        >>> bool((matched - 0.5).abs().max() < 1e-3)
        True

    Args:
        image: floating point [B, h, w, C], C = 1, 3 or 4. Any range; 0..1 is black to white.
        reference: floating point [B or 1, H, W, C'], of any size. For `low frequency` and `unchanged_only`
            it is the same scene and is brought to the image's size.
        method: one of METHODS but "gain compensation".
        strength: 0 leaves the image, 1 matches it fully, in between (and beyond) in proportion.
        mask: [B or 1, h', w'], brought to each picture's size; statistics count it as weight, on both sides.
        unchanged_only: above 0, only pixels whose colour differs from the reference's by less than this on average
            over channels are measured (X-Dub: 0.07). What a model has painted anew then does not pull the colours.
        scale: length in pixels that tells details from coarse for "low frequency"; 0 for the image's shorter side.
        name: what the image is called in messages.

    Returns:
        float32 [B, h, w, C]; alpha as it was. The tensor `image` itself where nothing changes: at strength 0,
        where the statistics are the reference's already, and where it is nowhere visible.

    Raises:
        NothingToMeasureError: where mask or `unchanged_only` leave no pixel to measure.
        ValueError: for anything else that does not fit, in words for the user.
    """
    _check_rule(method, strength, unchanged_only)
    if not math.isfinite(scale) or scale < 0:
        raise ValueError(f"scale {scale} is not a length in pixels: use 0 for the image's shorter side, or a number above 0")
    mask = None if mask is None else check_mask(mask)
    return _matched(image, check_pixels(reference, "reference"), _Match(method, strength, scale), mask, unchanged_only, name)


def _check_rule(method: str, strength: float, unchanged_only: float) -> None:
    """`check_settings`, for the methods that measure one picture at a time."""
    check_settings(method, strength, unchanged_only)
    if method == GAIN:
        raise ValueError(f"{GAIN} works on all tiles of a layout at once: use blending.color.gain.compensate, or choose another method")


def _matched(
    image: torch.Tensor,
    reference: torch.Tensor,
    rule: _Match,
    mask: torch.Tensor | None,
    unchanged_only: float,
    name: str,
    reference_size: tuple[float, float] | None = None,
) -> torch.Tensor:
    """`match`, with settings, reference and mask checked.

    `reference_size`, of one that is the same scene, is its size before it was resized to the image: what is hidden in one then
    counts in neither.
    """
    image, batch = check_pixels(image, name), len(image)
    if len(reference) not in (1, batch):
        raise ValueError(
            f"reference has a batch of {len(reference)} and {name} one of {batch}: connect one reference, or one for each of the batch"
        )
    if rule.strength == 0:
        return image
    for pixels, called in ((image, name), (reference, "reference")):
        check_finite(pixels, called)
        if rule.method == "lab":
            _check_lab_range(pixels, called)
    out = None
    for index in range(batch):
        pixels, other = image[index], reference[index % len(reference)]
        one_mask = None if mask is None else mask[index % len(mask)]
        measured = _measured(pixels, other, one_mask, rule.method, unchanged_only, name, reference_size)
        target = empty(image.shape, device=image.device) if out is None else out
        if measured is not None and rule.run(colours(pixels), *measured, out=colours(target[index])):
            if out is None:
                target[:index].copy_(image[:index])
                out = target
            out[index, ..., 3:].copy_(pixels[..., 3:])
        elif out is not None:
            out[index].copy_(pixels)
    return image if out is None else out


def _check_lab_range(pixels: torch.Tensor, name: str) -> None:
    largest = max(abs(float(bound)) for bound in torch.aminmax(colours(pixels)))
    if largest > _LAB_LIMIT:
        raise ValueError(
            f"{name} has values up to {largest:g}, and lab works up to {_LAB_LIMIT:g} (0..1 is black to white): "
            "scale the picture down, or use mean-std or mkl"
        )


def _plane(weight: torch.Tensor | None, size: tuple[int, int]) -> torch.Tensor | None:
    """A weight [h, w] at another size."""
    return None if weight is None else resized(weight[None, ..., None], size)[0, ..., 0]


def _measured(
    pixels: torch.Tensor,
    other: torch.Tensor,
    mask: torch.Tensor | None,
    method: str,
    unchanged_only: float,
    name: str,
    reference_size: tuple[float, float] | None,
) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None] | None:
    """The reference's colours, and what counts where on both sides; None where nothing is visible."""
    same_scene = reference_size is not None
    reference_size = reference_size or tuple(other.shape[:2])
    pixel_on_pixel = method == LOW_FREQUENCY or unchanged_only > 0
    if pixel_on_pixel:
        other = resized(other[None], tuple(pixels.shape[:2]))[0]
    sizes = [tuple(p.shape[:2]) for p in (pixels, other)]
    masks = [_plane(mask, size) for size in sizes]
    if mask is not None and not all((m > 0).any() for m in masks):
        if same_scene:
            return None  # other tiles, or other pictures of the batch, have some of it
        raise NothingToMeasureError(f"the mask leaves no pixel of {name} to measure: paint it where colours are to be compared")
    alphas = [visible(pixels), visible(other)]
    if pixel_on_pixel or same_scene:
        # Two views of one place: measured by different weights, equal colours would come out different.
        if alphas[1] is None and alphas[0] is not None:
            alphas[0] = clear_of_hidden(alphas[0], reference_size)
        elif alphas[0] is None and alphas[1] is not None:
            alphas[1] = clear_of_hidden(alphas[1], sizes[0])
        alphas = [joint_weight(_plane(alphas[0], size), _plane(alphas[1], size)) for size in sizes]
    weights = [joint_weight(a, None if m is None else m.clamp_min(0)) for a, m in zip(alphas, masks, strict=True)]
    if any(w is not None and not (w > 0).any() for w in weights):
        return None
    other = colours(in_channels(other, colours(pixels).shape[-1]))
    if unchanged_only > 0:
        same = (colours(pixels).float() - other.float()).abs().mean(-1) < unchanged_only
        weight = same.float() if weights[0] is None else same * weights[0]
        if not (weight > 0).any():
            raise NothingToMeasureError(
                f"no pixel of {name} differs from the reference by less than unchanged_only {unchanged_only:g}: "
                "use a larger value, or 0 to measure all of it"
            )
        weights = [weight, weight]
    return other, *weights


def match_tiles(
    tiles: Iterable[torch.Tensor],
    layout: TileLayout,
    reference: torch.Tensor,
    method: str,
    strength: float = 1.0,
    mask: torch.Tensor | None = None,
    unchanged_only: float = 0.0,
) -> Iterator[torch.Tensor]:
    """`match` each tile to its own part of a whole picture.

    Args:
        tiles: floating point [P, h, w, C] in the layout's order, at any scale; one is held at a time.
        layout: where they belong.
        reference: [P or 1, H, W, C'], the scene that was cut, at any size.
        mask: [P or 1, H', W'] over the whole scene, at any size; a tile it leaves nothing of is passed on as it is.
        method, strength, unchanged_only: as in `match`. What is hidden in the tile or in the reference counts in neither.

    Returns:
        an iterator of the tiles, float32; those that do not change are the tensors that came.

    Raises:
        NothingToMeasureError: where mask or `unchanged_only` leave no pixel to measure.
        ValueError: as `match`, naming the tile, counted from 0. All but what is wrong with a tile is said at once.
    """
    layout = layout.in_pixels()
    _check_rule(method, strength, unchanged_only)
    reference = check_pixels(reference, "reference")
    check_scene(reference, layout, "reference")
    if mask is not None:
        mask = check_mask(mask)
        check_scene(mask, layout, "mask")
        if not (mask > 0).any():
            raise NothingToMeasureError("the mask leaves no pixel of any tile to measure: paint it where colours are to be compared")
    return _match_each(tiles, layout, reference, method, strength, mask, unchanged_only)


def _match_each(
    tiles: Iterable[torch.Tensor],
    layout: TileLayout,
    reference: torch.Tensor,
    method: str,
    strength: float,
    mask: torch.Tensor | None,
    unchanged_only: float,
) -> Iterator[torch.Tensor]:
    exactly = method == LOW_FREQUENCY or unchanged_only > 0
    for index, tile in enumerate(tiles):
        if index >= len(layout):
            raise ValueError(
                f"more than the {counted(len(layout), 'tile')} of the layout came: connect the layout of the Tile Split that cut them"
            )
        name = f"tile {index}"
        size = tuple(check_pixels(tile, name).shape[1:3])
        own_mask = None if mask is None else tile_part(mask[..., None], layout, index, size)[..., 0]
        if own_mask is not None and not (own_mask > 0).any():
            check_finite(tile, name)
            yield tile
            continue
        part = tile_part(reference, layout, index, size if exactly else None)
        reference_size = part_size(reference, layout, index)
        yield _matched(tile, part, _Match(method, strength, min(size)), own_mask, unchanged_only, name, reference_size)
