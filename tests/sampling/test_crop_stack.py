"""Tiles along the batch in one call of the model give what they give one by one."""

import types

import pytest
import torch

from ..host.recording import (
    CPU,
    UNIT,
    ConditionCropper,
    at,
    comfy,
    make_model,
    noise,
    plan,
    predict,
    prepare,
    prompt,
    ramp,
    relative,
    views,
)
from .test_crop_areas import soft
from .test_crop_controls import FakeVAE, Network, controlnet

SHAPES = [(1, 4, 96, 160), (2, 4, 97, 131), (3, 4, 64, 96), (1, 16, 1, 64, 96), (2, 16, 5, 40, 72)]


def joined_call(model, conds, x, tiles, cropper):
    """All of `tiles` in one call: (per list the tiles' results, one after the other), or None where they cannot be joined."""
    stacked = cropper.stack([cropper.crop(conds, view) for view in tiles], x.shape[0])
    if stacked is None:
        return None
    return predict(model, stacked, torch.cat([at(x, view) for view in tiles]))


def one_by_one(model, conds, x, tiles):
    cropper = ConditionCropper(x.shape[2:], UNIT)
    each = [predict(model, cropper.crop(conds, view), at(x, view)) for view in tiles]
    return [torch.cat(results) for results in zip(*each, strict=True)]


def positives(x):
    """Conditions that reach every tile, so that the tiles can be joined."""
    batch, hint = x.shape[0], ramp(500, 900, batch=x.shape[0])
    frames = x.shape[2] if x.ndim == 5 else 0
    concat = {
        "noise_concat": ramp(*x.shape[-2:], channels=2, batch=batch, frames=frames) + torch.arange(batch).view(-1, *[1] * (x.ndim - 1))
    }
    lists = {
        "prompt": prompt(1),
        "concat": prompt(1, **concat),
        "mask": prompt(1) + prompt(2, mask=soft(x) + 0.1, strength=0.5),
        "area": prompt(1) + prompt(2, area=(x.shape[-2], x.shape[-1] - 3, 0, 2)),
        "one picture for all": prompt(1, noise_concat=concat["noise_concat"][:1]),
    }
    # Two prompts for the pictures of a batch: the host takes them in turn.
    lists["prompts in turn"] = [[torch.cat([noise(1, 7, 16, seed=i) + i for i in range(min(2, batch))]), {}]]
    if batch == 1:
        lists["more masks than pictures"] = prompt(1) + prompt(2, mask=torch.cat([soft(x, seed=i) + 0.1 for i in range(2)]))
    if batch > 1:
        lists["mask per picture"] = prompt(1) + prompt(2, mask=torch.cat([soft(x, seed=i) + 0.1 for i in range(batch)]))
    if not frames:
        lists["control"] = prompt(1, control=controlnet(hint, previous=controlnet(ramp(300, 300))))
        lists["fewer hints"] = prompt(1, control=controlnet(ramp(500, 900, batch=2)))
    return lists


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_stacked_equals_one_by_one(shape):
    x = noise(*shape, seed=4)
    model = make_model(shape[1])
    tiles = views(plan(x, lattice=3))
    worst = {}
    for name, positive in positives(x).items():
        conds = prepare(model, x, positive, prompt(7))
        alone = one_by_one(model, conds, x, tiles)
        model.diffusion_model.seen.clear()
        together = joined_call(model, conds, x, tiles, ConditionCropper(x.shape[2:], UNIT))
        assert together is not None, name
        # Conditions that differ in what they bring along (a control, a concat) are calls of their own.
        alike = not any("control" in cond or "c_concat" in cond["model_conds"] for cond in conds[0])
        assert len(model.diffusion_model.seen) == (1 if alike else 2), name
        worst[name] = max(relative(a, b) for a, b in zip(together, alone, strict=True))
    print(f"{shape}, {len(tiles)} tiles in one call: " + ", ".join(f"{name} {error:.1e}" for name, error in worst.items()))
    assert max(worst.values()) <= 1e-6


def test_a_batch_that_is_not_told_would_mix_the_tiles():
    """Why `stack` is told the pictures per tile: otherwise the host deals the tiles' parts out in turn."""
    x = noise(2, 4, 96, 160, seed=4)
    model = make_model()
    conds = prepare(model, x, prompt(1, noise_concat=ramp(96, 160, channels=2)))
    tiles = views(plan(x))
    cropper = ConditionCropper(x.shape[2:], UNIT)
    wrong = predict(model, cropper.stack([cropper.crop(conds[:1], view) for view in tiles]), torch.cat([at(x, view) for view in tiles]))
    assert relative(wrong[0], one_by_one(model, conds[:1], x, tiles)[0]) > 1e-2


def test_prompt_and_negative_prompt_share_one_stacked_control_and_its_vae_encodes_once():
    x = noise(1, 4, 96, 160, seed=4)
    model = make_model()
    vae = FakeVAE()
    control = comfy.controlnet.ControlNet(
        Network(ratio=1), compression_ratio=1, latent_format=comfy.latent_formats.LatentFormat(), load_device=CPU
    )
    control.set_cond_hint(ramp(768, 1280), 0.8, (0.0, 1.0), vae)
    conds = prepare(model, x, prompt(1, control=control), prompt(2, control=control))
    cropper = ConditionCropper(x.shape[2:], UNIT)
    tiles = views(plan(x))[:4]
    alone = one_by_one(model, conds, x, tiles)
    vae.sizes.clear()
    control.control_model.sizes.clear()
    for _ in range(2):
        together = joined_call(model, conds, x, tiles, cropper)
    print(f"VAE given {vae.sizes}, network batches {control.control_model.sizes} in two steps of four tiles")
    assert vae.sizes == [(4, 384, 512, 3)] and control.control_model.sizes == [8, 8]
    assert max(relative(a, b) for a, b in zip(together, alone, strict=True)) <= 1e-6


def test_what_cannot_be_joined_is_said_so():
    x = noise(1, 4, 96, 160)
    model = make_model()
    tiles = views(plan(x))[:2]

    def joined(conds):
        cropper = ConditionCropper(x.shape[2:], UNIT)
        return cropper.stack([cropper.crop(conds, view) for view in tiles])

    assert joined(prepare(model, x, prompt(1))) is not None
    reaches_one = prepare(model, x, prompt(1) + prompt(2, area=(20, 20, 0, 0)))
    assert joined(reaches_one) is None
    box = ("position", types.SimpleNamespace(), [(noise(1, 8), 20, 20, 0, 0)])
    assert joined([[{"model_conds": {}, "gligen": box}]]) is None
    frames = comfy.conds.CONDConstant(14)
    assert joined([[{"model_conds": {"num_video_frames": frames}}]]) is None
    video = controlnet(ramp(768, 1280))
    video.vae = types.SimpleNamespace(latent_dim=3, spacial_compression_encode=lambda: 8)
    assert joined([[{"model_conds": {}, "control": video}]]) is None
    theirs = controlnet(ramp(768, 1280))
    theirs.__class__ = type("Theirs", (comfy.controlnet.ControlNet,), {"__module__": "custom_nodes.theirs"})
    assert joined([[{"model_conds": {}, "control": theirs}]]) is None
    cropper = ConditionCropper(x.shape[2:], UNIT)
    one = cropper.crop(prepare(model, x, prompt(1)), tiles[0])
    assert cropper.stack([one]) is one and cropper.stack([one, [None, None]]) is None


def test_what_tiles_share_is_not_copied():
    x = noise(1, 4, 96, 160)
    model = make_model()
    conds = prepare(model, x, prompt(1))
    cropper = ConditionCropper(x.shape[2:], UNIT)
    stacked = cropper.stack([cropper.crop(conds, view) for view in views(plan(x))])
    assert stacked[1] is None and stacked[0][0]["model_conds"]["c_crossattn"] is conds[0][0]["model_conds"]["c_crossattn"]
