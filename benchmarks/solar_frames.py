"""How smoothly the curve follows a dragged point: frame times over a 2-megapixel picture, in a headless Chromium.

    python benchmarks/solar_frames.py

Run it with the environment's Python (.host/venv). Graphics are computed by the processor, as on a machine without a GPU.
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
SCENE = """async () => {
  app.graph.clear();
  const load = LiteGraph.createNode("LoadImage"), solar = LiteGraph.createNode("TileworkSolarCurvePreview");
  app.graph.add(load); app.graph.add(solar);
  solar.pos = [400, 60];
  load.connect(0, solar, 0);
  load.widgets[0].value = "two_megapixels.png";
  solar.widgets[0].value = "curve";
  app.canvas.ds.scale = 1; app.canvas.ds.offset = [0, 0];
  app.canvas.setDirty(true, true);
  window.solar = solar;
  const inside = solar.widgets.find((widget) => widget.tilework).tilework;
  while (!inside.view.picture) await new Promise((done) => setTimeout(done, 50));
}"""
DRAG = """async (size) => {
  const { plot, view } = window.solar.widgets.find((widget) => widget.tilework).tilework;
  window.solar.setSize(size);
  app.canvas.setDirty(true, true);
  await new Promise((done) => setTimeout(done, 1000));
  const box = plot.canvas.getBoundingClientRect(), [x, y] = plot.at(...plot.points[1]);
  const event = (kind, dx, dy) => plot.canvas.dispatchEvent(new PointerEvent(kind, { pointerId: 1, buttons: 1, bubbles: true,
    clientX: box.left + x / plot.canvas.width * box.width + dx, clientY: box.top + y / plot.canvas.height * box.height + dy }));
  plot.canvas.setPointerCapture = () => {};  // of a pointer that is not there
  event("pointerdown", 0, 0);
  const times = [];
  await new Promise((done) => {
    let last = 0, count = 0;
    const step = (now) => {
      if (last) times.push(now - last);
      last = now;
      event("pointermove", 20 * Math.sin(++count / 9), 20 + 18 * Math.cos(count / 7));
      count < 180 ? requestAnimationFrame(step) : done();
    };
    requestAnimationFrame(step);
  });
  event("pointerup", 0, 0);
  times.sort((a, b) => a - b);
  return { median: times[Math.floor(times.length / 2)], p95: times[Math.floor(0.95 * times.length)],
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
            page.evaluate(SCENE)
            for size in ([380, 700], [1000, 880]):
                said = page.evaluate(DRAG, size)
                name = "Nodes 2.0" if vue else "classic"
                where = f"{name:9}  {said['pixels'] / 1e6:.2f} MPix at {said['canvas'][0]} x {said['canvas'][1]}"
                means = "WebGL" if said["webgl"] else "by hand"
                print(f"{where}, {means}: median frame {said['median']:.1f} ms, 95th percentile {said['p95']:.1f} ms")
            browser.close()
    print(f"runs queued by dragging: {len(queued)}")
    return 1 if queued else 0


if __name__ == "__main__":
    sys.exit(main())
