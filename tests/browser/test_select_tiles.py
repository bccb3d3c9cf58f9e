"""Tiles chosen by clicks on the overlay of Select Tiles, in both renderers and with the keyboard."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tilework.tests.browser import overlay_page

pytestmark = pytest.mark.two_front_ends

page = overlay_page.page
SHOTS = Path(__file__).resolve().parents[2] / "output" / "screenshots"

# Load Image -> Tile Split, 3 rows of 4 tiles -> Select Tiles.
SCENE = """async () => {
  const { load, split } = await T.scene({ tile_width: 168, tile_height: 192, overlap: 32 });
  const some = T.add("TileworkSelectTiles", 800, 120);
  T.link(split, 1, some, "layout");
  Object.assign(window, { load, split, some });
  await T.until(() => T.layout(some), "the layout that Tile Split plans");
}"""
# Where a tile's middle lies on the screen.
MIDDLE = """async (number) => {
  const { canvas, tile, origins: [ys, xs] } = T.layout(some);
  const box = await T.box(some);
  const [y, x] = [ys[Math.floor(number / xs.length)], xs[number % xs.length]];
  const at = [(x + Math.min(x + tile[1], canvas[1])) / 2 / canvas[1], (y + Math.min(y + tile[0], canvas[0])) / 2 / canvas[0]];
  return [box.left + at[0] * box.width, box.top + at[1] * box.height];
}"""
TEXT = "() => some.widgets.find((one) => one.name === 'tiles').value"


def click(page, number):
    page.mouse.click(*page.evaluate(MIDDLE, number))


def test_a_click_writes_the_number_and_another_takes_it_out(page, front):
    page.evaluate(SCENE)
    assert page.evaluate("() => { const { origins } = T.layout(some); return origins[0].length * origins[1].length; }") == 12
    before = page.evaluate("() => T.seen(some)")
    click(page, 3)
    click(page, 7)
    assert page.evaluate(TEXT) == "3, 7"
    page.evaluate("() => T.shows(some, '2 of 12 tiles')")
    assert page.evaluate("() => T.seen(some)") != before, "the chosen tiles are lit"
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SHOTS / f"select-tiles-{'vue' if front.vue else 'classic'}.png")
    click(page, 3)
    assert page.evaluate(TEXT) == "7"
    prompt = page.evaluate("() => T.prompt()")
    (inputs,) = (part["inputs"] for part in prompt.values() if part["class_type"] == "TileworkSelectTiles")
    assert inputs["tiles"] == "7"


def test_the_keyboard_chooses_too_and_rows_become_ranges(page):
    page.evaluate(SCENE)
    page.evaluate("() => T.overlay(some).canvas.focus()")
    page.keyboard.press("Home")
    for _ in range(4):
        page.keyboard.press("Enter")
        page.keyboard.press("ArrowRight")
    assert page.evaluate(TEXT) == "0-3"
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    assert page.evaluate(TEXT) == "0, 2, 3"


def test_what_is_typed_is_shown_and_nonsense_is_said(page):
    page.evaluate(SCENE)
    page.evaluate("() => T.put(some, { tiles: '0, 4-6' })")
    page.evaluate("() => T.shows(some, '4 of 12 tiles')")
    page.evaluate("() => T.put(some, { invert: true })")
    page.evaluate("() => T.shows(some, '8 of 12 tiles')")
    for text in ("12", "5-3", "two", "0-999999999", "<b>"):
        page.evaluate("text => T.put(some, { tiles: text })", text)
        page.evaluate("() => T.shows(some, 'names no tiles of this layout')")


def test_a_run_and_what_it_leaves_behind(page, front, server):
    """The whole of it by wires: chosen tiles go through a node and into the picture, and the nodes show what was done."""
    page.evaluate(SCENE)
    page.evaluate(
        """() => {
          T.put(some, { tiles: "3, 7" });
          const again = T.add("TileworkTileSplit", 1180, 120);
          const work = T.add("ImageInvert", 1180, 760);
          const blend = T.add("TileworkSeamBlend", 1560, 120);
          const save = T.add("PreviewImage", 1940, 120);
          T.link(load, 0, again, "image");
          T.link(some, 0, again, "layout");
          T.link(again, 0, work, "image");
          T.link(work, 0, blend, "tiles");
          T.link(again, 1, blend, "layout");
          T.link(load, 0, blend, "base");
          T.link(blend, 0, save, "images");
          Object.assign(window, { again, blend });
        }"""
    )
    front.run()
    page.evaluate("() => T.shows(again, '2 of 12 tiles')")
    page.evaluate(
        "() => { app.canvas.ds.offset = [-1180, 0]; app.canvas.setDirty(true, true); }"
    )  # an overlay off the screen does not look
    page.evaluate("() => T.shows(blend, '2 of 12 tiles')")
    record = page.evaluate("() => T.layout(blend)")
    assert record["present"] == [3, 7], json.dumps(record)[:300]
    assert page.evaluate(TEXT) == "3, 7"
