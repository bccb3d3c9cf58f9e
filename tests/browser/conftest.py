"""The real front end in a real Chromium, on a real server. What is missing is set up, or an error: never a skip."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from tilework.tools.browser import ARGUMENTS, ensure_chromium, ensure_driver
from tilework.tools.environment import find_host
from tilework.tools.materials import ensure_photograph, ensure_upscaler
from tilework.tools.server import Server

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = {"Comfy.TutorialCompleted": True, "Comfy.Minimap.Visible": False}
READY = """() => window.app?.graph && window.app.extensionManager
  && Object.keys(window.LiteGraph?.registered_node_types ?? {}).length > 100"""
# What the host itself logs: files of a user that has none yet, and templates that it would look up elsewhere.
HOSTS_OWN = ("404 (Not Found)", "huggingface.co", "ComfyApp graph accessed before initialization")
RENDERERS = {"classic": False, "nodes 2.0": True}


@pytest.fixture(scope="session")
def server():
    """The running server."""
    host = find_host()
    packs = {"tilework": ROOT, "tilework_test": ROOT / "tests" / "pack"}
    models = {"upscale_models": [ensure_upscaler(host)]}
    with Server(host, name="browser", packs=packs, models=models, inputs=[ensure_photograph(host)]) as running:
        (running.base / "user" / "default" / "comfy.settings.json").write_text(json.dumps(SETTINGS), "utf-8")
        yield running


@pytest.fixture(scope="session")
def browser():
    """One Chromium for all tests."""
    host = find_host()
    ensure_driver(host)
    program = ensure_chromium(host)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=program, headless=True, args=list(ARGUMENTS))
        yield running
        running.close()


@pytest.fixture(scope="session", params=list(RENDERERS))
def front(request, server, browser):
    """A page with the front end, once per renderer; what went wrong in it is asked with `complaints`."""
    front = Front(browser, server.url, RENDERERS[request.param])
    yield front
    front.page.close()


class Front:
    """The front end in a page.

    Attributes:
        page: Playwright's page.
        vue: whether it draws with Nodes 2.0.
        posted: every prompt that was sent to the server.
    """

    def __init__(self, browser, url: str, vue: bool) -> None:
        self.page = browser.new_page(viewport={"width": 1500, "height": 1000}, has_touch=True)
        self.vue = vue
        self.said: list[str] = []
        self.posted: list[str] = []
        self.page.on("pageerror", lambda error: self.said.append(f"page error: {error}"))
        self.page.on("console", lambda message: self.said.append(message.text) if message.type == "error" else None)
        self.page.on("request", lambda request: self._asked(request, urlsplit(url).netloc))
        self.page.goto(url, wait_until="domcontentloaded")
        self.page.wait_for_function(READY, timeout=120_000)
        self.page.wait_for_timeout(1200)
        self.page.evaluate("on => app.extensionManager.setting.set('Comfy.VueNodes.Enabled', on)", vue)
        self.page.wait_for_timeout(500)

    def _asked(self, request, home: str) -> None:
        parts = urlsplit(request.url)
        if parts.scheme in ("http", "https") and parts.netloc != home:
            self.said.append(f"left the machine: {request.url}")
        if request.method == "POST" and parts.path.endswith("/prompt"):
            self.posted.append(request.url)

    def complaints(self) -> list[str]:
        """What went wrong since the last time, without what the host says by itself; the toasts of errors too."""
        toasts = self.page.evaluate("() => [...document.querySelectorAll('.p-toast-message-error')].map((one) => one.textContent)")
        said, self.said = [*self.said, *(f"toast: {text}" for text in toasts)], []
        return [text for text in said if not any(sign in text for sign in HOSTS_OWN)]
