"""One table of sizes for two planners: the browser's and Python's, tile by tile and word for word."""

from __future__ import annotations

import functools
import random

import pytest
from tilework.blending.layout.captions import describe_split
from tilework.blending.layout.grid import MAX_TILES
from tilework.blending.layout.tile_layout import TileLayout
from tilework.pictures.grid import cuts, overlaps
from tilework.tests.browser import overlay_page

page = overlay_page.page
RANDOM = 200
NONE, SIDES, BOTH = (False, False), (False, True), (True, True)
# height, width, tile_height, tile_width, overlap, multiple_of, unit, batch[, wrap, columns, rows]
AWKWARD = [
    (1000, 1000, 512, 512, 64, 1, 1, 1),  # three tiles meet on an axis
    (1, 1, 1024, 1024, 128, 8, 1, 1),
    (1, 4096, 512, 512, 64, 8, 1, 1),
    (1024, 1024, 1024, 1024, 128, 8, 1, 1),
    (1024, 1025, 1024, 1024, 128, 8, 1, 3),
    (777, 1000, 512, 512, 511, 1, 1, 1),
    (10_000, 15_000, 1024, 1024, 128, 64, 1, 1),
    (8192, 8192, 64, 64, 32, 8, 1, 1),
    (5000, 7000, 1000, 1004, 100, 8, 1, 1),  # no multiple of 8
    (640, 960, 512, 512, 0, 8, 1, 1),
    (4096, 4096, 1024, 768, 128, 8, 8, 2),
    (1536, 1536, 512, 512, 64, 8, 32, 1),
    (30, 16, 8, 8, 2, 1, 1, 1),
    (9, 9, 4, 4, 3, 1, 1, 1),
    (5, 1048576, 1024, 1024, 128, 8, 1, 1),
    (512, 1024, 512, 256, 64, 8, 1, 1, SIDES, 0, 0),
    (515, 1023, 256, 256, 64, 8, 1, 1, BOTH, 0, 0),  # the last stride takes what the lattice leaves over
    (256, 256, 256, 256, 0, 8, 1, 1, BOTH, 0, 0),
    (256, 256, 256, 256, 32, 8, 1, 1, BOTH, 0, 0),
    (1000, 1500, 64, 64, 64, 8, 1, 1, NONE, 5, 3),
    (1000, 1500, 64, 64, 64, 8, 1, 1, BOTH, 5, 3),
    (100, 100, 64, 64, 0, 8, 1, 1, NONE, 1, 1),
    # refused, in words
    (512, 200, 256, 256, 32, 8, 1, 1, SIDES, 0, 0),
    (520, 520, 64, 64, 60, 8, 1, 1, BOTH, 0, 0),
    (512, 512, 64, 64, 16, 8, 1, 1, SIDES, 1, 0),
    (512, 512, 64, 64, 16, 8, 1, 1, NONE, 100, 0),
    (512, 512, 64, 64, 16, 8, 1, 1, BOTH, 0, 65),
    (512, 512, 64, 64, 16, 8, 1, 1, NONE, 0, -1),
    (512, 512, 256, 256, 256, 8, 1, 1),
    (512, 512, 256, 256, 250, 8, 1, 1),
    (512, 512, 8, 8, 4, 64, 1, 1),
    (512, 512, 0, 256, 0, 8, 1, 1),
    (512, 512, 256, 256, -8, 8, 1, 1),
    (512, 512, 256, 256, 32, 0, 1, 1),
    (1048577, 512, 256, 256, 32, 8, 1, 1),
    (8192, 8192, 16, 16, 8, 8, 1, 1),
    (16, 16, 32768, 32768, 128, 8, 1, 1),
    (1024, 1024, 500, 512, 64, 8, 8, 1),
    (1024, 1024, 512, 4, 0, 8, 8, 1),
]


def random_plans():
    """RANDOM sizes that can be planned, and those refused on the way; the same at every run."""
    draw = random.Random(20261121)
    found = 0
    while found < RANDOM:
        longest = draw.choice([40, 700, 3000, 16_000])
        height, width = draw.randint(1, longest), draw.randint(1, longest)
        unit = draw.choice([1, 1, 1, 8, 16])
        tiles = [unit * max(1, draw.randint(side // 16, draw.choice([side // 3, side, 2 * side])) // unit) for side in (height, width)]
        overlap = draw.randint(0, int(min(tiles) * draw.choice([0.1, 0.5, 0.9])))
        plan = height, width, *tiles, overlap, draw.choice([1, 2, 7, 8, 16, 64]), unit, draw.choice([1, 1, 4])
        if found % 3 == 2:
            plan = *plan, draw.choice([NONE, SIDES, BOTH]), draw.choice([0, 0, 1, 2, 5, 11]), draw.choice([0, 0, 1, 3, 8])
        found += "tiles" in python_says(plan)
        yield plan


@functools.cache
def python_says(plan):
    height, width, tile_height, tile_width, overlap, multiple_of, unit, batch, wrap, columns, rows = (*plan, *(NONE, 0, 0)[len(plan) - 8 :])
    try:
        sizes = (height, width, tile_height, tile_width, overlap, multiple_of, batch, unit)
        layout = TileLayout.grid(*sizes, wrap=wrap, counts=(rows, columns))
    except ValueError as error:
        return {"refused": str(error)}
    return {
        "tiles": [list(tile) for tile in layout.tiles],
        "overlaps": [[list(pair) for pair in overlaps(axis)] for axis in layout.axes],
        "cuts": [[float(cut) for cut in cuts(axis)] for axis in layout.axes],
        "lines": describe_split(layout, multiple_of),
    }


BROWSER_SAYS = """async (plans) => {
  const { planGrid, describe, tileAt, countOf, overlapsOf, cutsOf, PlanError } = await import("/extensions/tilework/js/tiles/layout.js");
  return plans.map(([height, width, tileHeight, tileWidth, overlap, multipleOf, unit, batch, wrap, columns, rows]) => {
    try {
      const layout = planGrid({ height, width, tileHeight, tileWidth, overlap, multipleOf, unit, batch, wrap, columns, rows });
      const tiles = Array.from({ length: countOf(layout) }, (_, i) => Object.values(tileAt(layout, i)));
      const [shared, cuts] = [overlapsOf, cutsOf].map((of) => [0, 1].map((axis) => of(layout, axis)));
      return { tiles, overlaps: shared, cuts, lines: describe(layout, multipleOf) };
    } catch (error) {
      if (!(error instanceof PlanError)) throw error;
      return { refused: error.message };
    }
  });
}"""


# The planner draws nothing and asks nothing of the front end: it is the same in all.
@pytest.mark.renderer("classic")
def test_the_browser_plans_tile_by_tile_what_python_plans(page):
    plans = [*random_plans(), *AWKWARD]
    said = [python_says(plan) for plan in plans]
    seen = page.evaluate(BROWSER_SAYS, plans)
    for plan, ours, theirs in zip(plans, said, seen, strict=True):
        assert theirs == ours, plan
    tiles = [len(one["tiles"]) for one in said if "tiles" in one]
    refused = {one["refused"] for one in said if "refused" in one}
    print(f"{len(plans)} plans compared, {sum(tiles)} tiles in {len(tiles)} layouts of up to {max(tiles)}, {len(refused)} refusals alike")
    assert len(tiles) >= RANDOM and max(tiles) <= MAX_TILES and len(refused) >= 11
