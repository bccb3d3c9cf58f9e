"""Loads the pack the way ComfyUI does, under the name `tilework`.

The host imports a pack by path, so nothing of ours may depend on a top-level name:
`nodes` would be the host's own module.
"""

import importlib.util
import sys
from pathlib import Path

import pytest
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

ROOT = Path(__file__).resolve().parent.parent

if "tilework" not in sys.modules:
    spec = importlib.util.spec_from_file_location("tilework", ROOT / "__init__.py", submodule_search_locations=[str(ROOT)])
    module = importlib.util.module_from_spec(spec)
    sys.modules["tilework"] = module
    spec.loader.exec_module(module)


def pytest_addoption(parser):
    from tilework.tools.server.front_ends import LATEST, NEWEST, OWN, front_end

    parser.addoption(
        "--frontend",
        type=front_end,
        metavar="VERSION",
        help=f"run all browser tests on this front end of ComfyUI, fetched where it is missing: a version, {LATEST} ({NEWEST}) or {OWN} "
        "(the host's). Without it: all on the host's own, and those marked two_front_ends on the newest as well",
    )
    parser.addoption(
        "--release",
        action="store_true",
        help="rates are measured on as many pictures as they are promised for, and properties on cases that are drawn anew",
    )
    parser.addoption("--pictures", action="store_true", help="screenshots of every node and template, to look at in output/screenshots")


def pytest_configure(config):
    # Without --release the same cases in every run: what fails is what was changed.
    settings.register_profile("tilework", derandomize=not config.getoption("--release"))
    settings.load_profile("tilework")
    config.addinivalue_line("markers", "pictures: makes pictures to look at and states nothing of its own; run with --pictures alone")
    config.addinivalue_line("markers", "renderer(name): run in this one of the two renderers alone, classic or nodes 2.0")
    config.addinivalue_line(
        "markers", "dealt: its cases are dealt out to the pages (front end and renderer); with --release each has them all"
    )
    config.addinivalue_line("markers", "some_on_newest: on the newest front end every third of its cases; with --release all")
    config.addinivalue_line("markers", "two_front_ends: run on the host's own front end and on the newest one")


def pytest_collection_modifyitems(items):
    """The browser comes last: once it is open, its driver keeps an event loop in the main thread until the end."""
    items.sort(key=lambda item: item.path.is_relative_to(ROOT / "tests" / "browser"))


class InTurn(LoadScopeScheduling):
    """Gives a process a file at a time, in order, so that what a file's tests share is made once.

    Browser tests come by front end and renderer: each has a server and a page. Those that choose their renderer themselves
    go with the classic ones.
    """

    def _split_scope(self, nodeid):
        file, _, name = nodeid.partition("::")
        if not file.startswith("tests/browser/"):
            return file
        version, *parts = name.partition("[")[2].rstrip("]").split("-")
        return " ".join(["browser", version, "nodes 2.0" if "nodes 2.0" in parts else "classic"])


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    config.option.loadscopereorder = False
    return InTurn(config, log)


@pytest.fixture(autouse=True)
def _own_user_folder(tmp_path):
    """A user folder for each test that runs ComfyUI in its own process: what one has measured no other finds."""
    folders = sys.modules.get("folder_paths")
    if folders is None:
        yield
        return
    before = folders.get_user_directory()
    folders.set_user_directory(str(tmp_path / "user"))
    yield
    folders.set_user_directory(before)
