"""What the artist sees: the nodes, one file per family."""

from comfy_api.latest import ComfyExtension, io

from ..host.own_pixels import serve
from .align import AlignTiles
from .attention import TiledAttention
from .blend import LatentSeamBlend, SeamBlend
from .changes import MergeOnlyChanges
from .coherence import CanvasGuide, LatentFrequencyMix, RecordRun
from .color import ColorMatch
from .denoise import LatentTileDenoise, TiledModel
from .detail import DetailMap
from .detection import MergeDetections, MergeMasks
from .fidelity import FidelityCheck
from .guidance import BandGuidance
from .hold_bands import FrequencyGuidance
from .inspect import SeamCheck
from .inversion import PictureToNoise
from .keep_tiles import JoinTiles, KeepOneTile, KeepTiles, TakeFromList
from .measure import MeasureReceptiveField, TileSize
from .prompts import TilePrompts
from .refine import FewStepRefine, MatchLatents, ShiftSigmas
from .regions import MaskTiles, ObjectTiles, SelectTiles
from .retouch import FrequencyJoin, FrequencySeparation, TransferRetouch
from .sequential import PutTileBack, TakeOneTile
from .solar import SolarCurvePreview
from .split import LatentTileSplit, TileSplit
from .tile_files import ReadTileFile, WriteTileFile
from .tile_style import SyncTiles, TileContext
from .upscale import TiledUpscale
from .vae import TiledVAEDecode, TiledVAEEncode
from .views import DilatedViews, PatchShift
from .wavelet_edit import WaveletEdit
from .words import TileWords


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
            ObjectTiles,
            MaskTiles,
            SelectTiles,
            TakeOneTile,
            PutTileBack,
            AlignTiles,
            MergeOnlyChanges,
            MergeDetections,
            MergeMasks,
            FidelityCheck,
            DilatedViews,
            PatchShift,
            ShiftSigmas,
            MatchLatents,
            FewStepRefine,
            CanvasGuide,
            RecordRun,
            LatentFrequencyMix,
            TiledAttention,
            TileWords,
            SyncTiles,
            TileContext,
            WaveletEdit,
            BandGuidance,
            PictureToNoise,
            FrequencySeparation,
            FrequencyJoin,
            TransferRetouch,
            DetailMap,
            FrequencyGuidance,
            KeepTiles,
            TakeFromList,
            KeepOneTile,
            JoinTiles,
            ReadTileFile,
            WriteTileFile,
        ]


async def comfy_entrypoint() -> Tilework:
    """What ComfyUI asks the pack for."""
    serve()
    return Tilework()
