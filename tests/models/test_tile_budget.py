"""What Tile Size and the tiled VAE nodes plan, and what they say where nothing fits."""

from types import SimpleNamespace

import pytest
import tilework.tests.host.recording  # noqa: F401 - sets ComfyUI up
import torch
from tilework.blending.networks.memory_fit import MemoryFit
from tilework.models import tile_budget
from tilework.models.vae import tiles as vae_tiles
from tilework.models.vae.tiles import VAETiles
from tilework.models.vae.tiling import decode
from tilework.tests.pack.vaes import tiny


@pytest.fixture(autouse=True)
def no_gradients():
    with torch.inference_mode():
        yield


def demand(overlap=16, **more):
    return tile_budget.Demand("UPSCALE_MODEL", MemoryFit(0, 1000), None, 8, overlap, **more)


def advice(call):
    with pytest.raises(ValueError, match=r"fits|leave no room") as caught:
        call()
    print(caught.value)
    return str(caught.value)


def test_tile_size_advises_no_overlap_which_it_measures(monkeypatch):
    monkeypatch.setattr(tile_budget, "free_after_loading", lambda *_: 10**9)
    said = advice(lambda: tile_budget.budget(4096, 4096, [demand()], 1e6))
    assert "lower the margin" in said and "overlap" not in said
    said = advice(lambda: tile_budget.budget(4096, 4096, [demand(600, largest=512)], 0.1))
    assert "plan for one model at a time" in said and "smaller overlap" not in said


def test_the_tiled_vae_nodes_advise_no_margin_which_they_have_not(monkeypatch):
    monkeypatch.setattr(vae_tiles, "free_after_loading", lambda *_: 0)
    said = advice(lambda: decode(tiny("kl"), torch.zeros(1, 4, 128, 128), VAETiles()))
    assert "use a smaller model or a smaller overlap" in said and "lower" not in said


def test_a_vae_needs_what_the_hungrier_of_its_halves_needs(monkeypatch):
    halves = {True: MemoryFit(1e6, 100), False: MemoryFit(5e6, 10)}
    monkeypatch.setattr(tile_budget, "fit_for_vae", lambda vae, decode: halves[decode])
    found = tile_budget.demand_of_vae(tiny("kl"))
    for side in (64, 256, 1024):
        assert found.fit.needs(side, side) == max(half.needs(side, side) for half in halves.values())


def measuring(calls, overlap=40, lattice=16):
    """A demand whose measuring is written down."""

    def measure():
        calls.append(1)
        return SimpleNamespace(
            field=SimpleNamespace(overlap=overlap, lattice=lattice), headline=f"radius 12 px: overlap {overlap}, trim 16"
        )

    return tile_budget.Demand("UPSCALE_MODEL", MemoryFit(0, 1000), None, 8, measure=measure)


@pytest.mark.parametrize("more", [[], [demand(24)]])
def test_a_picture_that_is_one_tile_is_not_measured_for(monkeypatch, more):
    monkeypatch.setattr(tile_budget, "free_after_loading", lambda *_: 10**9)
    calls = []
    found = tile_budget.budget(500, 300, [measuring(calls), *more], 0.1)
    assert not calls and (found.plan.tile_width, found.plan.tile_height) == (504, 304)
    assert found.plan.overlap in (16, 24) and "was not measured" in " ".join(found.notes)


def test_several_tiles_are_measured_for_once(monkeypatch):
    monkeypatch.setattr(tile_budget, "free_after_loading", lambda *_: 10**9)
    calls = []
    found = tile_budget.budget(4096, 4096, [measuring(calls)], 0.1)
    assert calls == [1] and found.plan.overlap == 40 and found.plan.tile_width % 16 == 0
    assert "UPSCALE_MODEL: radius 12 px: overlap 40, trim 16." in found.notes


def test_one_tile_of_a_real_model_is_not_run_for_its_receptive_field():
    from tilework.models.upscaler import Upscaler
    from tilework.tests.models.test_kept_fields import Counted, kept
    from tilework.tests.pack.upscale_models import described

    with torch.inference_mode(False):
        network = Counted()
    before = kept()
    demands = [tile_budget.demand_of_upscaler(Upscaler(described(network))), tile_budget.demand_of_vae(tiny("kl"))]
    found = tile_budget.budget(200, 120, demands, 0.1)
    assert network.shapes == [] and kept() == before and (found.plan.tile_width, found.plan.tile_height) == (200, 120)
