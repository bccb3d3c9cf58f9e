"""The overlays in the browser before anything runs, in both renderers: they follow the widgets, and say what Python says."""

from __future__ import annotations

import base64
import io

import pytest
from PIL import Image
from tilework.blending.layout.captions import describe_split
from tilework.blending.layout.tile_layout import TileLayout
from tilework.tests.browser import overlay_page
from tilework.tests.browser.overlay_page import PIPELINE, expected, overlaps, size_of
from tilework.tests.browser.test_search import double_click

pytestmark = pytest.mark.two_front_ends

page = overlay_page.page


def test_it_follows_the_widgets_before_a_run(page, front, server):
    page.evaluate("async () => { const { split } = await T.scene(); window.split = split; }")
    page.evaluate("text => T.shows(split, text)", expected(*size_of(server)))
    seen = {page.evaluate("() => T.seen(split)")}
    for values, more in (
        ({"tile_width": 128, "tile_height": 128}, {"tile": 128}),
        ({"overlap": 64}, {"tile": 128, "overlap": 64}),
        ({"tile_height": 512}, {"tile": 128, "overlap": 64, "tile_height": 512}),
        ({"multiple_of": 64}, {"tile": 128, "overlap": 64, "tile_height": 512, "multiple_of": 64}),
    ):
        page.evaluate("values => T.put(split, values)", values)
        if "multiple_of" not in values:
            page.evaluate("text => T.shows(split, text)", expected(*size_of(server), **more))
            seen.add(page.evaluate("() => T.seen(split)"))
        else:
            page.evaluate("text => T.shows(split, text)", expected(*size_of(server), **more))
    assert len(seen) == 4, "every change is drawn"
    plain = page.evaluate("() => T.seen(split)")
    page.evaluate("() => T.put(split, { multiple_of: 8, wrap: 'both', columns: 4, rows: 3 })")
    height, width = size_of(server)
    joined = TileLayout.grid(height, width, 512, 128, 64, 8, wrap=(True, True), counts=(3, 4))
    page.evaluate("text => T.shows(split, text)", ", ".join(describe_split(joined, 8)[:2]))
    assert page.evaluate("() => T.seen(split)") != plain
    page.evaluate("() => T.put(split, { wrap: 'none', columns: 0, rows: 0 })")
    page.evaluate("() => T.put(split, { overlap: 128 })")
    page.evaluate("() => T.shows(split, 'overlap 128 must be smaller than the tile (128 x 512): use 64 or less')")
    assert front.posted == []


def test_a_width_typed_by_hand(page, front, server):
    page.evaluate("async () => { const { split } = await T.scene(); window.split = split; }")
    page.evaluate("text => T.shows(split, text)", expected(*size_of(server)))
    if front.vue:
        number = page.evaluate("() => String(split.id)")
        page.locator(f'[data-node-id="{number}"] .cursor-ew-resize').first.click()
        page.keyboard.press("Control+a")
    else:
        where = page.evaluate(
            """() => {
              const widget = split.widgets.find((one) => one.name === "tile_width");
              const box = app.canvas.canvas.getBoundingClientRect();
              const { scale, offset } = app.canvas.ds;
              return [box.left + (split.pos[0] + split.size[0] / 2 + offset[0]) * scale, box.top + (split.pos[1] + widget.last_y + 10 + offset[1]) * scale];
            }"""
        )
        double_click(front, where, ".graphdialog input")
        page.locator(".graphdialog input").fill("")
    page.keyboard.type("128")
    page.keyboard.press("Enter")
    page.evaluate("text => T.shows(split, text)", expected(*size_of(server), tile=128, tile_height=256))
    assert page.evaluate("() => split.widgets.find((one) => one.name === 'tile_width').value") == 128
    assert front.posted == []


def test_it_follows_reroutes_primitives_and_bypassed_nodes(page, front, server):
    page.evaluate(
        """async () => {
          const { load, split } = await T.scene();
          window.split = split;
          const reroute = T.add("Reroute", 300, 60);
          const invert = T.add("ImageQuantize", 40, 560); // through which no size is followed
          const primitive = T.add("PrimitiveInt", 40, 700, { value: 128 });
          load.connect(0, reroute, 0);
          reroute.connect(0, invert, 0);
          T.link(invert, 0, split, "image");
          T.link(primitive, 0, split, "tile_width");
          Object.assign(window, { invert, primitive });
        }"""
    )
    page.evaluate("() => T.shows(split, 'The size of the picture is not known yet: run once.')")
    page.evaluate("() => { invert.mode = 4; }")
    page.evaluate("text => T.shows(split, text)", expected(*size_of(server), tile=128, tile_height=256))
    page.evaluate("() => T.put(primitive, { value: 192 })")
    page.evaluate("text => T.shows(split, text)", expected(*size_of(server), tile=192, tile_height=256))
    page.evaluate(
        """() => {
          const old = T.add("PrimitiveNode", 40, 840);
          old.connect(0, split, T.slot(split, "overlap"));
          old.widgets[0].value = 64;
        }"""
    )
    page.evaluate("text => T.shows(split, text)", expected(*size_of(server), tile=192, tile_height=256, overlap=64))
    page.evaluate("() => { const count = T.add('TileworkTileSplit', 800, 120); T.link(count, 2, split, 'tile_width'); }")
    page.evaluate("() => T.shows(split, 'tile_width comes from another node: run once to see the grid here.')")
    assert front.posted == []


def test_it_follows_into_a_subgraph(page, front, server):
    page.evaluate(
        """async () => {
          const { load, split } = await T.scene();
          const { subgraph, node } = app.graph.convertToSubgraph(new Set([split]));
          window.inner = subgraph._nodes.find((one) => one.type === "TileworkTileSplit");
          await T.enter(subgraph);
        }"""
    )
    page.evaluate("text => T.shows(inner, text)", expected(*size_of(server)))
    page.evaluate("() => app.canvas.setGraph(app.rootGraph ?? app.graph.rootGraph)")
    assert front.posted == []


def test_it_follows_out_of_a_subgraph_and_takes_the_subgraphs_own_values(page, front, server):
    page.evaluate(
        "async () => { const { load, split } = await T.scene(); window.split = split; app.graph.convertToSubgraph(new Set([load])); }"
    )
    page.evaluate("text => T.shows(split, text)", expected(*size_of(server)))
    page.evaluate(
        """async () => {
          const { split } = await T.scene();
          const { subgraph, node } = app.graph.convertToSubgraph(new Set([split]));
          const inner = subgraph._nodes.find((one) => one.type === "TileworkTileSplit");
          subgraph.addInput("tile_width", "INT").connect(inner.inputs[T.slot(inner, "tile_width")], inner);
          node.widgets[0].value = 128;
          Object.assign(window, { inner });
          await T.enter(subgraph);
        }"""
    )
    page.evaluate("text => T.shows(inner, text)", expected(*size_of(server), tile=128, tile_height=256))
    page.evaluate("() => app.canvas.setGraph(app.rootGraph ?? app.graph.rootGraph)")
    assert front.posted == []


def test_another_file_in_load_image(page, front, server):
    Image.new("RGB", (700, 300), (90, 120, 60)).save(server.base / "input" / "other.png")
    page.evaluate("async () => { const { load, split } = await T.scene(); Object.assign(window, { load, split }); }")
    page.evaluate("text => T.shows(split, text)", expected(*size_of(server)))
    page.evaluate("() => T.put(load, { image: 'other.png' })")
    page.evaluate("text => T.shows(split, text)", expected(300, 700))
    assert page.evaluate("() => T.layout(split).canvas") == [300, 700]
    page.evaluate("() => split.disconnectInput(T.slot(split, 'image'))")
    page.evaluate("() => T.shows(split, 'Connect Load Image')")
    assert page.evaluate("() => T.said(split).text") == "" and front.posted == []


def test_a_connected_layout_decides(page, front, server):
    page.evaluate(
        """async () => {
          const { load, split } = await T.scene();
          const second = T.add("TileworkTileSplit", 800, 120, { tile_width: 64, tile_height: 64, overlap: 8 });
          T.link(load, 0, second, "image");
          T.link(split, 1, second, "layout");
          Object.assign(window, { load, split, second });
        }"""
    )
    page.evaluate("text => T.shows(second, text)", expected(*size_of(server)))
    page.evaluate("() => { T.link(second, 1, split, 'layout'); }")
    page.evaluate("() => T.shows(split, 'The connected layout decides')")
    assert front.posted == []


def test_a_photograph_that_was_taken_upright(page, server):
    picture = Image.new("RGB", (640, 400), (90, 120, 60))
    turned = picture.getexif()
    turned[0x0112] = 6
    picture.save(server.base / "input" / "turned.jpg", exif=turned)
    page.evaluate("async () => { const { load, split } = await T.scene(); window.split = split; T.put(load, { image: 'turned.jpg' }); }")
    page.evaluate("text => T.shows(split, text)", expected(640, 400))


def test_a_missing_file_is_said_in_words(page, front):
    page.evaluate(
        "async () => { const { load, split } = await T.scene(); Object.assign(window, { load, split }); T.put(load, { image: 'gone.png' }); }"
    )
    page.evaluate("() => T.shows(split, 'The picture cannot be read here: choose it again, or run once.')")
    front.complaints()


@pytest.mark.dealt
@pytest.mark.parametrize("value", ["<img src=x onerror=window.HACKED=1>", None, [], {"a": 1}, "many", 1e300, -5])
def test_hostile_values_only_show_words(page, front, value):
    page.evaluate(
        """async (value) => {
          await T.scene();
          const { workflow } = await app.graphToPrompt();
          const saved = workflow.nodes.find((node) => node.type === "TileworkTileSplit");
          saved.widgets_values = [value, 256, 32, 8];
          saved.title = "<img src=x onerror=window.HACKED=1>";
          await app.loadGraphData(workflow);
          window.split = T.find("TileworkTileSplit");
          await T.until(() => T.overlay(split).text.textContent, "words");
        }""",
        value,
    )
    said = page.evaluate("() => T.said(split).text")
    assert "tile_width" in said or "tile" in said
    assert "<img" not in said and page.evaluate("() => window.HACKED") is None
    assert page.evaluate("() => T.overlay(split).root.querySelector('img')") is None
    front.complaints()


def test_it_is_not_in_the_file_and_survives_save_reload_and_copy(page, front, server):
    page.evaluate(PIPELINE)
    page.evaluate("() => T.put(split, { tile_width: 320, multiple_of: 16 })")
    text = expected(*size_of(server), tile=320, tile_height=256, multiple_of=16)
    page.evaluate("text => T.shows(split, text)", text)
    before = page.evaluate("() => T.prompt()")
    assert not any("overlay" in name for one in before.values() for name in one["inputs"])
    saved = page.evaluate(
        """async () => {
          const { workflow } = await app.graphToPrompt();
          await T.clear();
          await app.loadGraphData(JSON.parse(JSON.stringify(workflow)));
          window.split = T.find("TileworkTileSplit");
          return Object.fromEntries(workflow.nodes.map((node) => [node.type, node.widgets_values]));
        }"""
    )
    assert saved["TileworkTileSplit"] == [320, 256, 32, 16, "none", 0, 0]
    assert saved["TileworkSeamBlend"] == ["auto", 0, 0, 0, 0]
    assert saved["TileworkSeamCheck"] == [5, "report"]
    page.evaluate("text => T.shows(split, text)", text)
    assert page.evaluate("() => T.prompt()") == before
    page.evaluate(
        """async () => {
          app.canvas.selectItems([T.find("LoadImage"), split]);
          app.canvas.copyToClipboard();
          app.canvas.pasteFromClipboard();
          window.copy = await T.until(() => app.graph._nodes.find((node) => node.type === "TileworkTileSplit" && node !== split), "the copy");
          copy.pos = [420, 560];
          app.canvas.setDirty(true, true);
        }"""
    )
    page.evaluate("text => T.shows(copy, text)", text)
    page.evaluate("() => T.put(copy, { tile_width: 128 })")
    page.evaluate("text => T.shows(copy, text)", expected(*size_of(server), tile=128, tile_height=256, multiple_of=16))
    assert page.evaluate("() => T.said(split).text") == text, "and the two are apart"
    assert front.posted == []


def test_it_lives_on_when_the_node_is_made_anew(page, server):
    page.evaluate("async () => { const { split } = await T.scene(); window.split = split; }")
    page.evaluate("text => T.shows(split, text)", expected(*size_of(server)))
    page.evaluate(
        """async () => {
          const { workflow } = await app.graphToPrompt();
          await app.loadGraphData(JSON.parse(JSON.stringify(workflow)));
          window.split = T.find("TileworkTileSplit");
        }"""
    )
    page.evaluate("() => T.put(split, { tile_width: 128 })")
    page.evaluate("() => T.until(() => T.overlay(split).root.isConnected, 'the new one on the page')")
    page.evaluate("text => T.shows(split, text)", expected(*size_of(server), tile=128, tile_height=256))


def test_a_tile_that_is_pointed_at(page, server):
    page.evaluate("async () => { const { split } = await T.scene(); window.split = split; }")
    page.evaluate("text => T.shows(split, text)", expected(*size_of(server)))
    height, width = size_of(server)
    tiles = TileLayout.grid(height, width, 256, 256, 32, 8).tiles
    box = page.evaluate("() => T.box(split)")
    page.mouse.move(box["left"] + box["width"] - 3, box["top"] + box["height"] - 3)
    last = tiles[-1]
    assert page.evaluate("() => T.said(split).more") == f"tile {len(tiles) - 1}: x {last.x}, y {last.y}, 256 x 256"
    page.evaluate("() => T.overlay(split).canvas.focus()")
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("() => T.said(split).more") == f"tile 1: x {tiles[1].x}, y 0, 256 x 256"
    assert page.evaluate("() => !!T.find('TileworkTileSplit')")


def test_the_graph_can_be_zoomed_and_moved_over_it(page, server):
    page.evaluate("async () => { const { split } = await T.scene(); window.split = split; }")
    page.evaluate("text => T.shows(split, text)", expected(*size_of(server)))
    box = page.evaluate("() => T.box(split)")
    x, y = box["left"] + box["width"] / 2, box["top"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down(button="middle")
    page.mouse.move(x + 60, y + 30, steps=6)
    page.mouse.up(button="middle")
    page.evaluate(
        "() => T.until(() => Math.abs(app.canvas.ds.offset[0] - 60) < 15, `the graph moved, not to ${[...app.canvas.ds.offset]}`)"
    )
    moved = page.evaluate("() => [...app.canvas.ds.offset]")
    page.mouse.move(x + 90, y + 60, steps=3)
    assert page.evaluate("() => [...app.canvas.ds.offset]") == moved, "let go"
    page.mouse.wheel(0, -100)
    scale = page.evaluate("() => T.until(() => app.canvas.ds.scale > 1.01 && app.canvas.ds.scale, 'zoomed')")
    assert scale < 1.25, "once"


def test_the_drawing_has_the_grid_in_it(page, front, server):
    """Not a fixed picture: shaded where the layout overlaps, and only there."""
    Image.new("RGB", (800, 400), (40, 40, 40)).save(server.base / "input" / "flat.png")
    page.evaluate(
        "async () => { const { load, split } = await T.scene(); Object.assign(window, { load, split }); T.put(load, { image: 'flat.png' }); }"
    )
    page.evaluate("text => T.shows(split, text)", expected(400, 800))
    layout = TileLayout.grid(400, 800, 256, 256, 32, 8)
    raw = page.evaluate(
        """() => {
          const { canvas, place } = T.overlay(split);
          return { url: canvas.toDataURL("image/png"), place };
        }"""
    )

    picture = Image.open(io.BytesIO(base64.b64decode(raw["url"].split(",")[1]))).convert("RGB")
    left, top, width, height = raw["place"]
    ys, xs = layout.axes
    between = next((stop, other) for (_, stop), (other, _) in zip([(0, 0), *overlaps(xs)], [*overlaps(xs), (800, 0)], strict=True))
    low_y = overlaps(ys)[0][0] / 4  # a quarter down the first row of tiles: no number there

    def at(x, y):
        return picture.getpixel((round(left + x / 800 * width), round(top + y / 400 * height)))

    assert max(abs(a - b) for a, b in zip(at((between[0] + between[1]) / 2 * 0.3, low_y), (40, 40, 40), strict=True)) < 12
    start, stop = overlaps(xs)[0]
    red, green, blue = at(start + (stop - start) * 0.2, low_y)
    assert red > green + 20 > blue + 20, "shaded in the overlap"
