"""Wires that do not fit together are named before a run, and those that do are left in peace."""

from __future__ import annotations

import pytest
from tilework.tests.browser import overlay_page

pytestmark = pytest.mark.two_front_ends

page = overlay_page.page

# Two pictures, each split; `blend` has the tiles of the first one.
TWO = """async () => {
  const { load, split } = await T.scene();
  const other = T.add("TileworkTileSplit", 420, 560, { tile_width: 256, tile_height: 256, overlap: 64 });
  const image = T.add("EmptyImage", 40, 560, { width: 600, height: 400 });
  T.link(image, 0, other, "image");
  const blend = T.add("TileworkSeamBlend", 1180, 120);
  T.link(split, 0, blend, "tiles");
  T.link(split, 1, blend, "layout");
  Object.assign(window, { load, split, other, image, blend });
}"""
# What a node says of its wires: in red, or where it waits.
SAID = """(node) => {
  const pane = node.widgets.map((widget) => widget.tileOverlay ?? widget.notePane).find(Boolean);
  pane.frame();
  if (!pane.hint) return { red: pane.text.classList.contains("tilework-error") ? pane.text.textContent : "", waits: pane.text.textContent };
  const { scene } = pane;
  return { red: scene.error ?? "", waits: scene.hint ?? "" };
}"""

GET_AND_SET = """() => {
  // As KJNodes has them: nodes of the editor alone, joined by a name.
  for (const [type, slot] of [["SetNode", "addInput"], ["GetNode", "addOutput"]]) {
    if (LiteGraph.registered_node_types[type]) continue;
    const kind = class extends LiteGraph.LGraphNode {
      constructor(title) {
        super(title);
        this[slot]("value", "*");
        this.addWidget("text", "name", "layout", () => {});
        this.isVirtualNode = true;
      }
    };
    LiteGraph.registerNodeType(type, kind);
  }
}"""

WRONG = {
    "two layouts": ("T.link(other, 1, blend, 'layout');", "blend", "connect the layout of the one that cut the tiles"),
    "two layouts through an upscaler": (
        "const up = T.add('ImageScaleBy', 800, 120); T.link(split, 0, up, 'image'); T.link(up, 0, blend, 'tiles'); T.link(other, 1, blend, 'layout');",
        "blend", "connect the layout of the one that cut the tiles",
    ),
    "through a reroute": (
        "const re = T.add('Reroute', 800, 400); other.connect(1, re, 0); T.link(re, 0, blend, 'layout');",
        "blend", "connect the layout of the one that cut the tiles",
    ),
    "through Get and Set": (
        f"({GET_AND_SET})(); const set = T.add('SetNode', 800, 560), get = T.add('GetNode', 800, 700); other.connect(1, set, 0); T.link(get, 0, blend, 'layout');",
        "blend", "connect the layout of the one that cut the tiles",
    ),
    "out of a subgraph": (
        "T.link(other, 1, blend, 'layout'); app.graph.convertToSubgraph(new Set([other]));",
        "blend", "connect the layout of the one that cut the tiles",
    ),
    "a bypassed split": ("other.mode = 4; T.link(other, 1, blend, 'layout');", "blend", "which is bypassed and gives nothing"),
    "a muted split": ("split.mode = 2;", "blend", "which is muted and gives nothing"),
    "tiles past a bypassed split": (
        "const lay = T.add('TileworkTileSplit', 420, 900); T.link(load, 0, lay, 'image'); T.link(lay, 1, blend, 'layout'); split.mode = 4;",
        "blend", "which is bypassed and cuts nothing",
    ),
    "no tiles": ("blend.disconnectInput(T.slot(blend, 'tiles'));", "blend", "Connect tiles."),
    "no wire at all": ("window.lone = T.add('TileworkTiledUpscale', 1180, 600);", "lone", "Connect upscale_model and image."),
    "a check of another layout": (
        "window.check = T.add('TileworkSeamCheck', 1180, 620); T.link(blend, 0, check, 'image'); T.link(other, 1, check, 'layout');",
        "check", "connect the same layout to both",
    ),
    "a check of tiles": (
        "window.check = T.add('TileworkSeamCheck', 1180, 620); T.link(split, 0, check, 'image'); T.link(split, 1, check, 'layout');",
        "check", "connect the whole picture",
    ),
    "a reference of tiles": ("T.link(split, 0, blend, 'reference');", "blend", '"reference" gets the tiles of'),
    "colours of another layout": (
        "window.match = T.add('TileworkColorMatch', 800, 620); T.link(split, 0, match, 'images'); T.link(other, 1, match, 'layout');",
        "match", "connect the layout of the one that cut the tiles",
    ),
    "which model": ("window.lone = T.add('TileworkReceptiveField', 800, 620);", "lone", "Connect upscale_model or vae."),
}  # fmt: skip

RIGHT = {
    "as it is": ("", "blend"),
    "through an upscaler": (
        "const up = T.add('ImageScaleBy', 800, 120); T.link(split, 0, up, 'image'); T.link(up, 0, blend, 'tiles');",
        "blend",
    ),
    "a map cut as the picture was": (
        "T.link(split, 1, other, 'layout'); T.link(other, 0, blend, 'tiles');",
        "blend",
    ),
    "through a reroute": ("const re = T.add('Reroute', 800, 400); split.connect(1, re, 0); T.link(re, 0, blend, 'layout');", "blend"),
    "through Get and Set": (
        f"({GET_AND_SET})(); const set = T.add('SetNode', 800, 560), get = T.add('GetNode', 800, 700); split.connect(1, set, 0); T.link(get, 0, blend, 'layout');",
        "blend",
    ),
    "out of a subgraph": ("app.graph.convertToSubgraph(new Set([split]));", "blend"),
    "a bypassed node between": (
        "const up = T.add('ImageInvert', 800, 120); up.mode = 4; T.link(split, 0, up, 'image'); T.link(up, 0, blend, 'tiles');",
        "blend",
    ),
    "a muted reference": ("image.mode = 2; T.link(image, 0, blend, 'reference');", "blend"),
    "the original as reference": ("T.link(load, 0, blend, 'reference');", "blend"),
    "a check": (
        "window.check = T.add('TileworkSeamCheck', 1180, 620); T.link(blend, 0, check, 'image'); T.link(split, 1, check, 'layout'); T.link(split, 0, check, 'tiles'); T.link(load, 0, check, 'reference');",
        "check",
    ),
    "a check of a picture from elsewhere": (
        "window.check = T.add('TileworkSeamCheck', 1180, 620); T.link(load, 0, check, 'image'); T.link(split, 1, check, 'layout');",
        "check",
    ),
    "tiles from elsewhere": ("T.link(image, 0, blend, 'tiles');", "blend"),
}  # fmt: skip


@pytest.mark.dealt
@pytest.mark.parametrize("name", WRONG)
def test_what_does_not_fit_is_named(page, front, name):
    script, node, words = WRONG[name]
    page.evaluate(TWO)
    page.evaluate(f"async () => {{ {script} await F.frame(); }}")
    page.evaluate(f"words => T.until(() => Object.values(({SAID})({node})).some((one) => one.includes(words)), words)", words)
    said = page.evaluate(f"() => ({SAID})({node})")
    print(f"{name}: {said['red'] or said['waits']}")
    assert front.posted == []


@pytest.mark.dealt
@pytest.mark.parametrize("name", RIGHT)
def test_what_fits_is_left_in_peace(page, front, name):
    script, node = RIGHT[name]
    page.evaluate(TWO)
    page.evaluate(f"async () => {{ {script} await F.frame(); }}")
    page.wait_for_timeout(250)
    said = page.evaluate(f"() => ({SAID})({node})")
    assert said["red"] == "" and "Connect" not in said["waits"], said
