"""Areas are what is large and clear enough; the weight around them is by straight distance."""

import math

import pytest
import torch
from tilework.blending.changes import areas
from tilework.blending.changes.areas import changed_areas, feathered, least_area
from tilework.blending.changes.difference import ChangedPlaces


def scene(**drawn):
    changed = torch.zeros(60, 80, dtype=torch.bool)
    for rows, columns in drawn.values():
        changed[rows, columns] = True
    return changed


@pytest.mark.parametrize(("grow", "feather"), [(0, 0), (3, 0), (0, 5), (4, 7), (40, 60)])
@pytest.mark.parametrize("strips", [1 << 20, 1])
def test_the_weight_is_by_straight_distance(monkeypatch, grow, feather, strips):
    monkeypatch.setattr(areas, "_ROWS_PIXELS", strips)
    inside = scene(a=(slice(20, 24), slice(30, 41)), b=(slice(55, 60), slice(0, 2)))
    weight = feathered(inside, grow, feather)
    y, x = torch.meshgrid(torch.arange(60.0), torch.arange(80.0), indexing="ij")
    places = inside.nonzero().double()
    distance = torch.cdist(torch.stack((y, x), -1).reshape(-1, 2).double(), places).amin(1).view(60, 80)
    ramp = (1 + torch.cos(math.pi * ((distance - grow) / max(feather, 1)).clamp(0, 1))) / 2
    wanted = ramp if feather else (distance <= grow).double()
    assert float((weight - wanted).abs().max()) < 1e-5
    assert torch.equal(weight > 0, (distance < grow + feather) if feather else (distance <= grow))


def test_small_thin_and_faint_places_are_dropped():
    big, small, line, faint = (
        (slice(5, 15), slice(5, 15)),
        (slice(30, 33), slice(5, 8)),
        (slice(40, 42), slice(5, 60)),
        (slice(50, 56), slice(10, 16)),
    )
    changed = scene(big=big, small=small, line=line, faint=faint)
    clear = changed.clone()
    clear[faint] = False
    found = changed_areas(ChangedPlaces(changed, clear), 24)
    assert (found.count, found.dropped) == (1, 3)
    assert torch.equal(found.inside, scene(big=big))
    assert changed_areas(ChangedPlaces(changed, clear), 1).count == 3, "a faint place may be large instead"


def test_gaps_are_closed_and_corners_join():
    changed = scene(a=(slice(10, 20), slice(10, 20)), b=(slice(20, 30), slice(20, 30)), c=(slice(10, 20), slice(23, 33)))
    changed[14:16, 14:16] = False
    found = changed_areas(ChangedPlaces(changed, changed), 10)
    assert found.count == 1 and bool(found.inside[14:16, 14:16].all()) and bool(found.inside[15, 20:23].all())
    assert changed_areas(ChangedPlaces(scene(), scene()), 10).count == 0


def test_the_least_area_follows_the_picture():
    assert least_area(0, (512, 512)) == 24 and least_area(0, (8192, 8192)) == 1342 and least_area(7, (8192, 8192)) == 7
