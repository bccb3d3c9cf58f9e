"""A prompt of its own for every tile, inside one fused run."""

import logging
import tracemalloc

import pytest
import torch
from tilework.blending import TileLayout

from ..host.recording import TILE_KEY, UNIT, ConditionCropper, TileSettings, at, comfy, make_model, noise, prompt, ramp, relative, views
from ..host.recording import tiled_model as tiled
from .test_crop_controls import Network, controlnet
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
        return 0.3 * x + context.mean(dim=(1, 2)).view(-1, *[1] * (x.ndim - 1))


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


@pytest.mark.parametrize("grid", ["fixed", "jitter"])
def test_latents_with_frames_have_prompts_per_tile_too(grid):
    """Qwen-Image, Wan: the host asks an area for as many sides as such a latent has."""
    model = make_model()
    model.diffusion_model = Linear()
    patched = tiled(patcher_of(model), settings(grid=grid))
    flat, prompts = torch.ones(SHAPE), tied([prompt(1), prompt(2)], LAYOUT)
    assert "area" in prompts[0][1] and len(prompts[0][1]["area"]) == 5
    made = [sample(patched, x, prompts, prompt(5), "euler") for x in (flat, flat.unsqueeze(2))]
    assert made[1].shape == (1, 4, 1, 48, 112) and relative(made[1][:, :, 0], made[0]) <= 1e-5
    assert len(prompts[0][1]["area"]) == 5, "what was given is not changed"


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
    counts = [len(cropper.crop(conds, view)[0]) for view in views(layout)[::9]]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    print(f"{len(layout)} tiles: {peak / 1e6:.1f} MB at most")
    assert len(layout) >= 200 and counts == [1] * len(range(0, len(layout), 9)) and peak < 100e6
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


# Three tiles in a row, as a user's picture of 1344 x 512 px is cut: the second and third begin at 52 and 104 cells.
ROW = TileLayout.grid(64 * UNIT, 168 * UNIT, 64 * UNIT, 64 * UNIT, 8 * UNIT, UNIT)
ROW_SHAPE = (1, 4, 64, 168)


def hints_seen(entries, layout=ROW, shape=ROW_SHAPE, **sizes):
    """What a control's network is shown, call by call, in one step on a latent of `shape`: over the prompts' tiles, or others."""
    network = Network()
    prompts = []
    for entry, hint in enumerate(entries):
        control = controlnet(hint, network=network)
        prompts.append(prompt(entry + 1, control=control))
    patched = tiled(patcher_of(make_model()), TileSettings(**(sizes or {"layout": layout})))
    sample(patched, torch.ones(shape), tied(prompts, layout), prompt(5), "euler", steps=1)
    return network.hints


def columns(hint):
    """The share of its own hint's width that a tile saw, from the ramp in it."""
    return float(hint[:, 1].min()), float(hint[:, 1].max())


def test_a_tiles_own_hint_lies_on_the_tile():
    for scale in (1, 2, 0.5):
        side = int(512 * scale)
        seen = hints_seen([ramp(side, side) for _ in range(3)])
        print(f"hints of {side} x {side}: the tiles saw columns " + ", ".join("{:.0%} to {:.0%}".format(*columns(hint)) for hint in seen))
        assert len(seen) == 3 and all(low < 0.002 and high > 0.998 for low, high in map(columns, seen))
        expected = comfy.utils.common_upscale(ramp(side, side), 512, 512, "nearest-exact", "center")
        assert all(torch.equal(hint, expected) for hint in seen)


def test_a_hint_of_the_canvas_lies_on_the_canvas_in_a_tiles_prompt():
    for height, width in ((512, 1344), (256, 672), (576, 1536)):
        hint = ramp(height, width)
        seen = hints_seen([hint] * 3)
        laid = comfy.utils.common_upscale(hint, 1344, 512, "nearest-exact", "center")
        for view, one in zip(views(ROW), seen, strict=True):
            assert torch.equal(one, at(laid, view, UNIT))


@pytest.mark.parametrize(
    ("size", "on_tile", "fits"),
    [
        ((512, 512), True, "both"),
        ((1024, 1024), False, None),
        ((768, 768), False, "both"),
        ((300, 999), True, "neither"),
        ((512, 530), False, "both"),
    ],
)
def test_a_hint_that_may_be_either_is_warned_about_once(caplog, size, on_tile, fits):
    """Square tiles on a square picture have its proportions."""
    layout = TileLayout.grid(1024, 1024, 512, 512, 64, UNIT)
    with caplog.at_level(logging.WARNING):
        seen = hints_seen([ramp(*size) for _ in range(len(layout))], layout, (1, 4, 128, 128))
    said = [record.getMessage() for record in caplog.records if "Tilework" in record.getMessage()]
    print("\n".join(said))
    assert len(said) == (fits is not None) and all(f"proportions of {fits}" in one and "ControlNet" in one for one in said)
    assert all(("the tile;" if on_tile else "the whole picture;") in one for one in said)
    # Of a hint of neither's proportions the host takes the middle.
    share = 0.3 if fits == "neither" else 0.9 if on_tile else 0.5
    assert all(abs(high - low - share) < 0.1 for low, high in map(columns, seen))


def test_a_hint_of_a_tile_stays_where_the_tile_is_when_the_tiles_painted_are_others():
    """Half of the first tile is under the second of a finer layout, and it sees just that half of the first one's hint."""
    seen = hints_seen([ramp(512, 512) for _ in range(3)], tile_width=256, tile_height=512, overlap=0)
    starts = [columns(hint) for hint in seen]
    print(starts)
    assert len(starts) > 3
    # A tile of 32 cells sees 32 of a prompt's 64, mirrored where the prompt's tile ends.
    assert all(high - low <= 0.51 for low, high in starts) and starts[0][0] == 0.0


def test_boxes_of_a_tiles_prompt_are_counted_from_the_tile():
    cropper = ConditionCropper((64, 168), UNIT)
    inside, beyond = (noise(1, 8), 10, 20, 5, 6), (noise(1, 8), 10, 20, 5, 120)
    second = views(ROW)[1]

    def boxes(*given):
        cond = {"model_conds": {}, TILE_KEY: (ROW, 1), "gligen": ("position", None, list(given))}
        return [box[1:] for box in cropper.crop([[cond]], second)[0][0]["gligen"][2]]

    assert boxes(inside) == [(10, 20, 5, 6)]
    assert boxes(beyond) == [] and boxes((noise(1, 8), 10, 20, 5, 60), beyond) == [(10, 20, 5, 60 - second.x)], "of the canvas"


def test_references_of_a_tiles_prompt_are_the_tiles():
    cropper = ConditionCropper((128, 128), UNIT)
    layout = TileLayout.grid(1024, 1024, 512, 512, 64, UNIT)
    second = views(layout)[1]
    whole, own = ramp(128, 128), ramp(64, 64)
    conds = {"ref_latents": comfy.conds.CONDList([whole, own])}
    seen = cropper.crop([[{"model_conds": conds, TILE_KEY: (layout, 1)}]], second)[0][0]["model_conds"]["ref_latents"].cond
    assert torch.equal(seen[0], at(whole, second)) and torch.equal(seen[1], own)


@pytest.mark.parametrize("plain", [False, True])
def test_a_mask_of_the_tile_lies_on_the_tile(plain):
    """Everything but the right half of each tile is left to the whole picture's prompt."""
    model, x = patcher_of(make_model()), torch.ones(ROW_SHAPE)
    half = torch.zeros(1, 512, 512)
    half[..., 256:] = 1
    share = 0.5
    entries = tied([prompt(3, mask=half)] * 3, ROW, share)
    on_canvas = []
    for rect in ROW.tiles:
        mask = torch.zeros(1, 512, 1344)
        mask[..., rect.x + 256 : rect.x + 512] = 1
        on_canvas.append(mask)
    expected = tied([prompt(3, mask=mask) for mask in on_canvas], ROW, share)
    sampled = model if plain else tiled(model, TileSettings(layout=ROW))
    a, b = (sample(sampled, x, given, prompt(5), "euler", steps=2) for given in (entries, expected))
    assert relative(a, b) == 0 and relative(a, sample(sampled, x, tied([prompt(3)] * 3, ROW, share), prompt(5), "euler", steps=2)) > 0.01
    assert float(half.sum()) == 256 * 512


def test_a_mask_of_a_large_picture_takes_no_more_than_its_cells():
    layout = TileLayout.grid(10_000, 15_000, 1024, 1024, 128, 8)
    entries = tied([prompt(1, mask=torch.ones(1, 1024, 1024))] + [prompt(1)] * (len(layout) - 1), layout)
    assert entries[0][1]["mask"].shape == (1, 1250, 1875) and float(entries[0][1]["mask"].sum()) == 128 * 128


def test_an_inpainting_picture_of_a_tile_is_refused():
    def brought(*size):
        return [prompt(1, concat_latent_image=noise(1, 4, *size), concat_mask=noise(1, 1, 512, 512)), prompt(2), prompt(3)]

    with pytest.raises(ValueError, match="tile 0 brings an inpainting picture of 64 x 64 latent cells along"):
        tied(brought(64, 64), ROW)
    assert tied(brought(64, 168), ROW)
