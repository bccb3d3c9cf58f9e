"""How steep a tone difference between tiles becomes, on flat grey, borders and corners included."""

import pytest
import torch
from tilework.blending import TileLayout, compose, cut

OVERLAP = 32
BOUNDS = {"hann": 0.003, "linear": 0.002, "gaussian": 0.004}


def largest_step(image):
    return max(float(image.diff(dim=dim).abs().max()) for dim in (1, 2))


@pytest.mark.parametrize("tile", [128, 256, 512, 1024])
def test_a_checkerboard_of_tones_becomes_a_gentle_slope(tile):
    side = 3 * (tile - OVERLAP) + tile  # four tiles whose real overlap is 32
    layout = TileLayout.grid(side, side, tile, tile, OVERLAP, 1)
    assert [axis.overlap for axis in layout.axes] == [OVERLAP, OVERLAP] and len(layout) == 16
    grey = torch.full((1, side, side, 1), 0.5)

    def drifting():
        for index, t in enumerate(cut(grey, layout)):
            yield t + (0.03 if (index // 4 + index % 4) % 2 else -0.03)

    steps = {method: largest_step(compose(drifting(), layout, method)) for method in (*BOUNDS, "average", "none")}
    print(f"tile {tile}: " + ", ".join(f"{m} {s:.5f}" for m, s in steps.items()))
    for method, bound in BOUNDS.items():
        assert steps[method] <= bound, method
    assert steps["average"] == pytest.approx(0.03, abs=1e-4)
    assert steps["none"] == pytest.approx(0.06, abs=1e-4)
