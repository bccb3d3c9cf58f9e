"""What was planned and what was done, in a few short lines for people."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from ..pixels.counted import counted
from .grid_layout import GridLayout

if TYPE_CHECKING:
    from .mosaic import Mosaic
    from .tile_layout import TileLayout


def true_overlap(plan: GridLayout) -> str:
    """The overlap in x and y in pixels; of an axis with a single tile there is none."""
    ys, xs = plan.axes
    return " x ".join(str(axis.overlap) for axis in (xs, ys) if axis.overlap is not None)


def describe_here(plan: TileLayout) -> list[str]:
    """The tiles of a layout that are here, of whatever kind it is, in two short lines."""
    if not len(plan):
        return ["no tiles to work on: the picture is passed on as it is"]
    here, whole = len(plan), counted(len(plan.tiles), "tile")
    sizes = sorted({(tile.height * tile.width, tile.width, tile.height) for tile in plan.here})
    span = " to ".join(f"{width} x {height}" for _, width, height in (sizes[:1] if len(sizes) == 1 else (sizes[0], sizes[-1])))
    share = Fraction(100 * sum(tile.height * tile.width for tile in plan.here), plan.canvas[0] * plan.canvas[1])
    first = f"{here} of {whole}" if here < len(plan.tiles) else whole
    return [f"{first}, {span}", f"{plan.canvas[1]} x {plan.canvas[0]} px, {_decimal(share, 1)} % of it to compute"]


def describe_split(plan: TileLayout, multiple_of: int | None) -> list[str]:
    """What Tile Split did, in a few short lines; `describe` in web/js/tiles/layout.js says the same of a whole grid before the run."""
    if not isinstance(plan, GridLayout) or plan.present is not None:
        return describe_here(plan)
    ys, xs = plan.axes
    height, width = plan.tile_size
    overlap = f"true overlap {true_overlap(plan)} px, " if len(plan) > 1 else ""
    work = Fraction(len(plan) * height * width, plan.canvas[0] * plan.canvas[1])
    batch = f", batch {plan.batch}" if plan.batch > 1 else ""
    lines = [
        f"{counted(len(plan), 'tile')} of {width} x {height} ({len(xs.origins)} x {len(ys.origins)})",
        f"{overlap}{_decimal(100 * plan.repeated, 1)} % computed twice or more",
        f"{plan.canvas[1]} x {plan.canvas[0]} px{batch}, {_decimal(work, 2)} x the pixels to compute",
    ]
    if plan.unit > 1:
        lines.append(f"{plan.unit} image pixels per latent cell")
    elif multiple_of and (width % multiple_of or height % multiple_of):
        lines.append(f"the tile is not a multiple of {multiple_of}: a VAE would crop it")
    if any(plan.wrap):
        sides = [words for words, wraps in (("left to right", xs.wraps), ("top to bottom", ys.wraps)) if wraps]
        lines.append(f"wraps around: {' and '.join(sides)}")
    return lines


def describe_blend(plan: GridLayout, mosaic: Mosaic, method: str, typed: bool) -> list[str]:
    """What Seam Blend did, in a few short lines."""
    from .mosaic import smallest_overlap  # not needed to describe a split, which every start of the host loads

    source = "as typed" if typed else "from the tiles"
    lines = [f"{counted(len(plan), 'tile')}, {method}, scale {_scale_text(mosaic.scale)} ({source})"]
    if len(plan) > 1 and not smallest_overlap(mosaic) and method != "none":
        lines.append("some tiles do not overlap: nothing to blend there")
    final = f"final size {mosaic.size[1]} x {mosaic.size[0]}" + (f", trim {mosaic.trim}" if mosaic.trim else "")
    lines.append(final + ("" if mosaic.exact else ", placed between pixels"))
    planned = tuple(length // plan.unit for length in plan.tile_size)
    lost = [p - c for p, c in zip(planned, mosaic.tile_size, strict=True)]
    if not typed and any(0 < n < 16 for n in lost) and plan.unit == 1:
        lines += [f"tiles came back {max(lost)} px smaller: if a VAE cropped", "them, use a tile size that is a multiple of 8"]
    return lines


def describe_batch(planned: GridLayout, result: GridLayout) -> list[str]:
    """Where the tiles came back with another number of pictures than was cut, both; else nothing."""
    if result.batch == planned.batch:
        return []
    were = "was" if planned.batch == 1 else "were"
    return [f"{counted(result.batch, 'picture')} came back of every tile, {planned.batch} {were} cut"]


def _decimal(value: Fraction, digits: int) -> str:
    """`value` (0 or more) with that many digits, half rounded up: exact, so that the browser's text is the same."""
    scaled = (2 * value.numerator * 10**digits + value.denominator) // (2 * value.denominator)
    return f"{scaled // 10**digits:,}.{scaled % 10**digits:0{digits}}"


def _scale_text(scale: Fraction) -> str:
    exact = scale.denominator == 1 or Fraction(f"{float(scale):g}") == scale
    return f"{float(scale):g}" if exact else f"{float(scale):.6g} ({scale.numerator}/{scale.denominator})"


def in_words(size: float) -> str:
    """Bytes as a person reads them: 512 KB, 1.60 GB (of 1024)."""
    for unit in ("bytes", "KB", "MB", "GB"):
        if size < 1024 or unit == "GB":
            break
        size /= 1024
    return f"{size:.0f} {unit}" if size >= 100 or unit == "bytes" else f"{size:.3g} {unit}"
