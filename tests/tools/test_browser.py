"""A browser for the tests: found, or made to be there, or missed in words. Never a skip."""

import stat
import sys

import pytest
from tilework.tools.process.host_error import HostError
from tilework.tools.setup import browser
from tilework.tools.setup.browser import ensure_chromium
from tilework.tools.setup.environment import Host

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="programs are made of shell scripts here")


@pytest.fixture
def host(tmp_path, monkeypatch):
    monkeypatch.delenv("TILEWORK_CHROMIUM", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("PLAYWRIGHT_BROWSERS_PATH", "")
    (tmp_path / "bin").mkdir()
    return Host(tmp_path / "host", tmp_path / "host" / "ComfyUI", sys.executable)


def program(folder, name, status):
    file = folder / "bin" / name
    file.write_text(f"#!/bin/sh\nexit {status}\n")
    file.chmod(file.stat().st_mode | stat.S_IXUSR)
    return str(file)


def test_what_the_variable_names_is_taken_or_missed_by_name(host, tmp_path, monkeypatch):
    monkeypatch.setenv("TILEWORK_CHROMIUM", program(tmp_path, "mine", 0))
    assert ensure_chromium(host) == str(tmp_path / "bin" / "mine")
    monkeypatch.setenv("TILEWORK_CHROMIUM", str(tmp_path / "none"))
    with pytest.raises(HostError, match=r"TILEWORK_CHROMIUM names .*none, which is no file"):
        ensure_chromium(host)


def test_one_on_the_path_is_taken_if_it_starts(host, tmp_path):
    program(tmp_path, "chromium", 1)
    chrome = program(tmp_path, "google-chrome", 0)
    assert ensure_chromium(host) == chrome


def test_none_and_none_to_be_had_is_an_error_that_says_what_to_do(host, monkeypatch):
    ran = []

    def fails(command, *_):
        ran.append(command[:2])
        (host.root / "logs").mkdir(exist_ok=True)
        (host.root / "logs" / "browser.log").write_text("no network")
        return 1

    monkeypatch.setattr(browser, "_run", fails)
    with pytest.raises(
        HostError, match=r"none was found and none could be downloaded. Install Chromium, Chrome or Edge, or name"
    ) as failure:
        ensure_chromium(host, lambda line: None)
    assert "no network" in failure.value.detail
    assert ran == [[sys.executable, "-m"]]


def test_a_download_is_looked_for_where_it_was_put(host, monkeypatch):
    monkeypatch.setattr(browser, "_run", lambda *_: 0)
    assert ensure_chromium(host, lambda line: None) is None
    assert browser.os.environ["PLAYWRIGHT_BROWSERS_PATH"] == str(host.root / "browsers")
