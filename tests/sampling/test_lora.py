"""A LoRA beside each patch: the picture is the one of a model whose weights were changed for good, whichever came first."""

import pytest
import torch
from tilework.tests.pack import models

from ..host.recording import relative
from .test_crop_runs import sample
from .test_patches_together import (
    BandGuidance,
    CanvasGuide,
    DilatedViews,
    FrequencyGuidance,
    PatchShift,
    RecordRun,
    SyncTiles,
    TileContext,
    TiledAttention,
    TileLayout,
    TileSettings,
    WaveletEdit,
    node,
    noise,
    tiled,
)

UNIT = 8
LAYOUT = TileLayout.grid(32 * UNIT, 56 * UNIT, 32 * UNIT, 32 * UNIT, 8 * UNIT, UNIT)
VIEWS = {"native_width": 28 * UNIT, "native_height": 16 * UNIT}
KINDS = {"unet": (models.tiny_unet, 4), "dit": (models.tiny_dit, 16)}


def tiles(model):
    return tiled(model, TileSettings(layout=LAYOUT, tile_batch=1))


def patches(channels, trajectory=None):
    small = {"samples": noise(1, channels, 16, 28, seed=8)}
    return {
        "structure": node(CanvasGuide, method="structure", reference=small),
        "skip residual": node(CanvasGuide, method="skip residual", reference=small),
        "flow": node(CanvasGuide, method="flow", reference=small, trajectory=trajectory),
        "pyramid": node(CanvasGuide, method="pyramid", cutoff=0.5),
        "dilated views": node(DilatedViews, **VIEWS),
        "neighbourhood": node(TiledAttention, method="neighbourhood", **VIEWS),
        "global tokens": node(TiledAttention, method="global tokens", **VIEWS),
        "sync": node(SyncTiles, end=1.0),
        "context": node(TileContext, strength=0.5, end=1.0),
        "patch shift": node(PatchShift),
        "held bands": node(FrequencyGuidance, reference=small, operator="averaged"),
        "guidance by bands": node(BandGuidance),
        "wavelet edit": node(WaveletEdit, source={"samples": noise(1, channels, 32, 56, seed=8)}),
    }


def low_rank(model):
    """A LoRA file of rank 2 on every matrix of the network, in the form that loaders read."""
    generator = torch.Generator().manual_seed(3)
    weights = {}
    for key, value in model.model.diffusion_model.state_dict().items():
        if key.endswith(".weight") and value.ndim == 2:
            name = f"diffusion_model.{key.removesuffix('.weight')}"
            weights[f"{name}.lora_A.weight"] = torch.randn(2, value.shape[1], generator=generator)
            weights[f"{name}.lora_B.weight"] = torch.randn(value.shape[0], 2, generator=generator) / value.shape[1] / 2
    return weights


def with_lora(model):
    import comfy.sd

    return comfy.sd.load_lora_for_models(model, None, low_rank(model), 1.0, 0.0)[0]


def for_good(model):
    """The same, written into the weights."""
    weights, own = low_rank(model), model.model.diffusion_model.state_dict()
    for name in {key.rsplit(".lora_", 1)[0] for key in weights}:
        own[f"{name.removeprefix('diffusion_model.')}.weight"].add_(weights[f"{name}.lora_B.weight"] @ weights[f"{name}.lora_A.weight"])
    return model


def recorded(model, channels):
    """The way of a small run."""
    model, trajectory = RecordRun.execute(model).args
    sample(model, noise(1, channels, 16, 28, seed=4), models.conditioning(1), models.conditioning(5), steps=2)
    return trajectory


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("unet", "skip residual"),
        ("unet", "dilated views"),
        ("unet", "sync"),
        ("unet", "wavelet edit"),
        *(("dit", name) for name in patches(4)),
    ],
)
def test_a_lora_counts_in_tiles_and_in_what_the_patch_asks_of_the_model(kind, name):
    make, channels = KINDS[kind]
    patch = patches(channels, recorded(make(), channels) if name == "flow" else None)[name]

    def run(*steps):
        model = make()
        for step in steps:
            model = step(model)
        return sample(model, noise(1, channels, 32, 56, seed=4), models.conditioning(1), models.conditioning(5), steps=2)

    wanted = run(for_good, patch, tiles)
    first, last = run(with_lora, patch, tiles), run(patch, tiles, with_lora)
    assert relative(first, wanted) <= 1e-4 and torch.equal(first, last)
    assert relative(run(patch, tiles), wanted) > 1e-2, "this LoRA would not be missed"
