"""Merge Only Changes: a picture and its edited version in, the picture with nothing but the edit out."""

from __future__ import annotations

import torch
from comfy_api.latest import io

from ..host.progress import Watch
from .menu import REPAIR
from .types import Least, check_image
from .ui import NOTE_KEY

SHIFT, SCALE, OFF = "shift", "shift and scale", "off"
GRADIENT, FEATHER = "gradient", "feather"


class MergeOnlyChanges(io.ComfyNode):
    """IMAGE, edited IMAGE -> the original with what was edited, a mask of it, a report."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node as the host shows it."""
        return io.Schema(
            node_id="TileworkDiffMerge",
            display_name="Merge Only Changes",
            category=REPAIR,
            description=(
                "Takes from an edited picture only what was edited and puts it into the original; every other pixel stays as it was, "
                "bit for bit. Edit models (Kontext, Qwen-Image-Edit and others) also move the frame by some pixels, scale it, and shift "
                "the tone of the whole: that is found first, undone, and not taken for a change."
            ),
            search_aliases=[
                "diff merge",
                "difference",
                "changes only",
                "keep original",
                "edit model",
                "kontext",
                "qwen image edit",
                "nano banana",
                "paste edit",
                "pixel shift",
                "poisson blending",
                "seamless clone",
                "change mask",
            ],
            has_intermediate_output=True,
            inputs=[
                io.Image.Input("original", tooltip="The picture before the edit, at its full size. RGB, RGBA or grey; batches."),
                io.Image.Input(
                    "edited",
                    tooltip="The picture as the edit model gave it back, of the same size or another of the same proportions; it is brought to the original's. One original may have a batch of edits.",
                ),
                io.Float.Input(
                    "threshold",
                    default=2.3,
                    min=Least(0.1),
                    max=100.0,
                    step=0.1,
                    tooltip="How different a place must look to count as changed (Delta-E 2000). 2.3 is what one just sees. Where the edit model's noise is larger, more is asked, by itself. Higher if unchanged places are found, lower if the edit is faint.",
                ),
                io.Int.Input(
                    "min_area",
                    default=0,
                    min=0,
                    max=1 << 24,
                    advanced=True,
                    tooltip="Changed areas of fewer pixels are left out. 0 = from the picture's size: 24 up to one megapixel, then in proportion.",
                ),
                io.Int.Input(
                    "grow",
                    default=8,
                    min=0,
                    max=1024,
                    tooltip="Pixels around a changed area that are taken with it, so that soft edges and shadows are not cut.",
                ),
                io.Int.Input(
                    "feather",
                    default=16,
                    min=0,
                    max=1024,
                    tooltip="Pixels around that over which the edit fades into the original.",
                ),
                io.Combo.Input(
                    "align",
                    options=[SHIFT, SCALE, OFF],
                    default=SCALE,
                    tooltip="What of a moved frame is undone before the pictures are compared. shift: a move by any part of a pixel. shift and scale: also a scale along each axis; edit models do both. off: nothing, for pictures that surely lie on each other. Pictures with too little structure are never moved.",
                ),
                io.Boolean.Input(
                    "match_color",
                    default=True,
                    tooltip="Take the shift of tone of the whole out of what is put in, measured where nothing was edited. Off: the edit keeps its own tone. Either way such a shift does not count as a change.",
                ),
                io.Combo.Input(
                    "blend",
                    options=[GRADIENT, FEATHER],
                    default=GRADIENT,
                    tooltip="gradient: the edit's tone is also drawn to the original's along the border (Poisson blending), so that none is seen. feather: the edit's own tones, faded; for edits whose exact colour matters.",
                ),
                io.Mask.Input(
                    "mask",
                    optional=True,
                    tooltip="Changes are taken only where this is white; of the original's size. One for all pictures, or one for each.",
                ),
            ],
            outputs=[
                io.Image.Output(
                    "image",
                    display_name="image",
                    tooltip="The original with what was edited. Outside the mask it is the original, bit for bit; where nothing was edited at all, it is passed on as it came.",
                ),
                io.Mask.Output("mask", display_name="mask", tooltip="How much of the edit each pixel has: 1 the edit, 0 the original."),
                io.String.Output(
                    "report",
                    display_name="report",
                    tooltip="How many areas changed and how large they are, how the frame had moved, how the tone had shifted, and the threshold.",
                ),
            ],
        )

    @classmethod
    def execute(
        cls, original, edited, threshold, min_area, grow, feather, align, match_color, blend, mask: torch.Tensor | None = None
    ) -> io.NodeOutput:
        """Compare, and merge."""
        from ..blending.changes.merge import MergeSettings, merge_changes  # here, because it is most of what this file would load

        settings = MergeSettings(threshold, min_area, grow, feather, align, match_color, blend)
        if isinstance(mask, torch.Tensor) and mask.ndim == 2:
            mask = mask[None]
        merged = merge_changes(check_image(original, "original"), check_image(edited, "edited"), settings, mask, Watch())
        return io.NodeOutput(
            merged.image, merged.mask, merged.report, ui={"text": [merged.report], NOTE_KEY: [merged.report.partition("\n")[0]]}
        )
