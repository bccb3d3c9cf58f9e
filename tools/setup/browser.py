"""A browser for tests and pictures: Playwright's Python driver in the host folder, and a Chromium from wherever there is one.

Chromium is, in this order: what TILEWORK_CHROMIUM names; one on the PATH; Debian's, installed with apt-get where
we are root; Playwright's own download.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ..process.child import program_environment
from ..process.host_error import HostError, tail
from ..process.lock import held, make_once
from ..process.long_step import Report, run_step
from .environment import Host
from .pip import run_pip

if TYPE_CHECKING:
    from playwright.sync_api import Browser

PLAYWRIGHT = "playwright==1.65.2"
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge")
DEBIAN = ("chromium", "fonts-dejavu-core")
VERSION_SECONDS = 60
# Graphics by the processor, so that it works and looks the same on every machine; and no calls home.
GRAPHICS = ("--no-sandbox", "--disable-gpu", "--enable-unsafe-swiftshader")
SILENCE = ("--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync")
ARGUMENTS = (*GRAPHICS, *SILENCE)


@contextmanager
def open_browser(host: Host, report: Report = print) -> Iterator[Browser]:
    """A Chromium, set up where there is none, which runs inside the `with`.

    Raises HostError, in words, where there is none and none can be had.
    """
    ensure_driver(host, report)
    program = ensure_chromium(host, report)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, headless=True, args=list(ARGUMENTS))
        yield browser
        browser.close()


def ensure_driver(host: Host, report: Report = print) -> None:
    """Make `import playwright` work in this process."""
    folder = _folder(host)
    complete = folder / "complete.txt"

    def make() -> None:
        report("Installing Playwright, which drives the browser (once, 170 MB).")
        run_pip(host.python, ["install", "--upgrade", "--target", str(folder), PLAYWRIGHT], host.root, "install-playwright", report)
        complete.write_text(PLAYWRIGHT + "\n", "utf-8")

    make_once(host.root, complete.exists, make, report)
    if str(folder) not in sys.path:
        # Last: what comes with it must not hide a package of the environment.
        sys.path.append(str(folder))


def ensure_chromium(host: Host, report: Report = print) -> str | None:
    """The Chromium to start; None where it is Playwright's own. Call `ensure_driver` first."""
    named = os.environ.get("TILEWORK_CHROMIUM")
    if named:
        if not Path(named).is_file():
            raise HostError(f"TILEWORK_CHROMIUM names {named}, which is no file. Name the program itself, or leave it out.")
        return named
    with held(host.root / "setup.lock", report):
        found = _on_path()
        if not found and shutil.which("apt-get") and getattr(os, "geteuid", lambda: 1)() == 0:
            report("Installing Debian's Chromium.")
            _run(["apt-get", "update"], host, report)
            _run(["apt-get", "install", "-y", "--no-install-recommends", *DEBIAN], host, report, DEBIAN_FRONTEND="noninteractive")
            found = _on_path()
        if found:
            return found
        # Read by Playwright itself too, when it starts what it finds there.
        os.environ["PLAYWRIGHT_BROWSERS_PATH"] = str(host.root / "browsers")
        report("Downloading a Chromium (once, 150 MB).")
        if _run([str(host.python), "-m", "playwright", "install", "chromium"], host, report, PYTHONPATH=str(_folder(host))):
            log = host.root / "logs" / "browser.log"
            raise HostError(
                "The browser tests need a Chromium, none was found and none could be downloaded. Install Chromium, Chrome or Edge, or "
                f"name one in the environment variable TILEWORK_CHROMIUM. The end of the log {log}:",
                tail(log),
            )
        return None


def _on_path() -> str | None:
    return next((found for name in NAMES if (found := shutil.which(name)) and _starts(found)), None)


def _starts(program: str) -> bool:
    """Whether it is a browser and not Ubuntu's note in its place, which says that there is a snap."""
    if os.name == "nt":
        return True  # There, asking for the version opens a window.
    try:
        return subprocess.run([program, "--version"], capture_output=True, timeout=VERSION_SECONDS).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def _folder(host: Host) -> Path:
    return host.root / f"driver-{PLAYWRIGHT.replace('==', '-')}"


def _run(command: list[str], host: Host, report: Report, **extra: str) -> int:
    return run_step(command, host.root / "logs" / "browser.log", program_environment(**extra), report)
