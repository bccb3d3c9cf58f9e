"""Pictures that are joined to themselves: the border where they are joined is composed as any other boundary.

The invariant: on a ring there is no first tile. Tiles handed on by one place along it, as their picture is, give the same
picture, rolled.
"""

import pytest
import torch
from tilework.blending.composition.closed_cut import closed_cut
from tilework.blending.composition.compose import compose
from tilework.blending.composition.methods import METHODS
from tilework.blending.layout.cutting import cut
from tilework.blending.layout.tile_layout import TileLayout

BOTH = (True, True)


def scene(height, width, channels=3, seed=0):
    """A smooth picture that is joined to itself, with some grain: float32 [1, H, W, C]."""
    y, x = (torch.arange(n) * (2 * torch.pi / n) for n in (height, width))
    planes = [0.5 + 0.2 * torch.sin(2 * y + c)[:, None] * torch.cos(3 * x - c) for c in range(channels)]
    noise = torch.rand(height, width, channels, generator=torch.Generator().manual_seed(seed))
    return (torch.stack(planes, -1) + 0.04 * (noise - 0.5))[None]


def differing(layout, scale=1, channels=3, seed=1):
    """Tiles of a scene that differ in tone, and in content: every third shows another texture."""
    generator = torch.Generator().manual_seed(seed)
    picture = scene(layout.canvas[0] * scale, layout.canvas[1] * scale, channels)
    tiles = []
    for index, tile in enumerate(cut(picture, layout if scale == 1 else layout.scaled(scale))):
        tone = 0.06 * (torch.rand(channels, generator=generator) - 0.5)
        if channels == 4:
            tone[3] = -0.2 * torch.rand(1, generator=generator)
        # Never quite the same: where tiles differ in tone alone all cuts cost the same, and any may be taken.
        other = (0.3 if index % 3 == 1 else 0.02) * (torch.rand(tile.shape, generator=generator) - 0.5)
        tiles.append((tile + tone + other).clamp(0, 1))
    return tiles


def rolled(tiles, layout, rows, columns):
    """The tiles, each so many places on."""
    tall, wide = layout.counts
    return [tiles[(r - rows) % tall * wide + (c - columns) % wide] for r in range(tall) for c in range(wide)]


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("method", METHODS)
def test_tiles_rolled_with_their_picture_give_the_same_picture_rolled(method, channels):
    for wrap, scale, turns in ((BOTH, 1, (1, 1)), ((False, True), 2, (0, 2))):
        layout = TileLayout.grid(96, 144, 64, 64, 16, 8, wrap=wrap)
        assert layout.counts == (2, 3)
        tiles = differing(layout, scale, channels)
        whole = compose(tiles, layout, method)
        again = compose(rolled(tiles, layout, *turns), layout, method)
        stride = [scale * axis.size // len(axis.origins) for axis in layout.axes]
        expected = whole.roll([turn * step for turn, step in zip(turns, stride, strict=True)], (1, 2))
        assert float((again - expected).abs().max()) <= 1e-5, (method, wrap)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("size", [(256, 384), (250, 390)])
def test_the_outer_border_shows_no_larger_step_than_the_inside(method, size):
    layout = TileLayout.grid(*size, 160, 160, 32, 2, wrap=BOTH)
    assert layout.least_overlap >= 32
    tones = [0.03, -0.03, 0.02, -0.01, 0.0, 0.015]
    tiles = [torch.full((1, 160, 160, 3), 0.5 + tones[i % len(tones)]) for i in range(len(layout))]
    picture = compose(tiles, layout, method)
    for dim in (1, 2):
        steps = (picture.roll(-1, dim) - picture).abs().amax((0, 3 - dim, 3))
        # The strips of which the joint lies, and the rest.
        near = 40
        outer, inner = torch.cat((steps[:near], steps[-near:])), steps[near:-near]
        assert float(outer.max()) <= max(1.3 * float(inner.max()), 1e-6), (method, dim, float(outer.max()), float(inner.max()))
        if method == "hann":
            assert float(outer.max()) <= 0.0035


def test_equal_tiles_give_the_picture_back_whatever_the_method():
    for size, tile in (((130, 201), 72), ((97, 128), 64)):
        for wrap in (BOTH, (True, False), (False, True)):
            layout = TileLayout.grid(*size, tile, tile, 20, 1, wrap=wrap)
            picture = scene(*size, 4)
            for method in METHODS:
                made = compose(list(cut(picture, layout)), layout, method)
                assert float((made - picture).abs().max()) < 3e-6, (method, wrap)


def test_a_tile_of_all_the_width_is_its_own_neighbour_or_is_cut_twice():
    picture = scene(64, 96)
    alone = TileLayout.grid(64, 96, 64, 96, 0, 8, wrap=(False, True))
    twice = TileLayout.grid(64, 96, 64, 96, 16, 8, wrap=(False, True))
    assert alone.counts == (1, 1) and [tile.x for tile in twice.tiles] == [0, 48]
    for layout in (alone, twice):
        for method in METHODS:
            assert torch.allclose(compose(list(cut(picture, layout)), layout, method), picture, atol=3e-6), method


def test_a_scale_that_makes_no_whole_circle_is_refused():
    layout = TileLayout.grid(64, 101, 64, 64, 16, 1, wrap=(False, True))
    tiles = [torch.zeros(1, 96, 96, 3)] * len(layout)
    with pytest.raises(ValueError, match=r"101 px wide, which at scale 1.5 would be 151.5 px"):
        compose(tiles, layout)
    with pytest.raises(ValueError, match="joined to itself must be whole pixels"):
        TileLayout.grid(64, 102, 64, 60, 12, 4, wrap=(False, True)).scaled("1/4")


def test_the_closed_cut_is_the_cheapest_of_all():
    generator = torch.Generator().manual_seed(3)
    for _ in range(30):
        rows, width = (int(n) for n in torch.randint(2, 9, (2,), generator=generator))
        cost = torch.rand(1, rows, width, generator=generator).double()
        path = closed_cut(cost)[0]
        assert ((path - path.roll(1)).abs() <= 1).all()
        assert abs(float(cost[0, torch.arange(rows), path].sum()) - brute(cost[0])) < 1e-12


def brute(cost):
    """The cost of the cheapest closed path, column by column."""
    rows, width = cost.shape
    found = []
    for start in range(width):
        best = torch.full((width,), torch.inf, dtype=torch.float64)
        best[start] = cost[0, start]
        for row in [*range(1, rows), None]:
            around = torch.nn.functional.pad(best, (1, 1), value=torch.inf)
            best = torch.stack((around[:-2], best, around[2:])).amin(0) + (0 if row is None else cost[row])
        found.append(float(best[start]))
    return min(found)
