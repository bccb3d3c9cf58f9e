"""Picture to Noise on the host's own sampling: there and back, in tiles, and what Keep Composition makes of the way."""

import importlib

import pytest
import torch
from tilework.blending.coherence.skip_residual import StateFollower
from tilework.blending.coherence.trajectory import Trajectory
from tilework.blending.layout.tile_layout import TileLayout
from tilework.tests.pack import models

from ..host.recording import TileSettings, comfy, make_model, noise, prompt, relative
from ..host.recording import tiled_model as tiled
from .test_canvas_guide import SKIP_RESIDUAL, SamplingRange, flow_model, guide, guided, words
from .test_crop_runs import patcher_of
from .test_patches_together import BandGuidance, FrequencyGuidance, WaveletEdit, node

inversion = importlib.import_module("tilework.sampling.inversion")
SHAPE = (2, 4, 40, 56)
TILES = TileSettings(256, 256, 64)
STEPS = (20, 40, 80)
MOST = {20: 0.15, 40: 0.05, 80: 0.03}


def schedule(model, steps=6, name="normal"):
    return comfy.samplers.calculate_sigmas(model.get_model_object("model_sampling"), name, steps)


def inverted(model, samples, sigmas, corrections=1, positive=None, **more):
    with torch.inference_mode():
        return inversion.invert(model, positive or prompt(1), samples, sigmas, corrections, **more)


def sampled(model, made, start, sigmas, positive=None, sampler="euler", seed=0):
    """As SamplerCustomAdvanced does it, at cfg 1."""
    guider = comfy.samplers.CFGGuider(model)
    guider.inner_set_conds({"positive": positive or prompt(1)})
    with torch.inference_mode():
        return guider.sample(made, start, comfy.samplers.sampler_object(sampler), sigmas, disable_pbar=True, seed=seed)


def noise_of(found, latent):
    return found.generate_noise({"samples": latent})


# ------------------------------------------------------------- trained models


@pytest.mark.parametrize("kind", ["dit", "unet"])
def test_there_and_back_with_trained_models(kind, request):
    models, scenes = (importlib.import_module(f"tilework.tests.pack.coherence.{name}") for name in ("models", "scenes"))
    full = request.config.getoption("--release")
    model, told = models.scene_model(kind), models.scene_prompt("day", "scene")
    pictures = scenes.drawn(4 if full else 1, 91, kind="day")

    def error(steps, corrections):
        sigmas = schedule(model, steps, {"dit": "simple", "unet": "karras"}[kind])
        _, found, _ = inverted(model, pictures, sigmas, corrections, told)
        back = sampled(model, noise_of(found, pictures), pictures, sigmas, told)
        return float((back - pictures).square().mean().sqrt() / pictures.std())

    steps = STEPS if full else STEPS[:1]
    corrected = {count: error(count, 1) for count in steps}
    plain = {count: error(count, 0) for count in steps}
    print(f"{kind}: one correction {corrected}, none {plain}")
    assert all(corrected[count] <= MOST[count] for count in steps)
    assert all(corrected[few] / corrected[many] >= 1.7 for few, many in zip(steps, steps[1:], strict=False))
    # Of one picture the first steps may happen to do well.
    assert all(plain[count] >= (3 if full else 1) * corrected[count] for count in plain)


# ------------------------------------------------------------- exact


def test_where_the_equation_is_solved_eulers_steps_down_are_those_up():
    trajectory, levels = Trajectory(), [4.0, 2.5, 1.0, 0.25, 0.0]
    picture = x = noise(*SHAPE, seed=3)
    state = inversion.InversionSampler(12, trajectory).climb(lambda x, sigma, **more: 0.7 * x, picture, torch.tensor(levels))
    assert trajectory.done and trajectory.levels == (0.25, 1.0, 2.5, 4.0)
    x = state
    for high, low in zip(levels, levels[1:], strict=False):
        x = x + (low - high) * (x - 0.7 * x) / high
    assert relative(x, picture) < 1e-4 and relative(state, picture) > 0.3


@pytest.mark.parametrize("make", [make_model, flow_model])
def test_a_sampler_begins_with_the_inverted_state_whatever_latent_it_is_given(make):
    model, picture = patcher_of(make()), noise(*SHAPE, seed=3)
    sigmas, seen = schedule(model), []
    held, found, _ = inverted(model, picture, sigmas)
    look = model.clone()

    def before(executor, x, timestep, *args, **more):
        seen.append(x.clone())
        return executor(x, timestep, *args, **more)

    look.add_wrapper_with_key(comfy.patcher_extension.WrappersMP.PREDICT_NOISE, "look", before)
    for start in (picture, torch.zeros_like(picture), held):
        seen.clear()
        sampled(look, noise_of(found, start), start, sigmas)
        assert relative(seen[0], found._state) < (1e-6 if make is make_model else 1e-12), "exact for flow"
    assert found.seed == 0 and noise_of(found, picture).data_ptr() != found._state.data_ptr()
    assert torch.equal(picture, noise(*SHAPE, seed=3)), "nothing is changed in place"
    assert noise_of(found, picture[:1].expand(2, -1, -1, -1)).shape == SHAPE
    assert "connect the latent that went into Picture to Noise" in words(lambda: noise_of(found, picture[..., 1:]))


def test_the_model_is_asked_with_the_prompt_alone_and_never_at_0():
    base = make_model()
    model, levels = patcher_of(base), []

    def before(executor, x, timestep, *args, **more):
        levels.append(float(timestep[0]))
        return executor(x, timestep, *args, **more)

    model.add_wrapper_with_key(comfy.patcher_extension.WrappersMP.PREDICT_NOISE, "look", before)
    sigmas, told = schedule(model), []
    inverted(model, noise(1, 4, 9, 7), sigmas, 1, callback=lambda step, clean, state, steps: told.append((step, steps)))
    assert levels == [level for level in inversion.climbing(sigmas.tolist()) for _ in (0, 1)] and min(levels) > 0
    assert all(one["x"].shape[0] == 1 for one in base.diffusion_model.seen), "no second prompt in the call"
    assert told == [(step, 6) for step in range(6)]


def test_a_correction_that_grows_is_left_out_for_that_picture_alone():
    x, slope = torch.tensor([[1.0], [2.0]]), torch.tensor([[0.2], [-3.0]])
    y, noise_found = inversion.step_up(lambda state, level: slope * state, x, 1.0, 2.0, 30)
    assert float(y[0] - x[0] / (1 - 0.2)) == pytest.approx(0, abs=1e-6), "the first is solved"
    assert torch.equal(y[1], x[1] + slope[1] * x[1]), "the second keeps what it had"
    assert torch.equal(y, x + noise_found)


# ------------------------------------------------------------- tiles


@pytest.mark.parametrize("make", [make_model, flow_model])
@pytest.mark.parametrize("shape", [(2, 4, 49, 65), (1, 4, 3, 40, 48)], ids=str)
def test_tiled_equals_untiled(make, shape):
    mask = torch.linspace(0, 1, shape[-1]).expand(1, shape[-2], -1).clone()
    positive = prompt(1) + prompt(3, mask=mask, mask_strength=1.0, set_area_to_bounds=False)
    picture, base = noise(*shape, seed=5), patcher_of(make())
    sigmas = schedule(base)
    layout = TileLayout.grid(shape[-2] * 8, shape[-1] * 8, 256, 256, 64, 8, shape[0])
    whole = inverted(base, picture, sigmas, 1, positive)
    for settings in (TILES, TileSettings(256, 256, 64, grid="jitter"), TileSettings(layout=layout)):
        parts = inverted(tiled(base, settings), picture, sigmas, 1, positive)
        assert relative(parts[0], whole[0]) < 1e-5
        assert relative(noise_of(parts[1], picture), noise_of(whole[1], picture)) < 1e-5
    assert torch.isfinite(whole[0]).all()


# ------------------------------------------------------------- the way


def test_euler_over_the_recorded_predictions_goes_through_the_states():
    """x0 of a run by levels, and the states made again of it."""
    levels, x = [4.0, 2.5, 1.0, 0.25], noise(1, 4, 5, 6, seed=1)
    predictions = {level: noise(1, 4, 5, 6, seed=int(level * 8)) for level in levels}
    follower, state = StateFollower(levels, lambda level, like: predictions[level]), x
    assert torch.equal(follower.at(x, 4.0), x)
    for high, low in zip(levels, levels[1:], strict=False):
        state = state + (low - high) * (state - predictions[high]) / high
        assert relative(follower.at(state, low), state) < 1e-5
    leaps = StateFollower(levels, lambda level, like: predictions[level])
    leaps.at(x, 4.0)
    assert relative(leaps.at(x, 0.25), state) < 1e-5, "through the levels between"


@pytest.mark.parametrize("make", [make_model, flow_model])
def test_skip_residual_follows_the_inverted_states(make):
    """At every level the state that was met on the way up, to the half precision that the way is kept in."""
    base, picture = patcher_of(make()), noise(*SHAPE, seed=3)
    model, sigmas, met = tiled(base, TILES), schedule(base), []
    _, found, trajectory = inverted(model, picture, sigmas, callback=lambda step, clean, state, steps: met.append(state.clone()))
    way = guide(SKIP_RESIDUAL, reference=picture, trajectory=trajectory)
    kept, held = guided(model, way), []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tilework.sampling.canvas_guide.draw_to", lambda state, target, weight: held.append(target.clone()))
        sampled(kept, noise_of(found, picture), picture, sigmas)
    # At the lowest level nothing is taken of a diffusion model's any more.
    assert len(met) - 1 <= len(held) <= len(met)
    for one, other in zip(held, met[::-1], strict=False):
        assert relative(one, other) < 2e-3
    plain, drawn = (sampled(one, noise_of(found, picture), picture, sigmas, prompt(4)) for one in (model, kept))
    assert not torch.equal(plain, drawn)
    off = guided(kept, guide(SKIP_RESIDUAL, reference=picture, trajectory=trajectory, strength=0.0))
    assert torch.equal(sampled(off, noise_of(found, picture), picture, sigmas, prompt(4)), plain)
    late = guide(SKIP_RESIDUAL, reference=picture, trajectory=trajectory, where=SamplingRange(0.3, 1.0))
    assert not torch.equal(sampled(guided(model, late), noise_of(found, picture), picture, sigmas, prompt(4)), drawn)


# ------------------------------------------------------------- refusals


def test_what_cannot_be_inverted_is_refused_in_words():
    model, picture = patcher_of(make_model()), noise(1, 4, 8, 8)
    sigmas = schedule(model)
    assert "latent is an empty one" in words(lambda: inverted(model, torch.zeros_like(picture), sigmas))
    assert "correction 11" in words(lambda: inverted(model, picture, sigmas, 11))
    assert "no noise level over 0" in words(lambda: inverted(model, picture, sigmas[-1:]))
    keeping = guided(model, guide(reference=picture))
    assert "from before Keep Composition" in words(lambda: inverted(keeping, picture, sigmas))
    broken = model.clone()
    broken.set_model_sampler_post_cfg_function(lambda args: args["denoised"] * float("nan"))
    assert "not finite at noise level" in words(lambda: inverted(broken, picture, sigmas))


@pytest.mark.parametrize(
    "kind, name, inputs",
    [
        (FrequencyGuidance, "Hold Bands to Reference", {"reference": True}),
        (WaveletEdit, "Wavelet Edit", {"source": True}),
        (BandGuidance, "Guidance by Bands", {}),
    ],
)
def test_a_model_that_keeps_to_another_picture_or_is_guided_is_refused(kind, name, inputs):
    picture = noise(1, 4, 16, 16)
    plain = models.tiny_unet()
    patched = node(kind, **{one: {"samples": noise(1, 4, 16, 16, seed=3)} for one in inputs})(plain)
    assert f"from before {name}" in words(lambda: inverted(patched, picture, schedule(plain), 1, models.conditioning(1)))


def test_a_cancel_stops_within_a_step():
    from tilework.host import progress

    model, asked = patcher_of(make_model()), []
    with pytest.MonkeyPatch.context() as patch:

        def stop():
            asked.append(1)
            if len(asked) == 3:
                raise progress_error

        progress_error = RuntimeError("cancelled")
        patch.setattr("tilework.sampling.inversion.check_cancelled", stop)
        with pytest.raises(RuntimeError, match="cancelled"):
            inverted(model, noise(1, 4, 8, 8), schedule(model))
    assert progress.check_cancelled and len(asked) == 3
