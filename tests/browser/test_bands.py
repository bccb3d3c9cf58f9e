"""Frequency Join in the browser, in both renderers: sliders and text are one value, and the picture is the node's own result."""

from __future__ import annotations

import base64
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tilework.blending.frequency.separation import join_bands, separate
from tilework.tests.browser import overlay_page
from tilework.tests.browser.page_scripts import give

pytestmark = pytest.mark.two_front_ends

SHOTS = Path(__file__).resolve().parents[2] / "output" / "screenshots"
plain = overlay_page.page


@pytest.fixture
def page(plain):
    """The page with the helpers of both in it."""
    give(plain, "bands")
    return plain


@pytest.fixture
def ran(page, front):
    """A page in which the photograph went through its bands once."""
    page.evaluate("() => T.joined()")
    front.run()
    page.evaluate("() => T.loaded()")
    front.posted.clear()
    return page


def photograph(server, name="example.png"):
    """What Load Image makes of a file."""
    with Image.open(server.base / "input" / name) as picture:
        pixels = np.asarray(picture.convert("RGB")).astype(np.float32) / 255
    return torch.from_numpy(pixels)[None]


def shown(page, means):
    """What the node draws of the whole picture, in levels."""
    got = page.evaluate("means => T.pixels(means)", means)
    assert got["byGpu"] is (means == "webgl")
    return np.frombuffer(base64.b64decode(got["bytes"]), np.uint8).astype(np.float32).reshape(got["height"], got["width"], 3)


def gains_sent(page):
    prompt = page.evaluate("() => T.prompt()")
    (inputs,) = (part["inputs"] for part in prompt.values() if part["class_type"] == "TileworkBandJoin")
    return inputs["gains"]


def test_a_slider_writes_the_text_and_shows_at_once_and_runs_nothing(ran, front, looked_at):
    before = ran.evaluate("() => T.sum()")
    front.drag(ran.evaluate("() => T.place(1, 0.5)"), ran.evaluate("() => T.place(1, 0.1)"))
    words = ran.evaluate("() => T.text()").split(", ")
    assert float(words[1]) == pytest.approx(0.2, abs=0.06) and words[:1] + words[2:] == ["1"] * 4
    assert ran.evaluate("() => T.sum()") != before and gains_sent(ran) == ", ".join(words)
    ran.evaluate("() => T.put(join, { gains: '1, .333; 0.5, 3, -1' })")
    ran.evaluate("() => T.frame()")
    assert ran.evaluate("() => T.values()") == [1, 0.33, 0.5, 3, -1]
    ran.evaluate("() => T.slider(2).focus()")
    ran.keyboard.press("ArrowRight")
    assert gains_sent(ran) == "1, .333, 0.51, 3, -1", "what is not moved keeps every digit"
    if looked_at:
        ran.evaluate("() => T.put(join, { gains: '1, 0.3, 0.3, 1, 1' })")
        ran.evaluate("() => T.frame()")
        SHOTS.mkdir(parents=True, exist_ok=True)
        ran.screenshot(path=SHOTS / f"bands-{'nodes2' if front.vue else 'classic'}.png")
    ran.get_by_role("button", name="Set all gains to 1").click()
    assert gains_sent(ran) == "1, 1, 1, 1, 1" and front.posted == []


def test_a_drag_and_a_key_are_one_step_of_undo_each(ran, front):
    ran.evaluate("() => app.graph.updateExecutionOrder()")
    ran.evaluate("() => T.pane() && app.extensionManager.workflow.activeWorkflow.changeTracker.captureCanvasState?.()")
    ran.evaluate("() => T.settled()")
    front.drag(ran.evaluate("() => T.place(0, 0.5)"), ran.evaluate("() => T.place(0, 0.9)"))
    ran.evaluate("() => T.settled()")
    dragged = ran.evaluate("() => T.text()")
    ran.keyboard.press("ArrowLeft")
    ran.evaluate("() => T.settled()")
    pressed = ran.evaluate("() => T.text()")
    assert len({"1, 1, 1, 1, 1", dragged, pressed}) == 3
    again = "text => T.until(() => (window.join = T.find('TileworkBandJoin')) && T.text() === text, text)"
    for key, text in (("z", dragged), ("z", "1, 1, 1, 1, 1"), ("y", dragged)):
        ran.keyboard.press(f"Control+{key}")
        ran.evaluate(again, text)
        ran.evaluate("() => T.settled()")
        ran.evaluate("() => T.loaded()")
    assert ran.evaluate("() => T.values()[0]") == float(dragged.split(",")[0]), "and the sliders follow"


@pytest.mark.parametrize("means", ["webgl", "hand"])
def test_browser_and_python_agree_within_a_level(ran, server, means):
    bands, residual = separate(photograph(server), 4)
    worst = {}
    for gains in ([1, 1, 1, 1, 1], [1, 0.3, 0.3, 1, 1], [8, -4, 2.5, 0, 1], [0, 0, 0, 0, 1]):
        ran.evaluate("text => T.put(join, { gains: text })", str(gains)[1:-1])
        wanted = join_bands(bands, residual, gains)[0].clamp(0, 1).numpy() * 255
        worst[str(gains)] = float(np.abs(shown(ran, means) - wanted).max())
    ran.evaluate("() => T.put(join, { gains: '1, 1.5, 1, 1, 1' })")
    ran.get_by_role("button", name="Show band 2, alone").click()
    worst["band 2"] = float(np.abs(shown(ran, means) - (0.5 + 2 * 1.5 * bands[1][0]).clamp(0, 1).numpy() * 255).max())
    print(f"largest difference, levels of 255: {worst}")
    assert max(worst.values()) <= 1.0, worst


@pytest.mark.renderer("classic")
def test_a_large_picture_is_shown_as_a_smaller_copy(page, front, server):
    """The mean of what it stands for, and the sum of the copies is the copy of the sum."""
    levels = np.random.default_rng(5).integers(0, 256, (160, 240, 3), np.uint8)
    Image.fromarray(levels).resize((1800, 1200)).save(server.base / "input" / "large.png")
    page.evaluate("() => T.joined('large.png', 1)")
    page.evaluate("() => T.put(join, { gains: '0.5, 1' })")
    front.run()
    page.evaluate("() => T.loaded()")
    joined = join_bands(*separate(photograph(server, "large.png"), 1), [0.5, 1])
    got = shown(page, "hand")
    wanted = torch.nn.functional.interpolate(joined.movedim(-1, 1), size=got.shape[:2], mode="area")[0].movedim(0, -1)
    assert got.shape[0] * got.shape[1] <= 1 << 21 < 1.01 * got.shape[0] * got.shape[1]
    assert np.abs(got - wanted.clamp(0, 1).numpy() * 255).max() <= 1.0
    assert "copy" in page.evaluate("() => T.pane().about.textContent")
    page.get_by_role("button", name="100 %").click()
    page.evaluate("() => T.until(() => T.pane().view.piece && !T.pane().about.textContent.includes('copy'), 'its own pixels')")
    left, top, numbers = page.evaluate("() => T.underAPlace()")
    assert np.abs(joined[0, top, left].clamp(0, 1).numpy() * 255 - numbers).max() <= 1.0


@pytest.mark.renderer("nodes 2.0")
def test_a_grey_picture(page, front):
    page.evaluate("() => T.joined('', 1, { width: 64, height: 48 })")
    page.evaluate("() => T.put(join, { gains: '2, 0.5' })")
    front.run()
    page.evaluate("() => T.loaded()")
    by_hand, by_gpu = shown(page, "hand"), shown(page, "webgl")
    assert by_gpu.shape == (48, 64, 3) and by_gpu.std() > 10 and (np.diff(by_gpu, axis=-1) == 0).all()
    assert np.abs(by_gpu - by_hand).max() <= 1


def test_a_band_alone_and_back(ran, front):
    whole = ran.evaluate("() => T.sum()")
    name = ran.get_by_role("button", name="Show band 1, the finest, alone")
    name.focus()
    ran.keyboard.press("Enter")
    ran.evaluate("() => T.frame()")
    alone = ran.evaluate("() => T.sum()")
    assert alone != whole and name.get_attribute("aria-pressed") == "true"
    ran.get_by_role("button", name="Show residual").click()
    ran.evaluate("() => T.frame()")
    assert ran.evaluate("() => T.sum()") not in (alone, whole) and name.get_attribute("aria-pressed") == "false"
    ran.get_by_role("button", name="Show residual").click()
    ran.evaluate("() => T.frame()")
    assert ran.evaluate("() => T.sum()") == whole and front.posted == []
    labels = ran.evaluate("() => T.pane().sliders.rows.map(({ slider }) => slider.getAttribute('aria-label'))")
    assert labels[0] == "Gain of band 1, the finest" and labels[-1].startswith("Gain of residual")


def test_only_the_text_is_saved_and_a_subgraph_is_followed(ran, front):
    ran.evaluate("() => T.put(join, { gains: '1, 0.5, 0.5, 1, 1' })")
    saved = ran.evaluate("async () => (await app.graphToPrompt()).workflow.nodes.find((one) => one.type === 'TileworkBandJoin')")
    assert saved["widgets_values"] == ["1, 0.5, 0.5, 1, 1"]
    ran.evaluate(
        """async () => {
          const { subgraph, node } = app.graph.convertToSubgraph(new Set([join]));
          window.join = subgraph._nodes.find((one) => one.type === "TileworkBandJoin");
          subgraph.addInput("gains", "STRING").connect(join.inputs[T.slot(join, "gains")], join);
          window.outer = node;
          node.widgets[0].value = "1, 2, 1, 1, 1";
        }"""
    )
    front.run()
    ran.evaluate("async () => { await T.enter(join.graph); await T.loaded(); }")
    assert ran.evaluate("() => T.values()") == [1, 2, 1, 1, 1]
    ran.evaluate("() => T.slider(4).focus()")
    ran.keyboard.press("Home")
    assert ran.evaluate("() => outer.widgets[0].value") == "1, 2, 1, 1, 0"
    ran.evaluate("() => app.canvas.setGraph(app.rootGraph ?? app.graph.rootGraph)")


def test_what_does_not_fit_is_said_and_mended(page, front):
    page.evaluate("() => T.joined('example.png', 2)")
    page.evaluate("() => T.until(() => T.pane().advice.advice, 'advice')")
    assert page.evaluate("() => T.pane().advice.words.textContent") == "2 bands and the residual: 3 gains are wanted."
    page.get_by_role("button", name="Write 3").click()
    assert page.evaluate("() => T.text()") == "1, 1, 1"
    page.evaluate("() => T.until(() => !T.pane().advice.advice && T.values().length === 3, 'no advice')")
    for text in ("one, two", "<img src=x onerror=window.HACKED=1>", "1", "1, " * 40, "1,,1", "NaN, 1"):
        page.evaluate("text => T.put(join, { gains: text })", text)
        page.evaluate("() => T.until(() => T.pane().error.textContent.includes('gains') && T.slider(0).disabled, 'words')")
    page.evaluate("""() => {
      for (const about of [null, 7, {}, { size: [9e9, 9e9], layers: 2 }, { size: [1, 1], full_size: [1, 1], channels: 3, layers: "5" }])
        join.onExecuted({ tilework_bands: [about] });
    }""")
    page.get_by_role("button", name="Set all gains to 1").click()
    assert page.evaluate("() => T.text()") == "1, 1, 1" and page.evaluate("() => window.HACKED") is None
    page.evaluate("() => T.until(() => T.pane().hint.textContent.startsWith('Run once'), 'the hint')")
    assert front.posted == []
