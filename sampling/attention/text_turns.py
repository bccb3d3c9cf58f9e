"""Text that is seen from every window as if the window were the whole picture, for models with rotary positions.

ScaleDiff's rule for Flux: picture tokens keep their positions on the canvas, and text, which stands at the origin, is turned to
the window's first token. What text and picture say of one another is then what the model was trained on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from ...blending.attention.chunks import Turn

ROTARY = "comfy.ldm.flux.layers.EmbedND"
# Networks whose text stands at the origin of rows and columns, which are the second and third position, and the name under which
# they keep what makes positions.
AT_ORIGIN = {
    "comfy.ldm.flux.model.Flux": "pe_embedder",
    "comfy.ldm.chroma.model.Chroma": "pe_embedder",
    "comfy.ldm.lumina.model.NextDiT": "rope_embedder",
}


def text_turn(network: Any, options: Mapping[str, Any]) -> Turn | None:
    """How this network's text is turned to a window; None where its positions are other ones, or made by another pack.

    Args:
        network: the diffusion model.
        options: the transformer options.
    """
    kinds = (f"{kind.__module__}.{kind.__name__}" for kind in type(network).__mro__)
    name = next((AT_ORIGIN[kind] for kind in kinds if kind in AT_ORIGIN), None)
    embedder = getattr(network, name, None) if name else None
    if embedder is None or f"{type(embedder).__module__}.{type(embedder).__name__}" != ROTARY:
        return None
    rope = options.get("rope_options") or {}
    scales = rope.get("scale_y", 1.0), rope.get("scale_x", 1.0)

    def turn(text: torch.Tensor, origins: Sequence[tuple[int, int]]) -> torch.Tensor:
        from comfy.ldm.flux.math import apply_rope1

        place = torch.zeros(len(origins), 1, len(embedder.axes_dim), device=text.device)
        place[:, 0, 1:3] = torch.tensor(origins, device=text.device) * torch.tensor(scales, device=text.device)
        # One position for all tokens of a window; the host's function wants one for each.
        turns = embedder(place).expand(-1, -1, text.shape[2], -1, -1, -1)
        turned = apply_rope1(text.flatten(0, 1).expand(len(origins), -1, -1, -1), turns)
        return turned.unflatten(1, text.shape[:2])

    return turn
