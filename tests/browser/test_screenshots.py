"""Every node of the pack as it is drawn after a run, in both renderers; `--pictures` makes sheets of it to look at, in both themes."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from PIL import Image
from tilework.tests.browser.scenes import draw, everything
from tilework.tests.host.prompts import node
from tilework.tools.server.front_page import VIEWPORT

ROOT = Path(__file__).resolve().parents[2]
OUTPUT = ROOT / "output" / "screenshots"
THEMES = ("dark", "light")
MARGIN = 14
SHEET_WIDTH = 1700
PHOTOGRAPH = {
    "image": node("LoadImage", image="example.png"),
    "split": node("TileworkTileSplit", image=["image", 0], tile_width=256, tile_height=256, overlap=32, multiple_of=8),
}
# Text that is cut off or leaves its node, and parts of a node that lie on each other, in Nodes 2.0.
CLIPPED = """(id) => {
  const root = document.querySelector(`[data-node-id="${id}"]`);
  if (!root) return [];
  const outer = root.getBoundingClientRect();
  const found = [];
  for (const one of root.querySelectorAll("*")) {
    const own = [...one.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim());
    const box = one.getBoundingClientRect();
    const style = getComputedStyle(one);
    if (!own || !box.width || style.visibility === "hidden" || style.opacity === "0" || one.closest(".sr-only, [aria-hidden=true]")) continue;
    const out = box.left < outer.left - 2 || box.right > outer.right + 2 || box.bottom > outer.bottom + 2;
    const cut = one.scrollWidth > one.clientWidth + 1 && style.overflowX !== "visible" && one.clientWidth > 0;
    if (out || cut) found.push(`${out ? "outside" : "cut"}: ${one.textContent.trim().slice(0, 60)}`);
  }
  return found;
}"""
# In the classic canvas: slots and widgets that a node is too small for. The host itself leaves 12 pixels too few for its previews.
TOO_SMALL = """(id) => {
  if (LiteGraph.vueNodesMode) return [];
  const node = F.node(id);
  const least = node.computeSize();
  return node.size[1] + 12 < least[1] || node.size[0] + 1 < Math.min(least[0], 400) ? [`${node.size} for ${least}`] : [];
}"""

# A node in the left upper part of the screen at the default zoom, its pictures loaded.
SHOW = """async (id) => {
  const node = F.node(id);
  F.view(1, 120 - node.pos[0], 160 - node.pos[1]);
  await F.frame();
  const pictures = () => [...(document.querySelector(`[data-node-id="${id}"]`)?.querySelectorAll("img") ?? [])];
  await F.until(() => pictures().every((one) => one.complete && one.naturalWidth && getComputedStyle(one).visibility !== "hidden"), "its pictures");
  await F.until(() => !document.querySelector(`[data-node-id="${id}"]`)?.textContent.includes("Loading..."), "its pictures are shown");
  await F.frame();
}"""

PLACE = "id => { const box = F.box(F.node(id)); return [...F.screen(box), ...F.screen(box.slice(2))]; }"


def snapshot(front, box) -> Image.Image:
    """What the screen shows of a box [left, top, right, bottom] in pixels of the page."""
    x, y = max(0, box[0] - MARGIN), max(0, box[1] - MARGIN)
    clip = {"x": x, "y": y, "width": box[2] + MARGIN - x, "height": box[3] + MARGIN - y}
    return Image.open(io.BytesIO(front.page.screenshot(clip=clip))).convert("RGB")


def sheet(pictures: list[Image.Image], file: Path) -> None:
    """All pictures in rows, not scaled."""
    places, x, y, row = [], 0, 0, 0
    for picture in pictures:
        if x and x + picture.width > SHEET_WIDTH:
            x, y, row = 0, y + row, 0
        places.append((x, y))
        x, row = x + picture.width, max(row, picture.height)
    whole = Image.new("RGB", (SHEET_WIDTH, y + row), (90, 90, 90))
    for picture, place in zip(pictures, places, strict=True):
        whole.paste(picture, place)
    file.parent.mkdir(parents=True, exist_ok=True)
    whole.save(file)


@pytest.fixture
def tall(clean):
    """The page, tall enough for the largest node, and back to the dark theme afterwards."""
    clean.page.set_viewport_size({"width": 1500, "height": 1500})
    yield clean
    clean.set("Comfy.ColorPalette", "dark")
    clean.page.set_viewport_size(VIEWPORT)


def label(front, theme) -> str:
    return f"{'nodes2' if front.vue else 'classic'}-{theme}"


def test_every_node_after_a_run(tall, pack, looked_at):
    prompt = {**everything(pack), **PHOTOGRAPH}
    ids = tall.do(draw(prompt))
    tall.run()
    tall.page.mouse.move(1400, 1450)
    wrong = {}
    # A theme changes colours alone: where things lie is looked over in one, the other is for people to look at.
    for theme in THEMES if looked_at else THEMES[:1]:
        tall.set("Comfy.ColorPalette", theme)
        pictures = []
        for name in pack:
            tall.do(SHOW, ids[name])
            if looked_at:
                pictures.append(snapshot(tall, tall.do(PLACE, ids[name])))
            wrong[f"{name}, {theme}"] = [*tall.do(CLIPPED, ids[name]), *tall.do(TOO_SMALL, ids[name])]
        if looked_at:
            sheet(pictures, OUTPUT / f"nodes-{label(tall, theme)}.png")
    assert {name: found for name, found in wrong.items() if found} == {}


@pytest.mark.pictures
def test_every_template_at_fit_to_view(clean):
    """Pictures in the light theme; that they open is stated in test_templates.py."""
    OUTPUT.mkdir(parents=True, exist_ok=True)
    for path in sorted((ROOT / "example_workflows").glob("*.json")):
        clean.do(
            "async (saved) => { await F.clear(); await app.loadGraphData(saved); await F.rest(); await F.fit(); }",
            json.loads(path.read_text("utf-8")),
        )
        clean.set("Comfy.ColorPalette", "light")
        clean.do("async () => { await F.frame(); await F.frame(); }")
        clean.page.screenshot(path=OUTPUT / f"{path.stem}-{label(clean, 'light')}.png")
    clean.set("Comfy.ColorPalette", "dark")
