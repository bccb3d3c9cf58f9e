"""Guidance by Bands on whole runs of the host's own samplers, in its process."""

import itertools
import logging

import pytest
import tilework.tests.host.recording  # noqa: F401 - sets ComfyUI up
import torch
from tilework.blending import TileLayout
from tilework.blending.frequency.decimated import decompose
from tilework.nodes.guidance import BandGuidance

from ..host.recording import UNIT, TileSettings, canvas_guide, comfy, make_model, noise, prompt, relative, sampling_range
from ..host.recording import tiled_model as tiled
from .test_canvas_guide import flow_model
from .test_crop_runs import patcher_of
from .test_patches_together import node

SHAPE = (1, 4, 49, 71)
TILES = TileSettings(256, 256, 64)
CFG, BOUND = 3.0, 1e-5


def guided(model, **values):
    return node(BandGuidance, **values)(model)


def run(model, shape=SHAPE, sampler="euler", steps=3, cfg=CFG, negative=True):
    with torch.inference_mode():
        return comfy.sample.sample(
            model, noise(*shape, seed=1), steps, cfg, sampler, "normal", prompt(1), prompt(2) if negative else [], torch.zeros(shape),
            seed=42, disable_pbar=True,
        )  # fmt: skip


def looked_at(model, predictions):
    """A clone that writes down (conditional, unconditional, what came of both) of every step, each before anything else is changed."""
    clone = model.clone()
    clone.set_model_sampler_post_cfg_function(
        lambda args: (
            predictions.append([args[name].clone() for name in ("cond_denoised", "uncond_denoised", "denoised")]) or args["denoised"]
        )
    )
    return clone


# ------------------------------------------------------------- exact


@pytest.mark.parametrize(
    ("sampler", "wavelet", "cfg"),
    [("dpmpp_2m", "sym4", CFG), ("euler_ancestral", "haar", 1.0), ("heun", "db4", 1.0), ("lcm", "bior4.4", CFG)],
)
def test_alike_weights_are_plain_guidance(sampler, wavelet, cfg):
    base, seen = tiled(patcher_of(make_model()), TILES), []
    made = run(looked_at(guided(base, wavelet=wavelet, low=CFG, high=CFG), seen), sampler=sampler, cfg=cfg)
    for conditional, unconditional, x0 in seen:
        assert relative(x0, unconditional + (conditional - unconditional) * CFG) < BOUND
    # A sampler that divides by small differences of noise makes more of a rounding.
    assert relative(made, run(base, sampler=sampler)) < 1e-4 < 1e-3 < relative(run(guided(base, high=CFG), sampler=sampler), made)


@pytest.mark.parametrize("make", [make_model, flow_model])
def test_ones_are_the_conditional_prediction_to_the_bit(make):
    base = tiled(patcher_of(make()), TILES)
    wanted = run(base, cfg=1.0)
    for cfg in (CFG, 1.0):
        assert torch.equal(run(guided(base, low=1.0, high=1.0), cfg=cfg), wanted)


@pytest.mark.parametrize("shape", [SHAPE, (2, 4, 3, 33, 41)], ids=str)
def test_at_low_1_the_low_band_of_every_step_is_the_conditional_predictions(shape):
    for levels, high in ((1, 7.5), (2, 0.0)):
        seen = []
        base = looked_at(guided(patcher_of(make_model()), wavelet="haar", levels=levels, high=high), seen)
        run(tiled(base, TILES), shape)
        assert len(seen) == 3
        for conditional, unconditional, made in seen:
            low, wanted, other = (decompose(one, "haar", levels).low for one in (made, conditional, unconditional))
            assert relative(low, wanted) < BOUND < 1e-2 < relative(other, wanted)
            assert relative(made, conditional) > 1e-2


# ------------------------------------------------------------- tiles, and others beside it


@pytest.mark.parametrize("shape", [SHAPE, (1, 4, 3, 40, 48)], ids=str)
def test_before_and_behind_the_tiles_and_without_them_it_is_one_picture(shape):
    base, settings = patcher_of(make_model()), TileSettings(256, 256, 64, grid="jitter")
    for sampler in ("euler", "dpmpp_2m"):
        whole = run(guided(base, levels=2), shape, sampler)
        before, behind = (
            run(tiled(guided(base, levels=2), settings), shape, sampler),
            run(guided(tiled(base, settings), levels=2), shape, sampler),
        )
        assert torch.equal(before, behind) and relative(before, whole) < BOUND and bool(whole.isfinite().all())


def test_what_else_changes_a_prediction_changes_this_one_in_either_order():
    base, small = tiled(patcher_of(make_model()), TILES), noise(1, 4, 24, 36, seed=8)
    shape = (1, 4, 48, 72)
    guide = canvas_guide.Guide("structure", small, 192, sampling_range.SamplingRange(), 0.7)

    def louder(model):
        clone = model.clone()
        clone.set_model_sampler_post_cfg_function(lambda args: args["denoised"] * 1.1)
        return clone

    others = [lambda model: canvas_guide.guided(model, guide), louder]
    one, other = (run(guided(way[1](way[0](base))), shape) for way in (others, [guided, others[0]]))
    first, last = run(guided(others[0](base)), shape), run(others[0](guided(base)), shape)
    assert torch.equal(first, last) and not torch.equal(one, first)
    assert torch.equal(one, run(louder(others[0](guided(base))), shape))
    assert torch.equal(other, first), "and applied twice it is applied once"


def test_a_canvas_that_is_joined_to_itself_has_no_first_column():
    layout, turn = TileLayout.grid(384, 576, 256, 256, 64, UNIT, wrap=(False, True)), 32
    model = guided(tiled(patcher_of(make_model()), TileSettings(layout=layout)))

    def made(by):
        start = noise(1, 4, 48, 72, seed=1).roll(by, -1)
        with torch.inference_mode():
            return comfy.sample.sample(
                model, start, 3, CFG, "euler", "normal", prompt(1), prompt(2), torch.zeros_like(start), seed=42, disable_pbar=True
            )

    assert relative(made(turn).roll(-turn, -1), made(0)) < BOUND


# ------------------------------------------------------------- the range


def test_off_is_off_to_the_bit_and_outside_of_its_range_the_host_guides():
    base = tiled(patcher_of(make_model()), TILES)
    for cfg in (CFG, 1.0):
        plain = run(base, cfg=cfg)
        for start, end in ((0.0, 0.0), (1.0, 1.0), (0.4, 0.4)):
            assert torch.equal(run(guided(guided(base), start=start, end=end), cfg=cfg), plain)
    parts = {}
    for name, (start, end) in {"never": (0.5, 0.5), "first": (0.0, 0.5), "last": (0.5, 1.0), "ever": (0.0, 1.0)}.items():
        inner, seen = make_model(), []
        run(looked_at(guided(patcher_of(inner), start=start, end=end), seen), steps=4, cfg=1.0)
        parts[name] = [not torch.equal(conditional, made) for conditional, _, made in seen]
        # Where it is not at work, the host's own saving at cfg 1 stays: the other side is not asked for.
        assert [bool(other.any()) for _, other, _ in seen] == parts[name]
    assert not any(parts["never"]) and all(parts["ever"])
    assert parts["first"][0] and not parts["last"][0] and parts["last"][-1] and not parts["first"][-1]
    assert [one != other for one, other in itertools.pairwise([parts["first"], parts["last"]])] == [True]


# ------------------------------------------------------------- what it cannot do


def refused(call):
    with pytest.raises(ValueError) as caught:
        call()
    return str(caught.value)


def test_where_there_is_nothing_to_weigh_it_is_refused_before_the_model_is_asked():
    inner = make_model()
    model = guided(patcher_of(inner), start=0.5)
    with torch.inference_mode():
        guider = comfy.samplers.CFGGuider(model)
        guider.inner_set_conds({"positive": prompt(1)})
        start = noise(*SHAPE)
        call = lambda: guider.sample(start, torch.zeros_like(start), comfy.samplers.ksampler("euler"), torch.tensor([9.0, 1.0, 0.0]))  # noqa: E731
        assert "give the sampler a negative prompt" in refused(call)
    assert "give the sampler a negative prompt" in refused(lambda: run(model, negative=False))
    assert "order fused" in refused(lambda: run(tiled(model, TileSettings(256, 256, 64, order="sequential"))))
    assert not inner.diffusion_model.seen


def test_a_guider_that_has_no_guidance_is_not_passed_over():
    class Lonely(comfy.samplers.CFGGuider):
        def predict_noise(self, x, timestep, model_options=None, seed=None):
            return comfy.samplers.calc_cond_batch(self.inner_model, [self.conds["positive"]], x, timestep, model_options)[0]

    guider = Lonely(guided(patcher_of(make_model())))
    guider.set_conds(prompt(1), prompt(2))
    start = noise(*SHAPE)
    with torch.inference_mode():
        said = refused(
            lambda: guider.sample(start, torch.zeros_like(start), comfy.samplers.ksampler("euler"), torch.tensor([9.0, 1.0, 0.0]))
        )
    assert "Lonely asks for one prediction alone" in said


def test_what_would_surprise_is_said_once(caplog):
    inner = make_model()
    inner.diffusion_model.params = type("Params", (), {"guidance_embed": True})()
    model = guided(patcher_of(inner))
    model.set_model_sampler_cfg_function(lambda args: args["cond"])
    with caplog.at_level(logging.WARNING):
        run(model)
    said = [record.getMessage() for record in caplog.records if "Guidance by Bands" in record.getMessage()]
    assert len(said) == 2 and "distilled for guidance" in said[0] and "takes the place of the guidance" in said[1]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"wavelet": "db2"}, "'db2' is not known"),
        ({"levels": 13}, "levels 13"),
        ({"low": -1.0}, "low -1.0 is no weight"),
        ({"high": float("nan")}, "high nan is no weight"),
        ({"start": 0.9, "end": 0.2}, "lies behind end"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_bad_input_is_refused_in_words(values, words):
    assert words in refused(lambda: guided(patcher_of(make_model()), **values))
