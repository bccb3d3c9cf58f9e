"""Tile Prompts: a prompt of its own for every tile, inside one fused denoise."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from ..blending.layout.tile_layout import TileLayout
from ..blending.pixels.counted import counted
from ..sampling.conditions.notices import Notices
from ..sampling.conditions.own_pictures import check_inpainting, mask_on_canvas
from ..sampling.conditions.tile_prompts import TILE_KEY
from .menu import SAMPLING
from .types import Layout, Least, check_grid


class TilePrompts(io.ComfyNode):
    """Layout, base CONDITIONING, one CONDITIONING per tile -> one CONDITIONING."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node as the host shows it."""
        return io.Schema(
            node_id="TileworkTilePrompts",
            display_name="Tile Prompts",
            category=SAMPLING,
            description=(
                "Gives every tile of a layout a prompt of its own, for instance a caption. Under Latent Tile Denoise or Tiled Sampling with "
                "the same layout each tile is painted by its own prompt and neighbours fade into one another; under a plain KSampler the "
                "entries work as ordinary regions."
            ),
            search_aliases=["tile prompt", "regional prompt", "caption per tile", "per-tile conditioning", "area prompt"],
            is_input_list=True,
            inputs=[
                Layout.Input("layout", tooltip="The layout that the denoise will use: connect it there, too."),
                io.Conditioning.Input("conditioning", tooltip="The prompt for the whole picture, which strength 0 goes back to."),
                io.Conditioning.Input(
                    "tile_conditioning",
                    tooltip="One prompt per tile, as a list in the order of the tiles: captions of Tile Split's tiles through CLIP Text Encode.",
                ),
                io.Float.Input(
                    "strength",
                    default=1.0,
                    min=Least(0.0),
                    max=1.0,
                    step=0.01,
                    tooltip="How much the tiles' own prompts count: 1 only they, 0 only the whole picture's, between them a mix of both predictions (twice the work).",
                ),
            ],
            outputs=[
                io.Conditioning.Output(
                    "conditioning", display_name="conditioning", tooltip="All prompts in one, for the sampler's positive input."
                )
            ],
        )

    @classmethod
    def execute(cls, layout, conditioning, tile_conditioning, strength) -> io.NodeOutput:
        """Join the prompts, each tied to its tile."""
        plan = check_grid(_only(layout, "layout", "one layout"), "Tile Prompts", wraps=True).in_pixels()
        hint = "one prompt for the whole picture; a list of captions belongs in tile_conditioning"
        base, share = _only(conditioning, "conditioning", hint), strength[0]
        if not 0 <= share <= 1:
            raise ValueError(f"strength {share} is not between 0 and 1: use 1 for the tiles' own prompts alone, 0 for the whole picture's")
        if len(tile_conditioning) != len(plan):
            counts = f"{counted(len(tile_conditioning), 'prompt')} came for {counted(len(plan), 'tile')}"
            raise ValueError(
                f"{counts}: give one per tile, as a list in the tiles' order; are they captions of the tiles of this layout, "
                "from Tile Split through a captioner and CLIP Text Encode?"
            )
        for index, prompt in enumerate(tile_conditioning):
            _check_prompt(prompt, index)
        if share == 0:
            return io.NodeOutput(base)
        joined = [] if share == 1 else [_weighted(entry, 1 - share) for entry in base]
        notices = Notices()
        for index, prompt in enumerate(tile_conditioning):
            joined += [_for_tile(entry, plan, index, share, notices) for entry in prompt]
        return io.NodeOutput(joined)


def _only(values: list[Any], name: str, wanted: str) -> Any:
    if len(values) != 1:
        raise ValueError(f"{len(values)} came for {name}, which takes {wanted}")
    return values[0]


def _check_prompt(prompt: list, index: int) -> None:
    if not prompt:
        raise ValueError(f"the prompt of tile {index} is empty: pass a conditioning for every tile, at least of an empty text")
    if any("area" in entry[1] for entry in prompt):
        raise ValueError(f"the prompt of tile {index} has an area of its own, and its area is the tile: take Conditioning (Set Area) out")


def _weighted(entry: list, share: float) -> list:
    return [entry[0], {**entry[1], "strength": entry[1].get("strength", 1.0) * share}]


def _for_tile(entry: list, plan: TileLayout, index: int, share: float, notices: Notices) -> list:
    """A prompt with its tile's place as a share of the picture, the host's own form of an area; no mask is made of it."""
    check_inpainting(entry[1], plan, index)
    rect, (height, width) = plan.tiles[index], plan.canvas
    bottom, right = min(rect.y + rect.height, height), min(rect.x + rect.width, width)
    area = ("percentage", (bottom - rect.y) / height, (right - rect.x) / width, rect.y / height, rect.x / width)
    tied = _weighted(entry, share)
    tied[1].update({"area": area, "set_area_to_bounds": False, TILE_KEY: (plan, index)})
    if tied[1].get("mask") is not None:
        tied[1]["mask"] = mask_on_canvas(tied[1]["mask"], plan, index, notices)
    return tied
