"""Solar Curve Preview at 100 % and 400 %: the picture's own pixels, soon, and what one looked at is not lost by undo."""

from __future__ import annotations

import base64
import io
import time

import numpy as np
import pytest
from PIL import Image
from tilework.tests.browser.page_scripts import give

# Several times as large as the copy that is shown first. `--release` takes the size that the node is promised for.
HEIGHT, WIDTH = 3500, 5000
RELEASE = 2
# The canvas as it is, before the curve.
SHOWN = """() => {
  const { canvas } = T.solar().view;
  return { width: canvas.width, height: canvas.height, url: canvas.toDataURL("image/png") };
}"""
SHARP = "() => T.until(() => T.solar().view.piece && !T.solar().view.own.wanted, 'its own pixels', 30)"


@pytest.fixture(scope="module")
def large(server, pytestconfig):
    """A picture of which every pixel differs from its neighbours, in the input folder: 17 megapixels, or 70."""
    times = RELEASE if pytestconfig.getoption("--release") else 1
    y, x = np.ogrid[: times * HEIGHT, : times * WIDTH]
    pixels = np.empty((times * HEIGHT, times * WIDTH, 3), np.uint8)
    for channel, (a, b) in enumerate(((7, 3), (5, 11), (13, 2))):
        pixels[..., channel] = (a * x + b * y + (x >> 8) * 31 + (y >> 8) * 17) % 256
    Image.fromarray(pixels).save(server.base / "input" / "large.png", compress_level=1)
    return pixels


@pytest.fixture
def page(front, large):
    """A page with it in a Solar Curve Preview, seen as it is (the wipe at the right)."""
    front.clear()
    give(front.page, "waits", "solar")
    front.page.evaluate("() => T.scene()")
    front.page.evaluate(
        """async (width) => {
          await T.set({ image: "large.png" }, app.graph._nodes.find((node) => node.type === "LoadImage"));
          await T.until(() => T.solar().view.picture?.fullSize[0] === width, "the large picture", 60);
          Object.assign(T.solar().view, { zoom: 0, wipe: 1 }).own.piece = null;
        }""",
        large.shape[1],
    )
    yield front.page
    assert front.complaints() == []


def shown(page):
    """What is on the canvas, and the place of its upper left corner in the picture."""
    page.evaluate("() => T.frame()")
    said = page.evaluate(SHOWN)
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(said["url"].partition(",")[2]))).convert("RGB"), np.int16)
    return pixels, page.evaluate("() => T.solar().view.corner()")


def expected(large, corner, scale, height, width):
    """The picture's own pixels there, each as large as the scale says."""
    rows = np.floor(corner[1] + (np.arange(height) + 0.5) / scale).astype(int)
    columns = np.floor(corner[0] + (np.arange(width) + 0.5) / scale).astype(int)
    return large[rows][:, columns].astype(np.int16)


@pytest.mark.parametrize("zoom", [1, 4])
def test_every_pixel_is_the_pictures_own(page, large, zoom):
    view = "T.solar().view"
    # As a person comes to it: over the picture, and then on the button or the wheel.
    page.mouse.move(*page.evaluate("() => T.middle('view').slice(0, 2)"))
    page.wait_for_timeout(800)
    began = time.monotonic()
    about = page.evaluate(
        f"zoom => {{ {view}.centre = [3123, 2321]; {view}.zoom = zoom; {view}.settle(); T.solar().frame(); return T.solar().about.textContent; }}",
        zoom,
    )
    assert f"{large.shape[1]} \u00d7 {large.shape[0]}" in about and "% copy" in about, about
    page.evaluate(SHARP)
    took = time.monotonic() - began
    pixels, corner = shown(page)
    assert "copy" not in page.evaluate("() => T.solar().about.textContent")
    wanted = expected(large, corner, zoom, *pixels.shape[:2])
    # The wipe's own line and words lie over it.
    clear = (slice(24, -4), slice(4, -40))
    worst = np.abs(pixels - wanted)[clear].max(-1)
    share = float((worst <= 1).mean())
    print(f"{100 * zoom} %: own pixels after {took:.2f} s, {share:.4f} of them within 1/255")
    assert share > 0.985 and np.median(worst) == 0


def test_a_small_move_needs_nothing_new_and_a_large_one_cancels_what_was_under_way(page):
    page.evaluate("() => { T.solar().view.zoomTo(4); }")
    page.evaluate(SHARP)
    asked = []
    page.on("request", lambda request: asked.append(request.url) if "/tilework/pixels" in request.url else None)
    page.evaluate("() => { T.solar().view.panBy(-20, -10); return T.frame(); }")
    page.wait_for_timeout(300)
    assert asked == []
    # Drawn in between, and faster than any machine is slow: what is looked at for a moment only is not asked for.
    page.evaluate("() => { for (let i = 0; i < 6; i++) { T.solar().view.panBy(-900, 0); T.solar().frame(); } }")
    page.evaluate(SHARP)
    assert 1 <= len(asked) <= 3, asked
    kept = page.evaluate("() => { const { picture } = T.solar().view.piece; return [picture.width, picture.height]; }")
    assert max(kept) <= 2048


def test_what_cannot_be_fetched_says_so_and_shows_the_copy(page, front):
    front.page.route(
        "**/tilework/pixels**", lambda route: route.fulfill(status=404, body="the picture of this run is no longer there: run again")
    )
    page.evaluate("() => T.solar().view.zoomTo(1)")
    page.evaluate("() => T.until(() => T.solar().about.textContent.includes('run again'), 'the reason')")
    assert "% copy" in page.evaluate("() => T.solar().about.textContent")
    front.page.unroute("**/tilework/pixels**")
    front.complaints()


def test_undo_keeps_zoom_and_wipe(page):
    page.evaluate("() => T.reopen()")
    page.evaluate("() => T.solar().commit()")
    page.evaluate("() => T.settled()")
    page.evaluate("() => { T.solar().view.zoomTo(4); T.solar().view.setWipe(0.7); return T.frame(); }")
    look = page.evaluate("() => T.solar().view.look")
    page.evaluate("() => { T.set({ phase: 0.3 }); T.solar().commit(); }")
    page.evaluate("() => T.settled()")
    page.mouse.click(20, 700)
    page.keyboard.press("Control+z")
    page.evaluate("() => T.until(() => T.find()?.widgets.find((one) => one.name === 'phase').value === 0, 'undo')")
    page.evaluate("() => T.until(() => T.solar().view.picture, 'the picture')")
    page.evaluate("() => T.frame()")
    assert page.evaluate("() => T.solar().view.look") == look


def test_settings_without_effect_look_like_it_and_an_own_curve_says_how_it_is_edited(page):
    off = "() => Object.fromEntries(T.find().widgets.map((one) => [one.name, Boolean(one.disabled)]))"
    page.evaluate("() => T.set({ preset: 'four points' })")
    page.evaluate("() => T.frame()")
    assert page.evaluate(off)["inversions"] and not page.evaluate(off)["shape"]
    page.evaluate("() => T.set({ preset: 'inversions' })")
    page.evaluate("() => T.frame()")
    assert not page.evaluate(off)["inversions"]
    page.evaluate("() => T.set({ preset: 'curve' })")
    page.evaluate("() => T.frame()")
    page.mouse.move(5, 500)
    assert "Double-click" in page.evaluate("() => T.solar().readout.textContent") and "Delete" in page.evaluate(
        "() => T.solar().readout.textContent"
    )
