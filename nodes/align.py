"""Align Tiles: tiles that a model shifted, brought back to their places before they are blended."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from comfy_api.latest import io

from ..blending.layout.regroup import as_they_came, gather, in_their_items, tile_spans
from ..host.progress import watched_steps
from .menu import REPAIR
from .overlay import NOTE_KEY
from .types import Layout, Least, check_grid, check_image, one_for_each

if TYPE_CHECKING:
    from ..blending.layout.grid_layout import GridLayout
    from ..blending.layout.regroup import PictureSpan


class AlignTiles(io.ComfyNode):
    """List of tiles, layouts -> the same list with every tile at its place."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node as the host shows it."""
        return io.Schema(
            node_id="TileworkAlignTiles",
            display_name="Align Tiles",
            category=REPAIR,
            description=(
                "Moves tiles that a model shifted by a few pixels back to where they belong, to a part of a pixel, before Seam Blend. "
                "All overlaps are compared and solved together. A tile is never moved where the shift cannot be known for sure."
            ),
            search_aliases=[
                "align tiles",
                "register tiles",
                "image registration",
                "pixel shift",
                "tile offset",
                "ghosting fix",
                "double edges",
                "phase correlation",
                "feature matching",
                "stabilize",
            ],
            is_input_list=True,
            has_intermediate_output=True,
            inputs=[
                io.Image.Input(
                    "tiles",
                    tooltip="The processed tiles, in the order Tile Split gave them. Any one size: an upscaler may stand in between.",
                ),
                Layout.Input("layout", tooltip="The layout output of the Tile Split that cut the tiles."),
                io.Float.Input(
                    "max_shift",
                    default=4.0,
                    min=Least(0.5),
                    max=64.0,
                    step=0.5,
                    tooltip="The largest shift to look for, in pixels of the picture that was split, between two neighbours or against the reference. The overlap must be at least twice this plus 12.",
                ),
                io.Image.Input(
                    "reference",
                    optional=True,
                    tooltip="The whole picture that was split, at any size: each tile is then moved to where the reference shows the same. Without it only the tiles' places against each other can be known, and most of them stay where they are.",
                ),
            ],
            outputs=[
                io.Image.Output(
                    "tiles",
                    display_name="tiles",
                    is_output_list=True,
                    tooltip="The tiles at their places, in the same order and batches: ready for Seam Blend. What a shift uncovers comes from the neighbour.",
                ),
                io.String.Output(
                    "report", display_name="report", tooltip="For each tile: how far it was moved, or that it was left as it came, and why."
                ),
            ],
        )

    @classmethod
    def execute(cls, tiles, layout, max_shift, reference=None) -> io.NodeOutput:
        """Align the tiles of each layout."""
        planned = [check_grid(plan, "Align Tiles").in_pixels() for plan in layout]
        items = [check_image(tile, f"item {i} of tiles") for i, tile in enumerate(tiles)]
        references = one_for_each(reference, len(planned))
        sizes = [len(item) for item in items]
        plans = as_they_came(sizes, planned)
        step = watched_steps(2 * sum(len(plan) for plan in plans))
        done, reports, notes = [], [], []
        for plan, spans, like in zip(plans, tile_spans(sizes, plans), references, strict=True):
            came, lines = _aligned(items, plan, spans, max_shift[0], like, step)
            done += came
            reports.append("\n".join(lines))
            notes.append(lines[0])
        report = "\n\n".join(reports)
        return io.NodeOutput(in_their_items(items, done), report, ui={"text": [report], NOTE_KEY: notes})


def _aligned(
    items: list[torch.Tensor], plan: GridLayout, spans: list[list[PictureSpan]], max_shift: float, reference: torch.Tensor | None, step
) -> tuple[list[tuple[list[PictureSpan], torch.Tensor, bool]], list[str]]:
    """The tiles of one layout as `in_their_items` takes them, and what is to be said."""
    from ..blending.registration.aligned_tiles import align_tiles  # here, because it is most of what this file would load

    def tile_at(index: int) -> torch.Tensor:
        return gather(items, spans[index])

    found = align_tiles(tile_at, plan, max_shift, reference, lambda: step(1))
    done = []
    for index, parts in enumerate(spans):
        done.append((parts, found.aligned(tile_at, index), found.moves(index)))
        step(1)
    return done, found.report()
