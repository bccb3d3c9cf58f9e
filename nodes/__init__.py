"""What the artist sees: the nodes, one file per family."""

from comfy_api.latest import ComfyExtension, io

from ..host.own_pixels import serve
from .blend import LatentSeamBlend, SeamBlend
from .color import ColorMatch
from .denoise import LatentTileDenoise, TiledModel
from .fidelity import FidelityCheck
from .inspect import SeamCheck
from .measure import MeasureReceptiveField, TileSize
from .prompts import TilePrompts
from .solar import SolarCurvePreview
from .split import LatentTileSplit, TileSplit
from .upscale import TiledUpscale
from .vae import TiledVAEDecode, TiledVAEEncode


class Tilework(ComfyExtension):
    """The pack as ComfyUI knows it."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        """Every node of the pack."""
        return [
            TileSplit,
            SeamBlend,
            LatentTileSplit,
            LatentSeamBlend,
            ColorMatch,
            SeamCheck,
            LatentTileDenoise,
            TiledModel,
            TilePrompts,
            SolarCurvePreview,
            MeasureReceptiveField,
            TileSize,
            TiledVAEEncode,
            TiledVAEDecode,
            TiledUpscale,
            FidelityCheck,
        ]


async def comfy_entrypoint() -> Tilework:
    """What ComfyUI asks the pack for."""
    serve()
    return Tilework()
