"""How smoothly a picture in a node follows a hand: frame times over 2 megapixels, in a headless Chromium.

    python benchmarks/preview_frames.py

A point of Solar Curve Preview is dragged, and a gain of Frequency Join, which has four bands and a residual, in both renderers and at
two sizes of the node. Run it with the environment's Python (.host/venv). Graphics are computed by the processor, as on a machine
without a GPU.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tools.server.comfy import Server
from tools.setup.browser import ARGUMENTS, ensure_chromium, ensure_driver
from tools.setup.environment import find_host

READY = "() => window.app?.graph && window.app.extensionManager && window.LiteGraph?.registered_node_types?.TileworkSolarCurvePreview"
START = """async () => {
  app.graph.clear();
  app.canvas.ds.scale = 1; app.canvas.ds.offset = [0, 0];
  const add = (type, x, y) => {
    const node = LiteGraph.createNode(type);
    app.graph.add(node);
    node.pos = [x, y];
    return node;
  };
  const load = add("LoadImage", 20, 60);
  load.widgets[0].value = "two_megapixels.png";
  window.until = async (test) => { while (!test()) await new Promise((done) => setTimeout(done, 50)); };
  window.add = add;
  window.load = load;
  window.at = (plot) => plot.at(...plot.points[1]).map((place) => (place / plot.canvas.width) * plot.canvas.getBoundingClientRect().width);
}"""
# Each gives `measured`: the node, the element that is dragged, the place of the hand in it, and the view.
SCENES = {
    "Solar Curve Preview": """async () => {
      const node = add("TileworkSolarCurvePreview", 400, 60);
      load.connect(0, node, 0);
      node.widgets[0].value = "curve";
      app.canvas.setDirty(true, true);
      const { plot, view } = node.widgets.find((widget) => widget.tilework).tilework;
      await until(() => view.picture);
      window.measured = { node, view, canvas: plot.canvas, at: () => at(plot) };
    }""",
    "Frequency Join": """async () => {
      const split = add("TileworkBandSplit", 20, 500), node = add("TileworkBandJoin", 400, 60), out = add("PreviewImage", 20, 700);
      load.connect(0, split, 0);
      split.connect(0, node, 0);
      split.connect(1, node, 1);
      node.connect(0, out, 0);
      app.canvas.setDirty(true, true);
      const { view, sliders } = node.widgets.find((widget) => widget.bandPane).bandPane;
      await app.queuePrompt(0, 1);
      await until(() => view.picture);
      const { slider } = sliders.rows[1];
      window.measured = { node, view, slider };
    }""",
}
DRAG = """async (size) => {
  const { node, view, canvas, at, slider } = window.measured;
  node.setSize(size);
  app.canvas.setDirty(true, true);
  await new Promise((done) => setTimeout(done, 1000));
  let move, end;
  if (slider) {
    move = (dx) => { slider.value = 1 + dx / 20; slider.dispatchEvent(new Event("input")); };
    end = () => slider.dispatchEvent(new Event("change"));
  } else {
    const box = canvas.getBoundingClientRect(), [x, y] = at();
    const event = (kind, dx, dy) => canvas.dispatchEvent(new PointerEvent(kind, { pointerId: 1, buttons: 1, bubbles: true,
      clientX: box.left + x + dx, clientY: box.top + y + dy }));
    canvas.setPointerCapture = () => {};  // of a pointer that is not there
    event("pointerdown", 0, 0);
    move = (dx, dy) => event("pointermove", dx, 20 + dy);
    end = () => event("pointerup", 0, 0);
  }
  const times = [];
  let drawn = 0;
  const paint = view.paint.bind(view);
  view.paint = (...all) => { drawn++; return paint(...all); };
  await new Promise((done) => {
    let last = 0, count = 0;
    const step = (now) => {
      if (last) times.push(now - last);
      last = now;
      count++;
      move(20 * Math.sin(count / 9), 18 * Math.cos(count / 7));
      count < 180 ? requestAnimationFrame(step) : done();
    };
    requestAnimationFrame(step);
  });
  end();
  delete view.paint;
  times.sort((a, b) => a - b);
  return { median: times[Math.floor(times.length / 2)], p95: times[Math.floor(0.95 * times.length)], drawn,
           canvas: [view.canvas.width, view.canvas.height], pixels: view.picture.width * view.picture.height, webgl: view.byGpu };
}"""


def picture(folder: Path) -> Path:
    """Slow waves with grain, 1672 x 1254."""
    y, x = np.mgrid[0:1254, 0:1672]
    waves = 128 + 90 * np.stack([np.sin(x / 200 + y / 300 + c) for c in range(3)], -1)
    grain = np.random.default_rng(0).normal(0, 2, waves.shape)
    path = folder / "two_megapixels.png"
    Image.fromarray((waves + grain).clip(0, 255).astype(np.uint8)).save(path)
    return path


def main() -> int:
    """Print the figures; 1 where a drag queued a run."""
    host = find_host()
    ensure_driver(host)
    program = ensure_chromium(host)
    from playwright.sync_api import sync_playwright

    queued: list[str] = []
    by_dragging = 0
    with (
        tempfile.TemporaryDirectory() as folder,
        Server(host, "frames", inputs=[picture(Path(folder))]) as server,
        sync_playwright() as playwright,
    ):
        for vue in (False, True):
            browser = playwright.chromium.launch(executable_path=program, headless=True, args=list(ARGUMENTS))
            page = browser.new_page(viewport={"width": 1500, "height": 1000})
            page.on("request", lambda asked: queued.append(asked.url) if asked.method == "POST" and asked.url.endswith("/prompt") else None)
            page.goto(server.url, wait_until="domcontentloaded")
            page.wait_for_function(READY, timeout=120_000)
            page.wait_for_timeout(1500)
            page.evaluate("on => app.extensionManager.setting.set('Comfy.VueNodes.Enabled', on)", vue)
            for title, scene in SCENES.items():
                page.evaluate(START)
                page.evaluate(scene)
                queued.clear()
                for size in ([380, 700], [1000, 880]):
                    said = page.evaluate(DRAG, size)
                    name = "Nodes 2.0" if vue else "classic"
                    where = f"{title:19}  {name:9}  {said['pixels'] / 1e6:.2f} MPix at {said['canvas'][0]} x {said['canvas'][1]}"
                    means = "WebGL" if said["webgl"] else "by hand"
                    times = f"median frame {said['median']:.1f} ms, 95th percentile {said['p95']:.1f} ms, {said['drawn']} of 180 drawn"
                    print(f"{where}, {means}: {times}", flush=True)
                by_dragging += len(queued)
            browser.close()
    print(f"runs queued by dragging: {by_dragging}")
    return 1 if by_dragging else 0


if __name__ == "__main__":
    sys.exit(main())
