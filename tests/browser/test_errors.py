"""What a node failed with stands in the node, in both renderers, until the next run."""

from __future__ import annotations

import pytest
from tilework.tests.browser import overlay_page

pytestmark = pytest.mark.two_front_ends

page = overlay_page.page

IMAGE = {"a": ["TileworkTestImage", {"width": 300, "height": 300}]}
LATENT = {"a": ["TileworkTestLatent", {"width": 64, "height": 64}]}
MODEL = {"m": ["TileworkTestModel", {}]}
SPLIT = {**IMAGE, "s": ["TileworkTileSplit", {"tile_width": 128, "tile_height": 128, "overlap": 32}, {"image": "a 0"}]}
SAMPLING = {"model": "m 0", "positive": "m 1", "negative": "m 2"}

# Each: the nodes as {name: [type, widgets, wires]}, the last of them ours, and what it says.
FAILING = {
    "Tile Split": (
        IMAGE,
        ["TileworkTileSplit", {"tile_width": 64, "overlap": 64}, {"image": "a 0"}],
        "overlap 64 must be smaller than the tile",
    ),
    "Latent Tile Split": (
        LATENT,
        ["TileworkLatentTileSplit", {"tile_width": 64, "overlap": 64}, {"samples": "a 0"}],
        "overlap 64 must be smaller than the tile",
    ),
    "Seam Blend": (SPLIT, ["TileworkSeamBlend", {}, {"tiles": "a 0", "layout": "s 1"}], "the layout has 9 tiles and 1 came"),
    "Color Match": (IMAGE, ["TileworkColorMatch", {"method": "gain compensation"}, {"images": "a 0"}], "layout"),
    "Seam Check": (
        {**SPLIT, "b": ["TileworkTestImage", {"width": 100, "height": 300}]},
        ["TileworkSeamCheck", {}, {"image": "b 0", "layout": "s 1"}],
        "not one scale",
    ),
    "Tile Prompts": (
        {**SPLIT, "p": ["TileworkTestPrompt", {"text": "one"}]},
        ["TileworkTilePrompts", {}, {"layout": "s 1", "conditioning": "p 0", "tile_conditioning": "p 0"}],
        "1 prompt came for 9 tiles",
    ),
    "Tiled Upscale": (
        {**IMAGE, "u": ["TileworkTestUpscaler", {}]},
        ["TileworkTiledUpscale", {"tile_width": 8, "tile_height": 8}, {"upscale_model": "u 0", "image": "a 0"}],
        "tile",
    ),
    "Tile Size": ({}, ["TileworkTileSize", {}, {}], "connect"),
    "Tiled VAE Decode": (
        {**LATENT, "v": ["TileworkTestVAE", {}]},
        ["TileworkTiledVAEDecode", {"tile_width": 8, "tile_height": 8}, {"samples": "a 0", "vae": "v 0"}],
        "tile_width 8 is too small",
    ),
    "Latent Tile Denoise": (
        {**LATENT, **MODEL},
        ["TileworkLatentTileDenoise", {"tile_width": 256, "tile_height": 256, "overlap": 304}, {**SAMPLING, "latent_image": "a 0"}],
        "overlap 304 must be smaller than the tile",
    ),
}

BUILD = """async (plan) => {
  await T.clear();
  const made = {};
  Object.entries(plan).forEach(([name, [type, values]], i) => {
    made[name] = T.add(type, 60 + 380 * (i % 3), 120 + 420 * Math.floor(i / 3), values);
  });
  for (const [name, [, , wires]] of Object.entries(plan)) {
    for (const [input, from] of Object.entries(wires ?? {})) {
      const [source, slot] = from.split(" ");
      T.link(made[source], Number(slot), made[name], input);
    }
  }
  window.ours = made.ours;
  ours.connect(0, T.add("PreviewAny", 1250, 120), 0);
  await F.frame();
}"""
# The red words of a node, wherever it has them.
RED = """(node) => {
  const pane = node.widgets.map((widget) => widget.tileOverlay ?? widget.notePane ?? widget.tilework).find(Boolean);
  const one = pane.root.querySelector(".tilework-overlay-error, .tilework-error, .tilework-solar-error");
  return one?.textContent ?? "";
}"""
RUN = """async () => {
  const { output, workflow } = await app.graphToPrompt();
  const over = ["execution_success", "execution_error", "execution_interrupted"];
  const end = new Promise((done) => over.forEach((kind) => app.api.addEventListener(kind, done, { once: true })));
  await app.queuePrompt(0, 1);
  if (!Object.keys(app.lastNodeErrors ?? {}).length) await end;
}"""


def red(page, words, node="ours"):
    page.evaluate(f"words => T.until(() => ({RED})({node}).includes(words), words, 30)", words)
    return page.evaluate(f"() => ({RED})({node})")


@pytest.mark.dealt
@pytest.mark.parametrize("name", FAILING)
def test_the_sentence_stands_in_the_node_and_goes_with_the_next_run(page, front, name):
    around, ours, words = FAILING[name]
    page.evaluate(BUILD, {**around, "ours": ours})
    page.evaluate(RUN)
    said = red(page, words)
    print(f"{name}: {said}")
    assert "Traceback" not in said and "ValueError" not in said
    assert page.evaluate("() => ours.size[1] < 1200")
    front.complaints()
    page.evaluate("() => F.dismissToasts()")
    # Another run, of something that succeeds, takes it away.
    page.evaluate(
        "() => { ours.mode = 2; const image = T.add('EmptyImage', 60, 900, { width: 16, height: 16 }); image.connect(0, T.add('PreviewImage', 500, 900), 0); }"
    )
    page.evaluate(RUN)
    page.evaluate(f"() => T.until(() => !({RED})(ours).includes({words!r}), 'the words are gone', 30)")


SAY = (
    "(id, words) => app.api.dispatchCustomEvent('execution_error', { node_id: id, node_type: 'x', exception_message: words, executed: [] })"
)


def fail(page, number, words):
    page.evaluate(f"([id, words]) => ({SAY})(id, words)", [number, words])


@pytest.mark.dealt
@pytest.mark.parametrize("kind", ["TileworkTileSplit", "TileworkTiledModel", "TileworkSolarCurvePreview"])
def test_what_looks_like_a_page_stays_text(page, front, kind):
    page.evaluate("kind => { window.ours = T.add(kind, 300, 150); }", kind)
    fail(page, page.evaluate("() => String(ours.id)"), "<img src=x onerror='window.HACKED = 1'>")
    assert red(page, "<img src=x") == "<img src=x onerror='window.HACKED = 1'>"
    assert page.evaluate("() => window.HACKED === undefined")
    front.complaints()


BUBBLE = "() => [...document.querySelectorAll('.tilework-bubble')].map((one) => one.textContent)"


def test_a_collapsed_node_has_it_below_its_title(page, front):
    page.evaluate("() => { window.ours = T.add('TileworkColorMatch', 300, 250); ours.collapse?.(); ours.flags.collapsed = true; }")
    fail(page, page.evaluate("() => String(ours.id)"), "a tile is missing")
    page.evaluate(f"() => T.until(() => ({BUBBLE})().join() === 'a tile is missing', 'the bubble')")
    where = page.locator(".tilework-bubble").bounding_box()
    node = page.evaluate("() => F.screen(ours.pos)")
    assert abs(where["x"] - node[0]) < 60 and -40 < where["y"] - node[1] < 80
    page.evaluate("() => { ours.flags.collapsed = false; app.canvas.setDirty(true, true); }")
    page.evaluate(f"() => T.until(() => !({BUBBLE})().length, 'no bubble')")
    assert red(page, "a tile is missing")
    front.complaints()


def test_a_node_in_a_subgraph_speaks_beside_the_subgraph_and_inside_of_it(page, front):
    page.evaluate(
        """async () => {
          const { split } = await T.scene();
          const { subgraph, node } = app.graph.convertToSubgraph(new Set([split]));
          Object.assign(window, { subgraph, host: node, ours: subgraph._nodes.find((one) => one.type === "TileworkTileSplit") });
        }"""
    )
    fail(page, page.evaluate("() => `${host.id}:${ours.id}`"), "the tile is too small")
    page.evaluate(f"() => T.until(() => ({BUBBLE})().join().endsWith('the tile is too small'), 'the bubble')")
    page.evaluate("() => T.enter(subgraph)")
    assert red(page, "the tile is too small")
    page.evaluate(f"() => T.until(() => !({BUBBLE})().length, 'no bubble inside')")
    page.evaluate("() => app.canvas.setGraph(app.rootGraph ?? app.graph.rootGraph)")
    front.complaints()
