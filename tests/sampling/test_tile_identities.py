"""What the model is told of which condition a call is for: its own for each tile, the same at every step."""

import uuid

import pytest
import torch
from tilework.blending.layout.grid import Rect
from tilework.sampling.tile_identities import told_apart

from ..host.recording import SamplingRun, TileSettings, make_model, noise, prompt
from ..host.recording import tiled_model as tiled
from .test_crop_runs import patcher_of, sample

TILES = {"tile_width": 384, "tile_height": 320, "overlap": 64}


def noting(told):
    """A wrapper around the model: (noise level, tokens, uuids) of every call, as a patch that keeps statistics would key them."""

    def wrapper(executor, x, timestep, c_concat=None, c_crossattn=None, control=None, transformer_options=None, **more):
        told.append((float(transformer_options["sigmas"][0]), x.shape[-2] * x.shape[-1], tuple(transformer_options["uuids"])))
        return executor(x, timestep, c_concat, c_crossattn, control, transformer_options, **more)

    return wrapper


def uuids_told(settings, steps=3, shape=(1, 4, 64, 112)):
    """What every call of the model was told, see `noting`."""
    told = []
    model = patcher_of(make_model())
    model.add_wrapper_with_key("apply_model", "note", noting(told))
    sample(tiled(model, settings), noise(*shape), prompt(1), prompt(2), steps=steps)
    return told


@pytest.mark.parametrize("batch", [1, 2])
def test_every_tile_has_its_own_at_every_step_the_same(batch):
    told = uuids_told(TileSettings(**TILES, tile_batch=batch))
    steps = sorted({level for level, _, _ in told}, reverse=True)
    by_step = [[uuids for level, _, uuids in told if level == step] for step in steps]
    assert len(steps) == 3 and by_step[0] == by_step[1] == by_step[2]
    assert len(by_step[0]) == 6 // batch and len(set(by_step[0])) == 6 // batch
    assert all(len(set(uuids)) == 2 for uuids in by_step[0]), "prompt and negative prompt are told apart as well"


def test_sequential_tiles_have_their_own():
    told = uuids_told(TileSettings(**TILES, order="sequential"))
    assert len(told) == 18 and len({uuids for _, _, uuids in told}) == 6


def test_one_tile_keeps_the_hosts_own():
    given, told = [], []

    def look(executor, model, conds, x, timestep, options):
        given.extend(cond["uuid"] for entry in conds for cond in entry)
        return executor(model, conds, x, timestep, options)

    model = patcher_of(make_model())
    model.add_wrapper_with_key("calc_cond_batch", "look", look)
    model.add_wrapper_with_key("apply_model", "note", noting(told))
    whole = TileSettings(tile_width=1024, tile_height=1024, overlap=64)
    sample(tiled(model, whole), noise(1, 4, 64, 112), prompt(1), prompt(2), steps=1)
    assert sorted(uuids for _, _, both in told for uuids in both) == sorted(given) and len(given) == 2


def test_told_apart_by_place_and_nothing_else():
    one = uuid.uuid4()
    conds = [[{"uuid": one, "strength": 1.0}, {"strength": 0.5}], None]
    here, there = Rect(0, 0, 8, 8), Rect(0, 8, 8, 8)
    first = told_apart(conds, [here])
    assert first == told_apart(conds, [here]) and conds[0][0]["uuid"] is one
    assert first[1] is None and "uuid" not in first[0][1]
    others = [
        told_apart(conds, tiles, turn)[0][0]["uuid"]
        for tiles, turn in (([here], (0, 0)), ([there], (0, 0)), ([here, there], (0, 0)), ([here], (4, 0)))
    ]
    assert len({one, *others}) == 5


def test_views_are_kept_by_device():
    """Weights that lie on one card are of no use to another."""
    run = SamplingRun(TileSettings(**TILES, grid="jitter"), 5)
    tiles = run.canvas(make_model(), (1, 4, 64, 112))
    here = tiles.views(0, "cpu")
    there = tiles.views(0, "meta")
    assert {span.weight.device.type for view in there for span in (view.y, view.x)} == {"meta"}
    assert {span.weight.device.type for view in here for span in (view.y, view.x)} == {"cpu"}
    assert tiles.views(0, torch.device("cpu")) is here and tiles.views(0, "meta") is there
    assert tiles.views(1, "cpu") is not here and tiles.views(0, "meta") is there, "a step of one device leaves the other's"
    assert len(here) == len(there)
