"""Pictures that no tile made, drawn the way trained upscaling networks draw: Seam Check blames next to none, and still finds seams.

`benchmarks/seam_false_alarms.py` prints the same for the networks themselves.
"""

import pytest
import torch
from tilework.blending.layout.tile_layout import TileLayout
from tilework.blending.seam_check.check import check_seams
from tilework.blending.seam_check.step_filters import SHARP, steps
from tilework.blending.seam_check.step_profile import SHARP_SHARE, step_share
from tilework.tests.unit.seam_check.seam_scenes import blurred, drawn_edges, generator, shifted, stepped, switched_texture

COUNT = 20
SETTINGS = ((192, 32), (224, 64), (104, 24))


def blamed(pictures, tile, overlap):
    report = check_seams(pictures[..., None], TileLayout.grid(512, 512, tile, tile, overlap))
    return len(report.failing), report.judged


@pytest.mark.parametrize(("scene", "most"), [(drawn_edges, 0.012), (switched_texture, 0.005)])
def test_edges_and_texture_as_networks_draw_them_are_no_seams(scene, most):
    pictures = scene(COUNT, generator(40))
    counts = [blamed(pictures, *setting) for setting in SETTINGS]
    print(f"\n{scene.__name__}: " + ", ".join(f"tiles {t}/{o}: {n} of {of}" for (t, o), (n, of) in zip(SETTINGS, counts, strict=True)))
    assert sum(n for n, _ in counts) <= most * sum(of for _, of in counts)


@pytest.mark.parametrize(
    ("scene", "change", "least"),
    [
        (drawn_edges, lambda x: stepped(x, 8), 0.9),
        (switched_texture, lambda x: stepped(x, 4), 0.9),
        (switched_texture, lambda x: shifted(x, 3), 0.75),  # where there is no texture, a shift is not seen
    ],
)
def test_seams_in_such_pictures_are_found(scene, change, least):
    report = check_seams(change(scene(COUNT, generator(41)))[..., None], TileLayout.grid(512, 512, 256, 256, 0))
    found = {row.picture for row in report.failing if row.tiles in {(0, 1), (1, 3)}}
    print(f"\n{scene.__name__}: {len(found)} of {COUNT}")
    assert len(found) >= least * COUNT


def answers(profile):
    return steps(profile[None].double(), SHARP)


def test_a_step_is_told_from_an_edge_by_the_answers_around_it():
    x = torch.arange(64) + 0.5 - 32
    assert float(step_share(answers((x > 0).float()), 32, (32,))) == pytest.approx(1)
    within = ((x > 0).float() + (x > 1).float()) / 2
    assert float(step_share(answers(within), 32, (32,))) == pytest.approx(1), "a step inside a pixel, after a resize"
    both = (x > 0).float() + (x > 4).float()
    assert float(step_share(answers(both), 32, (32, 34, 36))) == pytest.approx(1), "both ends of a narrow overlap"
    for width in (2, 3):
        for middle in (-2, -1.5, -1, -0.5, 0, 0.5, 1, 1.5, 2):
            edge = torch.erf((x - middle) / width)
            assert float(step_share(answers(edge), 32, (32,))) < SHARP_SHARE, (width, middle)


def test_the_first_and_last_columns_are_no_error():
    profile = blurred(torch.rand(1, 64, 64, generator=generator(42)), 1)[0, 0]
    for line in (1, 5, 6, 58, 59, 63):
        assert 0 <= float(step_share(answers(profile), line, (line,))) <= 1 + 1e-9
