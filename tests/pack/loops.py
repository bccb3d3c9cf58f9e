"""A loop over tiles that is made while the workflow runs: its body is copied once for every round, as the host's own loops do it."""

from __future__ import annotations

from comfy_api.latest import io

from .sources import CATEGORY


class TileLoop(io.ComfyNode):
    """IMAGE, layout, count -> the picture, inverted tile after tile."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node as the host shows it."""
        return io.Schema(
            node_id="TileworkTestTileLoop",
            display_name="Test Tile Loop",
            category=CATEGORY,
            description="Takes every tile, inverts it, and puts it back.",
            enable_expand=True,
            inputs=[
                io.Image.Input("image", tooltip="The picture."),
                io.Custom("TILE_LAYOUT").Input("layout", tooltip="Its layout."),
                io.Int.Input("count", default=1, min=1, max=65536, tooltip="Rounds."),
            ],
            outputs=[io.Image.Output("result", display_name="image")],
        )

    @classmethod
    def execute(cls, image, layout, count) -> io.NodeOutput:
        """Write the graph of all rounds."""
        from comfy_execution.graph_utils import GraphBuilder

        graph, now = GraphBuilder(), image
        for index in range(count):
            taken = graph.node("TileworkTileAt", image=now, layout=layout, index=index, original=image)
            inverted = graph.node("ImageInvert", image=taken.out(0))
            now = graph.node("TileworkPutTile", image=now, tile=inverted.out(0), layout=layout, index=index, method="hann").out(0)
        return io.NodeOutput(now, expand=graph.finalize())
