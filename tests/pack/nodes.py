"""The test-only node pack's list of nodes. Ids begin with TileworkTest; nothing here is for users."""

from __future__ import annotations

from comfy_api.latest import ComfyExtension, io

from .changes import Conv, Drop, Dtype, Lighten, Poison, Resize, Shift, Slow, Stretch
from .control import TestControl
from .detectors import BrightDetector, BrightDiscs, BrightSegmenter, SeenBoxes
from .loops import TileLoop
from .measured import StatisticsModel
from .nodes_seamless_tiling import ModelPatchSeamlessTiling
from .painters import FadingTone
from .reports import Compare, CompareLatent, Count
from .scene_sources import SceneLatent, SceneModel, ScenePrompt, TestClip
from .sources import TestCaption, TestImage, TestImageList, TestLatent, TestModel, TestPatch, TestPrompt
from .upscale_models import TestUpscaler
from .vae_sources import PoisonLatent, TestVAE

NODES = [
    TestModel, TestPatch, TestPrompt, TestControl, TestCaption, TestImage, TestImageList, TestLatent,
    Dtype, Resize, Conv, Drop, Poison, Lighten, Shift, Stretch, Slow,
    Compare, CompareLatent, Count,
    TestVAE, PoisonLatent,
    StatisticsModel,
    TestUpscaler,
    BrightDiscs, BrightDetector, BrightSegmenter, SeenBoxes,
    ModelPatchSeamlessTiling,
    FadingTone, TileLoop,
    SceneModel, ScenePrompt, SceneLatent, TestClip,
]  # fmt: skip


class TileworkTestExtension(ComfyExtension):
    """Tells the host which nodes there are."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        """Every node of this pack."""
        return NODES


async def comfy_entrypoint() -> TileworkTestExtension:
    """The pack, for the host."""
    return TileworkTestExtension()
