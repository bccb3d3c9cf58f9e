"""The real front end in a real Chromium, on a real server. What is missing is set up, or an error: never a skip."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tilework.tests.browser.stand_ins import model_files
from tilework.tools.browser import ARGUMENTS, ensure_chromium, ensure_driver
from tilework.tools.environment import find_host
from tilework.tools.front_page import RENDERERS, SETTINGS, FrontPage
from tilework.tools.loopback import get_json
from tilework.tools.materials import ensure_photograph, ensure_upscaler
from tilework.tools.server import Server

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """The running server, with the test models' names where the templates look for theirs."""
    host = find_host()
    packs = {"tilework": ROOT, "tilework_test": ROOT / "tests" / "pack"}
    models = model_files(sorted((ROOT / "example_workflows").glob("*.json")), tmp_path_factory.mktemp("models"))
    models.setdefault("upscale_models", []).append(ensure_upscaler(host))
    with Server(host, name="browser", packs=packs, models=models, inputs=[ensure_photograph(host)]) as running:
        (running.base / "user" / "default" / "comfy.settings.json").write_text(json.dumps(SETTINGS), "utf-8")
        yield running


@pytest.fixture(scope="session")
def object_info(server):
    """Everything the server knows about its nodes."""
    return get_json(server.url + "/object_info")


@pytest.fixture(scope="session")
def pack(object_info):
    """The pack's nodes, by id."""
    return {name: info for name, info in object_info.items() if name.startswith("Tilework") and not name.startswith("TileworkTest")}


@pytest.fixture(scope="session")
def browser(request):
    """One Chromium for all tests."""
    host = find_host()
    # The first time this takes minutes, and should say so while it does.
    with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
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
    front = FrontPage(browser, server.url, RENDERERS[request.param])
    yield front
    front.page.close()


@pytest.fixture
def clean(front):
    """The page with an empty workflow in it, and left so; nothing may have gone wrong in it by the end."""
    front.clear()
    yield front
    complaints = front.complaints()
    front.clear()
    assert complaints == []
