"""Patches that join the picture's opposite sides: those of the canvas and never those of a tile."""

import pytest
import torch
from tilework.blending import TileLayout
from tilework.tests.pack import models
from tilework.tests.pack.nodes_seamless_tiling import ModelPatchSeamlessTiling

from ..host.recording import UNIT, ConditionCropper, TileSettings, make_model, noise, prompt, ramp, relative
from ..host.recording import tiled_model as tiled
from .test_crop_areas import blob
from .test_crop_controls import controlnet
from .test_crop_runs import patcher_of, sample
from .test_tile_prompts import tied

TILES = {"tile_width": 384, "tile_height": 320, "overlap": 64}


def seamless(model, context_size=8):
    return ModelPatchSeamlessTiling.execute(model, context_size).args[0]


@pytest.mark.parametrize("shape", [(1, 4, 64, 112), (2, 4, 97, 131), (1, 4, 3, 64, 72)], ids=str)
@pytest.mark.parametrize("settings", [{}, {"grid": "jitter"}, {"tile_batch": 4}], ids=str)
def test_the_canvas_sides_are_joined_and_no_tiles(shape, settings):
    """A radius of 4 cells, so that what lies beyond a side matters, and a trim of as many."""
    model = models.conv_denoiser(4)
    x = noise(*shape, seed=3)
    tiles = {**TILES, "overlap": 128, "trim": 32}
    whole, without = (sample(one, x, prompt(1), prompt(2), steps=3) for one in (seamless(model), model))
    parts = sample(tiled(seamless(model), TileSettings(**tiles, **settings)), x, prompt(1), prompt(2), steps=3)
    print(f"{shape}, {settings}: tiled - untiled {relative(parts, whole):.1e}; joined and not {relative(whole, without):.2f}")
    assert relative(parts, whole) <= 1e-5 and relative(whole, without) > 0.01


def test_conditions_are_rolled_with_the_canvas():
    """The host rolls what it concatenates to the latent, and weighs the answers by masks and areas afterwards."""
    x = noise(1, 4, 64, 112, seed=4)
    base = make_model()
    base.set_inpaint()
    inpaint = {"concat_latent_image": ramp(64, 112, channels=4), "concat_mask": blob(64, 112).unsqueeze(1)}
    masked = (
        prompt(1, **inpaint)
        + prompt(2, mask=blob(64, 112) + 0.05, strength=0.7, **inpaint)
        + prompt(3, mask=blob(64, 112, seed=1), **inpaint)
    )
    model = patcher_of(base)
    whole = sample(seamless(model), x, masked, prompt(5, **inpaint), steps=3)
    parts = sample(tiled(seamless(model), TileSettings(**TILES)), x, masked, prompt(5, **inpaint), steps=3)
    print(f"inpainting and masks: tiled - untiled {relative(parts, whole):.1e}")
    assert relative(parts, whole) <= 1e-5
    # An area is the host's own patch of the canvas there, joined to itself; here it counts where it is on a canvas that is joined.
    area = prompt(1, **inpaint) + prompt(2, area=(30, 40, 20, 50), **inpaint)
    parts = sample(tiled(seamless(model), TileSettings(**TILES)), x, area, prompt(5, **inpaint), steps=3)
    assert relative(parts, sample(model, x, area, prompt(5, **inpaint), steps=3)) <= 1e-5, (
        "of a model that sees single cells nothing changes"
    )


def test_tile_prompts_go_on_counting():
    layout = TileLayout.grid(48 * UNIT, 112 * UNIT, 48 * UNIT, 64 * UNIT, 16 * UNIT, UNIT)
    model, x = patcher_of(make_model()), torch.ones(1, 4, 48, 112)
    settings = TileSettings(layout=layout)
    left, right = (sample(tiled(model, settings), x, prompt(i), prompt(5), "euler") for i in (1, 2))
    both = sample(tiled(seamless(model, 4), settings), x, tied([prompt(1), prompt(2)], layout), prompt(5), "euler")
    assert relative(both[..., 8:44], left[..., 8:44]) <= 1e-5 and relative(both[..., 68:104], right[..., 68:104]) <= 1e-5


def test_a_wrapper_that_was_there_before_is_called_with_tiles():
    seen = []

    def before(call, given):
        seen.append(tuple(given["input"].shape[-2:]))
        return call(given["input"], given["timestep"], **given["c"])

    model = models.conv_denoiser(0)
    model.set_model_unet_function_wrapper(before)
    x = noise(1, 4, 64, 112)
    sample(tiled(seamless(model), TileSettings(**TILES)), x, prompt(1), prompt(2), steps=1)
    assert set(seen) == {(40, 48)}
    outer = seamless(models.conv_denoiser(0))
    inner = outer.model_options["model_function_wrapper"]

    def around(call, given):
        return inner(call, given)

    outer.set_model_unet_function_wrapper(around)
    with pytest.raises(ValueError, match=r"Seamless Tiling inside of .*around would join the opposite sides of every tile"):
        sample(tiled(outer, TileSettings(**TILES)), x, prompt(1), prompt(2), steps=1)


def test_what_cannot_be_joined_is_refused_in_words():
    model, x = seamless(patcher_of(make_model())), noise(1, 4, 64, 112)
    with pytest.raises(ValueError, match="order sequential samples every tile by itself: use order fused"):
        sample(tiled(model, TileSettings(**TILES, order="sequential")), x, prompt(1), prompt(2), steps=1)
    with pytest.raises(ValueError, match="Seamless Tiling cannot be used with a ControlNet"):
        sample(tiled(model, TileSettings(**TILES)), x, prompt(1, control=controlnet(ramp(512, 896))), prompt(2), steps=1)
    box = ("position", None, [(noise(1, 8), 10, 10, 0, 0)])
    with pytest.raises(ValueError, match="Seamless Tiling cannot be used with GLIGEN boxes"):
        ConditionCropper((64, 112), UNIT).roll([[{"model_conds": {}, "gligen": box}]], (32, 0))


@pytest.mark.parametrize("attribute", ["padding_mode", "padding_modeX"])
def test_convolutions_that_wrap_around_are_refused(attribute):
    model, x = models.tiny_unet(), noise(1, 4, 32, 64)
    layer = next(layer for layer in model.model.diffusion_model.modules() if isinstance(layer, torch.nn.Conv2d))
    setattr(layer, attribute, "circular")
    with pytest.raises(ValueError, match=r"convolutions \(the first is .*\) take what lies beyond a side from the opposite one"):
        sample(tiled(model, TileSettings(256, 256, 64)), x, prompt(1), prompt(2), steps=1)
    sample(tiled(model, TileSettings(1024, 1024, 64)), x, prompt(1), prompt(2), steps=1)
