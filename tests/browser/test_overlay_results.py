"""The overlays in the browser after a run, in both renderers."""

from __future__ import annotations

import pytest
from tilework.blending.layout.captions import describe_split
from tilework.blending.layout.tile_layout import TileLayout
from tilework.tests.browser import overlay_page
from tilework.tests.browser.overlay_page import PIPELINE, expected, size_of

pytestmark = pytest.mark.two_front_ends

page = overlay_page.page


def test_seam_blend_shows_the_plan_before_and_the_result_after(page, front, server):
    page.evaluate(PIPELINE)
    text = expected(*size_of(server))
    page.evaluate("text => T.shows(blend, text)", text)
    page.evaluate("() => T.shows(blend, 'as Tile Split plans it; run to see the result')")
    page.evaluate("() => T.shows(check, 'run to see which boundaries show')")
    assert front.posted == []
    page.evaluate("() => app.queuePrompt(0, 1)")
    page.evaluate("() => T.shows(blend, 'auto, scale 1 (from the tiles)')")
    assert page.evaluate("() => T.layout(blend)") == page.evaluate("() => T.layout(split)")
    page.evaluate("() => T.until(() => T.overlay(blend).scene.picture, 'its own picture')")
    assert page.evaluate("() => T.said(split).text") == text
    page.evaluate("() => T.put(split, { tile_width: 384 })")
    page.evaluate("text => T.shows(split, text)", expected(*size_of(server), tile=384, tile_height=256))
    page.evaluate("() => T.shows(blend, 'planned anew since the last run')")
    assert len(front.posted) == 1, "only what was asked for was run"


def test_one_picture_and_not_two(page, front):
    page.evaluate(PIPELINE)
    page.evaluate("() => app.queuePrompt(0, 1)")
    page.evaluate("() => T.until(() => T.overlay(check).scene.seams, 'the result', 60)")
    page.wait_for_timeout(800)
    nodes = page.evaluate(
        """() => [split, blend, check].map((node) => ({
          widgets: node.widgets.map((widget) => widget.name),
          images: Object.values(app.nodeOutputs ?? {}).filter((one) => one.images).length,
          shown: document.querySelectorAll(`[data-node-id="${node.id}"] img`).length,
        }))"""
    )
    for node in nodes:
        assert node["widgets"][-1] == "tilework_overlay", "no preview of the host's after it"
        assert node["shown"] == 0
        assert node["images"] >= 3, "they did come: users of the API get them"


def test_a_size_that_only_a_run_tells(page, front):
    page.evaluate(
        """async () => {
          const { split } = await T.scene();
          const source = T.add("TileworkTestImage", 40, 560, { width: 500, height: 400 });
          T.link(source, 0, split, "image");
          T.add("PreviewImage", 1000, 120);
          T.link(split, 0, T.find("PreviewImage"), "images");
          Object.assign(window, { split, source });
        }"""
    )
    page.evaluate("() => T.shows(split, 'run once')")
    page.evaluate("() => app.queuePrompt(0, 1)")
    page.evaluate("text => T.shows(split, text)", expected(400, 500))
    page.evaluate("() => T.shows(split, 'size as in the last run')")
    page.evaluate("() => T.put(split, { tile_width: 128 })")
    page.evaluate("text => T.shows(split, text)", expected(400, 500, tile=128, tile_height=256))
    page.evaluate(
        "() => { const load = T.find('LoadImage'); const again = T.add('TileworkTestImage', 40, 800); T.link(again, 0, split, 'image'); }"
    )
    page.evaluate("() => T.shows(split, 'The size of the picture is not known yet')")
    assert len(front.posted) == 1


def test_several_pictures_can_be_leafed_through(page, front):
    page.evaluate(
        """async () => {
          await T.clear();
          const source = T.add("TileworkTestImageList", 40, 120, { sizes: "640x480,333x777" });
          const split = T.add("TileworkTileSplit", 420, 120, { tile_width: 256, tile_height: 256, overlap: 32 });
          T.link(source, 0, split, "image");
          const blend = T.add("TileworkSeamBlend", 800, 120);
          T.link(split, 0, blend, "tiles");
          T.link(split, 1, blend, "layout");
          T.link(blend, 0, T.add("PreviewImage", 1180, 120), "images");
          Object.assign(window, { split, blend });
          await app.queuePrompt(0, 1);
        }"""
    )
    page.evaluate("text => T.shows(split, text)", expected(480, 640))
    assert page.evaluate("() => T.overlay(split).where.textContent") == "1 of 2"
    page.evaluate("() => T.overlay(split).bar.querySelector('[aria-label=\"next picture\"]').click()")
    page.evaluate("text => T.shows(split, text)", expected(777, 333))
    page.evaluate("() => T.shows(blend, 'final size 640 x 480')")


def test_a_latent_of_known_size_and_one_that_a_run_tells(page, front):
    page.evaluate(
        """async () => {
          await T.clear();
          const empty = T.add("EmptyLatentImage", 40, 120, { width: 1024, height: 768 });
          const split = T.add("TileworkLatentTileSplit", 420, 120, { tile_width: 512, tile_height: 512, overlap: 64 });
          T.link(empty, 0, split, "samples");
          const blend = T.add("TileworkLatentSeamBlend", 800, 120);
          T.link(split, 0, blend, "tiles");
          T.link(split, 1, blend, "layout");
          Object.assign(window, { empty, split, blend });
        }"""
    )
    lines = describe_split(TileLayout.grid(768, 1024, 512, 512, 64, 8, unit=8), 8)
    page.evaluate("text => T.shows(split, text)", ", ".join(lines[:2]))
    page.evaluate("text => T.shows(split, text)", "8 image pixels per latent cell")
    page.evaluate("text => T.shows(blend, text)", ", ".join(lines[:2]))
    page.evaluate("() => { split.widgets.find((one) => one.name === 'tile_width').value = 500; }")
    page.evaluate("() => T.shows(split, 'tile_width 500 is not a whole number of latent cells of 8 px: use 496 or 504')")
    assert front.posted == []
    page.evaluate(
        """async () => {
          T.put(split, { tile_width: 512, downscale: 16 });
          const flip = T.add("LatentFlip", 40, 500);
          T.link(empty, 0, flip, "samples");
          T.link(flip, 0, split, "samples");
          const decode = T.add("TileworkTestCompareLatent", 1180, 120);
          decode.connect && [0, 1].forEach((i) => blend.connect(0, decode, i));
        }"""
    )
    page.evaluate("() => T.shows(split, 'The size of the latent is not known yet: run once.')")
    page.evaluate("() => app.queuePrompt(0, 1)")
    page.evaluate("text => T.shows(split, text)", ", ".join(lines[:2]))
    page.evaluate("() => T.shows(blend, 'scale 1 (from the tiles)')")
    page.evaluate("() => T.shows(split, '8 image pixels per latent cell')")


def test_seam_check_names_the_seam_that_is_pointed_at(page, front):
    page.evaluate(
        """async () => {
          await T.clear();
          const source = T.add("TileworkTestImage", 40, 120, { width: 600, height: 600, kind: "smooth", seed: 21 });
          const split = T.add("TileworkTileSplit", 300, 500, { tile_width: 256, tile_height: 256, overlap: 64 });
          T.link(source, 0, split, "image");
          const lighten = T.add("TileworkTestLighten", 40, 500, { index: 4, levels: 6 });
          T.link(split, 0, lighten, "images");
          const blend = T.add("TileworkSeamBlend", 660, 500, { method: "none" });
          T.link(lighten, 0, blend, "tiles");
          T.link(split, 1, blend, "layout");
          const check = T.add("TileworkSeamCheck", 1040, 120);
          T.link(blend, 0, check, "image");
          T.link(split, 1, check, "layout");
          const report = T.add("PreviewAny", 1040, 820);
          check.connect(1, report, 0);
          Object.assign(window, { check, report, split });
          await app.queuePrompt(0, 1);
        }"""
    )
    page.evaluate("() => T.shows(check, 'failed: 4 x seam at 12 boundaries')")
    rows = page.evaluate("() => T.overlay(check).scene.seams")
    assert [row["verdict"] for row in rows] == ["seam"] * 4 + ["clean"] * 8
    table = page.evaluate(
        "() => T.until(() => Object.values(app.nodeOutputs).find((one) => one.text?.[0]?.includes('verdict'))?.text[0], 'report')"
    )
    for row in rows:
        found = [line for line in table.splitlines() if line.startswith(row["cells"][0]) and f" {row['cells'][1]} " in line]
        assert len(found) == 1 and all(cell in found[0] for cell in row["cells"]) and row["note"] in found[0], "the very row of the table"
    box = page.evaluate("() => T.box(check)")
    seam = next(row for row in rows if row["vertical"])
    x = box["left"] + seam["line"] / 600 * box["width"]
    y = box["top"] + sum(seam["along"]) / 1200 * box["height"]
    before = page.evaluate("() => T.seen(check)")
    page.mouse.move(x + 2, y)
    said = page.evaluate("() => T.said(check).more")
    for cell in seam["cells"]:
        assert cell in said
    assert said.startswith(f"seam · {seam['cells'][1]} · ") and page.evaluate("() => T.seen(check)") != before, "and it is marked"
    page.mouse.move(box["left"] - 300, y)
    assert "Point at a seam" in page.evaluate("() => T.said(check).more")
    page.evaluate("() => T.overlay(check).canvas.focus()")
    page.keyboard.press("ArrowRight")
    assert rows[0]["cells"][1] in page.evaluate("() => T.said(check).more")
    page.keyboard.press("ArrowDown")
    assert rows[1]["cells"][1] in page.evaluate("() => T.said(check).more")
    page.keyboard.press("End")
    assert rows[-1]["cells"][1] in page.evaluate("() => T.said(check).more")
    page.keyboard.press("Escape")
    assert "Point at a seam" in page.evaluate("() => T.said(check).more")
    # A verdict on another grid is none on this one.
    page.evaluate("() => T.put(split, { tile_width: 192 })")
    page.evaluate("() => T.shows(check, 'planned anew since the last run; run to check it')")
    page.evaluate("() => T.put(split, { overlap: 256 })")
    page.evaluate("() => T.shows(check, 'Tile Split cannot cut like this: it says why.')")
    page.evaluate("() => T.put(split, { tile_width: 256, overlap: 64 })")
    page.evaluate("() => T.shows(check, 'failed: 4 x seam at 12 boundaries')")
