"""Patches of a model beside tiles: what belongs to a tile stays its own, and the order in which they are applied does not count."""

import itertools

import pytest
import tilework.tests.host.recording  # noqa: F401 - sets ComfyUI up
import torch
from tilework.blending import TileLayout
from tilework.nodes.attention import TiledAttention
from tilework.nodes.coherence import CanvasGuide, RecordRun  # noqa: F401 - for test_lora too
from tilework.nodes.guidance import BandGuidance
from tilework.nodes.hold_bands import FrequencyGuidance
from tilework.nodes.tile_style import SyncTiles, TileContext
from tilework.nodes.views import DilatedViews, PatchShift
from tilework.nodes.wavelet_edit import WaveletEdit  # noqa: F401
from tilework.sampling.attention import source_features, wavelet_edit  # noqa: F401

from ..host.recording import UNIT, TileSettings, make_model, noise, prompt, ramp, relative
from ..host.recording import tiled_model as tiled
from .test_crop_areas import blob
from .test_crop_controls import controlnet
from .test_crop_runs import patcher_of, sample
from .test_tile_prompts import tied

SHAPE = (1, 4, 48, 112)
# Tiles of 48 x 64 cells; the small views of the whole canvas are of other sizes, by which their calls are told apart.
TILE = (48, 64)
LAYOUT = TileLayout.grid(48 * UNIT, 112 * UNIT, 48 * UNIT, 64 * UNIT, 16 * UNIT, UNIT)
VIEWS = {"native_width": 56 * UNIT, "native_height": 24 * UNIT}
SMALL = {"samples": noise(1, 4, 24, 56, seed=8)}


def node(cls, **values):
    """What a node makes of a model, with its defaults where nothing is given."""
    defaults = {one.id: one.default for one in cls.define_schema().inputs if getattr(one, "default", None) is not None}
    return lambda model: cls.execute(model=model, **{**defaults, **values}).args[0]


def tiles(model):
    return tiled(model, TileSettings(layout=LAYOUT, tile_batch=1))


PATCHES = {
    "structure": node(CanvasGuide, method="structure", reference=SMALL),
    "skip residual": node(CanvasGuide, method="skip residual", reference=SMALL),
    "pyramid": node(CanvasGuide, method="pyramid", cutoff=0.5),
    "held bands": node(FrequencyGuidance, reference=SMALL, operator="averaged"),
    "dilated views": node(DilatedViews, **VIEWS),
    "neighbourhood": node(TiledAttention, method="neighbourhood", **VIEWS),
    "global tokens": node(TiledAttention, method="global tokens", **VIEWS),
    "sync": node(SyncTiles, end=1.0),
    "context": node(TileContext, strength=0.5, end=1.0),
    "patch shift": node(PatchShift),
    "guidance by bands": node(BandGuidance),
}
NO_CHANGE = {"neighbourhood", "global tokens", "patch shift"}  # a pointwise model has no attention and no patches


def everything():
    """A control, areas, masks, an inpainting picture and prompts per tile: (positive, negative, options of the run)."""
    control = controlnet(ramp(500, 900), 0.1, (0.0, 0.6), controlnet(ramp(48 * UNIT, 112 * UNIT), 0.05))
    inpaint = {"concat_latent_image": ramp(48, 112, channels=4), "concat_mask": blob(48, 112).unsqueeze(1)}
    positive = prompt(1, control=control, **inpaint) + prompt(2, mask=blob(48, 112) + 0.05, control=control, **inpaint)
    positive += prompt(3, area=(30, 50, 10, 41), **inpaint)
    options = {"latent": ramp(48, 112, channels=4), "noise_mask": (blob(48, 112, seed=2) > 0.2).float()}
    return positive, prompt(5, control=control, **inpaint), options


def of_tiles(seen):
    """What the model was given with each tile, but for the latent itself."""
    return [{name: value for name, value in one.items() if name != "x"} for one in seen if tuple(one["x"].shape[-2:]) == TILE]


def same(one, other):
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(value, other[name]) for name, value in one.items())
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


def unchanged(name, seen, wanted):
    """Whether the tiles were told the same; those of `sync` are also looked at before a step is made, and told no more than then."""
    if name == "sync":
        return len(seen) > len(wanted) and all(any(same(one, other) for other in wanted) for one in seen)
    return len(seen) == len(wanted) and all(same(one, other) for one, other in zip(seen, wanted, strict=True))


@pytest.mark.parametrize("name", PATCHES)
def test_each_tile_is_told_what_it_is_told_without_the_patch(name):
    def run(*patches, told=None):
        base = make_model()
        base.set_inpaint()
        model = patcher_of(base)
        for patch in patches:
            model = patch(model)
        positive, negative, options = everything() if told is None else told
        made = [sample(model, noise(*SHAPE, seed=4), positive, negative, steps=3, **options) for _ in range(2)]
        assert torch.equal(*made), "one seed, one picture"
        return made[0], of_tiles(base.diffusion_model.seen)

    plain, wanted = run(tiles)
    made, seen = run(PATCHES[name], tiles)
    assert len(wanted) > 20 and unchanged(name, seen, wanted)
    assert torch.equal(made, plain) is (name in NO_CHANGE)
    # Prompts of single tiles, and tiles that were cut elsewhere.
    told = tied([prompt(1), prompt(2)], LAYOUT), prompt(5), {}
    assert unchanged(name, run(PATCHES[name], tiles, told=told)[1], run(tiles, told=told)[1])


def test_all_of_them_in_any_order_make_one_picture():
    orders = [list(PATCHES), list(reversed(PATCHES)), sorted(PATCHES, key=len)]
    pictures = []
    for order, place in zip(orders, (0, 4, len(PATCHES)), strict=True):
        model = patcher_of(make_model())
        for name in [*order[:place], "tiles", *order[place:]]:
            model = tiles(model) if name == "tiles" else PATCHES[name](model)
        pictures.append(sample(model, noise(*SHAPE, seed=4), prompt(1), prompt(5), steps=3))
    apart = [relative(one, other) for one, other in itertools.combinations(pictures, 2)]
    print(f"{len(PATCHES)} patches and tiles in three orders: apart by {max(apart):.1e}")
    assert max(apart) <= 1e-5 and bool(pictures[0].isfinite().all())


@pytest.mark.parametrize("name", [name for name in PATCHES if name not in NO_CHANGE])
def test_each_is_at_work_beside_the_others(name):
    """A patch that another one switches off would leave all orders alike."""

    def run(names):
        model = tiles(patcher_of(make_model()))
        for one in names:
            model = PATCHES[one](model)
        return sample(model, noise(*SHAPE, seed=4), prompt(1), prompt(5), steps=3)

    # Where the coarse is led at every step, little else can be seen: that one is tried beside what comes before it.
    others = [one for one in PATCHES if one not in (*NO_CHANGE, "structure", "pyramid")]
    every = run([*others, name] if name not in others else others)
    assert not torch.equal(every, run([one for one in others if one != name])), name


@pytest.mark.parametrize("name", PATCHES)
def test_applied_twice_it_is_applied_once(name):
    patch, made = PATCHES[name], []
    for times in (1, 2):
        model = tiles(patcher_of(make_model()))
        for _ in range(times):
            model = patch(model)
        made.append(sample(model, noise(*SHAPE, seed=4), prompt(1), prompt(5), steps=2))
    assert torch.equal(*made)
