"""The patches that look at the whole canvas, or at it moved, in whole runs of the host's sampler."""

import importlib

import pytest
import torch
from tilework.blending.fusion.dilated import strided_views
from tilework.tests.pack import models
from tilework.tests.pack.awkward import TightDenoiser

from ..host.recording import TILE_KEY, UNIT, TileLayout, TileSettings, comfy, make_model, noise, prompt, ramp, relative, tiled_model
from .test_crop_areas import blob
from .test_crop_controls import controlnet
from .test_crop_runs import patcher_of, sample

BOUND = 1e-5
CELLS = (33, 45)
TILES = TileSettings(tile_width=28 * UNIT, tile_height=24 * UNIT, overlap=8 * UNIT)
Wrappers = comfy.patcher_extension.WrappersMP


def module(name):
    """Of the pack, imported when ComfyUI is set up."""
    return importlib.import_module(f"tilework.{name}")


def dilated(model, strength=1.0, end=1.0, interaction=False):
    return module("sampling.dilated_views").with_dilated_views(model, 18 * UNIT, 20 * UNIT, strength, end, interaction)


def shifted(model, end=1.0):
    return module("sampling.patch_shift").with_patch_shift(model, end)


def pyramid(model, strength=1.0, end=1.0):
    patched = model.clone()
    where = module("sampling.sampling_range").SamplingRange(0.0, end)
    module("sampling.pyramid").put_pyramid(patched, strength, where, "haar", 0.5)
    return patched


def pointwise(patch=2):
    """A model that looks at single cells, in patches as it says."""
    model = make_model()
    model.diffusion_model.patch_size = patch
    model.set_inpaint()
    return patcher_of(model)


def everything(layout=None):
    """(positive, negative, more for `sample`) with a control, masks, areas, tiles' prompts, an inpainting picture, a noise mask."""
    control = controlnet(ramp(CELLS[0] * UNIT, CELLS[1] * UNIT), 0.1, (0.0, 0.7))
    inpaint = {"concat_latent_image": ramp(*CELLS, channels=4), "concat_mask": blob(*CELLS).unsqueeze(1)}
    positive = prompt(1, control=control, **inpaint) + prompt(2, mask=blob(*CELLS) + 0.05, **inpaint)
    positive += prompt(3, area=(20, 20, 10, 16), reference_latents=[ramp(*CELLS, channels=4)], **inpaint)
    for index in range(0 if layout is None else len(layout)):
        positive += prompt(10 + index, **inpaint, **{TILE_KEY: (layout, index)})
    more = {"latent": ramp(*CELLS, channels=4), "noise_mask": (blob(*CELLS, seed=2) > 0.2).float(), "steps": 3}
    return positive, prompt(5, control=control, **inpaint), more


def run(model, **changes):
    positive, negative, more = everything()
    return sample(model, noise(1, 4, *CELLS), positive, negative, **{**more, **changes})


@pytest.mark.parametrize("patch", [dilated, shifted, pyramid])
def test_nothing_asked_for_is_the_run_without_to_the_bit(patch):
    """Strength 0 or an empty range, also after the node was applied with another one."""
    plain = run(tiled_model(pointwise(), TILES))
    assert torch.equal(run(patch(patch(tiled_model(pointwise(), TILES)), end=0.0)), plain)
    if patch is not shifted:
        assert torch.equal(run(patch(tiled_model(pointwise(), TILES), strength=0.0)), plain)
        assert not torch.equal(run(patch(tiled_model(pointwise(), TILES))), plain)


def test_tiled_is_untiled_in_either_order_and_again():
    """For a pointwise model with everything on, under all three patches, with a sampler that asks twice in a step."""
    sampler = "dpmpp_sde"

    def patched(model):
        return shifted(pyramid(dilated(model, interaction=True)))

    untiled = run(patched(pointwise()), sampler=sampler)
    first = run(tiled_model(patched(pointwise()), TILES), sampler=sampler)
    second = run(pyramid(dilated(shifted(tiled_model(pointwise(), TILES)), interaction=True)), sampler=sampler)
    print(f"{sampler}: tiled - untiled {relative(first, untiled):.1e}")
    assert relative(first, untiled) <= BOUND and torch.equal(first, second)
    assert not torch.equal(run(tiled_model(pointwise(), TILES), sampler=sampler), first)


@pytest.mark.parametrize("tiles", [False, True])
def test_a_pointwise_model_sees_no_difference_when_it_is_moved(tiles):
    plain, moved = (tiled_model(model, TILES) if tiles else model for model in (pointwise(), shifted(pointwise())))
    expected = run(plain)
    moved.model.diffusion_model.seen.clear()
    found = run(moved)
    sizes = {tuple(call["x"].shape[-2:]) for call in moved.model.diffusion_model.seen}
    print(f"Hide Patch Grid, {'tiled' if tiles else 'whole'}: {relative(found, expected):.1e}")
    assert relative(found, expected) <= 1e-6 and len(sizes) >= 2, sizes
    # A model without patches is left as it is, to the bit.
    assert torch.equal(run(shifted(pointwise(patch=1))), run(pointwise(patch=1)))


def test_what_a_tile_is_told_does_not_change():
    """The conditions of the tiles at the first step, with each patch outside of them and without."""
    layout = TileLayout.grid(CELLS[0] * UNIT, CELLS[1] * UNIT, 24 * UNIT, 24 * UNIT, 8 * UNIT, 2 * UNIT)

    def told(patch):
        heard = []

        def listen(executor, model, conds, x, timestep, options):
            if not options.get("tilework_whole"):
                heard.append((x, conds, options["tilework_place"], timestep.clone()))
            return executor(model, conds, x, timestep, options)

        model = patch(tiled_model(pointwise(), TileSettings(layout=layout)))
        model.add_wrapper_with_key(Wrappers.CALC_COND_BATCH, "listen", listen)
        positive, negative, more = everything(layout)
        sample(model, noise(1, 4, *CELLS), positive, negative, **{**more, "steps": 1})
        return heard[: len(layout)]

    plain = told(lambda model: model)
    for patch in (dilated, pyramid):
        for (x, conds, place, at), (x2, conds2, place2, at2) in zip(plain, told(patch), strict=True):
            assert torch.equal(x, x2) and place == place2 and torch.equal(at, at2)
            for one, two in zip([c for e in conds for c in e], [c for e in conds2 for c in e], strict=True):
                assert one.keys() == two.keys()
                for name, value in one["model_conds"].items():
                    contents = (value.cond, two["model_conds"][name].cond)
                    pairs = zip(*contents, strict=True) if isinstance(contents[0], list) else [contents]
                    assert all(a is b or torch.equal(a, b) for a, b in pairs), name
                assert "mask" not in one or torch.equal(one["mask"], two["mask"])
                if one.get("control") is not None:
                    assert torch.equal(one["control"].cond_hint_original, two["control"].cond_hint_original)


def test_views_of_a_wrapped_canvas():
    layout = TileLayout.grid(32 * UNIT, 48 * UNIT, 24 * UNIT, 24 * UNIT, 8 * UNIT, UNIT, wrap=(False, True))
    x = noise(1, 4, 32, 48)
    positive = prompt(1) + prompt(2, **{TILE_KEY: (layout, 0)})
    for patch in (dilated, pyramid):
        untiled, found = (
            sample(patch(model), x, prompt(1), prompt(2), steps=2)
            for model in (patcher_of(make_model()), tiled_model(patcher_of(make_model()), TileSettings(layout=layout)))
        )
        assert patch is pyramid or relative(found, untiled) <= BOUND
        assert torch.isfinite(
            sample(patch(tiled_model(patcher_of(make_model()), TileSettings(layout=layout))), x, positive, prompt(2))
        ).all()


def test_a_video_is_seen_frame_by_frame_and_a_tile_that_is_sampled_by_itself_is_no_canvas():
    x = noise(1, 16, 3, 33, 45)
    model = models.conv_denoiser(0, channels=16)
    given = (x, models.conditioning(1), models.conditioning(2))
    for patch in (dilated, pyramid):
        whole = sample(patch(model), *given, steps=2)
        assert relative(sample(patch(tiled_model(model, TILES)), *given, steps=2), whole) <= BOUND
        alone = tiled_model(model, TileSettings(28 * UNIT, 24 * UNIT, 8 * UNIT, order="sequential"))
        assert torch.equal(sample(patch(alone), *given, steps=2), sample(alone, *given, steps=2))


def test_a_chunk_of_views_that_does_not_fit_is_halved(monkeypatch):
    batches = module("sampling.tile_batches").TileBatches
    monkeypatch.setattr(batches, "estimate", lambda self, *_: setattr(self, "limit", self.limit or 4))

    def picture(**how):
        model = models.conv_denoiser(0, **how)
        made = sample(dilated(model), noise(2, 4, 48, 66), models.conditioning(1), models.conditioning(2), steps=2)
        return made, model.model.diffusion_model

    roomy, _ = picture()
    tight, network = picture(kind=TightDenoiser, room=4)
    assert relative(tight, roomy) <= BOUND and max(network.sizes) <= 4


def test_a_cancel_is_heard_between_two_views():
    import comfy.model_management as management

    model = pointwise()
    network = model.model.diffusion_model
    forward, calls = network.forward, []

    def counting(*args, **more):
        calls.append(1)
        if len(calls) == 3:
            management.interrupt_current_processing()
        return forward(*args, **more)

    network.forward = counting
    try:
        with pytest.raises(management.InterruptProcessingException):
            run(dilated(model))
    finally:
        management.interrupt_current_processing(False)
    assert 3 <= len(calls) <= 6, "one view has as many calls as it has prompts that cannot be joined"


def test_what_cannot_be_is_refused_in_words():
    model = patcher_of(make_model())
    for call, words in (
        (lambda: dilated(model, strength=1.5), "strength 1.5 is not between 0 and 1"),
        (lambda: dilated(model, end=float("nan")), "end nan is no share"),
        (lambda: module("sampling.dilated_views").with_dilated_views(model, -8, 0, 1.0, 1.0, False), "native_width -8 is no size"),
        (lambda: shifted(model, end=2.0), "end 2.0 is no share"),
        (lambda: pyramid(model, strength=-1.0), "strength -1.0 is no share"),
    ):
        with pytest.raises(ValueError, match=words):
            call()

    class EasyCacheHolder:
        pass

    for patch, words in ((dilated, "views of the whole picture"), (shifted, "moved by half a patch")):
        cached = patch(pointwise())
        cached.model_options["transformer_options"]["easycache"] = EasyCacheHolder()
        with pytest.raises(ValueError, match=words):
            run(cached)


def test_a_small_picture_is_left_as_it_is_and_the_log_says_so(caplog):
    model = patcher_of(make_model())
    x = noise(1, 4, 20, 22)
    with caplog.at_level("WARNING"):
        found = sample(dilated(model), x, prompt(1), prompt(2), steps=3)
    assert torch.equal(found, sample(model, x, prompt(1), prompt(2), steps=3))
    assert sum("does nothing here: the picture of 176 x 160 px" in line for line in caplog.messages) == 1


def test_the_pyramid_asks_at_the_noise_that_is_left():
    """Constant pictures come back, for diffusion and for flow, and the pooled canvas has the level that it is said to have."""
    py = module("blending.coherence.pyramid")
    clean = torch.full((4, 4, 24, 24), 0.7)
    for flow in (False, True):
        for sigma in (0.9, 0.3):
            noisy = (1 - sigma if flow else 1.0) * torch.full((4, 4, 96, 96), 0.7) + sigma * noise(4, 4, 96, 96)
            view = module("blending.fusion.pooled").pooled_view((96, 96), 4)
            small, level = py.pooled_level(view.gather(noisy), sigma, 4, flow)
            left = (small - (1 - level if flow else 1.0) * clean) / level
            assert abs(float(left.std()) - 1) < 0.05 and abs(float(left.mean())) < 0.05, (flow, sigma)
    assert py.pooled_level(clean, 0.001, 4, False, least=0.03)[1] == 0.03


def test_few_steps_lead_back_to_the_picture():
    few = module("sampling.few_step_refine").FewStepSampler
    model = make_model()
    patcher = patcher_of(model)
    latent = ramp(32, 40, channels=4)

    def refined(sampler, patched=patcher, mask=None):
        given = (noise(1, 4, 32, 40, seed=3), 1.0, sampler, torch.tensor([14.0, 0.0]), prompt(1), prompt(2), latent.clone())
        with torch.inference_mode():
            return importlib.import_module("comfy.sample").sample_custom(patched, *given, noise_mask=mask, disable_pbar=True, seed=1)

    levels = few(0.25, 0.05, 3).levels(model.model_sampling)
    assert (
        len(levels) == 4
        and bool((levels.diff() < 0).all())
        and float(levels[0]) == pytest.approx(model.model_sampling.percent_to_sigma(0.75))
    )
    # Random noise alone and one step: the model is shown the picture noised to that level.
    model.diffusion_model.seen.clear()
    plain = refined(few(0.25, 1.0, 1))
    inside = model.process_latent_in(latent)
    noisy = model.model_sampling.calculate_input(levels[:1], inside + levels[0] * noise(1, 4, 32, 40, seed=3))
    assert len(model.diffusion_model.seen) == 2 and relative(model.diffusion_model.seen[1]["x"], noisy) < 1e-5
    whole, tiled = refined(few(0.4, 0.1, 2)), refined(few(0.4, 0.1, 2), tiled_model(patcher, TileSettings(128, 128, 32)))
    assert relative(tiled, whole) <= BOUND and not torch.equal(whole, plain)
    mask = torch.zeros(1, 1, 32, 40)
    mask[..., :20] = 1
    assert torch.allclose(refined(few(0.4, 0.1, 2), mask=mask)[..., 20:], latent[..., 20:], atol=1e-6)
    for values, words in (((0.0, 0.1, 1), "depth 0.0"), ((0.2, 1.5, 1), "noise 1.5"), ((0.2, 0.1, 0), "steps 0")):
        with pytest.raises(ValueError, match=words):
            few(*values)
    latent[..., 5, 5] = torch.nan
    with pytest.raises(ValueError, match="the latent has NaN in it"):
        refined(few(0.2, 0.1, 1))


def test_the_views_stand_in_one_order_with_the_tiles():
    model = shifted(tiled_model(dilated(pyramid(pointwise())), TILES))
    keys = list(model.wrappers[Wrappers.CALC_COND_BATCH])
    assert keys == ["tilework.pyramid", "tilework.dilated", "tilework", "tilework.patch_shift"]
    assert len(strided_views(CELLS, 2)) == 4
