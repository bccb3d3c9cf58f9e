"""What models need of the memory, without a host and without a device."""

import gc
import weakref
from types import SimpleNamespace

import pytest
import torch
from tilework.models import memory, native_size, receptive_fields, upscaler
from tilework.models.cells_ratio import cells_ratio

MB = 1024**2


class FakeCounter:
    """Counts what `run` says it takes."""

    def __init__(self):
        self.most = 0
        self.resets = 0

    def reset(self):
        self.resets += 1
        self.most = 0

    def peak(self):
        return self.most


def test_two_probes_find_the_line():
    counter, sides = FakeCounter(), []

    def run(side):
        sides.append(side)
        counter.most = max(counter.most, 30 * MB + 900 * side * side)

    found = memory.probe(run, (128, 256), counter)
    # The first run is to warm up and is not counted.
    assert sides == [128, 128, 256] and counter.resets == 2
    assert found.fixed == pytest.approx(30 * MB) and found.per_pixel == pytest.approx(900)


class Described:
    """An upscale model without a patcher; writes down what it is given, numbers or not."""

    scale, input_channels = 1, 3

    def __init__(self, network):
        self.model, self.seen = network, []

    def to(self, device):
        return self

    def __call__(self, picture):
        self.seen.append(tuple(picture.shape))
        return self.model(picture)


def wide(middle=None):
    return torch.nn.Sequential(torch.nn.Conv2d(3, 32, 3, padding=1), middle or torch.nn.ReLU(), torch.nn.Conv2d(32, 3, 3, padding=1))


@pytest.fixture
def on_cpu(monkeypatch):
    monkeypatch.setattr(upscaler, "run_device", lambda: torch.device("cpu"))
    monkeypatch.setattr(upscaler.Upscaler, "load", lambda self, needed: None)


@pytest.mark.usefixtures("on_cpu")
def test_where_nothing_can_be_counted_the_hosts_estimate_stands():
    class Silent(Described):
        scale = 4

        def __call__(self, picture):
            raise RuntimeError("not like this")

    # ComfyUI: 512 * 512 * 3 * 4 bytes * scale * 384 for a tile of 512.
    assert upscaler.Upscaler(Silent(wide())).fit.needs(512, 512) == pytest.approx(512 * 512 * 3 * 4 * 4 * 384)


@pytest.mark.usefixtures("on_cpu")
def test_on_a_processor_tensors_are_counted_once_and_nothing_is_run():
    model = Described(wide())
    found = upscaler.Upscaler(model).fit
    assert model.seen == [] and upscaler.Upscaler(model).fit is found
    # The picture, and the wide map before and after the ReLU.
    for side in (100, 2000):
        assert found.needs(side, side) == pytest.approx(memory.GAPS + memory.ALLOCATOR * (3 + 32 + 32) * 4 * side * side, rel=1e-3)


class Looks(torch.nn.Module):
    def forward(self, x):
        return x * 2 if float(x.mean()) > 0 else x + 0


@pytest.mark.usefixtures("on_cpu")
def test_a_network_that_looks_at_numbers_is_run_small():
    model = Described(wide(Looks()))
    found = upscaler.Upscaler(model).fit
    assert model.seen == [(1, 3, 64, 64), (1, 3, 128, 128)]
    assert found.needs(500, 500) == pytest.approx(memory.GAPS + memory.ALLOCATOR * (3 + 32 + 32) * 4 * 250_000, rel=1e-3)


def vae(dim=2, ratio=8):
    return SimpleNamespace(
        latent_dim=dim,
        latent_channels=4,
        vae_dtype=torch.float16,
        device=torch.device("cpu"),
        patcher=None,
        first_stage_model=torch.nn.Conv2d(3, 3, 1),
        spacial_compression_decode=lambda: ratio,
        memory_used_decode=lambda shape, dtype: 2178 * shape[-2] * shape[-1] * 64 * 2,
        memory_used_encode=lambda shape, dtype: 1767 * shape[-2] * shape[-1] * 2,
    )


@pytest.mark.parametrize("dim", [2, 3])
def test_a_vae_is_counted_in_image_pixels(dim):
    # 64 image pixels to a latent cell, so the same figures as the host's for a latent of 128 x 96.
    assert memory.fit_for_vae(vae(dim), decode=True).needs(1024, 768) == pytest.approx(2178 * 96 * 128 * 64 * 2)
    assert memory.fit_for_vae(vae(dim), decode=False).needs(1024, 768) == pytest.approx(1767 * 1024 * 768 * 2)


@pytest.mark.parametrize(("dim", "ratio"), [(1, 2048), (2, 800)])
def test_a_vae_of_sound_is_refused(dim, ratio):
    with pytest.raises(ValueError, match="not one of pictures"):
        cells_ratio(vae(dim, ratio))


def diffusion(config, ratio=8, dimensions=2, **unet):
    latent = SimpleNamespace(latent_channels=4, spacial_downscale_ratio=ratio, latent_dimensions=dimensions)
    asked = []

    def required(shape):
        asked.append(shape)
        return 1000.0 * shape[0] * shape[-1] * shape[-2]

    inner = SimpleNamespace(
        latent_format=latent,
        memory_required=required,
        model_config=type(config, (), {"unet_config": unet})(),
        diffusion_model=SimpleNamespace(**{"patch_size": unet["patch_size"]} if "patch_size" in unet else {}),
    )
    return SimpleNamespace(model=inner, asked=asked)


def test_a_diffusion_model_is_asked_for_two_prompts_in_image_pixels():
    model = diffusion("SDXL")
    assert memory.fit_for_model(model).needs(1024, 1024) == pytest.approx(1000 * 2 * 128 * 128)
    assert model.asked[0] == [2, 4, 64, 64]
    video = diffusion("WAN21_T2V", ratio=16, dimensions=3)
    memory.fit_for_model(video)
    assert video.asked[0] == [2, 4, 1, 32, 32]


@pytest.mark.parametrize(
    ("config", "side"), [("SD15", 512), ("SD20", 512), ("SDXL", 1024), ("SD3", 1024), ("Flux", 1024), ("SomethingNew", 1024)]
)
def test_native_sizes_are_known_by_the_hosts_names(config, side):
    found = native_size.native_size(diffusion(config))
    assert found.side == side and config in found.reason
    assert ("not known" in found.reason) == (config == "SomethingNew")


def test_stable_diffusion_2_that_predicts_velocities_is_the_larger_one():
    model = diffusion("SD20")
    model.model.model_type = SimpleNamespace(name="V_PREDICTION")
    assert native_size.native_size(model).side == 768


def test_lattices_of_diffusion_models():
    assert native_size.lattice(diffusion("SD15", channel_mult=[1, 2, 4, 4])) == 64
    assert native_size.lattice(diffusion("SDXL", channel_mult=[1, 2, 4])) == 32
    assert native_size.lattice(diffusion("Flux", patch_size=2)) == 16
    assert native_size.lattice(diffusion("Wan", ratio=16, patch_size=(1, 2, 2))) == 32


def test_a_model_is_measured_once_and_forgotten_with_it():
    model, other, asked = torch.nn.Conv2d(3, 3, 1), torch.nn.Conv2d(3, 3, 1), []

    def do():
        asked.append(1)
        return object()

    first = receptive_fields._kept(model, ("upscale", 0.5), do)
    assert receptive_fields._kept(model, ("upscale", 0.5), do) is first and len(asked) == 1
    for key in ((model, ("upscale", 0.1)), (model, ("decode", 0.5)), (other, ("upscale", 0.5))):
        assert receptive_fields._kept(*key, do) is not first
    known, seen = len(receptive_fields._known), weakref.ref(model)
    del model, key, first
    gc.collect()
    assert seen() is None and len(receptive_fields._known) == known - 1
