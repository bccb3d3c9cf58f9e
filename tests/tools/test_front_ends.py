"""A front end beside the host's own: fetched once, whole or not at all, and nowhere near the environment."""

import sys
from argparse import ArgumentTypeError
from pathlib import Path

import pytest
from tilework.tools.process.host_error import HostError
from tilework.tools.server import front_ends
from tilework.tools.server.front_ends import NEWEST, PACKAGE, STATIC, chosen_front_end, front_end, front_end_arguments
from tilework.tools.setup.environment import Host


@pytest.fixture
def host(tmp_path):
    return Host(tmp_path, tmp_path / "ComfyUI", sys.executable)


@pytest.fixture
def pip_brings(monkeypatch):
    """Stands in for pip: puts `file` where pip is told to; gives what it was told."""
    told = []

    def arrange(file="index.html"):
        def run_pip(python, arguments, root, name, report):
            told.append(arguments)
            folder = Path(arguments[arguments.index("--target") + 1]) / STATIC
            folder.mkdir(parents=True)
            (folder / file).write_text("<html>")

        monkeypatch.setattr(front_ends, "run_pip", run_pip)
        return told

    return arrange


def quiet(line):
    """A report that nobody reads."""


def test_a_version_is_fetched_once_by_name_into_the_host_folder_and_served_from_there(host, pip_brings):
    told = pip_brings()
    folder = host.root / "frontends" / "1.2.3" / STATIC
    for _ in range(2):
        assert front_end_arguments(host, "1.2.3", quiet) == ["--front-end-root", str(folder)]
    assert (folder / "index.html").is_file() and not list((host.root / "tmp").glob("frontend*"))
    ((*rest, name),) = told
    assert name == f"{PACKAGE}==1.2.3" and "--no-deps" in rest
    assert front_end_arguments(host, None, quiet) == [], "the host's own needs nothing"


def test_a_package_without_a_page_is_refused_and_never_served(host, pip_brings):
    pip_brings("other.js")
    with pytest.raises(HostError, match=r"front end 1\.2\.3 holds no front end"):
        front_end_arguments(host, "1.2.3", quiet)
    assert not (host.root / "frontends").exists()


@pytest.mark.parametrize(("name", "version"), [("own", None), ("newest", NEWEST), ("1.58.1", "1.58.1")])
def test_names_stand_for_versions(name, version):
    assert chosen_front_end(name) == version and front_end(name) == name


@pytest.mark.parametrize("name", ["", "latest", "1.x", "v1.58.1", "1.58.1/../..", "==1.58.1", "1.58.1 --index-url x"])
def test_what_is_no_version_is_refused_in_words(name):
    with pytest.raises(ArgumentTypeError, match="is no front end: use own, newest or a version"):
        front_end(name)
