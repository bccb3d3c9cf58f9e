"""The README's pictures of the example workflow, in the classic canvas: .host/venv/bin/python -m tools.help.workflow_picture

One of Tile Split before the run, with its grid; one of all of it afterwards. Run it again when the nodes look different, and look
at the pictures.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from ..demo.materials import ensure_photograph, ensure_upscaler
from ..process.guarded import guarded, say
from ..server.comfy import Server
from ..server.front_page import FrontPage
from ..setup.browser import open_browser
from ..setup.environment import REPOSITORY, find_host

WORKFLOW = REPOSITORY / "example_workflows" / "03 Any nodes, tile by tile.json"
FOLDER = REPOSITORY / "docs" / "pictures"
SIZE = {"width": 1700, "height": 1000}
LARGEST, EDGE = 4, 12


def shoot(front: FrontPage, file: Path, node: str | None = None) -> None:
    """Write a picture of the nodes of one type, or of the whole workflow with an edge around it."""
    left, top, right, bottom = front.do("([type, most]) => { app.canvas.deselectAll(); return F.fit(type, most); }", [node, LARGEST])
    edge = 0 if node else EDGE
    where = {"x": left - edge, "y": top - edge, "width": right - left + 2 * edge, "height": bottom - top + 2 * edge}
    front.page.wait_for_timeout(1000)
    front.page.screenshot(path=str(file), clip=where, type="jpeg", quality=88)
    say(f"{file.name}: {where['width']:.0f} x {where['height']:.0f}, {file.stat().st_size / 1000:.0f} kB")


def main() -> int:
    """Take the pictures; the exit status."""
    host = find_host()
    models, inputs = {"upscale_models": [ensure_upscaler(host, say)]}, [ensure_photograph(host, say)]
    with open_browser(host, say) as browser, Server(host, "picture", models=models, inputs=inputs, report=say) as server:
        front = FrontPage(browser, server.url, vue=False, viewport=SIZE)
        front.do("saved => app.loadGraphData(saved)", json.loads(WORKFLOW.read_text("utf-8")))
        # Files of the editor's own, the photograph and the grid over it come one after the other.
        front.page.wait_for_timeout(4000)
        shoot(front, FOLDER / "grid.jpg", "TileworkTileSplit")
        front.run()
        # The editor's note that the run is over goes away by itself.
        front.page.wait_for_timeout(8000)
        shoot(front, FOLDER / "workflow.jpg")
    return 0


if __name__ == "__main__":
    sys.exit(guarded(main))
