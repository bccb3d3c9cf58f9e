"""Unify Tile Style and Neighbour Context: tiles that take after one another while they are sampled."""

from __future__ import annotations

from comfy_api.latest import io

from ..blending.coherence.tile_moments import CONTEXT_METHODS
from .menu import COHERENCE
from .types import Least


def _share(name: str, default: float, tooltip: str, **more: bool) -> io.Input:
    return io.Float.Input(name, default=default, min=Least(0.0), max=1.0, step=0.01, tooltip=tooltip, **more)


class SyncTiles(io.ComfyNode):
    """MODEL -> MODEL whose tiles are pulled towards the style of one of them."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node as the host shows it."""
        return io.Schema(
            node_id="TileworkSyncTiles",
            display_name="Unify Tile Style",
            category=COHERENCE,
            description=(
                "Pulls all tiles of Tiled Sampling towards one of them in the first steps, so that a panorama has one light and one palette "
                "from end to end. For pictures whose tiles show the same kind of thing; after SyncDiffusion."
            ),
            search_aliases=[
                "sync tiles",
                "syncdiffusion",
                "panorama",
                "style consistency",
                "one style",
                "tile coherence",
                "unify tiles",
            ],
            inputs=[
                io.Model.Input(
                    "model", tooltip="The model, before or after Tiled Sampling. Without tiles this node does nothing, and the log says so."
                ),
                _share("strength", 1.0, "How far each step goes: 1 as far as one step can, 0 nothing at all."),
                _share(
                    "end",
                    0.2,
                    "Until where in the sampling range: 0.2 is the first fifth, as published. Light and palette are decided there; later it costs detail.",
                ),
                io.Combo.Input(
                    "method",
                    options=["statistics", "gradient"],
                    default="statistics",
                    tooltip="statistics: from what the model predicts of each tile, one prediction more per step; works with every model. gradient: through the model itself, as published; about five times as long in those steps, the weights in memory twice, and not with quantised weights (fp8, GGUF, NF4).",
                ),
                io.Int.Input(
                    "anchor",
                    default=-1,
                    min=-1,
                    max=99999,
                    advanced=True,
                    tooltip="Number of the tile that the others follow, counted row by row from 0; it stays as it is. -1: the one in the middle.",
                ),
            ],
            outputs=[io.Model.Output("model", display_name="model", tooltip="The same model; its tiles take after one another.")],
        )

    @classmethod
    def execute(cls, model, strength, end, method, anchor) -> io.NodeOutput:
        """Patch a clone."""
        from ..sampling.sync_tiles import SyncSettings, synchronised  # here, because it is most of what this file would load

        return io.NodeOutput(synchronised(model, SyncSettings(strength, end, method, anchor)))


class TileContext(io.ComfyNode):
    """MODEL -> MODEL whose tiles' statistics are pulled towards their neighbours'."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node as the host shows it."""
        return io.Schema(
            node_id="TileworkTileContext",
            display_name="Neighbour Context",
            category=COHERENCE,
            description=(
                "Pulls each tile's brightness, colour and contrast towards its neighbours' while Tiled Sampling runs. An honest stand-in, "
                "without training, for networks that carry context from tile to tile: it smooths statistics and knows nothing of content."
            ),
            search_aliases=["tile context", "film", "cmod", "convgru", "mamba", "colour drift", "tile statistics", "adain"],
            inputs=[
                io.Model.Input(
                    "model", tooltip="The model, before or after Tiled Sampling. Without tiles this node does nothing, and the log says so."
                ),
                io.Combo.Input(
                    "method",
                    options=list(CONTEXT_METHODS),
                    default=CONTEXT_METHODS[0],
                    tooltip="What a tile is pulled towards. footprint: the canvas around it, what is near counting most; running: a running mean over the tiles, to and fro along the rows, so that the first tile sets the tone; scan: the tiles of its row and its column, in both directions.",
                ),
                _share("strength", 0.3, "How far tiles are pulled: 0 nothing, 1 all the way. High values make a dark tile grey."),
                _share("start", 0.0, "From where in the sampling range; 0 is its beginning.", advanced=True),
                _share("end", 0.5, "Until where in the sampling range; 1 is its end."),
            ],
            outputs=[io.Model.Output("model", display_name="model", tooltip="The same model; its tiles heed their neighbours.")],
        )

    @classmethod
    def execute(cls, model, method, strength, start, end) -> io.NodeOutput:
        """Patch a clone."""
        from ..sampling.tile_context import ContextSettings, in_context  # here, because it is most of what this file would load

        return io.NodeOutput(in_context(model, ContextSettings(method, strength, start, end)))
