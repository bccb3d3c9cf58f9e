"""How often Seam Check is right: fixed seeds, two layouts. Figures with `pytest -s`.

`--release` takes 100 pictures of each kind; without it 40 are taken, of the same seeds.

Right means: the picture fails at a boundary that has the seam, and at no other.
"""

import pytest
import torch
from tilework.blending.layout.tile_layout import TileLayout
from tilework.blending.seam_check.check import check_seams
from tilework.blending.seam_check.report import EITHER
from tilework.tests.unit.seam_check.seam_scenes import (
    averaged,
    band_blurred,
    feathered,
    generator,
    grain,
    hard_edge,
    shifted,
    smooth,
    soft_edges,
    stepped,
    texture,
)

FULL, FEWER = 100, 40  # pictures of a kind; fewer where the rate is not one of those promised
LAYOUTS = {"256/0": TileLayout.grid(512, 512, 256, 256, 0), "288/64": TileLayout.grid(512, 512, 288, 288, 64)}
VERTICAL = {(0, 1), (2, 3)}
UPPER_RIGHT = {(0, 1), (1, 3)}


@pytest.fixture(scope="module")
def scenes(request):
    count = FULL if request.config.getoption("--release") else FEWER
    makers = {"smooth": smooth, "texture": texture, "edges": soft_edges, "hard edge": hard_edge}
    return {name: make(count, generator(20 + i)) for i, (name, make) in enumerate(makers.items())}


@pytest.fixture(params=LAYOUTS, ids=str)
def layout(request):
    return request.param


def rates(name, layout, pictures, seams=frozenset(), reference=None):
    """(found where it is, found anywhere else) over all pictures, and the report."""
    reference = None if reference is None else reference[..., None]
    report = check_seams(pictures[..., None], LAYOUTS[layout], reference)
    found = {row.picture for row in report.failing if row.tiles in seams}
    wrong = {row.picture for row in report.failing if row.tiles not in seams}
    ruled = {row.picture for row in report.rows if row.rule > 3}
    words = sorted({f"{row.verdict}: {row.test}" for row in report.failing})
    of = len(pictures)
    at = f"found {len(found)} of {of}, " if seams else ""
    print(f"\n{layout:7} {name:34} {at}elsewhere {len(wrong)} of {of}; 3x rule flags {len(ruled)}; {', '.join(words) or 'nothing'}", end="")
    return len(found), len(wrong), report


@pytest.mark.parametrize("kind", ["smooth", "texture", "edges"])
def test_clean_pictures_pass(scenes, layout, kind):
    found, wrong, _ = rates(f"clean {kind}", layout, scenes[kind])
    assert (found, wrong) == (0, 0)


@pytest.mark.parametrize("kind", ["smooth", "texture", "edges", "hard edge"])
def test_clean_pictures_pass_beside_their_reference(scenes, layout, kind):
    before = scenes[kind] if kind == "hard edge" else scenes[kind][:FEWER]
    changed = before * 0.95 + 0.03 + grain(len(before), 1, generator(3))
    _, wrong, _ = rates(f"clean {kind}, with reference", layout, changed, reference=before)
    assert wrong == 0


def test_a_hard_edge_on_a_boundary_is_said_to_be_an_edge_or_a_seam(scenes, layout):
    found, wrong, report = rates("hard edge, without reference", layout, scenes["hard edge"], VERTICAL)
    assert (found, wrong) == (len(scenes["hard edge"]), 0)
    assert {row.verdict for row in report.failing} == {EITHER} and "Connect a reference" in report.text()


@pytest.mark.parametrize(("kind", "levels"), [("smooth", 2), ("texture", 8), ("edges", 8)])
def test_steps_are_found(scenes, layout, kind, levels):
    found, wrong, _ = rates(f"step {levels}/255 on {kind}", layout, stepped(scenes[kind], levels), UPPER_RIGHT)
    assert found >= 0.99 * len(scenes[kind]) and wrong == 0


def test_a_shifted_tile_and_a_blurred_band_are_found(scenes, layout):
    found, wrong, _ = rates("3 px shift on texture", layout, shifted(scenes["texture"], 3), UPPER_RIGHT)
    assert found >= 0.99 * len(scenes["texture"]) and wrong == 0
    found, wrong, _ = rates("32 px band blurred by 2 on texture", layout, band_blurred(scenes["texture"], 2, 32), VERTICAL)
    assert found >= 0.99 * len(scenes["texture"]) and wrong == 0


@pytest.mark.parametrize(("kind", "levels"), [("smooth", 4), ("texture", 16), ("edges", 16)])
def test_steps_at_both_ends_of_an_averaged_overlap_are_found(scenes, kind, levels):
    found, wrong, _ = rates(f"average over 64 px, {levels}/255 on {kind}", "288/64", averaged(scenes[kind], levels), VERTICAL)
    assert found >= 0.99 * len(scenes[kind]) and wrong == 0


def test_a_feathered_drift_is_found_beside_a_reference_and_sometimes_without(scenes):
    for kind in ("smooth", "texture", "edges"):
        before = scenes[kind][:FEWER]
        changed = feathered(before, 8) + grain(FEWER, 1, generator(4))
        found, wrong, _ = rates(f"Hann drift 8/255 on {kind}, reference", "288/64", changed, VERTICAL, before)
        assert found >= 0.99 * FEWER and wrong == 0
    found, wrong, _ = rates("Hann drift 8/255 on smooth", "288/64", feathered(scenes["smooth"], 8), VERTICAL)
    assert found >= 0.2 * len(scenes["smooth"]) and wrong == 0


def test_a_drift_of_hue_alone_is_found():
    picture = (smooth(4, generator(9)) - grain(4, 2, generator(1)))[..., None].expand(-1, -1, -1, 3).clone()
    picture[:, :256, 256:] += torch.tensor([4.0, -4.0, 0.0]) / 255
    report = check_seams(picture, LAYOUTS["256/0"])
    assert {row.tiles for row in report.failing} == UPPER_RIGHT and all(row.delta_e > 1 for row in report.failing)
