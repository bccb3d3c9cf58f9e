"""Unify Tile Style and Neighbour Context in whole runs of the host's own sampling code."""

import logging

import pytest
import torch
from tilework.blending.coherence.tile_style import style_distance, style_of
from tilework.blending.layout.tile_layout import TileLayout
from tilework.sampling.patch_order import CONTEXT, SYNC, SYNC_GRADIENT
from tilework.tests.pack import models

from ..host.recording import (
    UNIT,
    ContextSettings,
    SyncSettings,
    TileSettings,
    comfy,
    in_context,
    make_model,
    noise,
    prompt,
    ramp,
    synchronised,
)
from ..host.recording import tiled_model as tiled
from .test_crop_areas import blob
from .test_crop_controls import controlnet
from .test_crop_runs import patcher_of, sample
from .test_tile_prompts import tied

TILES = TileSettings(tile_width=384, tile_height=320, overlap=64)
SHAPE = (2, 4, 64, 112)
SYNCED = {method: lambda model, m=method, **more: synchronised(model, SyncSettings(**{"method": m, "end": 0.5, **more})) for method in ("statistics", "gradient")}  # fmt: skip
PATCHES = {
    **SYNCED,
    **{
        method: lambda model, m=method, **more: in_context(model, ContextSettings(m, **more)) for method in ("footprint", "running", "scan")
    },
}


def run(model, shape=SHAPE, sampler="euler", steps=4, **more):
    return sample(model, noise(*shape, seed=4), prompt(1), prompt(2), sampler, steps, **more)


@pytest.fixture(scope="module")
def model():
    """A model whose weights were made under inference mode, as a loader node makes them."""
    with torch.inference_mode():
        return models.conv_denoiser(2)


def every_wrapper(patched):
    return [key for keys in patched.wrappers.values() for key in keys if key in (CONTEXT, SYNC, SYNC_GRADIENT)]


@pytest.mark.parametrize("name", PATCHES)
def test_nothing_is_changed_by_nothing(model, name):
    plain = run(tiled(model, TILES), steps=2)
    for nothing in ({"strength": 0.0}, {"end": 0.0}):
        patched = PATCHES[name](PATCHES[name](tiled(model, TILES)), **nothing)
        assert not every_wrapper(patched), "and what was put on before is taken off"
    assert torch.equal(run(patched, steps=2), plain)
    made = [run(PATCHES[name](tiled(model, TILES)), steps=2) for _ in range(2)]
    assert torch.equal(*made) and not torch.equal(made[0], plain), "one seed, one picture"


def test_the_order_of_the_nodes_does_not_count(model):
    one = run(tiled(PATCHES["running"](SYNCED["statistics"](model)), TILES), steps=2)
    other = run(SYNCED["statistics"](PATCHES["running"](tiled(SYNCED["gradient"](model, strength=0.2), TILES))), steps=2)
    assert torch.equal(one, other), "and of settings the last"


@pytest.mark.parametrize("method", SYNCED)
def test_tiles_come_nearer_to_the_anchor(method):
    """Of a model that sees single cells, whose left half starts from other content than its right half."""
    model, layout = patcher_of(make_model()), TILES.plan(SHAPE[-2:], 2, UNIT, 1)
    latent = torch.cat([torch.full((2, 4, 64, 56), -1.5), torch.full((2, 4, 64, 56), 1.5)], 3)
    plain, made = (
        sample(one, 0.3 * noise(*SHAPE, seed=4), prompt(1), prompt(2), "euler", 4, latent=latent)
        for one in (tiled(model, TILES), SYNCED[method](tiled(model, TILES), anchor=0, end=1.0))
    )

    def apart(picture):
        styles = [style_of(picture[..., r.y // 8 : r.y // 8 + 40, r.x // 8 : r.x // 8 + 48]) for r in layout.tiles]
        return sum(style_distance(style, styles[0]).sum() for style in styles)

    print(f"{method}: distance to the anchor {float(apart(made) / apart(plain)):.2f} of plain fusion's")
    assert apart(made) < 0.9 * apart(plain)


def states(patched, sampler=None, levels=(9.0, 5.0), **more):
    """The sampler's state before and after each call of a sampler that only asks."""
    seen = []

    def ask(model, x, sigmas, extra_args=None, **_):
        for level in sigmas[:-1]:
            seen.append(x.clone())
            model(x, level * x.new_ones(x.shape[0]), **extra_args)
            seen.append(x.clone())
        return x

    x = noise(*SHAPE, seed=4)
    import comfy.sample

    with torch.inference_mode():
        sigmas = torch.tensor([*levels, 0.0])
        comfy.sample.sample_custom(
            patched, x, 3.0, comfy.samplers.KSAMPLER(sampler or ask), sigmas, prompt(1), prompt(2), ramp(64, 112, 4, 2), disable_pbar=True, **more
        )  # fmt: skip
    return seen


@pytest.mark.parametrize("method", SYNCED)
def test_the_anchor_stays_to_the_bit_and_the_state_of_the_sampler_moves(model, method):
    """Six tiles, 40 x 48 cells: only number 1 counts in these cells."""
    for mask in (None, (blob(64, 112, seed=2) > 0.2).float()):
        before, after, again, late = states(SYNCED[method](tiled(model, TILES), anchor=1), noise_mask=mask)
        alone = (slice(None), slice(None), slice(0, 24), slice(48, 64))
        assert torch.equal(before[alone], after[alone]) and not torch.equal(before, after)
        assert (after - before).square().mean().sqrt() <= 0.1 * before.std() * 1.01
        assert torch.equal(after, again) and torch.equal(again, late) is False
    before, after, _, _ = states(SYNCED[method](tiled(model, TILES), end=0.01))
    assert torch.equal(before, after), "outside of its range"


def test_a_canvas_that_is_joined_to_itself_has_no_border():
    """Three tiles round a panorama: turned by a third, with the anchor turned as well, the picture is the same one, turned."""
    layout = TileLayout.grid(48 * UNIT, 96 * UNIT, 48 * UNIT, 48 * UNIT, 16 * UNIT, UNIT, wrap=(False, True))
    assert [tile.x for tile in layout.tiles] == [0, 32 * UNIT, 64 * UNIT]
    model, x = tiled(patcher_of(make_model()), TileSettings(layout=layout)), noise(1, 4, 48, 96, seed=4)
    for patch in (lambda m, a: SYNCED["statistics"](m, anchor=a), lambda m, a: PATCHES["footprint"](m), lambda m, a: PATCHES["scan"](m)):
        here, there = (
            sample(patch(model, anchor), picture, prompt(1), prompt(2), "euler", 3) for anchor, picture in ((0, x), (1, x.roll(32, 3)))
        )
        # Float32's rounding of noise at its highest level is seen there; a border would be seen a thousand times as much.
        assert (here.roll(32, 3) - there).abs().max() <= 1e-4 * here.abs().max()


SAMPLERS = ("euler_ancestral", "dpmpp_2m", "dpmpp_sde", "uni_pc", "euler_cfg_pp")


def test_any_sampler_keeps_what_a_mask_protects(model):
    mask, latent = (blob(64, 112, seed=2) > 0.2).float(), ramp(64, 112, 4, 2)
    for sampler in SAMPLERS:
        made = run(PATCHES["scan"](SYNCED["statistics"](tiled(model, TILES))), sampler=sampler, steps=2, latent=latent, noise_mask=mask)
        outside = (mask == 0).expand_as(made)
        # The host itself drifts there with uni_pc.
        assert made.isfinite().all() and (made - latent)[outside].abs().max() < (0.05 if sampler == "uni_pc" else 1e-5), sampler


@pytest.mark.parametrize("name", ["statistics", "gradient", "scan"])
def test_tiles_at_once_and_frames(name):
    """How many tiles run together changes rounding only; videos are sampled as well."""
    single = patcher_of(make_model())
    made = [run(PATCHES[name](tiled(single, TileSettings(384, 320, 64, tile_batch=count))), steps=2) for count in (1, 4)]
    assert (made[0] - made[1]).abs().max() <= 1e-5 * made[0].abs().max()
    video = run(PATCHES[name](tiled(models.conv_denoiser(0), TILES)), (1, 4, 3, 64, 72), steps=2)
    assert video.shape == (1, 4, 3, 64, 72) and video.isfinite().all()


@pytest.mark.parametrize("name", ["statistics", "gradient", "scan"])
def test_every_tile_is_given_the_same_conditions_as_ever(name):
    """Controls, masks, areas, concatenated pictures and Tile Prompts, written down by the model."""
    layout = TILES.plan(SHAPE[-2:], 1, UNIT, 1)

    def written(patch):
        base = make_model()
        base.set_inpaint()
        inpaint = {"concat_latent_image": ramp(64, 112, channels=4), "concat_mask": blob(64, 112).unsqueeze(1)}
        control = controlnet(ramp(500, 900), 0.1, (0.0, 0.6))
        positive = tied([prompt(seed, control=control, **inpaint) for seed in range(len(layout))], layout)
        positive += prompt(7, mask=blob(64, 112) + 0.05, **inpaint) + prompt(8, area=(40, 50, 20, 41), **inpaint)
        sample(
            patch(tiled(patcher_of(base), TileSettings(layout=layout))), noise(1, 4, 64, 112), positive, prompt(9, **inpaint), "euler", 3
        )
        return {
            (seen["x"].shape, float(seen["context"].sum()), float(seen["concat"].detach().sum()), tuple(float(part.detach().sum()) for part in (seen["control"] or {}).get("output", [])))
            for seen in base.diffusion_model.seen
        }  # fmt: skip

    plain = written(lambda model: model)
    assert len(plain) >= 2 * len(layout) and written(PATCHES[name]) == plain


def test_without_tiles_nothing_is_done_and_said_once(model, caplog):
    plain = run(model, steps=1)
    for name, title in (("statistics", "Unify Tile Style"), ("scan", "Neighbour Context")):
        for patched in (PATCHES[name](model), PATCHES[name](tiled(model, TileSettings(384, 320, 64, order="sequential")))):
            caplog.clear()
            with caplog.at_level(logging.WARNING):
                made = run(patched, steps=1)
            said = [line for line in caplog.messages if f"{title} has nothing to do" in line]
            assert len(said) >= 1 and (len(said) == 1 or "sequential" in said[0] or title == "Unify Tile Style")
            assert patched.get_wrappers("outer_sample", "tilework") or torch.equal(made, plain)


def test_quantised_weights_have_no_gradient_and_need_none():
    quantised = models.tiny_dit()
    for module in quantised.model.diffusion_model.modules():
        if isinstance(module, torch.nn.Linear):
            module.weight = torch.nn.Parameter(module.weight.data.to(torch.float8_e4m3fn), requires_grad=False)
            module.comfy_cast_weights = True
    with pytest.raises(ValueError, match=r"weights are quantised .*float8_e4m3fn.*use method statistics"):
        synchronised(quantised, SyncSettings(method="gradient"))
    shape = (1, 16, 64, 64)
    plain, made = (
        sample(one, noise(*shape), models.conditioning(1), models.conditioning(2), "euler", 2)
        for one in (tiled(quantised, TileSettings(256, 512, 64)), SYNCED["statistics"](tiled(quantised, TileSettings(256, 512, 64))))
    )
    assert made.isfinite().all() and not torch.equal(made, plain)


def test_gradients_go_through_a_unet_and_a_transformer_and_leave_nothing_behind():
    with torch.inference_mode():
        both = models.tiny_unet(), models.tiny_dit()
    for one, channels in zip(both, (4, 16), strict=True):
        network = one.model.diffusion_model
        weights, hooks = list(network.parameters()), [len(module._forward_pre_hooks) for module in network.modules()]
        shape = (1, channels, 32, 48)
        made = sample(
            SYNCED["gradient"](tiled(one, TileSettings(256, 256, 64))),
            noise(*shape),
            models.conditioning(1),
            models.conditioning(2),
            "euler",
            2,
        )
        assert made.isfinite().all() and all(a is b for a, b in zip(weights, network.parameters(), strict=True))
        assert hooks == [len(module._forward_pre_hooks) for module in network.modules()]
        assert comfy.model_management.in_training is False


@pytest.mark.parametrize("name", ["statistics", "gradient", "scan"])
def test_a_cancel_is_heard_before_the_next_tile(model, name):
    calls = []

    def look(executor, *args):
        calls.append(1)
        if len(calls) == 8:
            comfy.model_management.interrupt_current_processing()
        return executor(*args)

    patched = PATCHES[name](tiled(model, TILES))
    patched.add_wrapper_with_key("calc_cond_batch", "look", look)
    with pytest.raises(comfy.model_management.InterruptProcessingException):
        run(patched, steps=4)
    assert len(calls) == 8
    run(PATCHES[name](tiled(model, TILES)), steps=1)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (lambda: SyncSettings(strength=1.5), "strength 1.5 is no share of the step"),
        (lambda: SyncSettings(end=2), "end 2 is no share of the sampling range"),
        (lambda: SyncSettings(method="lpips"), "use one of statistics, gradient"),
        (lambda: SyncSettings(anchor=-2), "use -1 for the one in the middle"),
        (lambda: ContextSettings("mamba"), "use one of footprint, running, scan"),
        (lambda: ContextSettings(strength=float("nan")), "strength nan is not between 0 and 1"),
        (lambda: ContextSettings(start=0.6), "start 0.6 lies behind end 0.5"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_words(settings, words):
    with pytest.raises(ValueError, match=words):
        settings()


def test_an_anchor_that_is_not_there_is_named(model):
    with pytest.raises(ValueError, match=r"anchor 6 is no tile: there are 6, use -1 \(the middle\) to 5"):
        run(SYNCED["statistics"](tiled(model, TILES), anchor=6), steps=2)
