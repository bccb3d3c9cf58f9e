"""Canvas Guide and Record Run on whole runs of the host's own samplers, in its process."""

import math
from functools import partial

import pytest
import torch
from tilework.blending.coherence.trajectory import Trajectory
from tilework.blending.frequency.low_pass import FILTERS, low_pass
from tilework.blending.layout.tile_layout import TileLayout

from ..host.recording import (
    TileSettings,
    canvas_guide,
    comfy,
    guide_reference,
    make_model,
    noise,
    prompt,
    relative,
    runs,
    sampler_states,
    sampling_range,
)
from ..host.recording import tiled_model as tiled
from .test_crop_runs import patcher_of, sample

Guide, guided = canvas_guide.Guide, canvas_guide.guided
STRUCTURE, SKIP_RESIDUAL, FLOW = canvas_guide.STRUCTURE, canvas_guide.SKIP_RESIDUAL, canvas_guide.FLOW
SamplingRange, enlarged, recorded = sampling_range.SamplingRange, guide_reference.enlarged, runs.recorded
SHAPE = (1, 4, 48, 72)
TILES = {"tile_width": 256, "tile_height": 256, "overlap": 64}
NATIVE = 192
EVER = SamplingRange()
METHODS = (STRUCTURE, SKIP_RESIDUAL, FLOW)
BOUND = 1e-5


def flow_model(channels=4):
    """As `make_model`, for flow."""

    class CleanFlow(comfy.model_sampling.ModelSamplingDiscreteFlow, comfy.model_sampling.CONST):
        def calculate_denoised(self, sigma, model_output, model_input):
            return model_output

    model = make_model(channels)
    model.model_sampling = CleanFlow(model.model_config)
    return model


def small(seed=3, shape=SHAPE, scale=2):
    return noise(*shape[:-2], shape[-2] // scale, shape[-1] // scale, seed=seed)


def way(reference, sigma_max=20.0):
    """A recording of a run that ended with `reference`."""
    recorded = Trajectory()
    for sigma in torch.linspace(0, sigma_max, 9).tolist():
        recorded.record(sigma, (reference * (1 - sigma / (2 * sigma_max))))
    recorded.done = True
    return recorded


def guide(method=STRUCTURE, **changes):
    reference = changes.pop("reference", small())
    changes = {"where": EVER, "trajectory": way(reference) if method == FLOW else None, **changes}
    return Guide(method, reference, NATIVE, **changes)


def run(model, shape=SHAPE, sampler="euler", steps=5, seed=1, **more):
    return sample(model, noise(*shape, seed=seed), prompt(1), prompt(2), sampler, steps, **more)


def words(call):
    with pytest.raises(ValueError) as caught:
        call()
    return str(caught.value)


# ------------------------------------------------------------- exact


@pytest.mark.parametrize("kind", FILTERS)
def test_structure_holds_the_coarse_of_the_whole_canvas(kind):
    model = guided(tiled(patcher_of(make_model()), TileSettings(**TILES)), guide(kind=kind))
    made = run(model)
    target = low_pass(enlarged(small(), SHAPE), kind, math.sqrt(48 * 72) * 8 / NATIVE)
    off = relative(low_pass(made, kind, math.sqrt(48 * 72) * 8 / NATIVE), target)
    print(f"{kind}: {off:.1e}")
    assert off < (BOUND if kind == "haar" else 0.6)
    assert relative(made, target) > 0.1, "the fine is the model's own"


def test_off_is_off_to_the_bit():
    model = tiled(patcher_of(make_model()), TileSettings(**TILES))
    plain = run(model, steps=2)
    for method in METHODS:
        on = guided(model, guide(method))
        assert not torch.equal(run(on, steps=2), plain)
        assert torch.equal(run(guided(model, guide(method, strength=0.0)), steps=2), plain)
        assert torch.equal(run(guided(on, guide(method, where=SamplingRange(0.4, 0.4))), steps=2), plain), "the last settings count"


@pytest.mark.parametrize("make", [make_model, flow_model])
def test_at_the_beginning_skip_residual_is_the_noised_reference_to_the_bit(make):
    base = make()
    seen = []

    def look(executor, x, timestep, *args, **more):
        seen.append((x.clone(), timestep))
        return executor(x, timestep, *args, **more)

    model = guided(tiled(patcher_of(base), TileSettings(**TILES)), guide(SKIP_RESIDUAL))
    model.add_wrapper_with_key(comfy.patcher_extension.WrappersMP.PREDICT_NOISE, "look", look)
    run(model, steps=2)
    x, sigma = seen[0]
    assert sampling_range.time_of(base.model_sampling, sigma) == 1
    reference = enlarged(base.process_latent_in(small()), SHAPE)
    assert torch.equal(x, base.model_sampling.noise_scaling(sigma, noise(*SHAPE, seed=1), reference))
    assert not torch.equal(seen[1][0], base.model_sampling.noise_scaling(seen[1][1], noise(*SHAPE, seed=1), reference))


def test_the_order_of_nodes_and_of_methods_makes_no_difference():
    settings, base, spare = TileSettings(**TILES), patcher_of(make_model()), Trajectory()
    guides = [guide(method, strength=0.7) for method in METHODS]
    patches = [partial(tiled, settings=settings), *(partial(guided, guide=one) for one in guides), partial(recorded, trajectory=spare)]
    made = []
    for order in (patches, patches[::-1], [*patches, *patches]):
        model = base
        for patch in order:
            model = patch(model)
        made.append(run(model, sampler="dpmpp_2m"))
    assert torch.equal(made[0], made[1]) and torch.equal(made[0], made[2])
    assert torch.equal(run(model, sampler="dpmpp_2m"), made[0]), "again"
    for left_out in range(1, 4):
        model = base
        for index, patch in enumerate(patches):
            model = model if index == left_out else patch(model)
        assert not torch.equal(run(model, sampler="dpmpp_2m"), made[0]), "every method is at work"


# ------------------------------------------------------------- tiles


@pytest.mark.parametrize("shape", [(2, 4, 49, 65), (1, 4, 3, 40, 48)], ids=str)
@pytest.mark.parametrize("method", METHODS)
def test_tiled_equals_untiled(shape, method):
    reference = small(shape=shape)
    for kind, sampler in zip(FILTERS, ("euler", "dpmpp_2m", "euler_ancestral"), strict=True):
        base = guided(patcher_of(make_model()), guide(method, reference=reference, kind=kind))
        whole = run(base, shape, sampler, steps=3)
        parts = run(tiled(base, TileSettings(**TILES, grid="jitter")), shape, sampler, steps=3)
        assert relative(parts, whole) < BOUND and torch.isfinite(whole).all(), kind


@pytest.mark.parametrize("method", METHODS)
def test_a_canvas_that_is_joined_to_itself_has_no_first_column(method):
    layout = TileLayout.grid(384, 576, 256, 256, 64, 8, wrap=(False, True))
    base, turn = patcher_of(make_model()), 32

    def made(by, kind):
        reference = small().roll(by // 2, -1)
        model = guided(tiled(base, TileSettings(layout=layout)), guide(method, reference=reference, kind=kind, cutoff=0.25))
        return sample(model, noise(*SHAPE, seed=1).roll(by, -1), prompt(1), prompt(2), "euler", 3)

    for kind in FILTERS:
        assert relative(made(turn, kind).roll(-turn, -1), made(0, kind)) < BOUND, kind


@pytest.mark.parametrize("method", METHODS)
def test_tile_by_tile_each_keeps_to_its_own_part(method):
    """With a low pass that lets everything through, every tile has to become its part of the reference."""
    model = tiled(patcher_of(make_model()), TileSettings(**TILES, order="sequential"))
    made = run(guided(model, guide(method, kind="haar", cutoff=1.0)), steps=4)
    assert torch.isfinite(made).all() and not torch.equal(made, run(model, steps=4))
    if method == STRUCTURE:
        assert relative(made, enlarged(small(), SHAPE)) < BOUND


def test_outside_of_a_noise_mask_the_source_stays_and_inside_the_guide_is_at_work():
    source, mask = noise(*SHAPE, seed=8), torch.zeros(1, 1, *SHAPE[-2:])
    mask[..., 10:30, 20:50] = 1
    model, outside = tiled(patcher_of(make_model()), TileSettings(**TILES)), (mask == 0).expand(SHAPE)
    plain = run(model, steps=3, latent=source, noise_mask=mask)
    for method in METHODS:
        made = run(guided(model, guide(method)), steps=3, latent=source, noise_mask=mask)
        assert float((made - source)[outside].abs().max()) < 1e-5
        assert float((made - plain)[~outside].abs().max()) > 0.01, method


def test_what_tiles_are_told_is_not_changed():
    """Areas, masks and their like, tile by tile, as they are without a guide."""
    mask = torch.linspace(0, 1, 72).expand(1, 48, -1).clone()
    positive = (
        prompt(1) + prompt(3, mask=mask, mask_strength=1.0, set_area_to_bounds=False) + prompt(4, area=(20, 30, 10, 20), strength=0.8)
    )
    told = {}
    for name in ("plain", *METHODS):
        base = make_model()
        model = tiled(patcher_of(base), TileSettings(**TILES))
        model = model if name == "plain" else guided(model, guide(name))
        sample(model, noise(*SHAPE, seed=1), positive, prompt(2), "heun", 3)
        told[name] = [{key: value for key, value in one.items() if key != "x"} for one in base.diffusion_model.seen]
    assert len(told["plain"]) > 20
    for name in METHODS:
        assert len(told[name]) == len(told["plain"])
        for one, other in zip(told[name], told["plain"], strict=True):
            assert one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one), name


def _same(one, other):
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return torch.equal(one, other) if isinstance(one, torch.Tensor) else one == other


def test_windows_over_frames_are_guided_as_one():
    shape, windows = (1, 4, 7, 24, 36), comfy.context_windows
    model = patcher_of(make_model())
    model.model_options["context_handler"] = windows.IndexListContextHandler(
        context_schedule=windows.get_matching_context_schedule(windows.ContextSchedules.STATIC_STANDARD),
        fuse_method=windows.get_matching_fuse_method(windows.ContextFuseMethods.PYRAMID),
        context_length=4, context_overlap=2, dim=2, causal_window_fix=False,
    )  # fmt: skip
    windows.create_prepare_sampling_wrapper(model)
    reference = small(shape=shape)
    model = guided(tiled(model, TileSettings(128, 128, 32)), guide(reference=reference, kind="haar", cutoff=0.25))
    made = run(model, shape, steps=3)
    assert relative(low_pass(made, "haar", 4), low_pass(enlarged(reference, shape), "haar", 4)) < BOUND


# ------------------------------------------------------------- what came


def test_the_time_of_models_that_count_no_steps():
    kinds = (comfy.model_sampling.ModelSamplingContinuousEDM(), comfy.model_sampling.ModelSamplingDiscrete())
    for kind in kinds:
        assert sampling_range.time_of(kind, kind.sigma_max) == 1
        for share in (0.1, 0.5, 0.9):
            assert sampling_range.time_of(kind, kind.percent_to_sigma(share)) == pytest.approx(1 - share, abs=2e-3)


def test_a_run_that_goes_on_with_a_noisy_latent_is_drawn_with_the_noise_of_its_seed():
    base, held = make_model(), []
    model = guided(patcher_of(base), guide(SKIP_RESIDUAL, where=SamplingRange(0.0, 0.1)))
    model.add_wrapper_with_key(
        comfy.patcher_extension.WrappersMP.PREDICT_NOISE, "look", lambda executor, x, *more: (held.append(x.clone()), executor(x, *more))[1]
    )
    with torch.inference_mode():
        comfy.sample.sample(
            model, torch.zeros(SHAPE), 3, 3.0, "euler", "normal", prompt(1), prompt(2), noise(*SHAPE, seed=2), seed=42, disable_pbar=True
        )
    sigma = base.model_sampling.sigma_max.view(1)
    expected = base.model_sampling.noise_scaling(sigma, noise(*SHAPE, seed=42), enlarged(base.process_latent_in(small()), SHAPE))
    assert relative(held[0], expected) < 1e-6


def test_what_does_not_fit_is_refused_before_anything_runs():
    base = make_model()
    model = patcher_of(base)
    inner = type("Others", (), {"sample": None})
    for changes, part in (
        ({"reference": noise(1, 16, 24, 36)}, "same model family"),
        ({"reference": noise(3, 4, 24, 36)}, "3 pictures"),
        ({"reference": noise(1, 4, 50, 75)}, "75 x 50 cells and the canvas 72 x 48"),
        ({"reference": noise(1, 4, 24, 24)}, "other proportions"),
        ({"reference": torch.zeros(1, 4, 24, 36)}, "empty latent"),
        ({"reference": noise(1, 4, 3, 24, 36)}, "as many frames"),
        ({"method": FLOW, "trajectory": Trajectory()}, "is empty"),
    ):
        assert part in words(lambda changes=changes: run(guided(model, guide(**changes)))), changes
        assert not base.diffusion_model.seen, "nothing ran"
    with pytest.raises(ValueError, match="sampler Others is not known"):
        sampler_states.check_sampler(inner())
    for changes, part in (
        ({"strength": 1.5}, "strength 1.5"),
        ({"strength": math.nan}, "strength nan"),
        ({"cutoff": -0.1}, "cutoff -0.1"),
        ({"kind": "box"}, "filter 'box'"),
        ({"method": "pyramid"}, "method 'pyramid'"),
        ({"method": FLOW, "trajectory": None}, "Record Run"),
    ):
        assert part in words(lambda changes=changes: guide(**changes))
    odd = guided(model, guide(reference=noise(1, 4, 25, 37)))
    assert run(odd).shape == SHAPE, "rounded proportions are proportions"


# ------------------------------------------------------------- recording


def test_a_recording_is_what_was_predicted_and_the_picture_stays():
    base, taken = patcher_of(make_model()), Trajectory()
    seen = {}
    looked = recorded(base, taken)
    looked.add_wrapper_with_key(
        comfy.patcher_extension.WrappersMP.PREDICT_NOISE, "look",
        lambda executor, x, sigma, *more: seen.setdefault(float(sigma[0]), executor(x, sigma, *more)),
    )  # fmt: skip
    for model in (looked, tiled(looked, TileSettings(**TILES))):
        seen.clear()
        made = run(model)
        assert torch.equal(made, run(tiled(base, TileSettings(**TILES)) if model is not looked else base))
        assert taken.done and taken.levels == tuple(sorted(seen))
        for sigma, x0 in seen.items():
            assert relative(taken.at(sigma), x0) < 1e-3
    run(looked, steps=2)
    assert len(taken) == 2, "a new run forgets the old one"


def test_a_recording_inside_of_a_mask_knows_the_source_outside():
    source, mask, taken = noise(*SHAPE, seed=8), torch.zeros(1, 1, *SHAPE[-2:]), Trajectory()
    mask[..., 10:30, 20:50] = 1
    base = make_model()
    run(recorded(patcher_of(base), taken), latent=source, noise_mask=mask)
    outside, known = (mask == 0).expand(SHAPE), base.process_latent_in(source)
    assert all(float((taken.at(sigma) - known)[outside].abs().max()) < 5e-3 for sigma in taken.levels)


def test_a_recording_is_found_by_its_picture_whatever_ran_since():
    base, taken = patcher_of(make_model()), Trajectory()
    model, shape = recorded(base, taken), small().shape
    first, second = (run(model, shape, seed=seed) for seed in (5, 6))
    assert torch.equal(taken.at(0.1), runs.recorded_run(taken, second).at(0.1))
    follow = partial(run, seed=9)
    # The host has the first picture still in memory and does not sample it again: the recording of the second must not be taken.
    late = follow(guided(base, guide(FLOW, reference=first, trajectory=taken)))
    anew = Trajectory()
    run(recorded(base, anew), shape, seed=5)
    assert torch.equal(late, follow(guided(base, guide(FLOW, reference=first, trajectory=anew))))
    assert not torch.equal(late, follow(guided(base, guide(FLOW, reference=second, trajectory=taken))))
    # And a Record Run that the host made anew, while the picture stayed.
    assert torch.equal(late, follow(guided(base, guide(FLOW, reference=first, trajectory=Trajectory()))))


def test_of_more_runs_than_are_kept_none_is_taken_for_another():
    taken = Trajectory()
    model = recorded(patcher_of(make_model()), taken)
    pictures = [run(model, small().shape, seed=seed) for seed in range(20, 21 + runs.MOST_RUNS)]
    assert "of 5 runs" in words(lambda: runs.recorded_run(taken, pictures[0]))
    assert all(runs.recorded_run(taken, one).done for one in pictures[1:])


def test_what_cannot_be_recorded_is_refused():
    model = recorded(tiled(patcher_of(make_model()), TileSettings(**TILES, order="sequential")), Trajectory())
    assert "order fused" in words(lambda: run(model))
    broken = Trajectory()
    broken.record(1.0, small())
    assert "did not come to its end" in words(lambda: runs.recorded_run(broken, small(seed=77)))
    assert "trajectory is a list" in words(lambda: runs.recorded_run([], small(seed=77)))


def test_flow_accelerates_where_the_sampler_calls_once(monkeypatch):
    called = []
    real = canvas_guide.guide_acceleration
    monkeypatch.setattr(canvas_guide, "guide_acceleration", lambda *all_of_it: (called.append(all_of_it), real(*all_of_it))[1])
    model = guided(patcher_of(make_model()), guide(FLOW))
    run(model, sampler="euler", steps=4)
    assert [one[4] for one in called] == [0, 1, 2, 3] and called[0][5] is None and called[1][5].step == 0
    called.clear()
    run(model, sampler="heun", steps=4)
    assert not called
