"""The README's pictures of the example workflow, in the classic canvas: .host/venv/bin/python -m tools.help.workflow_picture

One of Tile Split before the run, with its grid; one of all of it afterwards. Run it again when the nodes look different, and look
at the pictures.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ..demo.materials import ensure_photograph, ensure_upscaler
from ..process.guarded import guarded, say
from ..server.comfy import Server
from ..setup.browser import ARGUMENTS, ensure_chromium, ensure_driver
from ..setup.environment import REPOSITORY, find_host

if TYPE_CHECKING:
    from playwright.sync_api import Page

WORKFLOW = REPOSITORY / "example_workflows" / "tiled_upscale.json"
FOLDER = REPOSITORY / "docs" / "pictures"
SIZE = {"width": 1700, "height": 1000}
# The pixels of the window around the workflow that the editor's own bars do not lie on.
BARS = {"left": 70, "top": 110, "right": 30, "bottom": 90}
SETTINGS = {"Comfy.TutorialCompleted": True, "Comfy.Minimap.Visible": False, "Comfy.VueNodes.Enabled": False}
READY = "() => window.app?.graph && Object.keys(window.LiteGraph?.registered_node_types ?? {}).length > 100"
LOAD = "workflow => app.loadGraphData(workflow)"
RUN = """async () => {
  const done = new Promise((yes, no) => {
    app.api.addEventListener("execution_success", () => yes());
    app.api.addEventListener("execution_error", (event) => no(new Error(event.detail.exception_message)));
  });
  await app.queuePrompt(0, 1);
  await done;
}"""
# Moves what is wanted, or everything, between the editor's bars, as large as it goes; gives where it lies then.
FIT = """([bars, type]) => {
  const all = [...app.graph._groups, ...app.graph._nodes];
  const boxes = all.filter((one) => !type || one.type === type).map((one) => one.boundingRect ?? one._bounding);
  const left = Math.min(...boxes.map((box) => box[0])), top = Math.min(...boxes.map((box) => box[1]));
  const right = Math.max(...boxes.map((box) => box[0] + box[2])), bottom = Math.max(...boxes.map((box) => box[1] + box[3]));
  const scale = Math.min((innerWidth - bars.left - bars.right) / (right - left), (innerHeight - bars.top - bars.bottom) / (bottom - top));
  const canvas = app.canvas.canvas.getBoundingClientRect();
  app.canvas.deselectAll();
  app.canvas.ds.scale = scale;
  app.canvas.ds.offset = [(bars.left - canvas.left) / scale - left, (bars.top - canvas.top) / scale - top];
  app.canvas.setDirty(true, true);
  const edge = type ? 0 : 12;
  return { x: bars.left - edge, y: bars.top - edge, width: (right - left) * scale + 2 * edge, height: (bottom - top) * scale + 2 * edge };
}"""


def shoot(page: Page, file: Path, node: str | None = None) -> None:
    """Write a picture of the nodes of one type, or of the whole workflow."""
    where = page.evaluate(FIT, [BARS, node])
    page.wait_for_timeout(1000)
    page.screenshot(path=str(file), clip=where, type="jpeg", quality=88)
    say(f"{file.name}: {where['width']:.0f} x {where['height']:.0f}, {file.stat().st_size / 1000:.0f} kB")


def main() -> int:
    """Take the pictures; the exit status."""
    host = find_host()
    ensure_driver(host, say)
    program = ensure_chromium(host, say)
    models = {"upscale_models": [ensure_upscaler(host, say)]}
    from playwright.sync_api import sync_playwright

    with (
        Server(host, "picture", models=models, inputs=[ensure_photograph(host, say)], report=say) as server,
        sync_playwright() as playwright,
    ):
        (server.base / "user" / "default" / "comfy.settings.json").write_text(json.dumps(SETTINGS), "utf-8")
        browser = playwright.chromium.launch(executable_path=program, headless=True, args=list(ARGUMENTS))
        page = browser.new_page(viewport=SIZE)
        page.goto(server.url, wait_until="domcontentloaded")
        page.wait_for_function(READY, timeout=120_000)
        page.wait_for_timeout(1500)
        page.evaluate(LOAD, json.loads(WORKFLOW.read_text("utf-8")))
        # Files of the editor's own, the photograph and the grid over it come one after the other.
        page.wait_for_timeout(4000)
        shoot(page, FOLDER / "grid.jpg", "TileworkTileSplit")
        page.evaluate(RUN)
        # The editor's note that the run is over goes away by itself.
        page.wait_for_timeout(8000)
        shoot(page, FOLDER / "workflow.jpg")
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(guarded(main))
