"""The real front end in a real Chromium, on a real server. What is missing is set up, or an error: never a skip."""

from __future__ import annotations

from collections import defaultdict
from contextlib import ExitStack
from importlib import metadata
from pathlib import Path

import pytest
from tilework.tests.browser.stand_ins import model_files
from tilework.tests.host.hostile import leave_a_tile
from tilework.tools.demo.materials import ensure_photograph, ensure_upscaler
from tilework.tools.server.comfy import Server
from tilework.tools.server.front_ends import LATEST, OWN, PACKAGE, chosen_front_end, front_end_arguments
from tilework.tools.server.front_page import RENDERERS, FrontPage
from tilework.tools.server.loopback import get_json
from tilework.tools.setup.browser import open_browser
from tilework.tools.setup.environment import find_host

ROOT = Path(__file__).resolve().parents[2]


# First, so that a test's name begins with the front end.
@pytest.hookimpl(tryfirst=True)
def pytest_generate_tests(metafunc):
    """Every test on the front end that was chosen; else on the host's own, and on the newest one too where its file is marked so."""
    if "front_end" not in metafunc.fixturenames:
        return
    chosen = metafunc.config.getoption("--frontend")
    both = [OWN, LATEST] if metafunc.definition.get_closest_marker("two_front_ends") else [OWN]
    # By number: the host's own may be the newest.
    found = {version_of(name): name for name in ([chosen] if chosen else both)}
    metafunc.parametrize("front_end", list(found.values()), ids=list(found), indirect=True, scope="session")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config, items):
    """All that runs on one front end comes together: a change is a new server.

    The newest one is tried in Nodes 2.0, which changes most between versions; `--release` and `--frontend` try it in both renderers.
    Of tests whose cases are many and alike (marked `dealt`) each page gets its share, so that every case is tried on one.
    """
    both = config.getoption("--release") or config.getoption("--frontend")
    left_out = [
        item
        for item in items
        if (not both and {"front_end": LATEST, "front": "classic"}.items() <= _drawn(item).items())
        or (not config.getoption("--pictures") and item.get_closest_marker("pictures"))
        or _renderer(item) != _drawn(item).get("front")
    ]
    if not both:
        left_out += _not_dealt(item for item in items if item.get_closest_marker("dealt"))
        left_out += _thinned([item for item in items if item.get_closest_marker("some_on_newest")])
    config.hook.pytest_deselected(items=left_out)
    gone = set(map(id, left_out))
    items[:] = [item for item in items if id(item) not in gone]
    items.sort(key=lambda item: hasattr(item, "callspec") and item.callspec.params.get("front_end", OWN) != OWN)


def _not_dealt(items):
    """All but each page's share of the cases of the marked tests."""
    cases = defaultdict(list)
    for item in items:
        page = item.callspec.params.get("front_end"), item.callspec.params.get("front")
        case = repr({name: value for name, value in item.callspec.params.items() if name not in ("front_end", "front")})
        cases[item.path, item.originalname, case].append((page, item))
    turn = defaultdict(int)
    left_out = []
    for (path, name, _), pages in cases.items():
        pages = [one for one in pages if one[0] != (LATEST, "classic")]
        chosen = turn[path, name] % len(pages)
        turn[path, name] += 1
        left_out += [item for index, (_, item) in enumerate(pages) if index != chosen]
    return left_out


def _thinned(items):
    """On the newest front end, all but every third case of a test."""
    return [item for index, item in enumerate(one for one in items if _drawn(one).get("front_end") == LATEST) if index % 6 > 1]


def _renderer(item):
    """The renderer that a test is for: the one it is marked with, or any."""
    marker = item.get_closest_marker("renderer")
    return marker.args[0] if marker else _drawn(item).get("front")


def _drawn(item):
    """The front end and the renderer of a test, as far as it has them."""
    return item.callspec.params if hasattr(item, "callspec") else {}


def version_of(name):
    """The number of a front end, the host's own among them."""
    return chosen_front_end(name) or metadata.version(PACKAGE)


@pytest.fixture(scope="session")
def front_end(request):
    """What the server is started with to serve a front end."""
    with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        return front_end_arguments(find_host(), chosen_front_end(request.param))


@pytest.fixture
def newest(request):
    """Whether the test runs on the newest front end beside the host's own one."""
    return request.node.callspec.params["front_end"] == LATEST


@pytest.fixture
def looked_at(pytestconfig):
    """Whether pictures are made on the way, in output/screenshots, for a person to look at."""
    return pytestconfig.getoption("--pictures")


@pytest.fixture(scope="session")
def server(tmp_path_factory, front_end):
    """The running server, with the test models' names where the templates look for theirs."""
    host = find_host()
    packs = {"tilework": ROOT, "tilework_test": ROOT / "tests" / "pack"}
    models = model_files(sorted((ROOT / "example_workflows").glob("*.json")), tmp_path_factory.mktemp("models"))
    models.setdefault("upscale_models", []).append(ensure_upscaler(host))
    with Server(host, name="browser", packs=packs, models=models, inputs=[ensure_photograph(host)], extra_args=front_end) as running:
        leave_a_tile(running.base)
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
    with ExitStack() as stack:
        # The first time this takes minutes, and should say so while it does.
        with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
            running = stack.enter_context(open_browser(find_host()))
        yield running


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
