"""Tile by tile, each seeing its finished neighbours: through the host's own KSampler."""

import pytest
import torch

from ..host.recording import CPU, TileSettings, comfy, make_model, noise, prompt, relative, sequential
from ..host.recording import tiled_model as tiled
from .test_crop_runs import patcher_of, sample

# 64 x 48 cells, overlap 16.
TILES = {"tile_width": 512, "tile_height": 384, "overlap": 128, "order": "sequential"}
SHAPES = [(1, 4, 96, 160), (2, 16, 97, 131), (1, 16, 5, 40, 72)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("sampler", ["euler", "dpmpp_2m", "res_multistep"])
def test_a_pointwise_model_gives_the_untiled_picture(shape, sampler):
    model, x = patcher_of(make_model(shape[1])), noise(*shape, seed=1)
    latent = 0.5 * noise(*shape, seed=2)
    whole = sample(model, x, prompt(1), prompt(2), sampler, latent=latent)
    parts = sample(tiled(model, TileSettings(**TILES)), x, prompt(1), prompt(2), sampler, latent=latent)
    print(f"{sampler}, {shape}: {relative(parts, whole):.1e} of the largest value")
    assert parts.shape == whole.shape and relative(parts, whole) <= 1e-5


def test_outside_of_a_noise_mask_the_source_stays():
    model, x = patcher_of(make_model()), noise(1, 4, 96, 160, seed=1)
    latent = 0.5 * noise(1, 4, 96, 160, seed=2)
    mask = torch.zeros(1, 1, 96, 160)
    mask[..., 30:70, 40:120] = 1
    whole = sample(model, x, prompt(1), prompt(2), "euler", latent=latent, noise_mask=mask)
    parts = sample(tiled(model, TileSettings(**TILES)), x, prompt(1), prompt(2), "euler", latent=latent, noise_mask=mask)
    assert relative(parts, whole) <= 1e-5
    outside = (mask == 0).expand_as(latent)
    assert float((parts - latent)[outside].abs().max() / latent.abs().max()) <= 1e-6


def test_tiles_that_the_mask_leaves_nothing_of_cost_nothing():
    model, x = patcher_of(make_model()), noise(1, 4, 48, 208, seed=1)
    latent = 0.5 * noise(1, 4, 48, 208, seed=2)
    mask = torch.zeros(1, 1, 48, 208)
    mask[..., 80:90] = 1
    seen = []

    def count(executor, model, conds, x_in, timestep, options):
        seen.append(options["tilework_run"].alone.index)
        return executor(model, conds, x_in, timestep, options)

    patched = tiled(model, TileSettings(**TILES))
    patched.add_wrapper_with_key(comfy.patcher_extension.WrappersMP.CALC_COND_BATCH, "count", count)
    whole = sample(model, x, prompt(1), prompt(2), "euler", latent=latent, noise_mask=mask)
    parts = sample(patched, x, prompt(1), prompt(2), "euler", latent=latent, noise_mask=mask)
    assert len(seen) == 8 and len(set(seen)) == 1, "one tile of four, eight steps"
    assert relative(parts, whole) <= 1e-5


def test_every_step_sees_the_finished_neighbour_noised_with_the_canvas_own_noise():
    base = make_model()
    model, x = patcher_of(base), noise(1, 4, 48, 112, seed=1)
    seen = []

    def record(executor, model, conds, x_in, timestep, options):
        seen.append((float(timestep[0]), x_in.clone()))
        return executor(model, conds, x_in, timestep, options)

    patched = tiled(model, TileSettings(**TILES))
    patched.add_wrapper_with_key(comfy.patcher_extension.WrappersMP.CALC_COND_BATCH, "recorder", record)
    latent = torch.zeros_like(x)
    out = sample(patched, x, prompt(1), prompt(2), "euler", latent=latent)
    assert len(seen) == 16, "two tiles of eight steps"
    first = base.process_latent_in(out)[..., :64]  # the second tile lies at 48: cells 48..56 are the first one's for good
    worst = 0.0
    for sigma, at in seen[8:]:
        expected = base.model_sampling.noise_scaling(torch.tensor(sigma), x[..., 48:56], first[..., 48:56])
        worst = max(worst, float((at[..., :8] - expected).abs().max() / expected.abs().max()))
    print(f"margin at every step: {worst:.1e} of the largest value")
    assert worst <= 1e-5


class OwnTone(torch.nn.Module):
    """Paints every picture in a tone of its own, and fades to what lies at its left side where that is finished already."""

    dtype = torch.float32

    def __init__(self) -> None:
        super().__init__()
        self.tones: list[float] = []
        self.tone, self.last = 0.0, 0.0

    def forward(self, x, timesteps=None, context=None, control=None, transformer_options=None, **extra):
        level = float(timesteps[0])
        if level > self.last:  # a new run began
            self.tone = float(torch.rand(1, generator=torch.Generator().manual_seed(len(self.tones)))) - 0.5
            self.tones.append(self.tone)
        self.last = level
        out = torch.full_like(x, self.tone)
        known = transformer_options.get("known")
        if known is not None:
            fade = torch.linspace(1, 0, x.shape[-1]).clamp(0, 1)
            out = out + (known - self.tone) * fade
        return out


def test_the_step_between_tiles_is_a_third_of_what_separate_sampling_leaves(monkeypatch):
    base = make_model()
    model = patcher_of(base)
    base.diffusion_model = OwnTone()
    patched = tiled(model, TileSettings(**{**TILES, "tile_width": 1024}))
    canvas = {}
    put = sequential._put

    def watch(done, painted, view, share):
        put(done, painted, view, share)
        canvas["done"] = done

    def knows(executor, model, conds, x_in, timestep, options):
        alone = options["tilework_run"].alone
        if alone is not None and alone.index:
            # What a good inpainting model reads off its known margin: the tone there.
            tone = canvas["done"][..., alone.rect.x : alone.rect.x + 8].mean()
            options = {**options, "transformer_options": {**options["transformer_options"], "known": tone}}
        return executor(model, conds, x_in, timestep, options)

    monkeypatch.setattr(sequential, "_put", watch)
    patched.add_wrapper_with_key(comfy.patcher_extension.WrappersMP.CALC_COND_BATCH, "knows", knows)
    together = sample(patched, noise(1, 4, 48, 352, seed=1), prompt(1), prompt(2), "euler")
    line = base.process_latent_in(together)[0, 0, 24]
    tones = base.diffusion_model.tones
    assert len(tones) == 3, "a tone for each of the three tiles at 0, 112 and 224"
    window = torch.hann_window(34, periodic=False)[1:17]
    separate = torch.cat([tones[0] + (tones[1] - tones[0]) * window, tones[1] + (tones[2] - tones[1]) * window]).view(2, 16)
    theirs = float(separate.diff(dim=1).abs().max())
    ours = max(float(line[start : start + 16].diff().abs().max()) for start in (112, 224))
    print(f"largest step in an overlap: {ours:.4f}, separate sampling and Hann {theirs:.4f}")
    assert ours <= theirs / 3


def test_progress_counts_tiles_times_steps_and_a_cancel_is_heard():
    model, x = patcher_of(make_model()), noise(1, 4, 48, 160, seed=1)
    told = []
    patched = tiled(model, TileSettings(**TILES))
    import comfy.sample

    def go(callback):
        with torch.inference_mode():
            return comfy.sample.sample(
                patched,
                x,
                4,
                3.0,
                "euler",
                "normal",
                prompt(1),
                prompt(2),
                torch.zeros_like(x),
                seed=1,
                disable_pbar=True,
                callback=callback,
            )

    go(lambda step, x0, x_now, total: told.append((step, total, tuple(x0.shape))))
    assert [step for step, *_ in told] == list(range(12)) and {t[1:] for t in told} == {(12, (1, 4, 48, 160))}

    import comfy.model_management

    seen = []

    def cancel(step, *_):
        seen.append(step)
        if step == 4:
            comfy.model_management.interrupt_current_processing()

    with pytest.raises(comfy.model_management.InterruptProcessingException):
        go(cancel)
    assert seen == [0, 1, 2, 3, 4], "it ends within one tile's step"
    assert torch.isfinite(go(None)).all(), "and the next run is clean"


def test_jitter_is_refused():
    with pytest.raises(ValueError, match="use grid fixed"):
        TileSettings(**TILES, grid="jitter")


def test_one_tile_over_everything_is_untiled():
    model, x = patcher_of(make_model()), noise(1, 4, 40, 60, seed=1)
    whole = sample(model, x, prompt(1), prompt(2), "euler")
    assert torch.equal(sample(tiled(model, TileSettings(**TILES)), x, prompt(1), prompt(2), "euler"), whole)
    assert CPU.type == "cpu"


def test_the_largest_seed_is_no_trouble():
    model, x = patcher_of(make_model()), noise(1, 4, 48, 112, seed=1)
    import comfy.sample

    with torch.inference_mode():
        out = comfy.sample.sample(
            tiled(model, TileSettings(**TILES)), x, 2, 3.0, "euler_ancestral", "normal", prompt(1), prompt(2), torch.zeros_like(x),
            seed=2**64 - 2, disable_pbar=True,
        )  # fmt: skip
    assert torch.isfinite(out).all()
