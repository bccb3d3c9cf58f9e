"""What the tests of the overlays share: a page with helpers in it, and what Python says."""

from __future__ import annotations

import pytest
from PIL import Image
from tilework.blending.layout.captions import describe_split
from tilework.blending.layout.tile_layout import TileLayout
from tilework.tests.browser.page_scripts import give

PIPELINE = """async () => {
  const { load, split } = await T.scene();
  const blend = T.add("TileworkSeamBlend", 800, 120);
  T.link(split, 0, blend, "tiles");
  T.link(split, 1, blend, "layout");
  const check = T.add("TileworkSeamCheck", 1180, 120);
  T.link(blend, 0, check, "image");
  T.link(split, 1, check, "layout");
  Object.assign(window, { load, split, blend, check });
}"""


@pytest.fixture
def page(front):
    """A page with an empty graph; nothing may have gone wrong in it by the end."""
    front.complaints()
    give(front.page, "waits", "overlay")
    front.page.evaluate("() => T.clear()")
    front.posted.clear()
    yield front.page
    assert front.complaints() == []


def expected(height, width, tile=256, overlap=32, multiple_of=8, tile_height=None):
    """The line under the grid of a picture of that size, by Python."""
    return ", ".join(describe_split(TileLayout.grid(height, width, tile_height or tile, tile, overlap, multiple_of), multiple_of)[:2])


def size_of(server, name="example.png"):
    """(height, width) of a picture in the server's input folder."""
    with Image.open(server.base / "input" / name) as picture:
        return picture.height, picture.width


def overlaps(axis):
    """[start, stop] of every overlap along an axis."""
    return [(b, min(a + axis.tile, axis.size)) for a, b in zip(axis.origins, axis.origins[1:], strict=False)]
