"""Hold Bands to Reference on whole runs of the host's own samplers, in its process."""

import math

import pytest
import torch
from tilework.blending.frequency.consistency import hold_bands as held
from tilework.blending.frequency.consistency import low_band_for
from tilework.blending.frequency.decimated import decompose
from tilework.blending.layout.tile_layout import TileLayout

from ..host.recording import TileSettings, canvas_guide, comfy, hold_bands, make_model, noise, prompt, relative, sampling_range
from ..host.recording import tiled_model as tiled
from .test_crop_runs import patcher_of, sample

BandHold, held_to, SamplingRange = hold_bands.BandHold, hold_bands.held_to, sampling_range.SamplingRange
SHAPE = (1, 4, 48, 72)
TILES = {"tile_width": 256, "tile_height": 256, "overlap": 64}
FIRM = 1e5
BOUND = 1e-5


def hold(scale=1, **changes):
    shape = changes.pop("shape", SHAPE)
    reference = changes.pop("reference", noise(*shape[:-2], shape[-2] // scale, shape[-1] // scale, seed=3))
    return BandHold(reference, **{"operator": "same size" if scale == 1 else "averaged", **changes})


def run(model, shape=SHAPE, sampler="euler", steps=3, **more):
    return sample(model, noise(*shape, seed=1), prompt(1), prompt(2), sampler, steps, **more)


def in_tiles(model, **settings):
    return tiled(model, TileSettings(**{**TILES, **settings}))


def words(call):
    with pytest.raises(ValueError) as caught:
        call()
    return str(caught.value)


def test_off_is_off_to_the_bit():
    model = in_tiles(patcher_of(make_model()))
    plain, on = run(model), held_to(model, hold())
    assert not torch.equal(run(on), plain)
    for off in (hold(low=0.0, high=0.0), hold(where=SamplingRange(0.4, 0.4))):
        assert torch.equal(run(held_to(model, off)), plain)
        assert torch.equal(run(held_to(on, off)), plain), "the last settings count"
    assert torch.equal(run(on), run(held_to(on, hold()))), "applied twice it is applied once, and one seed is one picture"


@pytest.mark.parametrize("wavelet", ["haar", "db4", "sym4"])
def test_firm_weights_give_the_bands_of_the_reference(wavelet):
    base = make_model()
    one = hold(wavelet=wavelet, low=FIRM, high=0.0)
    made, reference = run(held_to(in_tiles(patcher_of(base)), one)), one.reference
    # The last step ends with the prediction itself, in the model's own scale.
    coarse, wanted = decompose(made, wavelet, 2).low, decompose(reference, wavelet, 2).low
    off = float((coarse - wanted).abs().max() / wanted.abs().max())
    print(f"{wavelet}: low band off by {off:.1e}")
    assert off < 1e-4 and relative(made, reference) > 0.1, "the fine is the model's own"
    both = run(held_to(in_tiles(patcher_of(base)), hold(wavelet=wavelet, low=FIRM, high=FIRM)))
    assert relative(both, reference) < 1e-4


@pytest.mark.parametrize("scale", [2, 3])
def test_the_average_of_the_picture_is_the_reference(scale):
    one = hold(scale, low=FIRM, high=FIRM)
    made = run(held_to(in_tiles(patcher_of(make_model()), grid="jitter"), one), sampler="dpmpp_2m")
    off = relative(torch.nn.functional.avg_pool2d(made, scale), one.reference)
    print(f"average at {scale}: off by {off:.1e}")
    assert off < 1e-4


def test_in_every_call_the_prediction_is_the_step_and_the_objective_falls():
    before, after = [], []
    one = hold(low=2.0, high=0.25)
    model = patcher_of(make_model())
    model.set_model_sampler_post_cfg_function(lambda args: (before.append(args["denoised"].clone()), args["denoised"])[1])
    model = held_to(model, one)
    model.set_model_sampler_post_cfg_function(lambda args: (after.append(args["denoised"].clone()), args["denoised"])[1])
    run(in_tiles(model), sampler="heun")
    band, reference = low_band_for(SHAPE[-2:], "haar", 2), make_model().process_latent_in(one.reference)

    def objective(x, x0):
        off = x - reference
        coarse = band.project(off)
        return float(((x - x0) ** 2).sum() + 2.0 * (coarse**2).sum() + 0.25 * ((off - coarse) ** 2).sum())

    assert len(before) == len(after) == 5
    for x0, x in zip(before, after, strict=True):
        assert torch.equal(x, held(x0, reference, 2.0, 0.25, band))
        assert objective(x, x0) < 0.9 * objective(x0, x0)


@pytest.mark.parametrize("shape", [(2, 4, 49, 65), (1, 4, 3, 40, 48)], ids=str)
def test_tiled_equals_untiled_before_and_behind(shape):
    one = hold(shape=shape, wavelet="db4", where=SamplingRange(0.1, 0.9))
    base = patcher_of(make_model())
    whole = run(held_to(base, one), shape, "euler_ancestral")
    settings = TileSettings(**TILES, grid="jitter")
    behind, before = held_to(tiled(base, settings), one), tiled(held_to(base, one), settings)
    assert relative(run(behind, shape, "euler_ancestral"), whole) < BOUND
    assert torch.equal(run(behind, shape, "euler_ancestral"), run(before, shape, "euler_ancestral"))
    assert not torch.equal(whole, run(base, shape, "euler_ancestral"))


def test_beside_keep_composition_the_order_makes_no_difference():
    guide = canvas_guide.Guide("structure", noise(1, 4, 24, 36, seed=5), 192, SamplingRange())
    base, one = patcher_of(make_model()), hold()
    made = [
        run(in_tiles(held_to(canvas_guide.guided(base, guide), one))),
        run(canvas_guide.guided(held_to(in_tiles(base), one), guide)),
    ]
    assert torch.equal(*made)


@pytest.mark.parametrize(("scale", "wavelet"), [(1, "db4"), (2, "haar")])
def test_a_canvas_that_is_joined_to_itself_has_no_first_column(scale, wavelet):
    layout = TileLayout.grid(384, 576, 256, 256, 64, 8, wrap=(False, True))
    base, reference, turn = patcher_of(make_model()), hold(scale).reference, 32

    def made(by):
        one = hold(scale, reference=reference.roll(by // scale, -1), wavelet=wavelet, low=3.0)
        model = held_to(tiled(base, TileSettings(layout=layout)), one)
        return sample(model, noise(*SHAPE, seed=1).roll(by, -1), prompt(1), prompt(2), "euler", 3)

    assert relative(made(turn).roll(-turn, -1), made(0)) < BOUND


def test_tile_by_tile_each_is_held_to_its_own_part():
    model = in_tiles(patcher_of(make_model()), order="sequential")
    firm = {"low": FIRM, "high": FIRM}
    one = hold(**firm)
    assert relative(run(held_to(model, one)), one.reference) < 1e-4
    small = hold(2, **firm)
    made = run(held_to(model, small))
    assert relative(torch.nn.functional.avg_pool2d(made, 2), small.reference) < 1e-4
    assert "use order fused" in words(lambda: run(held_to(model, hold(3, **firm))))


def test_outside_of_a_noise_mask_the_source_stays():
    source, mask = noise(*SHAPE, seed=8), torch.zeros(1, 1, *SHAPE[-2:])
    mask[..., 10:30, 20:50] = 1
    made = run(held_to(in_tiles(patcher_of(make_model())), hold()), latent=source, noise_mask=mask)
    assert float((made - source)[(mask == 0).expand(SHAPE)].abs().max()) < 1e-5


def test_windows_over_frames_are_held_as_one():
    shape, windows = (1, 4, 7, 24, 36), comfy.context_windows
    model = patcher_of(make_model())
    model.model_options["context_handler"] = windows.IndexListContextHandler(
        context_schedule=windows.get_matching_context_schedule(windows.ContextSchedules.STATIC_STANDARD),
        fuse_method=windows.get_matching_fuse_method(windows.ContextFuseMethods.PYRAMID),
        context_length=4, context_overlap=2, dim=2, causal_window_fix=False,
    )  # fmt: skip
    windows.create_prepare_sampling_wrapper(model)
    one = hold(shape=shape, low=FIRM, high=FIRM)
    assert relative(run(held_to(tiled(model, TileSettings(128, 128, 32)), one), shape), one.reference) < 1e-4


def test_what_does_not_fit_is_refused_before_anything_runs():
    base = make_model()
    model = patcher_of(base)
    for changes, part in (
        ({"reference": noise(1, 16, 48, 72)}, "same model family"),
        ({"reference": noise(3, 4, 48, 72)}, "3 pictures"),
        ({"reference": noise(1, 4, 24, 36)}, "36 x 24 cells and the canvas 72 x 48: enlarge the reference"),
        ({"reference": torch.zeros(SHAPE)}, "empty latent"),
        ({"reference": noise(1, 4, 32, 48), "operator": "averaged"}, "1.5 and 1.5 times as large: operator averaged needs a whole number"),
        ({"reference": noise(1, 4, 23, 35), "operator": "averaged"}, "Make the canvas 70 x 46 cells"),
    ):
        assert part in words(lambda changes=changes: run(held_to(model, hold(**changes)))), changes
    assert not base.diffusion_model.seen, "nothing ran"
    for changes, part in (
        ({"low": -1.0}, "low: weight -1.0"),
        ({"high": math.nan}, "high: weight nan"),
        ({"wavelet": "bior4.4"}, "wavelet 'bior4.4'"),
        ({"levels": 13}, "levels 13"),
        ({"operator": "mean"}, "operator 'mean'"),
    ):
        assert part in words(lambda changes=changes: hold(**changes))
