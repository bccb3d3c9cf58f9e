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


def test_what_the_variable_names_is_taken_or_missed_by_name_and_without_it_one_on_the_path_that_starts(host, tmp_path, monkeypatch):
    program(tmp_path, "chromium", 1)
    chrome = program(tmp_path, "google-chrome", 0)
    assert ensure_chromium(host) == chrome
    monkeypatch.setenv("TILEWORK_CHROMIUM", program(tmp_path, "mine", 0))
    assert ensure_chromium(host) == str(tmp_path / "bin" / "mine")
    monkeypatch.setenv("TILEWORK_CHROMIUM", str(tmp_path / "none"))
    with pytest.raises(HostError, match=r"TILEWORK_CHROMIUM names .*none, which is no file"):
        ensure_chromium(host)


@pytest.mark.parametrize("status", [0, 1])
def test_one_is_downloaded_or_an_error_says_what_to_do(host, monkeypatch, status):
    ran = []
    monkeypatch.setattr(browser, "_run", lambda command, *_, **__: ran.append(command[:2]) or status)
    if status:
        with pytest.raises(HostError, match=r"none was found and none could be downloaded. Install Chromium, Chrome or Edge, or name"):
            ensure_chromium(host, lambda line: None)
    else:
        assert ensure_chromium(host, lambda line: None) is None
        assert browser.os.environ["PLAYWRIGHT_BROWSERS_PATH"] == str(host.root / "browsers"), "where Playwright looks for it"
    assert ran == [[sys.executable, "-m"]]
