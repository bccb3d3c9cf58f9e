"""Patches of other nodes that save work by remembering an earlier call of the model, and so cannot tell tiles apart.

Some remember at each call of the network: the next tile would be given what the last one left. They are refused in
words. One that remembers the sampler's whole steps (LazyCache) is right with tiles, as long as the sampler runs once.
"""

from __future__ import annotations

import re
from typing import Any

from .conditions.patch_contents import Contents, origin_of

# By whose they are; what is written before the first dot of a pack's module is the pack's folder.
CACHES = re.compile(r"teacache|magcache|dicache|fb_?cache|first_?block_?cache|deepcache|taylor_?seer", re.IGNORECASE)

KEPT_REFERENCES = "KV_Attn_Input"


def check_caches(model_options: dict[str, Any], tiles: Contents, sequential: bool, cut_references: bool, parts: str = "tiles") -> None:
    """Refuse step caches that know one picture only: they would hand one tile's memory to the next.

    Args:
        model_options: the host's.
        tiles: of the patches that are called with tiles.
        sequential: whether the sampler runs once for each tile.
        cut_references: whether there are reference pictures of which every tile sees another part.
        parts: what it is called with, for the message.

    Raises:
        ValueError: for such a cache, by its name.
    """
    cache = model_options.get("transformer_options", {}).get("easycache")
    if sequential and type(cache).__name__ == "LazyCacheHolder":
        raise ValueError("LazyCache remembers one run and order sequential makes one per tile: take it out, or use order fused")
    if type(cache).__name__ == "EasyCacheHolder":
        raise ValueError(
            f"EasyCache remembers one picture and cannot tell {parts} apart: take it out, or use LazyCache, which caches the whole canvas"
        )
    for origin in filter(None, map(origin_of, tiles.looked_at)):
        module, name = origin
        if cut_references and name == KEPT_REFERENCES:
            raise ValueError(
                "Flux KV Cache remembers what the model made of the first tile's part of the reference pictures, and would show it to "
                "every tile: take it out, or set reference_latents to whole"
            )
        if CACHES.search(f"{module}.{name}"):
            raise ValueError(
                f"{name.split('.')[0]} ({module}) remembers what the model made of one picture and cannot tell {parts} apart: take it "
                "out, or use LazyCache, which caches the whole canvas"
            )
