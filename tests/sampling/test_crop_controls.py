"""ControlNets, Control LoRAs and T2I adapters: each tile is given what lies under it of the hint, and never all of it."""

import logging

import pytest
import torch
from tilework.blending.layout.grid import Rect

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
    tiled,
    views,
)

SHAPES = [(1, 4, 96, 160), (2, 4, 97, 131), (1, 16, 1, 64, 96), (1, 16, 5, 40, 72)]


class Network(torch.nn.Module):
    """A control network that writes down its hint and answers with the hint's mean over each cell."""

    dtype = torch.float32
    unshuffle_amount = UNIT

    def __init__(self, ratio=UNIT):
        super().__init__()
        self.ratio = ratio
        self.hints = []
        self.sizes = []

    def forward(self, x, hint=None, timesteps=None, context=None, **extra):
        hint = x if hint is None else hint
        self.hints.append(hint)
        self.sizes.append(x.shape[0])
        planes = torch.nn.functional.avg_pool2d(hint, self.ratio)
        return {"input": [], "middle": [], "output": [planes.mean(dim=1, keepdim=True).clone()]}


class FakeVAE:
    """Eight pixels to a cell, the mean over them; counts what it is given."""

    latent_dim = 2

    def __init__(self):
        self.sizes = []

    def spacial_compression_encode(self):
        return UNIT

    def encode(self, pixels):
        self.sizes.append(tuple(pixels.shape))
        return torch.nn.functional.avg_pool2d(pixels.movedim(-1, 1), UNIT)


def controlnet(hint, strength=0.8, percent=(0.0, 1.0), previous=None, network=None, **options):
    control = comfy.controlnet.ControlNet(network or Network(), load_device=CPU, **options)
    control.set_cond_hint(hint, strength, percent)
    return control.set_previous_controlnet(previous)


def with_control(control, seed=1, **options):
    return prompt(seed, control=control, **options)


def laid(hint, x, ratio=UNIT, algorithm="nearest-exact"):
    """The hint as the host lays it over the whole canvas."""
    height, width = x.shape[-2:]
    return comfy.utils.common_upscale(hint, width * ratio, height * ratio, algorithm, "center")


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("hint_size", [None, (600, 400), (97, 1033)], ids=["canvas", "smaller", "wide"])
def test_each_tile_is_given_what_lies_under_it(shape, hint_size):
    x = noise(*shape, seed=4)
    height, width = hint_size or (shape[-2] * UNIT, shape[-1] * UNIT)
    hint = ramp(height, width)
    control = controlnet(hint)
    model = make_model(shape[1])
    conds = prepare(model, x, with_control(control), with_control(control, 2))
    whole = predict(model, conds, x)
    network = control.control_model
    network.hints.clear()
    layout = plan(x, lattice=3)
    out = tiled(model, conds, x, layout)
    expected = laid(hint, x)
    assert len(network.hints) == len(layout), "prompt and negative prompt in one call for each tile"
    for view, seen in zip(views(layout), network.hints, strict=True):
        assert torch.equal(seen, at(expected, view, UNIT))
    error = max(relative(a, b) for a, b in zip(out, whole, strict=True))
    print(
        f"{shape}, hint {width} x {height}: hints exact in {len(layout)} tiles, batch sizes {set(network.sizes)}; tiled - untiled {error:.1e}"
    )
    assert error <= 1e-5
    assert set(network.sizes) == {2 * shape[0]}
    assert control.cond_hint_original is hint and control.cond_hint is not None, "the original is as the untiled run left it"


def test_hints_resampled_any_other_way_and_one_that_needs_no_copy():
    x = noise(1, 4, 96, 160)
    model = make_model()
    small = controlnet(ramp(500, 900))
    small.upscale_algorithm = "bicubic"
    full = controlnet(ramp(96 * UNIT, 160 * UNIT), previous=small)
    cropper = ConditionCropper(x.shape[2:], UNIT)
    conds = prepare(model, x, with_control(full))
    for view in views(plan(x)):
        control = cropper.crop(conds, view)[0][0]["control"]
        assert control.cond_hint_original.untyped_storage().data_ptr() == full.cond_hint_original.untyped_storage().data_ptr()
        expected = at(laid(small.cond_hint_original, x, algorithm="bicubic"), view, UNIT)
        assert torch.equal(control.previous_controlnet.cond_hint_original, expected)


def test_a_chain_with_time_ranges():
    x = noise(1, 4, 96, 160, seed=4)
    hints = [ramp(400 + 40 * i, 700) + i for i in range(3)]
    chain = None
    networks = [Network() for _ in hints]
    for hint, network, percent in zip(hints, networks, [(0.0, 1.0), (0.9, 1.0), (0.0, 0.9)], strict=True):
        chain = controlnet(hint, 0.3, percent, chain, network)
    model = make_model()
    conds = prepare(model, x, with_control(chain), with_control(chain, 2))
    whole = predict(model, conds, x)
    called = [len(network.hints) for network in networks]
    for network in networks:
        network.hints.clear()
    layout = plan(x)
    error = relative(tiled(model, conds, x, layout)[0], whole[0])
    print(f"three controls, called untiled {called}, tiled {[len(n.hints) for n in networks]} in {len(layout)} tiles: error {error:.1e}")
    assert called == [1, 0, 1] and [len(n.hints) for n in networks] == [len(layout), 0, len(layout)]
    assert error <= 1e-5
    for hint, network in zip(hints, networks, strict=True):
        for view, seen in zip(views(layout), network.hints, strict=False):
            assert torch.equal(seen, at(laid(hint, x), view, UNIT))


def test_a_control_with_a_vae_and_a_mask_beside_its_hint():
    x = noise(1, 4, 96, 160, seed=4)
    hint, beside = ramp(700, 1300), ramp(300, 500, channels=1)
    control = comfy.controlnet.ControlNet(
        Network(ratio=1), compression_ratio=1, latent_format=comfy.latent_formats.LatentFormat(), load_device=CPU, concat_mask=True
    )
    vae = FakeVAE()
    control.set_cond_hint(hint, 0.8, (0.0, 1.0), vae, [beside])
    model = make_model()
    conds = prepare(model, x, with_control(control), with_control(control, 2))
    whole = predict(model, conds, x)
    control.control_model.hints.clear()
    vae.sizes.clear()
    cropper = ConditionCropper(x.shape[2:], UNIT)
    layout = plan(x)
    error = relative(tiled(model, conds, x, layout, cropper)[0], whole[0])
    expected = torch.cat([torch.nn.functional.avg_pool2d(laid(hint, x), UNIT), laid(beside, x, 1)], dim=1)
    for view, seen in zip(views(layout), control.control_model.hints, strict=True):
        assert torch.allclose(seen, at(expected, view), atol=1e-6)
    tiled(model, conds, x, layout, cropper)
    print(f"VAE given {set(vae.sizes)}, {len(vae.sizes)} times for {len(layout)} tiles in two steps; error {error:.1e}")
    assert error <= 1e-5 and vae.sizes == [(1, 48 * UNIT, 64 * UNIT, 3)] * len(layout)


def test_an_inpaint_control_without_a_mask():
    """The host puts one pixel of ones beside the hint then."""
    x = noise(1, 4, 96, 160)
    control = controlnet(ramp(768, 1280), concat_mask=True)
    model = make_model()
    predict(
        model, ConditionCropper(x.shape[2:], UNIT).crop(prepare(model, x, with_control(control)), views(plan(x))[4]), noise(1, 4, 48, 64)
    )
    assert control.control_model.hints[0].shape == (1, 4, 384, 512) and float(control.control_model.hints[0][:, 3].min()) == 1.0


@pytest.mark.parametrize("batch", [1, 2])
def test_t2i_adapter(batch):
    x = noise(batch, 4, 96, 160, seed=4)
    hint = ramp(500, 700, batch=batch)
    network = Network()
    adapter = comfy.controlnet.T2IAdapter(network, 3, UNIT, "nearest-exact", device=CPU)
    adapter.set_cond_hint(hint, 0.7)
    model = make_model()
    conds = prepare(model, x, with_control(adapter), with_control(adapter, 2))
    whole = predict(model, conds, x)
    network.hints.clear()
    layout = plan(x)
    cropper = ConditionCropper(x.shape[2:], UNIT)
    error = relative(tiled(model, conds, x, layout, cropper)[0], whole[0])
    for view, seen in zip(views(layout), network.hints, strict=True):
        assert torch.equal(seen[:batch], at(laid(hint, x), view, UNIT))
    tiled(model, conds, x, layout, cropper)
    print(f"adapter run {len(network.hints)} times for {len(layout)} tiles in two steps; error {error:.1e}")
    assert error <= 1e-5 and len(network.hints) == len(layout)


def test_control_lora_and_everything_else_a_control_carries():
    x = noise(1, 4, 96, 160)
    lora = comfy.controlnet.ControlLora({"input_hint_block.0.weight": torch.zeros(16, 3, 3, 3)})
    lora.set_cond_hint(ramp(768, 1280), 0.6, (0.1, 0.9))
    # What its pre_run makes of a real model, and its own copy() would lose.
    lora.control_model, lora.model_sampling_current, lora.manual_cast_dtype = Network(), make_model().model_sampling, None
    lora.timestep_range = (9.0, 1.0)
    lora.extra_args = {"control_type": [3]}
    clone = lora.copy()
    clone.control_model, clone.only_here = Network(), "kept"
    lora.multigpu_clones = {torch.device("cpu"): clone}
    # Left over from a run at the tile's size, which the host knows its caches by.
    lora.cond_hint = torch.full((1, 3, 48 * UNIT, 64 * UNIT), 7.0)
    view = views(plan(x))[4]
    made = ConditionCropper(x.shape[2:], UNIT).crop([[{"control": lora, "model_conds": {}}]], view)[0][0]["control"]
    assert type(made) is comfy.controlnet.ControlLora and made is not lora and made.control_model is lora.control_model
    assert (made.strength, made.timestep_range, made.timestep_percent_range) == (0.6, (9.0, 1.0), (0.1, 0.9))
    assert made.model_sampling_current is lora.model_sampling_current
    assert made.extra_args == lora.extra_args and made.extra_args is not lora.extra_args
    expected = at(lora.cond_hint_original, view, UNIT)
    there = made.get_instance_for_device(torch.device("cpu"))
    assert there is not clone and there.only_here == "kept"
    assert torch.equal(made.cond_hint_original, expected) and torch.equal(there.cond_hint_original, expected)
    made.get_control(noise(1, 4, 48, 64), torch.tensor([3.0]), {"c_crossattn": noise(1, 7, 16)}, 1, {})
    assert torch.equal(lora.control_model.hints[0], expected)


def test_conditions_that_share_a_control_share_its_copy_and_a_run_remembers_nothing():
    x = noise(1, 4, 96, 160)
    model = make_model()
    control = controlnet(ramp(768, 1280))
    conds = prepare(model, x, with_control(control) + with_control(control, 3), with_control(control, 2))
    view, other = views(plan(x))[:2]
    cropper = ConditionCropper(x.shape[2:], UNIT)
    (first, second), (third,) = cropper.crop(conds, view)
    assert first["control"] is second["control"] is third["control"] is not control
    assert cropper.crop(conds, other)[0][0]["control"] is not first["control"]
    assert cropper.crop(conds, view)[0][0]["control"] is first["control"], "kept from step to step"
    assert ConditionCropper(x.shape[2:], UNIT).crop(conds, view)[0][0]["control"] is not first["control"]
    # The next run, with another hint of the same shape in the very same control.
    network = control.control_model
    for run in range(2):
        hint = ramp(768, 1280) + 10 * run
        control.set_cond_hint(hint)
        network.hints.clear()
        tiled(model, conds, x, plan(x))
        for at_view, seen in zip(views(plan(x)), network.hints, strict=True):
            assert torch.equal(seen, at(hint, at_view, UNIT))
        low, high = min(float(h.min()) for h in network.hints), max(float(h[:, :2].max()) for h in network.hints)
        print(f"run {run}: hints from {low:.2f}, ramps up to {high:.2f}")
    assert torch.equal(cropper.crop(conds, view)[0][0]["control"].cond_hint_original, at(hint, view, UNIT)), (
        "a hint that was replaced is seen"
    )


def test_a_hint_under_an_area_is_where_the_host_puts_it():
    """The host lays a hint over the area, not over the canvas."""
    x = noise(1, 4, 96, 160, seed=4)
    model = make_model()
    control = controlnet(ramp(333, 555))
    conds = prepare(model, x, prompt(1) + with_control(control, 2, area=(50, 90, 17, 29)), prompt(3))
    error = relative(tiled(model, conds, x, plan(x))[0], predict(model, conds, x)[0])
    print(f"control under an area: error {error:.1e}")
    assert error <= 1e-5


def test_copies_are_dropped_when_they_take_too_much(monkeypatch):
    from tilework.sampling.conditions import controls

    x = noise(1, 4, 96, 160)
    model = make_model()
    control = controlnet(ramp(500, 900))
    conds = prepare(model, x, with_control(control), with_control(control, 2))
    tile = 48 * 64 * UNIT * UNIT * 3 * 4
    monkeypatch.setattr(controls, "KEPT_BYTES", 3 * tile)
    cropper = ConditionCropper(x.shape[2:], UNIT)
    layout = plan(x)
    for _ in range(2):
        for view in views(layout):
            positive, negative = cropper.crop(conds, view)
            assert positive[0]["control"] is negative[0]["control"]
    kept = cropper._controls._kept
    # One more than fits: the tile that was just cut.
    assert len(kept) == 4 and {one.size() for one in kept.values()} == {tile}
    predict(model, cropper.crop(conds, views(layout)[0]), noise(1, 4, 48, 64))
    assert sum(one.size() for one in kept.values()) == 4 * tile + tile, "with the copy that the host made of its hint"


def test_controls_of_other_packs_are_named_once(caplog):
    class TheirControl(comfy.controlnet.ControlNet):
        pass

    TheirControl.__module__ = "custom_nodes.theirs"
    x = noise(1, 4, 96, 160)
    control = TheirControl(Network(), load_device=CPU)
    control.set_cond_hint(ramp(768, 1280))
    cropper = ConditionCropper(x.shape[2:], UNIT)
    with caplog.at_level(logging.WARNING):
        for view in views(plan(x)):
            made = cropper.crop([[{"control": control, "model_conds": {}}]], view)[0][0]["control"]
            assert type(made) is TheirControl and made.cond_hint_original.shape[-2:] == (384, 512)
    assert sum("TheirControl" in record.getMessage() for record in caplog.records) == 1
    control.cond_hint_original = {"samples": noise(1, 4, 8, 8)}
    with pytest.raises(ValueError, match="hint of control TheirControl is a dict"):
        cropper.crop([[{"control": control, "model_conds": {}}]], Rect(0, 0, 48, 64))
