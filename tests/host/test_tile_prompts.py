"""A prompt of its own for every tile, inside one fused run."""

import tracemalloc

import pytest
import torch
from tilework.blending import TileLayout

from .recording import TILE_KEY, UNIT, ConditionCropper, TileSettings, make_model, noise, prompt, relative, views
from .recording import tiled_model as tiled
from .test_crop_runs import patcher_of, sample

SHAPE = (1, 4, 48, 112)
LAYOUT = TileLayout.grid(48 * UNIT, 112 * UNIT, 48 * UNIT, 64 * UNIT, 16 * UNIT, UNIT)


def tied(prompts, layout, share=1.0):
    """What the Tile Prompts node makes of them."""
    from tilework.nodes.prompts import TilePrompts

    return TilePrompts.execute([layout], [prompt(9)], prompts, [share]).args[0]


def settings(**more):
    return TileSettings(tile_width=512, tile_height=384, overlap=128, layout=LAYOUT, **more)


class Linear(torch.nn.Module):
    """Paints the prompt's own tone, and leans on what is there."""

    dtype = torch.float32

    def forward(self, x, timesteps=None, context=None, **extra):
        return 0.3 * x + context.mean(dim=(1, 2)).view(-1, 1, 1, 1)


def test_two_prompts_give_two_halves_and_a_monotone_change_between():
    base = make_model()
    model, x = patcher_of(base), torch.ones(SHAPE)
    base.diffusion_model = Linear()
    patched = tiled(model, settings())
    left, right = (sample(patched, x, prompt(i), prompt(5), "euler") for i in (1, 2))
    both = sample(patched, x, tied([prompt(1), prompt(2)], LAYOUT), prompt(5), "euler")
    assert relative(both[..., :48], left[..., :48]) <= 1e-5
    assert relative(both[..., 64:], right[..., 64:]) <= 1e-5
    share = ((both - left) / (right - left))[0, 0, 24]
    print("from left to right: " + " ".join(f"{v:.2f}" for v in share[44:70].tolist()))
    assert (share.diff() >= -1e-3).all() and float(share[0]) < 1e-3 and float(share[-1]) > 0.999


def test_strength_0_is_the_base_exactly_and_1_costs_one_prompt():
    base = make_model()
    model, x = patcher_of(base), noise(*SHAPE, seed=3)
    patched = tiled(model, settings())
    whole = sample(patched, x, prompt(9), prompt(5), "euler")
    assert torch.equal(sample(patched, x, tied([prompt(1), prompt(2)], LAYOUT, 0.0), prompt(5), "euler"), whole)
    base.diffusion_model.seen.clear()
    sample(patched, x, tied([prompt(1), prompt(2)], LAYOUT), prompt(5), "euler")
    pictures = sum(record["x"].shape[0] for record in base.diffusion_model.seen)
    assert pictures == 8 * 2 * 2, "eight steps, two tiles, one prompt and one negative prompt each"


def test_a_moving_grid_keeps_prompts_where_they_belong():
    model, x = patcher_of(make_model()), torch.ones(SHAPE)
    patched = tiled(model, settings(grid="jitter"))
    left, right = (sample(patched, x, prompt(i), prompt(5), "euler") for i in (1, 2))
    both = sample(patched, x, tied([prompt(1), prompt(2)], LAYOUT), prompt(5), "euler")
    assert relative(both[..., :44], left[..., :44]) <= 1e-5 and relative(both[..., 68:], right[..., 68:]) <= 1e-5


def test_under_a_plain_sampler_they_are_ordinary_regions():
    model, x = patcher_of(make_model()), torch.ones(SHAPE)
    left, right = (sample(model, x, prompt(i), prompt(5), "euler") for i in (1, 2))
    both = sample(model, x, tied([prompt(1), prompt(2)], LAYOUT), prompt(5), "euler")
    assert relative(both[..., :40], left[..., :40]) <= 1e-5 and relative(both[..., 72:], right[..., 72:]) <= 1e-5


def test_two_hundred_tiles_on_a_large_canvas_take_next_to_nothing():
    layout = TileLayout.grid(10_000, 15_000, 1024, 1024, 128, 8)
    tracemalloc.start()
    entries = tied([prompt(i) for i in range(len(layout))], layout)
    cropper = ConditionCropper((1250, 1875), UNIT)
    conds = [[{"model_conds": {}, "strength": e[1]["strength"], "area": (1, 1, 0, 0), TILE_KEY: e[1][TILE_KEY]} for e in entries]]
    counts = [len(cropper.crop(conds, view)[0]) for view in views(layout)]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    print(f"{len(layout)} tiles: {peak / 1e6:.1f} MB at most")
    assert len(layout) >= 200 and counts == [1] * len(layout) and peak < 100e6
    assert not any("mask" in entry[1] for entry in entries)


@pytest.mark.parametrize(
    ("prompts", "share", "words"),
    [(1, 1.0, "1 prompt came for 2 tiles"), (3, 1.0, "3 prompts came for 2 tiles"), (2, 1.5, "strength 1.5 is not between")],
)
def test_refusals(prompts, share, words):
    with pytest.raises(ValueError, match=words):
        tied([prompt(1)] * prompts, LAYOUT, share)


def test_an_empty_prompt_and_one_with_an_area_of_its_own_are_refused():
    with pytest.raises(ValueError, match="the prompt of tile 1 is empty"):
        tied([prompt(1), []], LAYOUT)
    with pytest.raises(ValueError, match="the prompt of tile 0 has an area of its own"):
        tied([prompt(1, area=(20, 20, 0, 0)), prompt(2)], LAYOUT)


@pytest.mark.parametrize("more", [{}, {"grid": "jitter"}, {"layout": None, "tile_width": 256}])
def test_a_prompts_own_mask_goes_on_counting(more):
    model, x = patcher_of(make_model()), noise(*SHAPE, seed=4)
    mask = torch.zeros(1, 48, 112)
    mask[..., :70] = 1
    share = 0.5
    base = [[prompt(9)[0][0], {"strength": 1 - share}]]
    whole = sample(model, x, [*base, [prompt(3)[0][0], {"mask": mask, "strength": share}]], prompt(5), "euler")
    tiles = tied([prompt(3, mask=mask)] * len(LAYOUT), LAYOUT, share)
    patched = tiled(model, TileSettings(**{"tile_width": 512, "tile_height": 384, "overlap": 128, "layout": LAYOUT, **more}))
    assert relative(sample(patched, x, tiles, prompt(5), "euler"), whole) <= 1e-5


def test_a_negative_list_of_its_own_is_not_mixed_up_with_the_positive_ones():
    model, x = patcher_of(make_model()), noise(*SHAPE, seed=5)
    other = TileLayout.grid(48 * UNIT, 112 * UNIT, 40 * UNIT, 48 * UNIT, 8 * UNIT, UNIT)
    negative = tied([prompt(20 + i) for i in range(len(other))], other)
    patched = tiled(model, settings())
    alone = sample(patched, x, prompt(1), negative, "euler")
    both = sample(patched, x, tied([prompt(1)] * len(LAYOUT), LAYOUT), negative, "euler")
    assert relative(both, alone) <= 1e-5
