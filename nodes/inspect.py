"""Seam Check: a finished picture and its layout in; a verdict, a number and pictures of what was found out."""

from __future__ import annotations

from typing import Any

import torch
from comfy_api.latest import io

from ..blending.layout.region_layout import RegionLayout
from ..blending.layout.regroup import as_they_came, gather, tile_spans
from ..blending.layout.tile_layout import TileLayout
from ..blending.pixels.counted import counted
from ..blending.seam_check.report import THRESHOLD, SeamReport
from ..host.progress import Watch
from .cures import seam_action, seam_cure
from .menu import CHECK
from .types import Layout, Least, check_grid, check_image, one_for_each
from .ui import join_ui, show_seams

REPORT, STOP = "report", "stop"


class SeamCheck(io.ComfyNode):
    """IMAGE, layout -> heat map, report, score, passed, worst places, the picture, what failed."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node as the host shows it."""
        return io.Schema(
            node_id="TileworkSeamCheck",
            display_name="Seam Check",
            category=CHECK,
            description=(
                "Looks at every boundary between two tiles of a finished picture and says which of them can be seen: steps of tone, "
                "broken or faded detail, drifts and ghosts. The picture beside a boundary is its own yardstick; with a reference "
                "connected the check is many times sharper. It can stop the run where a seam is found."
            ),
            search_aliases=[
                "seam",
                "quality",
                "inspect",
                "find seams",
                "visible seam",
                "tile borders",
                "check tiles",
                "QA",
                "visible grid",
                "heat map",
                "quality check",
            ],
            is_input_list=True,
            is_output_node=True,
            inputs=[
                io.Image.Input("image", tooltip="The finished picture, after Seam Blend. Any scale; RGB, RGBA or grey; batches and lists."),
                Layout.Input("layout", tooltip="The layout output of the Tile Split that cut the picture."),
                io.Float.Input(
                    "threshold",
                    default=THRESHOLD,
                    min=Least(1.0),
                    max=100.0,
                    step=0.1,
                    tooltip="How far a boundary must stand out from the picture beside it to fail (a z value). 5 hardly ever blames a clean picture; lower finds fainter seams and more false ones.",
                ),
                io.Combo.Input(
                    "on_fail",
                    options=[REPORT, STOP],
                    default=REPORT,
                    tooltip="report: go on and say what was found. stop: end the run with an error that names the worst boundary; save from this node's image output, and a bad picture is not saved.",
                ),
                io.Image.Input(
                    "reference",
                    optional=True,
                    tooltip="The picture before it was tiled (any size), or the same process without tiles. Only what differs from it is then judged: edges of the scene cannot be mistaken for seams, and every drift is found that a blend spread over the overlaps.",
                ),
                io.Image.Input(
                    "tiles",
                    optional=True,
                    tooltip="The processed tiles that went into Seam Blend. Their overlaps tell edges of the scene from seams, and show drift, shift and ghosts between neighbours.",
                ),
            ],
            outputs=[
                io.Image.Output(
                    "heatmap",
                    display_name="heatmap",
                    tooltip="The picture, dimmed, with its boundaries: red a seam, yellow an edge or a seam, green clean.",
                ),
                io.String.Output("report", display_name="report", tooltip="The verdict and a table of all boundaries, worst first."),
                io.Float.Output(
                    "score",
                    display_name="score",
                    tooltip="0 where nothing was found; else how many times over the threshold the worst boundary is (1 or more). Compare the number of failing boundaries and dE2000 between runs, not the score.",
                ),
                io.Boolean.Output("passed", display_name="passed", tooltip="True where no boundary fails."),
                io.Image.Output(
                    "worst",
                    display_name="worst",
                    tooltip="The worst places at 400 %, unsmoothed, up to four; marks at top and bottom (or at the sides) point at the boundary.",
                ),
                # Added later, so last.
                io.Image.Output(
                    "image",
                    display_name="image",
                    is_output_list=True,
                    tooltip="The picture, unchanged. Save from here, and with on_fail = stop no picture with a seam is saved.",
                ),
                io.Mask.Output(
                    "mask",
                    display_name="mask",
                    is_output_list=True,
                    tooltip="What failed: 1 over the overlap along every boundary that fails (32 pixels wide at least), 0 elsewhere and where all passes. One for each picture, of its size: ready for a refine pass.",
                ),
            ],
        )

    @classmethod
    def execute(cls, image, layout, threshold, on_fail, reference=None, tiles=None) -> io.NodeOutput:
        """Check every picture, and stop where that is asked."""
        from ..blending.seam_check.check import check_seams
        from ..blending.seam_check.failed_mask import failed_mask
        from ..blending.seam_check.heat_map import STRIPS, heat_map  # here, because they are most of what this file would load

        images = [check_image(picture, f"item {i} of image") for i, picture in enumerate(image)]
        plans = _plans(layout, images)
        references = one_for_each(reference, len(images))
        parts = _tiles(tiles, plans)
        reports, maps, masks, pictures = [], [], [], []
        for index, (picture, plan) in enumerate(zip(images, plans, strict=True)):
            try:
                report = check_seams(picture, plan, references[index], parts[index], threshold[0], Watch())
            except ValueError as error:
                raise ValueError(f"picture {index} of the list: {error}" if len(images) > 1 else str(error)) from error
            if on_fail[0] == STOP and not report.passed:
                raise RuntimeError(f"Seam Check stopped the run: {report.summary()}. {_cure(report, plan)}")
            reports.append(report)
            maps.append(heat_map(picture, report))
            masks.append(failed_mask(report, plan, picture.device))
            mend = {"cure": _cure(report, plan), "action": seam_action(report)}
            pictures.append(show_seams(picture, maps[-1], plan.in_pixels(), report, _caption(report), mend))
        worst = torch.cat([strips for _, strips in sorted(_strips(images, reports), key=lambda one: one[0])])[:STRIPS]
        score, passed = max(report.score for report in reports), all(report.passed for report in reports)
        report = _joined(reports, plans)
        return io.NodeOutput(one_batch(maps), report, score, passed, worst, images, masks, ui=join_ui(pictures))


def _plans(layouts: list[Any], images: list[torch.Tensor]) -> list[TileLayout]:
    plans, count = [check_grid(_grid_of(layout), "Seam Check", wraps=True) for layout in layouts], len(images)
    if len(plans) == 1:
        plan, pictures = plans[0].in_pixels(), sum(len(image) for image in images)
        if len(plan) > 1 and pictures == len(plan) * plan.batch and all(tuple(image.shape[1:3]) == plan.tile_size for image in images):
            raise ValueError(
                f"the {pictures} pictures that came are as many and as large as the layout's tiles: "
                "connect Seam Blend's image output to image, and the tiles, if you like, to tiles"
            )
        return plans * count
    if len(plans) != count:
        raise ValueError(
            f"{counted(count, 'picture')} and {counted(len(plans), 'layout')} came: connect the layout of the Tile Split that cut these pictures"
        )
    return plans


def _grid_of(layout: Any) -> Any:
    """The grid that tiles of objects lie on: they have no boundary that goes through the picture."""
    below = layout.below if isinstance(layout, RegionLayout) else None
    return layout if below is None else below


def _tiles(tiles: list[torch.Tensor] | None, plans: list[TileLayout]) -> list[list[torch.Tensor] | None]:
    """The tiles of each picture, as Seam Blend takes them: in a list, in batches, or taken apart."""
    if not tiles or tiles[0] is None:
        return [None] * len(plans)
    items = [check_image(tile, f"item {i} of tiles") for i, tile in enumerate(tiles)]
    sizes = [len(item) for item in items]
    return [[gather(items, parts) for parts in spans] for spans in tile_spans(sizes, as_they_came(sizes, plans))]


def _caption(report: SeamReport) -> list[str]:
    verdict, _, detail = report.summary().partition("; worst: ")
    lines = verdict.split("; ")
    if detail:
        first, _, rest = detail.partition("): ")
        lines += [f"worst: {first})", rest]
    return lines


def _strips(images: list[torch.Tensor], reports: list[SeamReport]) -> list[tuple[tuple[bool, float], torch.Tensor]]:
    """The strips of every picture, with what they are sorted by: failing ones first, then by z."""
    from ..blending.seam_check.heat_map import STRIPS, worst_strips

    found = []
    for image, report in zip(images, reports, strict=True):
        strips = worst_strips(image, report)
        keys = [(not row.fails, -row.z) for row in report.rows[:STRIPS]] or [(True, 0.0)]
        found += [(key, strip[None].cpu()) for key, strip in zip(keys, strips, strict=True)]
    return found


def _cure(report: SeamReport, plan: TileLayout) -> str:
    return seam_cure(report, plan.in_pixels().least_overlap or 0)


def _joined(reports: list[SeamReport], plans: list[TileLayout]) -> str:
    texts = [f"{report.text()}\n\nwhat to do: {_cure(report, plan)}" for report, plan in zip(reports, plans, strict=True)]
    if len(texts) == 1:
        return texts[0]
    return "\n\n".join(f"picture {index} of the list\n{text}" for index, text in enumerate(texts))


def one_batch(maps: list[torch.Tensor]) -> torch.Tensor:
    """The heat maps of pictures of any size as one batch, black where a smaller one ends."""
    if len(maps) == 1:
        return maps[0]
    height, width = (max(one.shape[dim] for one in maps) for dim in (1, 2))
    out = maps[0].new_zeros(sum(len(one) for one in maps), height, width, 3)
    start = 0
    for one in maps:
        out[start : start + len(one), : one.shape[1], : one.shape[2]] = one.to(out.device)
        start += len(one)
    return out
