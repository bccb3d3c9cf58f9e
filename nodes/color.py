"""Color Match: pictures or tiles in, the same with the colours of a reference, or with tones that agree."""

from __future__ import annotations

from typing import Any

import torch
from comfy_api.latest import io

from ..blending.color.settings import GAIN, MATCH_METHODS, check_settings
from ..blending.layout.regroup import as_they_came, gather, in_their_items, tile_spans
from ..blending.layout.tile_layout import TileLayout
from ..blending.pixels.counted import counted
from ..blending.pixels.picture import check_finite
from ..host.progress import watched
from .menu import CUT
from .overlay import NOTE_KEY
from .types import Layout, Least, check_grid, check_image, check_layout

METHOD_TIP = (
    "mean-std: brightness and contrast of red, green and blue; lab: the same in CIELAB, kinder to hues; mkl: also how colours go "
    "together, the closest match of a whole look; histogram: every tone, the strongest; low frequency: keeps all detail and takes "
    "colours and shading place by place from the reference; gain compensation: one gain and offset per tile so that all overlaps "
    "agree, needs the layout; a reference is optional and fixes the overall tone. With tiles, choose gain compensation."
)


class ColorMatch(io.ComfyNode):
    """List of images or tiles, reference, layouts -> the same list with matched colours."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node as the host shows it."""
        return io.Schema(
            node_id="TileworkColorMatch",
            display_name="Color Match",
            category=CUT,
            description=(
                "Takes colour drift out of processed tiles before Seam Blend: each tile is matched to its own part of the original, "
                "or all tiles to each other where they overlap. Without a layout it matches whole pictures to a reference. "
                "Nothing is clipped and alpha is kept."
            ),
            search_aliases=[
                "color transfer",
                "colour match",
                "color correction",
                "color drift",
                "reinhard",
                "mkl",
                "histogram matching",
                "wavelet color fix",
                "gain compensation",
                "exposure compensation",
            ],
            is_input_list=True,
            has_intermediate_output=True,
            inputs=[
                io.Image.Input(
                    "images",
                    tooltip="The pictures to change, or with a layout the processed tiles, in the order Tile Split gave them and at any scale.",
                ),
                io.Combo.Input("method", options=list(MATCH_METHODS), default=MATCH_METHODS[0], tooltip=METHOD_TIP),
                io.Float.Input(
                    "strength",
                    default=1.0,
                    min=Least(0.0),
                    max=1.0,
                    step=0.01,
                    tooltip="How far to go: 0 changes nothing, 1 matches fully.",
                ),
                io.Float.Input(
                    "unchanged_only",
                    default=0.0,
                    min=Least(0.0),
                    max=1.0,
                    step=0.005,
                    round=False,
                    advanced=True,
                    tooltip="0 = off. Else colours are measured only where the picture differs from the reference by less than this on average (0.07 is good), so that what the model painted anew does not pull them. Needs a reference of the same scene.",
                ),
                io.Image.Input(
                    "reference",
                    optional=True,
                    tooltip="Whose colours to take. With a layout: the whole original picture, at any size. One serves all; or one per image.",
                ),
                Layout.Input(
                    "layout",
                    optional=True,
                    tooltip="The layout output of the Tile Split that cut the tiles: each tile is then matched to its own part of the reference. gain compensation needs it.",
                ),
                io.Mask.Input(
                    "mask",
                    optional=True,
                    tooltip="Measure colours only here, in the picture and the reference alike (the change itself goes everywhere). With a layout: over the whole picture.",
                ),
            ],
            outputs=[
                io.Image.Output(
                    "images",
                    display_name="images",
                    is_output_list=True,
                    tooltip="The same pictures or tiles with matched colours, in the same order and batches: ready for Seam Blend.",
                )
            ],
        )

    @classmethod
    def validate_inputs(cls, method) -> bool | str:
        """Refuse a method that is not known, before anything runs.

        The host says a refusal once for each input named here and checks the range of none of them, so only one is named;
        what is not connected is refused where `execute` begins.
        """
        method = method[0] if isinstance(method, list | tuple) else method
        try:
            if method is not None:
                check_settings(method, 1.0, 0.0)
        except ValueError as error:
            return str(error)
        return True

    @classmethod
    def execute(cls, images, method, strength, unchanged_only, reference=None, layout=None, mask=None) -> io.NodeOutput:
        """Match every image, or the tiles of each layout."""
        method, strength, unchanged_only = method[0], strength[0], unchanged_only[0]
        references, layouts, masks = ([one for one in given or [] if one is not None] for given in (reference, layout, mask))
        check_settings(method, strength, unchanged_only)
        _check_connected(method, unchanged_only, bool(references), bool(layouts))
        items = [check_image(image, f"item {i} of images") for i, image in enumerate(images)]
        references = [check_image(one, f"item {i} of reference") for i, one in enumerate(references)]
        masks = [_check_mask(one, f"item {i} of mask") for i, one in enumerate(masks)]
        settings = (method, strength, unchanged_only)
        if layouts:
            known = (lambda one: check_grid(one, GAIN, wraps=True)) if method == GAIN else check_layout
            plans = [known(one).in_pixels() for one in layouts]
            done, words = _match_layouts(items, plans, references, masks, settings)
        else:
            done, words = _match_pictures(items, references, masks, settings)
        return io.NodeOutput(done, ui={"text": words, NOTE_KEY: ["\n".join(words)]})


def _check_connected(method: str, unchanged_only: float, reference: bool, layout: bool) -> None:
    """Raise ValueError where the method lacks what it needs."""
    if method == GAIN and not layout:
        raise ValueError(
            f"{GAIN} compares tiles where they overlap and needs their layout: connect the layout output of the Tile Split "
            "that cut them, or choose another method"
        )
    if method != GAIN and not reference:
        raise ValueError(
            f"{method} takes its colours from a reference and none is connected: connect one (with a layout, the whole original picture), "
            f"or choose {GAIN}, which needs a layout alone"
        )
    if unchanged_only > 0 and not reference:
        raise ValueError(f"unchanged_only {unchanged_only:g} needs a reference to compare with: connect one, or set it to 0")


def _check_mask(mask: Any, name: str) -> torch.Tensor:
    """A MASK as [B, H, W], or ValueError."""
    if not isinstance(mask, torch.Tensor) or mask.ndim not in (2, 3) or not mask.is_floating_point() or 0 in mask.shape:
        what = f"{mask.dtype} of shape {tuple(mask.shape)}" if isinstance(mask, torch.Tensor) else type(mask).__name__
        raise ValueError(f"{name} is {what}: expected a mask, floating point [batch, height, width]")
    check_finite(mask, name)
    return mask if mask.ndim == 3 else mask[None]


class _Shared:
    """References or masks: a list of batches, asked for by layout or by picture."""

    def __init__(self, batches: list[torch.Tensor], name: str) -> None:
        self.batches, self.name = batches, name

    def for_layout(self, index: int, count: int) -> torch.Tensor | None:
        """The one of layout `index` of `count`; one serves all; None where there are none."""
        if len(self.batches) not in (0, 1, count):
            raise ValueError(
                f"{counted(len(self.batches), 'item')} of {self.name} came for {counted(count, 'layout')}: connect one, or one for each layout"
            )
        return None if not self.batches else self.batches[index % len(self.batches)]

    def for_item(self, index: int, sizes: list[int]) -> torch.Tensor | None:
        """Those of item `index`: [1 or B, ...], by picture; one serves all; None where there are none."""
        if not self.batches:
            return None
        total = sum(len(batch) for batch in self.batches)
        if total == 1 or (len(self.batches) == 1 and all(total == size for size in sizes)):
            return self.batches[0]
        if len(self.batches) == len(sizes) and all(len(b) in (1, size) for b, size in zip(self.batches, sizes, strict=True)):
            return self.batches[index]
        if total == sum(sizes) and len(self.batches) == 1:
            start = sum(sizes[:index])
            return self.batches[0][start : start + sizes[index]]
        raise ValueError(
            f"{counted(total, 'picture')} came as {self.name} for {counted(sum(sizes), 'image')}: connect one, or one for each image. "
            "If the images are tiles, connect their layout"
        )


def _match_pictures(items: list[torch.Tensor], references: list, masks: list, settings: tuple) -> tuple[list[torch.Tensor], list[str]]:
    """Each item by itself, to the whole reference."""
    from ..blending.color.match import match  # here and below, because it is most of what this file would load

    method, strength, unchanged_only = settings
    sizes = [len(item) for item in items]
    shared, shared_masks = _Shared(references, "reference"), _Shared(masks, "mask")
    jobs = [(item, shared.for_item(i, sizes), shared_masks.for_item(i, sizes)) for i, item in enumerate(items)]
    done = []
    for index, (item, reference, mask) in enumerate(watched(jobs, len(jobs))):
        done.append(match(item, reference, method, strength, mask, unchanged_only, name=f"image {index}"))
    return done, [_said(settings, items, done, "image")]


def _match_layouts(
    items: list[torch.Tensor], plans: list[TileLayout], references: list, masks: list, settings: tuple
) -> tuple[list[torch.Tensor], list[str]]:
    """The tiles of each layout, given back in the items they came in."""
    from ..blending.color.match import match_tiles

    shared, shared_masks = _Shared(references, "reference"), _Shared(masks, "mask")
    pieces, words, sizes = [], [], [len(item) for item in items]
    plans = as_they_came(sizes, plans)
    for number, (plan, spans) in enumerate(zip(plans, tile_spans(sizes, plans), strict=True)):
        reference, mask = (one.for_layout(number, len(plans)) for one in (shared, shared_masks))
        tiles = [gather(items, parts) for parts in spans]
        if settings[0] == GAIN:
            done, line = _compensated(tiles, plan, reference, mask, settings)
        else:
            matched = match_tiles(watched(tiles, len(plan)), plan, reference, settings[0], settings[1], mask, settings[2])
            done = list(matched)
            line = _said(settings, tiles, done, "tile")
        words.append(line)
        pieces += [(parts, new, new is not tile) for parts, tile, new in zip(spans, tiles, done, strict=True)]
    return in_their_items(items, pieces), words


def _compensated(
    tiles: list[torch.Tensor], plan: TileLayout, reference: torch.Tensor | None, mask: torch.Tensor | None, settings: tuple
) -> tuple[list[torch.Tensor], str]:
    # Twice through the tiles: once to compare, once to correct; one bar for both.
    walk = watched((*tiles, *tiles), 2 * len(tiles))
    from ..blending.color.gain import compensate

    gains = compensate((next(walk) for _ in tiles), plan, reference, mask, unchanged_only=settings[2])
    done = [gains.apply(tile, index, settings[1]) for index, tile in enumerate(walk)]
    return done, f"{_said(settings, tiles, done, 'tile')}: {gains.report()}"


def _said(settings: tuple, before: list[torch.Tensor], after: list[torch.Tensor], what: str) -> str:
    """What was done, in a few words."""
    method, strength, unchanged_only = settings
    changed = sum(a is not b for a, b in zip(before, after, strict=True))
    parts = [method, f"strength {strength:g}"] + ([f"unchanged below {unchanged_only:g}"] if unchanged_only else [])
    return f"{', '.join(parts)}: {changed} of {counted(len(before), what)} changed"
