"""What `python dev.py ...` does.

    python dev.py demo               upscale a photograph in tiles on a real ComfyUI; results in output/
    python dev.py serve [--port N]   the same ComfyUI, left running for you
    python dev.py test [ARGUMENTS]   all tests, in several processes; arguments go to pytest
    python dev.py bench [ARGUMENTS]  the benchmarks; arguments go to benchmarks/split_blend.py

With --frontend VERSION, serve and test use another version of ComfyUI's front end ("newest": the
newest that the pack is tested with; "own": the one of this ComfyUI). Without it, test runs all
browser tests on the own one and most of them on the newest as well.

The first run sets up a ComfyUI of its own in .host/ (about 6 GB, some minutes); later runs
start in seconds. COMFYUI_PATH names a ComfyUI to use instead, TILEWORK_HOST another folder
than .host. Deleting that folder undoes it all but for pip's own cache.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from .demo.materials import ensure_photograph, ensure_upscaler
from .process.child import foreground, program_environment
from .process.guarded import guarded, say
from .process.lock import make_once
from .server.comfy import Server, check_port
from .server.front_ends import OWN, chosen_front_end, front_end, front_end_arguments
from .server.loopback import is_free
from .setup.environment import REPOSITORY, Host, ensure_host
from .setup.pip import run_pip
from .setup.virtual_environment import TORCH, read_stamp, write_stamp

SERVE_PORT = 8288
MOST_PROCESSES = 4  # of pytest: each has servers, a browser and test networks of its own
BENCHMARK = REPOSITORY / "benchmarks" / "split_blend.py"
BENCHMARK_REQUIREMENTS = REPOSITORY / "benchmarks" / "requirements.txt"

# As pytest's own program starts it: `python -m pytest` puts the repository on sys.path, where `nodes` would hide ComfyUI's module.
PYTEST = "import sys, pytest; sys.argv[0] = 'pytest'; sys.exit(pytest.main())"


def demo(arguments: list[str]) -> int:
    """Run the demonstration in the environment's Python."""
    argparse.ArgumentParser(prog="dev.py demo", description="Upscale a photograph in tiles on a real ComfyUI.").parse_args(arguments)
    host = ensure_host(say)
    ensure_upscaler(host, say)
    ensure_photograph(host, say)
    return _in_environment(host, ["-m", "tools.demo.run"])


def serve(arguments: list[str]) -> int:
    """Leave a server running until Ctrl-C."""
    parser = argparse.ArgumentParser(prog="dev.py serve", description="Leave a real ComfyUI with Tilework running until Ctrl-C.")
    parser.add_argument("--port", type=_port, help=f"to listen on (default: {SERVE_PORT}, or any free one)")
    parser.add_argument("--frontend", type=front_end, metavar="VERSION", default=OWN, help=f"of the front end (default: {OWN})")
    asked = parser.parse_args(arguments)
    port = asked.port or (SERVE_PORT if is_free(SERVE_PORT) else None)
    check_port(port)
    host = ensure_host(say)
    models = {"upscale_models": [ensure_upscaler(host, say)]}
    inputs = [ensure_photograph(host, say)]
    extra = front_end_arguments(host, chosen_front_end(asked.frontend), say)
    say("Starting ComfyUI (about ten seconds).")
    with Server(host, "serve", models=models, inputs=inputs, port=port, extra_args=extra, keep=True, report=say) as server:
        say(f"\n    {server.url}\n\nTilework is loaded; its examples are under Templates. Your files are in {server.base},")
        say(f"the log is {server.log}. Ctrl-C stops the server.")
        try:
            while True:
                server.check_alive()
                time.sleep(0.5)
        except KeyboardInterrupt:
            say("\nStopping.")
    return 0


def test(arguments: list[str]) -> int:
    """Run the tests, folders of them in several processes; the status is pytest's."""
    host = ensure_host(say)
    ensure_upscaler(host, say)
    named = [path for path in (Path(argument.partition("::")[0]) for argument in arguments) if path.exists()]
    few = 0 < len(named) < 4 and all(path.is_file() for path in named)
    several = [] if few else ["--numprocesses=auto"]
    processes = str(min(os.cpu_count() or 1, MOST_PROCESSES))
    extra = {"OMP_NUM_THREADS": "1", "PYTEST_XDIST_AUTO_NUM_WORKERS": processes}
    return _in_environment(host, ["-P", "-c", PYTEST, *several, *arguments], **extra)


def bench(arguments: list[str]) -> int:
    """Run the benchmark; the status is its own."""
    host = ensure_host(say)
    venv = host.root / "venv"
    key = hashlib.sha256(BENCHMARK_REQUIREMENTS.read_bytes()).hexdigest()

    def install() -> None:
        say("Installing what the benchmarks compare with.")
        run_pip(host.python, ["install", *TORCH, "-r", str(BENCHMARK_REQUIREMENTS)], host.root, "install-benchmark", say)
        write_stamp(venv, benchmark=key)

    make_once(host.root, lambda: read_stamp(venv).get("benchmark") == key, install, say)
    return _in_environment(host, [str(BENCHMARK), *arguments])


LARGER = "name a folder on a larger disk in the environment variable TILEWORK_HOST"
COMMANDS: dict[str, Callable[[list[str]], int]] = {"demo": demo, "serve": serve, "test": test, "bench": bench}


def main(arguments: list[str]) -> int:
    """Run the command that `arguments` begins with and return the exit status."""
    return guarded(partial(_obey, arguments), LARGER)


def _obey(arguments: list[str]) -> int:
    name, rest = (arguments[0], arguments[1:]) if arguments else ("", [])
    if name in ("-h", "--help", "help"):
        say(__doc__.strip())
        return 0
    if name not in COMMANDS:
        say(f"{name!r} is not a command.\n" if name else "Which command?\n")
        say(__doc__.strip())
        return 2
    return COMMANDS[name](rest)


def _in_environment(host: Host, command: list[str], **extra: str) -> int:
    sys.stdout.flush()
    return foreground([str(host.python), *command], program_environment(TILEWORK_HOST=str(host.root), **extra), REPOSITORY)


def _port(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port: use 1024 to 65535")
    return int(text)
