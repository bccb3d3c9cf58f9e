"""Colour matching: odd values are dealt with, and what does not fit is refused in words."""

import pytest
import torch
from tilework.blending import TileLayout, cut
from tilework.blending.color.match import match, match_tiles
from tilework.tests.unit.color.color_scenes import PLAIN, scene

# ---------------------------------------------------------------- odd values


@pytest.mark.parametrize("width", [1e-34, 1e-37, 1e-45])
def test_histogram_takes_a_tiny_range_for_a_flat_one(width):
    tiny = torch.zeros(1, 20, 20, 3)
    tiny[0, :10] = width
    for image, aim in ((tiny, scene(1)), (scene(1), tiny)):
        out = match(image, aim, "histogram")
        assert torch.isfinite(out).all() and out.shape == image.shape
    assert float(match(scene(1), tiny, "histogram").abs().max()) <= 1e-30


@pytest.mark.parametrize("method", PLAIN)
def test_pictures_that_are_part_of_a_graph(method):
    image, aim, mask = scene(1), scene(2), torch.ones(1, 300, 340)
    graph = [t.clone().requires_grad_() for t in (image, aim, mask)]
    out = match(graph[0], graph[1], method, mask=graph[2])
    assert torch.equal(out, match(image, aim, method, mask=mask)) and not out.requires_grad
    layout = TileLayout.grid(300, 340, 300, 340, 0)
    (tile,) = match_tiles([graph[0]], layout, graph[1], method, mask=graph[2])
    assert not tile.requires_grad


@pytest.mark.parametrize("value", [1e7, 1e20, -1e30])
def test_lab_refuses_what_it_cannot_hold(value):
    image, broken = scene(1), scene(2)
    broken[0, 5, 5, 1] = value
    with pytest.raises(ValueError, match=r"tile 3 has values up to 1e\+\d+, and lab works up to 1e\+06"):
        match(broken, image, "lab", name="tile 3")
    with pytest.raises(ValueError, match=r"reference has values up to 1e\+\d+, and lab"):
        match(image, broken, "lab")
    broken[0, 5, 5, 1] = 9e5
    assert torch.isfinite(match(broken, image, "lab")).all() and torch.isfinite(match(image, broken, "lab")).all()


def test_what_is_missing_is_said_at_once():
    image, layout = scene(1), TileLayout.grid(300, 340, 128, 128, 32, 4)
    with pytest.raises(ValueError, match="reference is missing: expected a picture"):
        match_tiles(cut(image, layout), layout, None, "lab")
    for call in (lambda: match(image, image, "gain compensation"), lambda: match_tiles([], layout, image, "gain compensation")):
        with pytest.raises(ValueError, match=r"use blending\.color\.gain\.compensate"):
            call()
    for scale in (float("inf"), float("nan"), -1.0):
        with pytest.raises(ValueError, match=r"scale .* is not a length in pixels: use 0"):
            match(image, scene(2), "low frequency", scale=scale)


# ---------------------------------------------------------------- refusals


def test_what_does_not_fit_is_refused():
    image, layout = scene(1), TileLayout.grid(300, 340, 128, 128, 32, 4)
    with pytest.raises(ValueError, match="'wct' is not known: use one of mean-std, lab, mkl, histogram, low frequency, gain"):
        match(image, image, "wct")
    with pytest.raises(ValueError, match="works on all tiles of a layout at once"):
        match(image, image, "gain compensation")
    with pytest.raises(ValueError, match=r"strength -1\.0 is not a strength"):
        match(image, image, "lab", strength=-1.0)
    with pytest.raises(ValueError, match="reference has a batch of 2 and the image one of 1"):
        match(image, scene(1, batch=2), "lab")
    with pytest.raises(ValueError, match=r"with 1 channel \(grey\), 3 \(RGB\) or 4"):
        match(scene(1, channels=2), image, "lab")
    with pytest.raises(ValueError, match="reference is 340 x 100 and the layout was planned for 340 x 300"):
        next(match_tiles(cut(image, layout), layout, image[:, :100], "lab"))
    with pytest.raises(ValueError, match="more than the 12 tiles"):
        list(match_tiles([*cut(image, layout)] * 2, layout, image, "mean-std"))


@pytest.mark.parametrize("method", PLAIN)
@pytest.mark.parametrize(("value", "name"), [("nan", "NaN"), ("inf", "Inf"), ("-inf", "Inf")])
def test_a_broken_tile_is_named(method, value, name):
    image, layout = scene(1), TileLayout.grid(300, 340, 128, 128, 32, 4)
    tiles = [tile.clone() for tile in cut(image, layout)]
    tiles[7][0, 5, 6, 1] = float(value)
    with pytest.raises(ValueError, match=rf"tile 7 has {name} in it \(1 value\)"):
        list(match_tiles(tiles, layout, image, method))
    image[0, 3, 3, 0] = float(value)
    with pytest.raises(ValueError, match=f"reference has {name}"):
        match(scene(1), image, method)
