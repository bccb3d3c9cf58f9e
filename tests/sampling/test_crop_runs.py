"""Whole sampling runs with the cropper in the host's CALC_COND_BATCH wrapper, through the host's own KSampler."""

import pytest
import torch
from tilework.tests.pack import models

from ..host.recording import CPU, UNIT, ConditionCropper, at, comfy, make_model, noise, plan, prompt, put_together, ramp, relative, views
from .test_crop_areas import blob
from .test_crop_controls import Network, controlnet


def patcher_of(model):
    return comfy.model_patcher.ModelPatcher(model, load_device=CPU, offload_device=CPU)


def with_tiles(patcher, layout, stacked, croppers):
    """A clone that denoises in tiles: a run's cropper is made when the run begins and forgotten when it ends."""
    wrappers = comfy.patcher_extension.WrappersMP
    clone = patcher.clone()
    state = {}

    def run(executor, noise, latent, *rest, **options):
        state["cropper"] = ConditionCropper(noise.shape[2:], UNIT)
        croppers.append(state["cropper"])
        try:
            return executor(noise, latent, *rest, **options)
        finally:
            state.clear()

    def predict(executor, model, conds, x, timestep, options):
        cropper, tiles = state["cropper"], views(layout)
        per_tile = [cropper.crop(conds, view) for view in tiles]
        joined = cropper.stack(per_tile, x.shape[0]) if stacked else None
        if joined is not None:
            every = executor(model, joined, torch.cat([at(x, view) for view in tiles]), timestep.repeat(len(tiles)), options)
            results = [list(out.chunk(len(tiles))) for out in every]
        else:
            calls = (executor(model, cond, at(x, view), timestep, options) for cond, view in zip(per_tile, tiles, strict=True))
            results = list(zip(*calls, strict=True))
        return [put_together(tiles_of_one, layout, x.shape) for tiles_of_one in results]

    clone.add_wrapper_with_key(wrappers.OUTER_SAMPLE, "test", run)
    clone.add_wrapper_with_key(wrappers.CALC_COND_BATCH, "test", predict)
    return clone


def sample(patcher, x, positive, negative, sampler="euler", steps=8, latent=None, noise_mask=None):
    import comfy.sample

    latent = torch.zeros_like(x) if latent is None else latent
    with torch.inference_mode():
        return comfy.sample.sample(
            patcher, x, steps, 3.0, sampler, "normal", positive, negative, latent, noise_mask=noise_mask, seed=42, disable_pbar=True
        )


@pytest.mark.parametrize("stacked", [False, True])
@pytest.mark.parametrize("sampler", ["euler", "dpmpp_2m"])
def test_eight_steps_with_everything(sampler, stacked):
    x = noise(1, 4, 97, 131, seed=4)
    model = make_model()
    model.set_inpaint()
    control = controlnet(ramp(500, 900), 0.1, (0.0, 0.6), controlnet(ramp(97 * UNIT, 131 * UNIT), 0.05))
    inpaint = {"concat_latent_image": ramp(97, 131, channels=4), "concat_mask": blob(97, 131).unsqueeze(1)}
    positive = prompt(1, control=control, **inpaint) + prompt(2, mask=blob(97, 131) + 0.05, control=control, **inpaint)
    if not stacked:
        positive += prompt(3, area=(40, 50, 30, 41), **inpaint) + prompt(4, area=(33, 60, 20, 50), mask=blob(97, 131, seed=1), **inpaint)
    negative = prompt(5, control=control, **inpaint)
    options = {"sampler": sampler, "latent": ramp(97, 131, channels=4), "noise_mask": (blob(97, 131, seed=2) > 0.2).float()}
    patcher = patcher_of(model)
    whole = sample(patcher, x, positive, negative, **options)
    croppers = []
    tiled = with_tiles(patcher, plan(x, lattice=3), stacked, croppers)
    first, second = (sample(tiled, x, positive, negative, **options) for _ in range(2))
    print(
        f"{sampler}, eight steps, {'one call for all tiles' if stacked else 'tile by tile'}: tiled - untiled {relative(first, whole):.1e}"
    )
    assert relative(first, whole) <= 1e-5 and torch.equal(first, second)
    assert len(croppers) == 2 and croppers[0] is not croppers[1]


def test_a_real_unet_with_a_control_lora_and_an_adapter(monkeypatch):
    """The network that a Control LoRA makes of the model before a run is not lost, and sees each tile's part of the hint."""
    import comfy.cldm.cldm

    patcher = models.tiny_unet()
    hint = ramp(500, 700)
    adapter = comfy.controlnet.T2IAdapter(Network(), 3, UNIT, "nearest-exact", device=CPU)
    adapter.set_cond_hint(ramp(512, 768), 0.0)
    lora = comfy.controlnet.ControlLora({"input_hint_block.0.weight": torch.zeros(16, 3, 3, 3)})
    lora.set_cond_hint(hint, 0.5, (0.0, 0.7)).set_previous_controlnet(adapter)
    seen = []

    def forward(self, x, hint, timesteps, context, **extra):
        seen.append(hint)
        return {"input": [], "middle": [torch.zeros(x.shape[0], 64, x.shape[-2] // 4, x.shape[-1] // 4)], "output": []}

    monkeypatch.setattr(comfy.cldm.cldm.ControlNet, "forward", forward)
    monkeypatch.setattr(Network, "forward", lambda self, x: seen.append(None) or {"input": [], "middle": [], "output": []})
    x = noise(1, 4, 64, 96, seed=4)
    layout = plan(x, tile=(48, 64), lattice=4)
    positive, negative = (prompt(seed, control=lora) for seed in (1, 2))
    out = sample(with_tiles(patcher, layout, False, []), x, positive, negative, steps=4)
    assert torch.isfinite(out).all() and lora.control_model is None
    laid = comfy.utils.common_upscale(hint, 96 * UNIT, 64 * UNIT, "nearest-exact", "center")
    hints = [one for one in seen if one is not None]
    assert len(hints) % len(layout) == 0 and len(layout) <= len(hints) < 4 * len(layout), "its time range ends before the run"
    for index, one in enumerate(hints):
        assert torch.equal(one, at(laid, views(layout)[index % len(layout)], UNIT))
    print(
        f"Control LoRA: {len(hints)} calls for {len(layout)} tiles in four steps, hints exact; adapter called {len(seen) - len(hints)} times"
    )
