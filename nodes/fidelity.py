"""Fidelity Check: a result and its source in; whether the result still shows what the source shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from comfy_api.latest import io

from ..blending.pixels.counted import counted
from ..host.progress import Watch
from .inspect import REPORT, STOP, one_batch
from .menu import CHECK
from .types import Layout, Least, check_grid, check_image, one_for_each
from .ui import join_ui, ui_value

if TYPE_CHECKING:
    from PIL import Image

    from ..blending.fidelity.report import FidelityReport

TOLERANCE = 1.0
_SHOWN = 512  # px, the longer side of the small picture on the node


class FidelityCheck(io.ComfyNode):
    """IMAGE, its source -> heat map, report, score, passed, worst places."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node as the host shows it."""
        return io.Schema(
            node_id="TileworkFidelityCheck",
            display_name="Fidelity Check",
            category=CHECK,
            description=(
                "Compares a result with the picture it was made from and says what was changed beyond resolution: edges that were moved, "
                "broken or invented, texture that was wiped, lettering and logos that were redrawn, tone that drifted. What the result does "
                "everywhere is told as a profile; a place is blamed where it was changed by more than that. It can stop the run."
            ),
            search_aliases=[
                "fidelity",
                "compare with original",
                "quality check",
                "SSIM",
                "hallucination",
                "invented detail",
                "what changed",
                "proof",
                "QA",
                "faithful upscale",
                "text and logo check",
            ],
            is_input_list=True,
            is_output_node=True,
            inputs=[
                io.Image.Input(
                    "image", tooltip="The result. Any size of the same shape as the reference; RGB, RGBA or grey; batches and lists."
                ),
                io.Image.Input(
                    "reference",
                    tooltip="The picture that the result was made from, uncropped. The comparison is made at the size of the smaller of the two.",
                ),
                io.Float.Input(
                    "tolerance",
                    default=TOLERANCE,
                    min=Least(0.05),
                    max=50.0,
                    step=0.05,
                    tooltip="The severity up to which a place passes. 1 is as measured: faithful enlargements pass, a changed letter or an edge moved by a pixel fails. 0.7 finds fainter changes and more that is none; 2 lets twice as much pass.",
                ),
                io.Boolean.Input(
                    "align",
                    default=True,
                    advanced=True,
                    tooltip="Take a shift or stretch of the whole result out before the comparison: models often move the picture by part of a pixel. Off: everything that moved counts.",
                ),
                io.Combo.Input(
                    "on_fail",
                    options=[REPORT, STOP],
                    default=REPORT,
                    tooltip="report: go on and say what was found. stop: end the run with an error that names the worst place; save from this node's image output, and a changed picture is not saved.",
                ),
                Layout.Input(
                    "layout",
                    optional=True,
                    tooltip="The layout output of the Tile Split that cut the picture. Then the report has a row for each tile, and a tile whose tone differs from its neighbours' by a level or more is found.",
                ),
            ],
            outputs=[
                io.Image.Output(
                    "heatmap",
                    display_name="heatmap",
                    tooltip="The result at the compared size, dimmed: red structure, magenta fine detail and lettering, yellow tone, blue shift; framed where it fails.",
                ),
                io.String.Output(
                    "report",
                    display_name="report",
                    tooltip="The verdict, what the result does everywhere in words, and a table of the worst places, and of the tiles where a layout is connected.",
                ),
                io.Float.Output(
                    "score",
                    display_name="score",
                    tooltip="The largest severity of any place: below 1 nothing counts as changed, 2 is twice as much as counts, 100 another picture.",
                ),
                io.Boolean.Output("passed", display_name="passed", tooltip="True where no place was changed by more than the tolerance."),
                io.Image.Output(
                    "worst",
                    display_name="worst",
                    tooltip="The worst places at 400 %, unsmoothed, up to four: the source on the left, the result on the right.",
                ),
                io.Image.Output(
                    "image",
                    display_name="image",
                    is_output_list=True,
                    tooltip="The result, unchanged. Save from here, and with on_fail = stop no changed picture is saved.",
                ),
            ],
        )

    @classmethod
    def execute(cls, image, reference, tolerance, align, on_fail, layout=None) -> io.NodeOutput:
        """Check every picture, and stop where that is asked."""
        from ..blending.fidelity.check import check_fidelity
        from ..blending.fidelity.heat_map import fidelity_map, worst_places
        from ..blending.seam_check.heat_map import STRIPS

        images = [check_image(picture, f"item {i} of image") for i, picture in enumerate(image)]
        references = one_for_each(reference, len(images))
        plans = _plans(layout, len(images))
        watch, reports, maps, strips, shown = Watch(len(images)), [], [], [], []
        for index, (picture, source, plan) in enumerate(zip(images, references, plans, strict=True)):
            watch.part = index
            try:
                report = check_fidelity(picture, source, plan, tolerance[0], align[0], watch)
            except ValueError as error:
                raise ValueError(f"picture {index} of the list: {error}" if len(images) > 1 else str(error)) from error
            if on_fail[0] == STOP and not report.passed:
                raise RuntimeError(f"Fidelity Check stopped the run: {report.summary()}. {_advice(report)}")
            reports.append(report)
            maps.append(fidelity_map(picture, report))
            keys = [-place.severity for place in report.places[:STRIPS]] or [1.0]
            strips += zip(keys, worst_places(picture, source, report).split(1), strict=True)
            shown.append(_shown(maps[-1], report))
        worst = torch.cat([strip.cpu() for _, strip in sorted(strips, key=lambda one: one[0])][:STRIPS])
        score, passed = max(report.score for report in reports), all(report.passed for report in reports)
        return io.NodeOutput(one_batch(maps), _joined(reports), score, passed, worst, images, ui=join_ui(shown))


def _plans(layouts: list[Any] | None, count: int) -> list[Any]:
    given = [check_grid(one, "Fidelity Check") for one in layouts or () if one is not None]
    if len(given) not in (0, 1, count):
        raise ValueError(
            f"{counted(count, 'picture')} and {counted(len(given), 'layout')} came: connect the layout of the Tile Split that cut these pictures"
        )
    return (given or [None]) * (1 if len(given) == count else count)


def _advice(report: FidelityReport) -> str:
    if any(profile.another_picture for profile in report.profiles):
        return "Connect to reference the picture that this result was made from."
    measures = {place.measure for place in report.failing}
    if not measures:
        return "Use pictures of at least 16 px a side."
    if measures == {"tone of a tile"}:
        return "Put Color Match (gain compensation, your original as reference, the same layout) before Seam Blend."
    return (
        "Look at the worst output: if the change is wanted, raise tolerance; if not, use a lower denoise or a more faithful model, "
        "or put the original back at these places"
    ) + "."


def _joined(reports: list[FidelityReport]) -> str:
    texts = [report.text() + ("" if report.passed else f"\n\nwhat to do: {_advice(report)}") for report in reports]
    if len(texts) == 1:
        return texts[0]
    return "\n\n".join(f"picture {index} of the list\n{text}" for index, text in enumerate(texts))


def _shown(heat: torch.Tensor, report: FidelityReport) -> dict[str, Any]:
    return ui_value(lambda: _drawn(heat, report), report.summary(), report.plain())


def _drawn(heat: torch.Tensor, report: FidelityReport) -> Image.Image:
    """The heat map of the worst picture, small; the verdict stands in the node."""
    from PIL import Image

    picture = heat[report.places[0].picture if report.places else 0]
    step = max(1, -(-max(picture.shape[:2]) // _SHOWN))
    return Image.fromarray((picture[::step, ::step].clamp(0, 1) * 255).round().byte().cpu().numpy())
