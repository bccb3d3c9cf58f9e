"""Where a tile lies on the canvas, told to models with rotary positions.

The host shifts a model's position ids through `rope_options` in the transformer options.
Whoever set them before (the host's own ScaleROPE node) keeps what they set: a tile's
shift comes on top, in the ids' own scale, so that its ids are those that the whole
canvas would have had at that place.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import Any

from ..blending.layout.grid import Rect

# Networks of the host that read rope_options, by module.
HEEDED_BY = frozenset(
    f"comfy.ldm.{name}"
    for name in (
        "flux.model", "lumina.model", "wan.model", "wan.model_animate2", "wan.model_wandancer", "ernie.model", "kandinsky5.model",
        "pixeldit.model",
    )
)  # fmt: skip
# Models that put a start of their own there, but only where nothing is set; and one that lays a second picture (the poses)
# beside the first, at positions that no shift reaches: a tile that was moved would come to lie on its own poses.
STARTS_ELSEWHERE = frozenset({"LongCatImage", "WAN_Animate2"})


def heeds_positions(model: Any) -> bool:
    """Whether a BaseModel's network takes position shifts."""
    if type(model).__name__ in STARTS_ELSEWHERE:
        return False
    return any(kind.__module__ in HEEDED_BY for kind in type(model.diffusion_model).__mro__)


def model_name(model: Any) -> str:
    """What to call a BaseModel in a message: the host's name of the family, such as SDXL or SD3."""
    config = getattr(model, "model_config", None)
    return type(config if config is not None else model).__name__


def warn_unheeded(model: Any) -> None:
    """Say in the log that `positions` does nothing for this model."""
    logging.warning(
        "Tilework: positions = canvas has no effect on %s, which takes no position shifts; its tiles are run with local positions",
        model_name(model),
    )


def at_place(model_options: dict[str, Any], rect: Rect, patch: int, whole_references: bool = False) -> dict[str, Any]:
    """Model options for a tile at `rect` (cells); what is given is not changed.

    Args:
        model_options: with or without rope options.
        rect: where the tile begins.
        patch: cells per token.
        whole_references: whether reference pictures are shown to every tile as a whole, and so keep their own place.
    """
    options = dict(model_options)
    transformer = dict(options.get("transformer_options") or {})
    rope = dict(transformer.get("rope_options") or {})
    moved = []
    for axis, start in (("y", rect.y), ("x", rect.x)):
        moved.append(rope.get(f"scale_{axis}", 1.0) * start / patch)
        rope[f"shift_{axis}"] = rope.get(f"shift_{axis}", 0.0) + moved[-1]
    transformer["rope_options"] = rope
    if whole_references and any(moved):
        patches = dict(transformer.get("patches") or {})
        patches["post_input"] = [*patches.get("post_input", ()), partial(_references_back, tuple(moved))]
        transformer["patches"] = patches
    options["transformer_options"] = transformer
    return options


def _references_back(moved: tuple[float, float], prediction: dict[str, Any]) -> dict[str, Any]:
    """Take the shift off the ids of reference pictures, which the host gives the same options as the picture itself.

    Works where the network says how many of its tokens are references (Flux); they come after the picture's.
    """
    tokens = sum(prediction.get("transformer_options", {}).get("reference_image_num_tokens", ()))
    if not tokens:
        return prediction
    ids = prediction["img_ids"].clone()
    ids[:, -tokens:, 1] -= moved[0]
    ids[:, -tokens:, 2] -= moved[1]
    return {**prediction, "img_ids": ids}
