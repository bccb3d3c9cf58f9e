"""An UPSCALE_MODEL on the host's device: memory asked for, moved there and back, errors told apart."""

import pytest
import torch

from ..host.recording import comfy

from tilework.blending.networks.tiled_run import OutOfMemoryError  # isort: skip
from tilework.models import memory  # isort: skip
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
    # What the allocator holds beside the blocks of a network is there once.
    small, three, large = (needed - memory.GAPS for needed in (small, *asked[-2:]))
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
    assert any("pooled in 3 passes" in line for line in lines), lines


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


class OneOnly(PlainUpscaler):
    """Takes one picture at a time."""

    def forward(self, x):
        if len(x) > 1:
            raise RuntimeError("The size of tensor a (64) must match the size of tensor b (0)")
        return super().forward(x)


@pytest.mark.parametrize("statistics", ["tile", "image"])
def test_a_model_that_takes_one_picture_at_a_time_is_given_one(caplog, statistics):
    model, image = described(OneOnly()), picture()
    with torch.inference_mode():
        whole = model(image.movedim(-1, 1)).movedim(1, -1)
        came, _, lines = upscale(model, image, Request(96, 96, statistics=statistics, tile_batch=4))
    print(lines)
    assert float((came - whole).abs().max()) <= 1e-5
    assert len([record for record in caplog.records if "one by one" in record.message and record.levelname == "WARNING"]) == 1
    assert any("they went one by one" in line for line in lines) and not any("at once;" in line for line in lines)


def test_cancel_in_a_batch_is_no_reason_to_go_on():
    class Cancelled(PlainUpscaler):
        runs = 0

        def forward(self, x):
            if len(x) > 1:
                Cancelled.runs += 1
                raise comfy.model_management.InterruptProcessingException
            return super().forward(x)

    with torch.inference_mode(), pytest.raises(comfy.model_management.InterruptProcessingException):
        upscale(described(Cancelled()), picture(), Request(96, 96, tile_batch=4))
    assert Cancelled.runs == 1


def test_an_overlap_without_room_is_named(monkeypatch):
    from tilework.models import tiled_upscale

    monkeypatch.setattr(tiled_upscale, "free_memory", lambda device: 5e7)
    monkeypatch.setattr(tiled_upscale, "free_after_loading", lambda *_: 5e7)
    with torch.inference_mode(), pytest.raises(ValueError, match=r"overlap 2000 is no smaller than the picture of 800 x 700"):
        upscale(described(PlainUpscaler()), picture(700, 800), Request(overlap=2000))


class Counted(PlainUpscaler):
    """Writes down what it was given."""

    def __init__(self, room=10**9):
        super().__init__()
        self.shapes, self.room = [], room

    def forward(self, x):
        self.shapes.append(tuple(x.shape))
        if x.shape[2] * x.shape[3] > self.room:
            raise torch.OutOfMemoryError("fake")
        return super().forward(x)


@pytest.mark.parametrize("request_", [Request(), Request(overlap=2000), Request(256, 256, 256), Request(statistics="image")])
def test_one_tile_is_run_once_and_nothing_is_measured(request_):
    network, image = Counted(), picture(96, 200)
    with torch.inference_mode():
        whole = PlainUpscaler()(image.movedim(-1, 1)).movedim(1, -1)
        came, layout, lines = upscale(described(network), image, request_)
    print(network.shapes, lines)
    assert torch.allclose(came, whole, atol=1e-5) and len(layout) == 1
    assert network.shapes == [(1, 3, 96, 200)]


@pytest.mark.parametrize("tile_batch", [0, 2])
def test_one_tile_that_does_not_fit_after_all_is_measured_then(tile_batch):
    network, image = Counted(150 * 150), picture(160, 200)
    with torch.inference_mode():
        whole = PlainUpscaler()(image.movedim(-1, 1)).movedim(1, -1)
        came, _, lines = upscale(described(network), image, Request(tile_batch=tile_batch))
    print(lines)
    assert float((came - whole).abs().max()) <= 1e-5 and any("memory ran out" in line for line in lines)


def test_a_model_that_cannot_be_pooled_is_said_to_be_so():
    class Median(PlainUpscaler):
        def forward(self, x):
            return super().forward(x) * (0.7 + x.flatten(2).median(2).values[..., None, None] * 0.5)

    with torch.inference_mode():
        _, _, lines = upscale(described(Median()), picture(), Request(64, 64, 32, "image"))
    print(lines)
    assert "in a way that cannot be pooled: tiles differ in tone; use larger tiles or Color Match" in " ".join(lines)
    assert not any("takes no statistics" in line for line in lines)


@pytest.mark.parametrize("tile", [0, 96])
def test_a_model_that_makes_no_picture_is_refused_in_words(tile):
    class Flat(PlainUpscaler):
        def forward(self, x):
            return super().forward(x).flatten()

    model = described(Flat())
    plain = type("Plain", (), {"scale": 2, "model": model.model, "to": model.to, "__call__": lambda self, x: self.model(x)})()
    with torch.inference_mode(), pytest.raises(ValueError, match=r"made a tensor of shape \(\d+,\).*can be tiled"):
        upscale(plain, picture(), Request(tile, tile))


def compact():
    """A seeded Compact x2, as the host's loader gives it."""
    from spandrel.architectures.Compact import Compact

    with torch.inference_mode(False), torch.random.fork_rng():
        torch.manual_seed(0)
        return described(Compact(num_feat=16, num_conv=4, upscale=2).requires_grad_(False).eval())


class Halving(PlainUpscaler):
    """Works on halves and quarters of the picture; takes sides that are multiples of four only, and says so where it is described."""

    def __init__(self):
        super().__init__(2)

    def forward(self, x):
        small = torch.nn.functional.pixel_unshuffle(x, 4)
        return super().forward(x + 0.2 * torch.nn.functional.pixel_shuffle(small.roll(1, 1), 4))


def halving():
    from spandrel import SizeRequirements

    return described(Halving(), size_requirements=SizeRequirements(multiple_of=4))


@pytest.mark.parametrize("make", [compact, halving])
@pytest.mark.parametrize("size", [(300, 420), (301, 423), (66, 71)])
@pytest.mark.parametrize("tile", [0, 128])
def test_the_whole_border_is_the_untiled_one(make, size, tile):
    model, image = make(), picture(*size)
    with torch.inference_mode():
        whole = model(image.movedim(-1, 1)).movedim(1, -1)
        came, layout, lines = upscale(model, image, Request(tile, tile))
    error = (came - whole).abs()
    print(f"{size}, {len(layout)} tiles: {255 * float(error.max()):.5f} levels; {lines}")
    assert float(error.max()) <= 1e-5 and not any("mirrored" in line for line in lines)


def test_a_network_that_says_nothing_of_what_it_needs_is_given_whole_tiles():
    model, image = described(Halving()), picture(150, 203)
    with torch.inference_mode():
        whole = model(torch.nn.functional.pad(image.movedim(-1, 1), (0, 5, 0, 2), "reflect")).movedim(1, -1)[:, :300, :406]
        came, _, lines = upscale(model, image, Request(96, 96))
    assert float((came - whole).abs().max()) <= 1e-5 and any("mirrored" in line for line in lines)


def test_five_tiles_go_as_three_and_two(monkeypatch):
    from tilework.models import tiled_upscale

    network, image = Counted(), picture(64, 420)
    monkeypatch.setattr(tiled_upscale, "free_after_loading", lambda *_: 10**9)
    upscaler = Upscaler(described(network))
    upscaler.device = torch.device("meta")  # anything but a processor, which takes one at a time
    plan = tiled_upscale.plan_upscale(upscaler, image, Request(96, 96, 8), 3, _field())
    print(len(plan.layout), plan.tile_batch)
    assert (len(plan.layout), plan.tile_batch) == (5, 3)


def _field():
    from tilework.blending.receptive_field.measure import measure

    return measure(lambda picture: picture, strip=0)


def uformer():
    """Described as spandrel describes Uformer."""
    from spandrel import SizeRequirements

    return described(Counted(), size_requirements=SizeRequirements(multiple_of=128, square=True))


@pytest.mark.parametrize(
    ("sizes", "words"),
    [
        ((64, 64, 16), "tile_width 64 is smaller than the 128 px this model works in: use 128 or more"),
        ((64, 64, -1), "tile_width 64 is smaller than the 128 px this model works in: use 128 or more"),
        ((0, 96, 0), "tile_height 96 is smaller than the 128 px this model works in: use 128 or more"),
        ((256, 64, 0), "tile_height 64 is smaller than the 128 px this model works in: use 128 or more"),
        ((256, 256, 200), "this model's tiles start on multiples of 128 px; use an overlap of 128 or less"),
    ],
)
def test_a_tile_that_the_model_does_not_take_is_refused_by_name(sizes, words):
    model = uformer()
    with torch.inference_mode(), pytest.raises(ValueError, match=words) as caught:
        upscale(model, picture(300, 420), Request(*sizes))
    assert "multiple_of" not in str(caught.value)
    if min(side for side in sizes[:2] if side) < 128:
        assert not model.model.shapes, "it is refused before anything is measured"


def test_no_memory_at_all_is_refused_without_naming_a_margin(monkeypatch):
    from tilework.models import tiled_upscale

    monkeypatch.setattr(tiled_upscale, "free_memory", lambda device: 0)
    monkeypatch.setattr(tiled_upscale, "free_after_loading", lambda *_: 0)
    with torch.inference_mode(), pytest.raises(ValueError, match="not even a tile of 64 x 64 px fits") as caught:
        upscale(described(PlainUpscaler()), picture(300, 420), Request())
    assert "smaller overlap" in str(caught.value) and "lower the margin" not in str(caught.value)


def lines_of(model, image):
    with torch.inference_mode():
        came, _, lines = upscale(model, image, Request(96, 96))
    assert float(came.min()) >= 0 and float(came.max()) <= 1
    return [line for line in lines if "0..1" in line]


def test_values_outside_of_the_range_are_said_in_one_line():
    class Sharp(PlainUpscaler):
        def forward(self, x):
            return 3 * super().forward(x) - 1

    image = picture()
    assert not lines_of(described(PlainUpscaler()), image)
    # What the host's loader makes of a file keeps its result within 0..1 by itself; another description need not.
    network = Sharp()
    plain = type("Plain", (), {"scale": 2, "model": network, "to": network.to, "__call__": lambda self, x: network(x)})()
    (line,) = lines_of(plain, image)
    print(line)
    assert line.startswith("the result was clipped to 0..1: ") and " values (43 %), from -1 to 2" in line
    image[0, 3, 5, 0], image[0, 100, 7, 1] = 1.5, -0.25
    (line,) = lines_of(described(PlainUpscaler()), image)
    print(line)
    assert line == "the picture is not within 0..1: 2 values (0.0025 %), from -0.25 to 1.5"


class FarSeeing(PlainUpscaler):
    """What lies `d` pixels away counts exp(-d / 16), up to 80 pixels."""

    def __init__(self):
        super().__init__(2)
        fade = torch.exp(-torch.arange(-80, 81).abs() / 16)
        self.register_buffer("fade", fade / fade.sum())

    def forward(self, x):
        fade, each = self.fade.to(x), {"groups": x.shape[1]}
        down = torch.nn.functional.conv2d(x, fade.reshape(1, 1, -1, 1).repeat(x.shape[1], 1, 1, 1), padding=(80, 0), **each)
        far = torch.nn.functional.conv2d(down, fade.reshape(1, 1, 1, -1).repeat(x.shape[1], 1, 1, 1), padding=(0, 80), **each)
        return 0.5 * super().forward(x) + 0.5 * torch.nn.functional.interpolate(far, scale_factor=2)


@pytest.mark.parametrize(("passes", "seen"), [(1.4, False), (3, True), (12, True)])
def test_a_reach_whose_end_was_not_seen_is_said_to_be_farther(monkeypatch, passes, seen):
    from tilework.models import receptive_fields

    monkeypatch.setattr(receptive_fields, "UPSCALER_BUDGET", passes * receptive_fields.PASS)
    model, image = described(FarSeeing()), picture()
    with torch.inference_mode():
        field = receptive_fields.upscaler_field(Upscaler(model), 0.5 / 255).field
        _, _, lines = upscale(model, image, Request(96, 96, 48))
        _, _, alone = upscale(model, image, Request(256, 256, 48))
    print(field.radius, field.radius_known, field.full_known, lines)
    assert seen == (field.radius_known or field.full_known)
    said = [] if seen else [f"the model sees at least {field.radius} px far, its end was not seen: use larger tiles"]
    assert [line for line in lines if "at least" in line] == said
    assert not any("at least" in line for line in alone)  # one tile has no border
