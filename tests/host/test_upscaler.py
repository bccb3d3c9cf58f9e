"""An UPSCALE_MODEL on the host's device: memory asked for, moved there and back, errors told apart."""

import pytest
import torch

from .recording import comfy

from tilework.blending.tiled_run import OutOfMemoryError  # isort: skip
from tilework.models.tiled_upscale import Request, upscale  # isort: skip
from tilework.models.upscaler import Upscaler  # isort: skip
from tilework.tests.pack.upscale_models import described  # isort: skip
from tilework.tests.pack.upscalers import PlainUpscaler, TightUpscaler, WholeImageUpscaler  # isort: skip


def picture(height=136, width=200, channels=3, batch=1):
    return torch.rand(batch, height, width, channels, generator=torch.Generator().manual_seed(7))


class Moves:
    """Writes down where a model is put."""

    def __init__(self, model):
        self.seen, self.to = [], model.to
        model.to = self

    def __call__(self, device, *more):
        self.seen.append(str(device))
        return self.to(device, *more)


def test_a_model_of_an_older_host_is_moved_back_also_after_an_error():
    model = described(PlainUpscaler(), patched=False)
    moves = Moves(model)
    with torch.inference_mode():
        upscale(model, picture(), Request(96, 96))
        assert moves.seen[-1] == "cpu" and len(moves.seen) >= 2
        moves.seen.clear()
        broken = picture()
        broken[0, 3, 3] = float("nan")
        with pytest.raises(ValueError, match="tile 0 has NaN"):
            upscale(model, broken, Request(96, 96))
    assert moves.seen[-1] == "cpu" and len(moves.seen) >= 2


def test_the_host_is_asked_for_the_memory_of_a_batch_of_tiles(monkeypatch):
    model, asked = described(PlainUpscaler()), []
    load = comfy.model_management.load_models_gpu
    monkeypatch.setattr(
        comfy.model_management,
        "load_models_gpu",
        lambda models, memory_required=0, **more: (asked.append(memory_required), load(models, memory_required=memory_required, **more)),
    )
    with torch.inference_mode():
        upscale(model, picture(), Request(96, 96))
        small = asked[-1]
        upscale(model, picture(), Request(96, 96, tile_batch=3))
        upscale(model, picture(400, 600), Request(96, 96))
    three, large = asked[-2:]
    print(f"asked for {small / 1e6:.0f} MB for a tile, {three / 1e6:.0f} MB for three, {large / 1e6:.0f} MB in a larger picture")
    assert three == pytest.approx(3 * small, rel=0.1) and large < 1.6 * small


def test_out_of_memory_is_the_hosts_own_word_for_it():
    with torch.inference_mode(), pytest.raises(OutOfMemoryError):
        Upscaler(described(TightUpscaler(100)))(torch.zeros(1, 3, 64, 64))

    class Wrong(PlainUpscaler):
        def forward(self, x):
            raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with torch.inference_mode(), pytest.raises(RuntimeError, match="cannot be multiplied"):
        Upscaler(described(Wrong()))(torch.zeros(1, 3, 64, 64))


def test_it_says_what_to_do_when_no_tile_fits():
    model = described(TightUpscaler())
    with torch.inference_mode():
        upscale(model, picture(), Request(96, 96))  # the model is known now
        model.model.room = 10
        with pytest.raises(RuntimeError, match=r"out of memory with tiles of .*Close other programs"):
            upscale(model, picture(), Request(96, 96))


def test_statistics_of_the_image_leave_the_model_alone():
    model = described(WholeImageUpscaler())
    before = {name: value.clone() for name, value in model.model.state_dict().items()}
    image = picture()
    image[:, :, :100] *= 0.5
    with torch.inference_mode():
        whole = model(image.movedim(-1, 1)).movedim(1, -1)
        came, _, lines = upscale(model, image, Request(64, 64, 32, "image"))
        again = model(image.movedim(-1, 1)).movedim(1, -1)
    assert float((came - whole).abs().max()) <= 1e-4 and torch.equal(again, whole)
    assert all(torch.equal(value, before[name]) for name, value in model.model.state_dict().items())
    assert any("pooled in 3 passes" in line for line in lines)


def test_what_is_no_upscale_model_is_refused():
    with pytest.raises(ValueError, match="connect the output of Load Upscale Model"):
        Upscaler(object())


def test_a_network_without_weights_is_measured_and_run():
    class Doubled(torch.nn.Module):
        def forward(self, x):
            return torch.nn.functional.interpolate(x, scale_factor=2.0, mode="nearest")

    model = described(Doubled())
    with torch.inference_mode():
        image = picture()
        came, _, _ = upscale(model, image, Request(96, 96))
    assert torch.equal(came, image.repeat_interleave(2, 1).repeat_interleave(2, 2))
