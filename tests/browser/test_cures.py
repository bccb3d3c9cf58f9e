"""What the editor does about a diagnosis: nodes added and wired by one click, taken away by one undo, and the picture mended."""

from __future__ import annotations

import pytest
from tilework.tests.browser import overlay_page

page = overlay_page.page

# A picture, split; one tile comes back wrong; blended and checked beside the picture.
SCENE = """async ({ kind, change, values, method, overlap, beside }) => {
  await T.clear();
  const load = kind ? T.add("TileworkTestImage", 40, 120, { width: 896, height: 896, kind, seed: 51 }) : T.add("LoadImage", 40, 120, { image: "example.png" });
  const tile = kind ? 320 : 256;
  const split = T.add("TileworkTileSplit", 420, 120, { tile_width: tile, tile_height: tile, overlap });
  T.link(load, 0, split, "image");
  const wrong = T.add(change, 800, 120, values);
  T.link(split, 0, wrong, "images");
  const blend = T.add("TileworkSeamBlend", 1200, 120, { method });
  T.link(wrong, 0, blend, "tiles");
  T.link(split, 1, blend, "layout");
  const check = T.add("TileworkSeamCheck", 1600, 120);
  T.link(blend, 0, check, "image");
  T.link(split, 1, check, "layout");
  T.link(beside === "tiles" ? wrong : load, 0, check, beside);
  F.view(0.5, -700, 100);
  Object.assign(window, { load, split, blend, check });
}"""
RUN = """async () => {
  app.queuePrompt(0, 1);
  await T.until(() => T.overlay(T.find("TileworkSeamCheck")).scene.seams, "the verdict", 60);
}"""
PLAIN = "() => T.said(T.find('TileworkSeamCheck')).text"
CLICK = "() => T.overlay(T.find('TileworkSeamCheck')).advice.button.click()"
TYPES = "() => app.graph._nodes.map((node) => node.type).sort()"

LIGHTER = {"kind": "smooth", "change": "TileworkTestLighten", "values": {"index": 4, "levels": 8}, "beside": "reference"}
SHIFTED = {"kind": None, "change": "TileworkTestShift", "values": {"index": 4, "by": 5}, "beside": "tiles"}
CASES = {
    "drift": ({**LIGHTER, "method": "hann", "overlap": 32}, "TileworkColorMatch"),
    "hard cut": ({**LIGHTER, "method": "none", "overlap": 0}, "TileworkColorMatch"),
    "ghost": ({**SHIFTED, "method": "hann", "overlap": 64}, None),
}


@pytest.mark.parametrize("case", CASES)
def test_one_click_does_what_the_verdict_says(page, case):
    scene, added = CASES[case]
    page.evaluate(SCENE, scene)
    before = page.evaluate(TYPES)
    page.evaluate(RUN)
    assert "A seam can be seen" in page.evaluate(PLAIN), page.evaluate(PLAIN)
    print(f"{case}: {page.evaluate(PLAIN)} {page.evaluate('() => T.overlay(check).advice.words.textContent')}")
    after = sorted([*before, *([added] if added else [])])
    settings = "() => JSON.stringify(['method', 'overlap'].map((name) => app.graph._nodes.flatMap((node) => node.widgets ?? []).filter((one) => one.name === name).map((one) => one.value)))"
    typed = page.evaluate(settings)
    page.evaluate("() => app.extensionManager.workflow.activeWorkflow.changeTracker.checkState?.()")
    page.evaluate(CLICK)
    assert page.evaluate(TYPES) == after and page.evaluate(settings) != typed
    page.evaluate("() => T.overlay(check).frame()")
    # Other tiles than those that were checked: the verdict is no longer about them, and nothing is advised.
    assert page.evaluate("() => { const { root, button } = T.overlay(check).advice; return root.hidden ? '' : button.textContent; }") == (
        "" if case == "hard cut" else "Done: run again"
    )
    page.mouse.click(20, 700)
    undone = f"([before, typed]) => T.until(() => ({TYPES})().join() === before.join() && ({settings})() === typed, 'undo', 2).then(() => true, () => false)"

    def undo():
        page.keyboard.press("Control+z")
        return page.evaluate(undone, [before, typed])

    # Where a node's size has changed with its words, that is a step of its own.
    assert undo() or undo()
    page.evaluate("() => T.until(() => T.overlay(T.find('TileworkSeamCheck')).scene.seams, 'the verdict is shown again')")
    page.evaluate(CLICK)
    assert page.evaluate(TYPES) == after
    old = page.evaluate(PLAIN)
    page.evaluate("() => app.queuePrompt(0, 1)")
    page.evaluate(
        "old => T.until(() => T.said(T.find('TileworkSeamCheck')).text !== old && T.said(T.find('TileworkSeamCheck')).text.includes('seam can be seen'), 'another verdict', 60)",
        old,
    )
    print(f"  then: {page.evaluate(PLAIN)}")
    assert page.evaluate(PLAIN).startswith("No seam can be seen")


def test_what_the_editor_cannot_do_has_words_and_no_button(page):
    page.evaluate(SCENE, CASES["drift"][0])
    page.evaluate(
        "() => { const image = T.add('ImageInvert', 1400, 500); T.link(load, 0, image, 'image'); T.link(image, 0, check, 'image'); }"
    )
    page.evaluate("() => { T.put(check, { threshold: 1 }); }")
    page.evaluate(RUN)
    advice = page.evaluate("() => ({ text: T.overlay(check).advice.words.textContent, button: !T.overlay(check).advice.button.hidden })")
    assert advice["text"] and not advice["button"]


def test_measured_figures_are_wired_where_they_belong(page):
    page.evaluate(
        """async () => {
          const { split } = await T.scene();
          const blend = T.add("TileworkSeamBlend", 1200, 120);
          T.link(split, 0, blend, "tiles");
          T.link(split, 1, blend, "layout");
          const model = T.add("UpscaleModelLoader", 40, 600);
          const measure = T.add("TileworkReceptiveField", 420, 700);
          T.link(model, 0, measure, "upscale_model");
          F.view(0.5, 100, 100);
          app.queuePrompt(0, 1);
          Object.assign(window, { measure, split, blend, pane: measure.widgets.find((one) => one.notePane).notePane });
          await T.until(() => pane.text.textContent.includes("into Tile Split"), "what was measured", 60);
        }"""
    )
    words = page.evaluate("() => pane.text.textContent")
    print(words)
    assert "into Tile Split and trim" in words and "into Seam Blend" in words
    page.evaluate("() => pane.advice.button.click()")
    wired = """([node, name]) => {
      const input = window[node].inputs.find((one) => one.name === name);
      return app.graph.getNodeById(app.graph.getLink(input.link)?.origin_id)?.type;
    }"""
    assert page.evaluate(wired, ["split", "overlap"]) == page.evaluate(wired, ["blend", "trim"]) == "TileworkReceptiveField"
    page.evaluate("() => T.until(() => pane.advice.root.hidden, 'nothing is left to be wired')")
