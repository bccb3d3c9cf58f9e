"""ComfyUI's front end in a page of a real browser: opened, looked after, and asked what went wrong in it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Request, Response

SCRIPT = Path(__file__).with_suffix(".js")
VIEWPORT = {"width": 1500, "height": 1000}
RENDERERS = {"classic": False, "nodes 2.0": True}
# Everything is local, so what takes this long has hung; a machine that does other work as well is slow.
PATIENCE_MS = 60_000
READY = """() => window.app?.graph && Object.keys(window.LiteGraph?.registered_node_types ?? {}).length > 100
  && window.app.extensionManager?.workflow?.activeWorkflow?.changeTracker && !document.querySelector('#splash-loader')"""
# What the host itself asks for and does not have: files of a user that has none yet, help in the reader's language first.
HOSTS_OWN_MISSING = ("/user.css", "/userdata", "/docs/", "/templates/")
# What the host itself says: addresses of models that its own start page would like, one line while it starts, and what
# `missing` above tells better.
HOSTS_OWN_WORDS = ("huggingface.co", "ComfyApp graph accessed before initialization", "Failed to load resource")


class FrontPage:
    """The front end in `page` (Playwright's), drawn with Nodes 2.0 if `vue`; `posted`: the address of every prompt that was sent."""

    def __init__(self, browser: Browser, url: str, vue: bool, viewport: dict[str, int] = VIEWPORT) -> None:
        self.url = url
        self.said: list[str] = []
        self.posted: list[str] = []
        self.page: Page = browser.new_page(viewport=viewport, has_touch=True)
        self.page.set_default_timeout(PATIENCE_MS)
        self.page.on("pageerror", lambda error: self.said.append(f"page error: {error} {error.stack}"))
        self.page.on("console", lambda message: self.said.append(message.text) if message.type == "error" else None)
        self.page.on("dialog", lambda dialog: (self.said.append(f"browser dialog: {dialog.message}"), dialog.dismiss()))
        self.page.on("request", self._sent)
        self.page.on("response", self._answered)
        self.page.goto(url, wait_until="domcontentloaded")
        self._settle()
        # Whatever a page before this one has left in the settings; the minimap lies over the canvas.
        self.set("Comfy.Minimap.Visible", False)
        self.set("Comfy.ColorPalette", "dark")
        self.draw_with(vue)

    def reload(self) -> None:
        """Load the page again, as with F5."""
        self.page.reload(wait_until="domcontentloaded")
        self._settle()

    def draw_with(self, vue: bool) -> None:
        """Change the renderer: Nodes 2.0 if `vue`, else the classic one."""
        self.vue = vue
        self.set("Comfy.VueNodes.Enabled", vue)
        self.page.wait_for_function("on => !!LiteGraph.vueNodesMode === on", arg=vue)

    def set(self, name: str, value: Any) -> None:
        """Change a setting of the front end."""
        self.page.evaluate("([name, value]) => app.extensionManager.setting.set(name, value)", [name, value])

    def do(self, script: str, argument: Any = None) -> Any:
        """Run a script in the page; `F` in it is what front_page.js offers."""
        return self.page.evaluate(script, argument)

    def clear(self) -> None:
        """One empty workflow, no other one open, no dialog, panel or message, and nothing remembered as said or posted."""
        for _ in range(3):
            if not self.page.locator("[role=dialog]").count():
                break
            self.page.keyboard.press("Escape")
            self.page.wait_for_timeout(100)
        self.do("() => F.clear()")
        panel = self.page.get_by_test_id("properties-panel")
        if panel.count():
            panel.get_by_role("button", name="Toggle properties panel").click()
            panel.wait_for(state="detached")
        self.said.clear()
        self.posted.clear()

    def drag(self, start: list[float], end: list[float]) -> None:
        """Drag with the mouse, slowly enough for a canvas that looks once per frame."""
        self.page.mouse.move(*start)
        self.do("() => F.frame()")
        self.page.mouse.down()
        for part in (0.1, 0.5, 0.9, 1.0):
            self.page.mouse.move(*(a + (b - a) * part for a, b in zip(start, end, strict=True)))
            self.do("() => F.frame()")
        self.page.mouse.up()
        self.do("() => F.frame()")

    def run(self, prompt: dict[str, Any] | None = None) -> None:
        """Run the graph, or `prompt` in its place; returns when it is over. Raises RuntimeError with the node's words where it failed."""
        said = self.do("prompt => F.run(prompt)", prompt)
        if said:
            raise RuntimeError(said)

    def complaints(self) -> list[str]:
        """What went wrong since the last time, without what the host says by itself; the toasts of errors too."""
        said, self.said = [*self.said, *(f"toast: {text}" for text in self.do("() => F.toasts()"))], []
        return [text for text in said if not any(sign in text for sign in HOSTS_OWN_WORDS)]

    def _settle(self) -> None:
        self.page.wait_for_function(READY)
        self.page.evaluate(SCRIPT.read_text("utf-8"))
        self.do("() => F.rest()")

    def _sent(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme in ("http", "https") and parts.netloc != urlsplit(self.url).netloc:
            self.said.append(f"left the machine: {request.url}")
        if request.method == "POST" and parts.path.endswith("/prompt"):
            self.posted.append(request.url)

    def _answered(self, response: Response) -> None:
        path = urlsplit(response.url).path
        if response.status >= 400 and not any(sign in path for sign in HOSTS_OWN_MISSING):
            self.said.append(f"status {response.status}: {response.url}")
