"""Sampling with a layout that wraps around: conditions follow the tiles over the picture's border."""

import pytest
import torch
from tilework.blending.layout.tile_layout import TileLayout

from ..host.recording import UNIT, ConditionCropper, Rect, TileSettings, make_model, noise, prompt, ramp, relative, tiled_model
from .test_crop_areas import blob
from .test_crop_controls import controlnet
from .test_crop_runs import patcher_of, sample

CELLS = (72, 96)


def ring(lattice=1):
    height, width = (side * UNIT for side in CELLS)
    return TileLayout.grid(height, width, 48 * UNIT, 48 * UNIT, 12 * UNIT, lattice * UNIT, wrap=(True, True))


@pytest.mark.parametrize("grid", ["fixed", "jitter"])
@pytest.mark.parametrize("stacked", [False, True])
def test_a_pointwise_model_gives_the_same_picture_tiled(grid, stacked):
    x = noise(1, 4, *CELLS, seed=4)
    model = make_model()
    model.set_inpaint()
    control = controlnet(ramp(500, 900), 0.1, (0.0, 0.6), controlnet(ramp(72 * UNIT, 96 * UNIT), 0.05))
    inpaint = {"concat_latent_image": ramp(*CELLS, channels=4), "concat_mask": blob(*CELLS).unsqueeze(1)}
    positive = prompt(1, control=control, **inpaint) + prompt(2, mask=blob(*CELLS) + 0.05, control=control, **inpaint)
    if not stacked:
        positive += prompt(3, area=(40, 50, 30, 41), **inpaint) + prompt(4, area=(33, 60, 20, 30), mask=blob(*CELLS, seed=1), **inpaint)
    negative = prompt(5, control=control, **inpaint)
    options = {"steps": 4, "latent": ramp(*CELLS, channels=4), "noise_mask": (blob(*CELLS, seed=2) > 0.2).float()}
    patcher = patcher_of(model)
    whole = sample(patcher, x, positive, negative, **options)
    layout = ring()
    assert max(tile.x + tile.width for tile in layout.tiles) > layout.canvas[1]
    settings = TileSettings(layout=layout, grid=grid, tile_batch=4 if stacked else 1)
    result = sample(tiled_model(patcher, settings), x, positive, negative, **options)
    print(grid, stacked, relative(result, whole))
    assert relative(result, whole) <= 1e-5
    assert not torch.equal(whole, x)


def test_what_cannot_follow_is_refused_in_words():
    with pytest.raises(ValueError, match="order sequential paints tile after tile"):
        TileSettings(layout=ring(), order="sequential")
    cropper = ConditionCropper(CELLS, UNIT, wrap=(True, True))
    over, inside = Rect(0, 80, 48, 48), Rect(0, 20, 48, 48)
    boxes = ("position", None, [(torch.zeros(1), 8, 8, 4, 40)])
    cropper.crop([[{"model_conds": {}, "gligen": boxes}]], inside)
    with pytest.raises(ValueError, match="GLIGEN boxes cannot follow the picture over its border"):
        cropper.crop([[{"model_conds": {}, "gligen": boxes}]], over)
    with pytest.raises(ValueError, match="a ControlNet inside of an area prompt cannot follow"):
        cropper.crop([[{"model_conds": {}, "control": object(), "area": (40, 40, 0, 0)}]], over)
