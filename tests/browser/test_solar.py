"""Solar Curve Preview in the browser, in both renderers: what it shows, what it sends, and what it survives."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tilework.blending.solar.curves import CHANNELS, DEFAULT_POINTS, PRESETS, SHAPES, sampled_curve, solar_curve
from tilework.blending.solar.solarize import solarize
from tilework.tests.browser.page_scripts import give

pytestmark = pytest.mark.two_front_ends

OWN_POINTS = [[0, 0.1], [0.2, 0.9], [0.37, 0.05], [0.6, 1], [0.61, 0.4], [1, 0.7]]


@pytest.fixture
def page(front):
    """A page with a photograph in a Solar Curve Preview; nothing may have gone wrong in it by the end."""
    front.clear()
    give(front.page, "waits", "solar")
    front.page.evaluate("() => T.scene()")
    front.posted.clear()
    yield front.page
    assert front.complaints() == []


@pytest.fixture(scope="module")
def photograph(server):
    """What Load Image makes of the example."""
    picture = Image.open(server.base / "input" / "example.png").convert("RGB")
    return torch.from_numpy(np.asarray(picture).astype(np.float32) / 255)[None]


@pytest.fixture
def quarter(page, server, photograph):
    """The middle of it in the place of the whole: pixels enough to go through every setting."""
    height, width = (side // 2 for side in photograph.shape[1:3])
    middle = photograph[:, height // 2 : height // 2 + height, width // 2 : width // 2 + width]
    Image.fromarray((middle[0] * 255).round().byte().numpy()).save(server.base / "input" / "quarter.png")
    page.evaluate(
        """async (width) => {
          await T.set({ image: "quarter.png" }, app.graph._nodes.find((node) => node.type === "LoadImage"));
          await T.until(() => T.solar().view.picture?.width === width, "the middle of the picture");
        }""",
        width,
    )
    return middle


def drag(page, start, stop, steps=6):
    page.mouse.move(*start)
    page.mouse.down()
    page.mouse.move(*stop, steps=steps)
    page.evaluate("() => T.frame()")


def own_curve(page):
    page.evaluate("() => T.set({ preset: 'curve' })")


def test_a_dragged_point_changes_picture_and_prompt_and_runs_nothing(page, front):
    own_curve(page)
    before = page.evaluate("() => ({ seen: T.seen(), points: T.points() })")
    points = page.evaluate("async () => await T.points()")
    assert points == {"__value__": [list(point) for point in DEFAULT_POINTS]}
    x, y = page.evaluate("() => T.place(1)")
    drag(page, (x, y), (x + 30, y + 40))
    assert page.evaluate("() => T.seen()") != before["seen"], "while the button is still down"
    page.mouse.up()
    after = page.evaluate("async () => await T.points()")["__value__"]
    assert after[1][0] > 0.3 and after[1][1] < 0.8 and [after[0], *after[2:]] == [[0, 0], [0.75, 0], [1, 1]]
    assert front.posted == []


def test_every_widget_shows_at_once_and_runs_nothing(page, front):
    seen = [page.evaluate("() => T.seen()")]
    for values in (
        {"preset": "six points"},
        {"shape": "smooth"},
        {"phase": 0.3},
        {"gain": 0.5},
        {"channel": "each channel"},
        {"channel": "lightness"},
        {"preset": "inversions"},
        {"inversions": 9},
        {"expand": True},
    ):
        page.evaluate("values => T.set(values)", values)
        seen.append(page.evaluate("() => T.seen()"))
    assert len(set(seen)) == len(seen)
    assert front.posted == []


def test_undo_and_redo(page):
    own_curve(page)
    page.evaluate("() => T.reopen()")
    page.evaluate("() => T.solar().commit()")
    page.evaluate("() => T.settled()")
    x, y = page.evaluate("() => T.place(2)")
    drag(page, (x, y), (x - 20, y - 30))
    page.mouse.up()
    moved = page.evaluate("async () => (await T.points()).__value__")
    page.evaluate("() => T.settled()")
    page.keyboard.press("Control+z")
    page.evaluate("() => T.until(() => T.find() && JSON.stringify(T.solar().value) === '[[0,0],[0.25,1],[0.75,0],[1,1]]', 'undo')")
    page.evaluate("() => T.until(() => T.solar().view.picture, 'the picture after undo')")
    page.evaluate("() => T.settled()")
    page.keyboard.press("Control+y")
    page.evaluate("value => T.until(() => T.find() && JSON.stringify(T.solar().value) === JSON.stringify(value), 'redo')", moved)


def test_keyboard(page):
    own_curve(page)
    page.evaluate("() => T.solar().plot.canvas.focus()")
    for key in (".", ".", "ArrowDown", "ArrowDown", "Shift+ArrowRight", "Insert"):
        page.keyboard.press(key)
    points = page.evaluate("async () => (await T.points()).__value__")
    assert len(points) == 5
    assert points[1] == pytest.approx([0.25 + 10 / 255, 1 - 2 / 255], abs=2e-4)
    assert points[2] == pytest.approx([(points[1][0] + 0.75) / 2, points[1][1] / 2], abs=2e-4)
    page.keyboard.press("Delete")
    assert len(page.evaluate("async () => (await T.points()).__value__")) == 4
    assert page.evaluate("() => !!T.find()"), "Delete takes the point, not the node"
    page.evaluate("() => T.solar().view.canvas.focus()")
    page.keyboard.press("4")
    page.evaluate("() => T.frame()")
    assert page.evaluate("() => T.solar().view.zoom") == 4
    left = page.evaluate("() => T.solar().view.centre[0]")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("]")
    assert page.evaluate("() => T.solar().view.centre[0]") > left
    assert page.evaluate("() => T.solar().view.wipe") == pytest.approx(0.35)
    page.keyboard.press("0")
    assert page.evaluate("() => T.solar().view.zoom") == 0


def test_a_key_that_moves_nothing_changes_nothing(page):
    """Not even a digit, and undo has nothing to take back."""
    own_curve(page)
    page.evaluate(
        "() => { T.solar().setPoints([[0, 0], [0.427451, 1], [1, 1]]); T.solar().plot.points = T.solar().points; T.solar().commit(); }"
    )
    page.evaluate("() => T.settled()")
    undo = "() => app.extensionManager.workflow.activeWorkflow.changeTracker.undoQueue.length"
    page.evaluate("() => T.solar().plot.canvas.focus()")
    for keys in ((".", "."), ("ArrowUp", "Shift+ArrowUp")):
        before, steps = page.evaluate("async () => (await T.points()).__value__"), page.evaluate(undo)
        for key in keys:
            page.keyboard.press(key)
        page.evaluate("() => T.settled()")
    assert page.evaluate("async () => (await T.points()).__value__") == before and page.evaluate(undo) == steps
    page.keyboard.press("ArrowDown")
    after = page.evaluate("async () => (await T.points()).__value__")
    assert after[1] == [0.427451, pytest.approx(1 - 1 / 255, abs=1e-4)], "what does not move keeps every digit"


def test_touch_drags_a_point_and_two_fingers_zoom(page):
    own_curve(page)
    x, y = page.evaluate("() => T.place(1)")
    touch = page.context.new_cdp_session(page)

    def send(kind, *places):
        points = [{"x": px, "y": py, "id": i} for i, (px, py) in enumerate(places)]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    send("touchStart", (x, y))
    send("touchMove", (x + 12, y + 15))
    send("touchMove", (x + 25, y + 30))
    send("touchEnd")
    points = page.evaluate("async () => (await T.points()).__value__")
    assert points[1][0] > 0.29 and points[1][1] < 0.9
    cx, cy, *_ = page.evaluate("() => T.middle('view')")
    before = page.evaluate("() => T.solar().view.scale()")
    send("touchStart", (cx - 20, cy), (cx + 20, cy))
    send("touchMove", (cx - 40, cy), (cx + 40, cy))
    send("touchMove", (cx - 60, cy), (cx + 60, cy))
    send("touchEnd")
    page.evaluate("() => T.frame()")
    assert page.evaluate("() => T.solar().view.scale()") / before == pytest.approx(3, rel=0.15)


def test_wipe_pan_zoom_and_readout(page):
    cx, cy, *_ = page.evaluate("() => T.middle('view')")
    drag(page, (cx, cy), (cx + 30, cy))
    page.mouse.up()
    assert page.evaluate("() => T.solar().view.wipe") > 0.5
    page.get_by_role("button", name="100 %").first.click()
    page.evaluate("() => T.frame()")
    assert page.evaluate("() => T.solar().view.scale()") == 1
    page.evaluate("() => T.solar().view.setWipe(0)")
    centre = page.evaluate("() => T.solar().view.centre")
    drag(page, (cx, cy), (cx - 40, cy - 25))
    page.mouse.up()
    moved = page.evaluate("() => T.solar().view.centre")
    assert moved == pytest.approx([centre[0] + 40, centre[1] + 25], abs=1.5)
    said = page.evaluate("() => T.solar().readout.textContent")
    assert said.startswith("x ") and "RGB" in said and "→" in said
    page.mouse.move(5, 500)
    assert page.evaluate("() => T.solar().readout.textContent") == ""


def test_the_value_survives_save_reload_and_copy(page):
    page.evaluate("points => T.set({ preset: 'curve', points, phase: 0.25, channel: 'lightness' })", OWN_POINTS)
    page.evaluate("points => T.solar().setValue(points)", OWN_POINTS)
    before = page.evaluate("() => T.prompt()")
    page.evaluate(
        """async () => {
          const saved = JSON.stringify((await app.graphToPrompt()).workflow);
          await T.clear();
          await app.loadGraphData(JSON.parse(saved));
          await T.until(() => T.find(), "the node");
        }"""
    )
    assert page.evaluate("() => T.prompt()") == before
    copied = page.evaluate(
        """async () => {
          app.canvas.selectItems([T.find()]);
          app.canvas.copyToClipboard();
          app.canvas.pasteFromClipboard();
          await T.frame();
          const [one, two] = app.graph._nodes.filter((node) => node.type === "TileworkSolarCurvePreview").map((node) => T.solar(node));
          one.setPoints([[0, 1], [1, 0]]);
          return two.value;
        }"""
    )
    assert copied == OWN_POINTS, "and the two are apart"


def test_edit_points_takes_the_presets_points_over(page):
    page.evaluate("() => T.set({ preset: 'six points' })")
    seen = page.evaluate("() => T.seen()")
    page.get_by_role("button", name="Edit points").first.click()
    page.evaluate("() => T.frame()")
    prompt = page.evaluate("() => T.prompt()")
    (inputs,) = [node["inputs"] for node in prompt.values() if node["class_type"] == "TileworkSolarCurvePreview"]
    assert inputs["preset"] == "curve"
    assert [round(x * 255) for x, _ in inputs["points"]["__value__"]] == [0, 36, 72, 109, 145, 181, 218, 255]
    assert page.evaluate("() => T.solar().view.picture !== null") and isinstance(seen, int)


def test_a_run_shows_its_own_picture(page, front):
    page.evaluate("() => T.set({ expand: true })")
    page.evaluate("() => app.queuePrompt(0, 1)")
    page.evaluate("() => T.until(() => T.solar().result() && T.solar().url.includes('type=temp'), 'the result', 60)")
    page.evaluate("() => T.until(() => T.solar().ranges, 'its picture')")
    assert len(front.posted) == 1
    assert page.evaluate("() => T.solar().view.picture.width") == 512


@pytest.mark.dealt
@pytest.mark.parametrize(
    "points",
    [
        "[[0,0],[1,1]]",
        [[0, 0], ["<img src=x onerror=window.HACKED=1>", 1]],
        [["__proto__", 0], [1, 1]],
        [[i / 19999, 0.5] for i in range(20_000)],
        {"points": 7},
        None,
        [[0, 0], [None, 1]],
        [[0.5, 0], [0.5, 1]],
    ],
    ids=["text", "html", "proto", "huge", "dict", "null", "null number", "same x"],
)
def test_hostile_points_only_show_an_error(page, front, points):
    page.evaluate(
        """async (points) => {
          const { workflow } = await app.graphToPrompt();
          const saved = workflow.nodes.find((node) => node.type === "TileworkSolarCurvePreview");
          saved.widgets_values[7] = points;
          saved.title = "<img src=x onerror=window.HACKED=1>";
          await app.loadGraphData(workflow);
          await T.until(() => T.find() && T.solar().error.textContent, "the error");
        }""",
        points,
    )
    assert page.evaluate("() => window.HACKED") is None
    assert page.evaluate("() => T.solar().root.querySelector('img')") is None
    said = page.evaluate("() => T.solar().error.textContent")
    assert "oint" in said and "<img" not in said
    front.complaints()


def test_hostile_settings_only_show_an_error(page, front):
    page.evaluate(
        """async () => {
          const { workflow } = await app.graphToPrompt();
          const saved = workflow.nodes.find((node) => node.type === "TileworkSolarCurvePreview");
          saved.widgets_values = ["<img src=x onerror=window.HACKED=1>", 7, "many", "NaN", 1e308, "yes", {}, [[0, 0], [1, 1]]];
          await app.loadGraphData(workflow);
          await T.until(() => T.find() && T.solar().error.textContent, "the error");
        }"""
    )
    said = page.evaluate("() => T.solar().error.textContent")
    for name in ("preset", "shape", "inversions", "phase", "gain", "channel"):
        assert name in said
    assert page.evaluate("() => window.HACKED") is None and "<img" not in said
    front.complaints()


def settings_to_compare():
    for preset in PRESETS:
        for channel in CHANNELS:
            for shape in SHAPES:
                yield {"preset": preset, "channel": channel, "shape": shape}
    yield {"preset": "six points", "channel": "luminance", "shape": "straight", "phase": 0.37, "gain": 2.5}
    yield {"preset": "inversions", "channel": "lightness", "shape": "smooth", "inversions": 16, "phase": 1.0, "gain": 0.6}
    yield {"preset": "curve", "channel": "each channel", "shape": "smooth", "phase": 0.61}


@pytest.mark.parametrize("means", ["webgl", "hand"])
def test_browser_and_python_agree_within_one_level(page, front, quarter, means):
    worst = {}
    # Both renderers show the same widget: once through all of it is enough.
    for settings in list(settings_to_compare())[:: 8 if front.vue else 1]:
        values = {"inversions": 4, "phase": 0.0, "gain": 1.0, "points": OWN_POINTS, **settings}
        page.evaluate("values => T.set(values)", values)
        got = page.evaluate("means => T.pixels(means)", means)
        assert got["byGpu"] is (means == "webgl")
        shown = np.frombuffer(base64.b64decode(got["bytes"]), np.uint8).astype(np.float32).reshape(*quarter.shape[1:])
        curve = solar_curve(values["preset"], values["shape"], values["inversions"], values["phase"], values["gain"], values["points"])
        wanted = solarize(quarter, curve, values["channel"])[0].clamp(0, 1).numpy() * 255
        worst[str(settings)] = float(np.abs(shown - wanted).max())
    print(f"largest difference, levels of 255: {max(worst.values()):.3f} in {len(worst)} settings; worst {max(worst, key=worst.get)}")
    assert max(worst.values()) <= 1.0, worst


def test_they_agree_when_the_range_is_stretched(page, photograph):
    page.evaluate("() => app.queuePrompt(0, 1)")
    page.evaluate("() => T.until(() => T.solar().ranges, 'the result', 60)")
    for channel in CHANNELS:
        page.evaluate("channel => T.set({ expand: true, channel })", channel)
        got = page.evaluate("() => T.pixels('hand')")
        shown = np.frombuffer(base64.b64decode(got["bytes"]), np.uint8).astype(np.float32).reshape(*photograph.shape[1:])
        wanted = solarize(photograph, solar_curve("four points"), channel, True)[0].clamp(0, 1).numpy() * 255
        assert np.abs(shown - wanted).max() <= 1.0


def test_a_curve_of_the_core_is_shown_after_a_run(page, photograph):
    page.evaluate(
        """async () => {
          const editor = T.add("CurveEditor", 60, 560);
          editor.widgets[0].value = { points: [[0, 0], [0.3, 0.9], [0.6, 0.2], [1, 1]], interpolation: "monotone_cubic" };
          const node = T.find();
          editor.connect(0, node, node.inputs.findIndex((input) => input.name === "curve"));
          await T.set({ preset: "curve", channel: "each channel" });
          await T.frame();
        }"""
    )
    assert "run once" in page.evaluate("() => T.solar().about.textContent")
    page.evaluate("() => app.queuePrompt(0, 1)")
    samples = page.evaluate("() => T.until(() => T.solar().settings().samples, 'the curve', 60)")
    assert len(samples) == 1021 and samples[306] == pytest.approx(0.9, abs=1e-6)
    got = page.evaluate("() => T.pixels('hand')")
    shown = np.frombuffer(base64.b64decode(got["bytes"]), np.uint8).astype(np.float32).reshape(*photograph.shape[1:])
    wanted = solarize(photograph, sampled_curve(samples), "each channel")[0].numpy() * 255
    assert np.abs(shown - wanted).max() <= 1.0


def test_the_template_opens_and_is_live_before_a_run(page, front):
    saved = json.loads(
        (Path(__file__).resolve().parents[2] / "example_workflows" / "12 See faint seams, spots and banding.json").read_text("utf-8")
    )
    page.evaluate("saved => app.loadGraphData(saved)", saved)
    shown = page.evaluate(
        """async () => {
          const nodes = app.graph._nodes.filter((node) => node.type === "TileworkSolarCurvePreview");
          app.canvas.ds.scale = 0.5;
          app.canvas.ds.offset = [100, 100];
          app.canvas.setDirty(true, true);
          await T.until(() => nodes.every((node) => T.solar(node).view.picture), "the pictures");
          return { errors: nodes.map((node) => T.solar(node).error.textContent), missing: app.graph._nodes.filter((node) => node.has_errors).length };
        }"""
    )
    assert shown == {"errors": ["", ""], "missing": 0}
    prompt = page.evaluate("() => T.prompt()")
    assert [node["inputs"]["channel"] for node in prompt.values() if "Solar" in node["class_type"]] == ["luminance", "each channel"]
    assert front.posted == []
