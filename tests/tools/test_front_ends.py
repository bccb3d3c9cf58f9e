"""A front end beside the host's own: fetched once, whole or not at all, and nowhere near the environment."""

import shutil
import sys
from argparse import ArgumentTypeError

import pytest
from tilework.tools.process.host_error import HostError
from tilework.tools.server import front_ends
from tilework.tools.server.front_ends import NEWEST, PACKAGE, STATIC, chosen_front_end, ensure_front_end, front_end, front_end_arguments
from tilework.tools.setup.environment import Host

FILES = {"comfyui_frontend_package/static/index.html": "<html>", "comfyui_frontend_package/static/assets/index.js": "let a;"}


@pytest.fixture
def host(tmp_path):
    return Host(tmp_path, tmp_path / "ComfyUI", sys.executable)


@pytest.fixture
def pip_brings(monkeypatch):
    """Stands in for pip: puts a package of `version` where pip is told to, less the files `lost`; gives what it was told."""

    def arrange(version, lost=(), files=FILES):
        told = []

        def run_pip(python, arguments, root, name, report):
            told.append(arguments)
            target = front_ends.Path(arguments[arguments.index("--target") + 1])
            written = {**files, f"comfyui_frontend_package-{version}.dist-info/METADATA": f"Name: {PACKAGE}\nVersion: {version}\n"}
            listed = "".join(f"{file},sha256=x,{len(text)}\n" for file, text in written.items())
            for file, text in {**written, f"comfyui_frontend_package-{version}.dist-info/RECORD": listed}.items():
                if file not in lost:
                    (target / file).parent.mkdir(parents=True, exist_ok=True)
                    (target / file).write_text(text)

        monkeypatch.setattr(front_ends, "run_pip", run_pip)
        return told

    return arrange


def no_pip(*_):
    raise AssertionError("nothing is to be fetched")


def test_a_version_is_fetched_once_by_name_into_the_host_folder(host, pip_brings, monkeypatch):
    told = pip_brings("1.2.3")
    folder = ensure_front_end(host, "1.2.3", lambda line: None)
    assert folder == host.root / "frontends" / "1.2.3" / STATIC
    assert (folder / "assets" / "index.js").is_file()
    ((*_, name),) = told
    assert name == f"{PACKAGE}==1.2.3" and "--no-deps" in told[0]
    assert not list((host.root / "tmp").glob("frontend*"))
    monkeypatch.setattr(front_ends, "run_pip", no_pip)
    assert ensure_front_end(host, "1.2.3", no_pip) == folder


@pytest.mark.parametrize("spoil", ["missing", "short", "other version"])
def test_one_that_is_not_whole_is_fetched_again(host, pip_brings, spoil):
    pip_brings("1.2.3")
    script = ensure_front_end(host, "1.2.3", lambda line: None) / "assets" / "index.js"
    if spoil == "missing":
        script.unlink()
    elif spoil == "short":
        script.write_text("let")
    else:
        shutil.move(host.root / "frontends" / "1.2.3", host.root / "frontends" / "1.2.4")
        pip_brings("1.2.4")
    version = "1.2.4" if spoil == "other version" else "1.2.3"
    folder = ensure_front_end(host, version, lambda line: None)
    assert (folder / "assets" / "index.js").read_text() == "let a;"
    assert [one.name for one in (host.root / "frontends" / version).glob("*.dist-info")] == [
        f"comfyui_frontend_package-{version}.dist-info"
    ]


@pytest.mark.parametrize("lost", list(FILES))
def test_one_that_does_not_arrive_whole_is_refused_and_leaves_nothing(host, pip_brings, lost):
    pip_brings("1.2.3", lost=(lost,))
    with pytest.raises(HostError, match=r"front end 1\.2\.3 lacks some of its files .* Run the same command again"):
        ensure_front_end(host, "1.2.3", lambda line: None)
    assert not list(host.root.rglob("index*"))


def test_a_package_without_a_page_is_refused(host, pip_brings):
    pip_brings("1.2.3", files={"comfyui_frontend_package/__init__.py": ""})
    with pytest.raises(HostError, match="holds no front end"):
        ensure_front_end(host, "1.2.3", lambda line: None)


@pytest.mark.parametrize(
    ("known", "words"),
    [("1.12.8, 1.58.1", rf"The package index has no {PACKAGE} 9\.9\.9\. Name a version"), ("none", "pip's own words")],
)
def test_a_version_that_there_is_not_and_a_missing_network_are_told_apart(host, monkeypatch, known, words):
    def run_pip(*_):
        said = (
            f"  | ERROR: Could not find a version (from versions: {known})\n  | ERROR: No matching distribution found for {PACKAGE}==9.9.9"
        )
        raise HostError("pip's own words", said)

    monkeypatch.setattr(front_ends, "run_pip", run_pip)
    with pytest.raises(HostError, match=words):
        ensure_front_end(host, "9.9.9", lambda line: None)


def test_names_stand_for_versions():
    assert chosen_front_end("own") is None
    assert chosen_front_end("newest") == NEWEST
    assert chosen_front_end("1.58.1") == "1.58.1"


@pytest.mark.parametrize("name", ["", "latest", "1.x", "v1.58.1", "1.58.1/../..", "==1.58.1", "1.58.1 --index-url x"])
def test_what_is_no_version_is_refused_in_words(name):
    with pytest.raises(ValueError, match="is no front end: use own, newest or a version"):
        chosen_front_end(name)
    with pytest.raises(ArgumentTypeError, match="is no front end"):
        front_end(name)


def test_the_hosts_own_needs_nothing(host, monkeypatch):
    monkeypatch.setattr(front_ends, "run_pip", no_pip)
    assert front_end_arguments(host, None, no_pip) == []


def test_another_is_served_from_its_folder(host, pip_brings):
    pip_brings("1.2.3")
    assert front_end_arguments(host, "1.2.3", lambda line: None) == ["--front-end-root", str(host.root / "frontends" / "1.2.3" / STATIC)]
