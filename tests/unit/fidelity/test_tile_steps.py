"""A tile's tone is told from a network's own, which wanders over the picture; also where tiles share half, and around a ring."""

import pytest
import torch
from tilework.blending import TileLayout, compose
from tilework.blending.fidelity.cell_sums import CELL, CellSums
from tilework.blending.fidelity.tile_steps import tile_steps
from torch.nn.functional import avg_pool2d, interpolate

SIZE = (512, 512)


def sums(seed, wander=1.2):
    """A picture whose result has a tone of its own: a smooth field in levels, and what depends on brightness."""
    generator = torch.Generator().manual_seed(seed)
    cells = [side // CELL for side in SIZE]
    colour = 255 * interpolate(torch.rand(1, 3, 9, 9, generator=generator), size=cells, mode="bicubic", align_corners=False)[0].clamp(0, 1)
    detail = 4 + 40 * interpolate(torch.rand(1, 2, 16, 16, generator=generator), size=cells, mode="bilinear")[0]
    field = interpolate(torch.randn(1, 1, 20, 20, generator=generator), size=cells, mode="bicubic", align_corners=False)[0]
    result = colour * 0.98 + wander * field / field.std() + 0.5 * torch.randn(1, *cells, generator=generator)
    return CellSums(detail, detail, detail, colour, result)


def stepped(base, layout, tile, levels=2.0):
    alone = [torch.full((1, one.height, one.width, 1), float(index == tile)) for index, one in enumerate(layout.tiles)]
    window = avg_pool2d(compose(alone, layout, "hann").movedim(-1, 1), CELL)[0]
    return base._replace(colour_result=base.colour_result + levels * window)


def blamed(base, layout):
    steps = tile_steps(base, layout, SIZE)
    return {tile for tile in steps.steps if steps.severity(tile) > 1}


@pytest.mark.parametrize(("tile", "overlap", "most"), [(208, 56, 0), (256, 128, 4)])
def test_a_step_is_found_under_a_tone_that_wanders(tile, overlap, most):
    layout, found, other, clean = TileLayout.grid(*SIZE, tile, tile, overlap), 0, 0, 0
    for seed in range(4):
        base = sums(seed)
        clean += bool(blamed(base, layout))
        for index in range(len(layout)):
            names = blamed(stepped(base, layout, index), layout)
            found, other = found + (index in names), other + bool(names - {index})
    print(f"clean blamed {clean} of 4; found {found} of {4 * len(layout)}; another tile blamed {other} times")
    assert clean == 0 and found == 4 * len(layout) and other <= most


def test_around_a_ring_the_last_tile_and_the_first_are_neighbours():
    """The picture and its tiles rolled together by one column of tiles: the same steps, one tile further."""
    layout = TileLayout.grid(*SIZE, 192, 192, 64, wrap=(False, True))
    assert [one.x for one in layout.tiles[:4]] == [0, 128, 256, 384] and layout.counts[1] == 4
    base = stepped(sums(1), layout, 4)
    rolled = CellSums(*(plane.roll(128 // CELL, -1) for plane in base))
    first, second = (tile_steps(one, layout, SIZE).steps for one in (base, rolled))
    assert abs(first[4] - 2) < 0.8
    for tile, step in first.items():
        row, column = divmod(tile, 4)
        assert second[4 * row + (column + 1) % 4] == pytest.approx(step, abs=1e-6)
