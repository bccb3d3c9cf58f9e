"""What to do about what the nodes find: which node, and which of its settings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..blending.composition.survey import OverlapFinding
    from ..blending.receptive_field.measure import ReceptiveField
    from ..blending.seam_check.report import SeamReport

# A narrower overlap gives a blend hardly any room.
LEAST_OVERLAP = 16
_ALIGN = (
    "put Color Match before Seam Blend (method gain compensation, your original as reference, the same layout) and set Seam Blend's "
    "method to gradient with the same reference"
)
_LOOK = "To look for yourself: Solar Curve Preview, preset six points, shows steps that are fainter than the check's threshold."


def seam_cure(report: SeamReport, overlap: int) -> str:
    """What to do about a seam report, in one to three sentences.

    Args:
        overlap: the smallest of the layout, in pixels; 0 where tiles do not overlap.
    """
    from ..blending.seam_check.cause import BROKEN, EDGE, MIXED, NOTHING, SINGLE, TONE, UNJUDGED, causes

    bare = overlap < LEAST_OVERLAP
    widen = "give Tile Split an overlap of 64 or more, an eighth of the tile, and "
    words = {
        TONE: f"The tiles differ in tone: {widen * bare}{_ALIGN}.",
        BROKEN: f"Detail ends at the boundary: {widen * bare}set Seam Blend's method to optimal seam.",
        MIXED: "Two versions of the detail are averaged: set Seam Blend's method to optimal seam, which cuts instead.",
        EDGE: "A hard edge lies on the boundary: connect your original to Seam Check's reference, and it says whether the edge is the scene's.",
        UNJUDGED: "Use a larger tile_width and tile_height in Tile Split, or a smaller overlap, so that there is picture beside the boundaries.",
        SINGLE: "There is nothing to mend; a smaller tile_width and tile_height in Tile Split would make several tiles.",
        NOTHING: _LOOK,
    }
    found = causes(report)
    sentences = [words[cause] for cause in found]
    if found == (NOTHING,) and report.overlap and "reference" not in report.compared:
        sentences = ["Connect your original to Seam Check's reference to have drifts judged that the blend spread over the overlaps."]
    return " ".join(sentences[:2])


def seam_action(report: SeamReport) -> str:
    """What of a cure the editor can do by itself: "align tone", "optimal seam", "connect reference" or ""."""
    from ..blending.seam_check.cause import BROKEN, EDGE, MIXED, TONE, causes

    return {TONE: "align tone", BROKEN: "optimal seam", MIXED: "optimal seam", EDGE: "connect reference"}.get(causes(report)[0], "")


def blend_cure(findings: Sequence[OverlapFinding]) -> list[str]:
    """What would take out at its source what *auto* had to hide, in short lines; none where all overlaps agree."""
    from ..blending.composition.survey import CONTENT, TONE

    tone, content = (sum(one.choice == choice for one in findings) for choice in (TONE, CONTENT))
    lines = []
    if tone:
        lines.append("tone differs: Color Match before this node (gain compensation, your original as reference) takes it out of the tiles")
    if content:
        lines.append("content differs: sample with Latent Tile Denoise, or give Tile Split a wider overlap, and the tiles agree")
    return lines


def field_cure(field: ReceptiveField, is_vae: bool) -> str:
    """Where the measured numbers belong."""
    if is_vae:
        return "Tiled VAE Decode and Tiled VAE Encode, mode exact, take what they need by themselves: overlap -1."
    where = f"Put overlap {field.overlap} into Tile Split and trim {field.trim} into Seam Blend; Tiled Upscale measures by itself with overlap -1."
    return where + " Set its statistics to image as well." * field.sees_everything


def size_cure(plan: Any) -> str:
    """Where the planned sizes belong."""
    return (
        f"Put tile_width {plan.tile_width}, tile_height {plan.tile_height} and overlap {plan.overlap} into Tile Split, Tiled Upscale or "
        "Latent Tile Denoise, or connect these outputs there."
    )
