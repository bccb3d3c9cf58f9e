"""A Ray cluster of several node processes on this machine, all of it on loopback, and what is left of it afterwards.

Every process that comes of it carries a mark in its environment, by which it is found (Linux).
"""

from __future__ import annotations

import os
import secrets
import signal
import socket
import struct
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tilework.machines.process.child import program_environment
from tilework.machines.process.loopback import ADDRESS, free_port

MARK = "TILEWORK_TEST_MARK"
# What `ray start` does, with 127.0.0.1 left as it is: Ray takes the machine's own address in its place.
START = """
import sys
from ray._private import services
services.resolve_ip_for_localhost = lambda host: host
from ray.scripts.scripts import main
main()
"""
OPTIONS = ["--node-ip-address", ADDRESS, "--num-cpus", "1", "--num-gpus", "0", "--object-store-memory", "80000000"]


class LoopbackCluster:
    """A head and a worker node, each a process with room for one worker on a processor.

    Args:
        python: of an environment with Ray.

    Attributes:
        address: for `farm.py folder --address`.
        mark: what its processes carry.
        environment: for the driver.
    """

    def __init__(self, python: Path) -> None:
        self.python, self.mark = python, secrets.token_hex(8)
        # Paths of sockets are short: 107 letters.
        self.folder = Path(tempfile.mkdtemp(prefix="tw-ray-"))
        self.address = f"{ADDRESS}:{free_port()}"
        own = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32), "RAY_USAGE_STATS_ENABLED": "0", MARK: self.mark}
        self.environment = program_environment(**own, XDG_CACHE_HOME=str(self.folder / "cache"))
        port = self.address.rpartition(":")[2]
        head = ["--head", "--port", port, "--include-dashboard", "false", "--temp-dir", str(self.folder)]
        self._start(head)
        self.head_node = self._node_processes()[0]
        self.add_node()

    def add_node(self) -> None:
        """Start a worker node."""
        before = set(self._node_processes())
        self._start(["--address", self.address])
        (self.worker_node,) = set(self._node_processes()) - before

    def kill_node(self) -> None:
        """Kill the worker node's process, without warning."""
        os.kill(self.worker_node, signal.SIGKILL)

    def close(self) -> None:
        """End all of it by force."""
        give_up = time.monotonic() + 30
        while (left := self.processes()) and time.monotonic() < give_up:
            for number in left:
                _kill(number)
            time.sleep(0.1)

    def processes(self, words: str = "") -> list[int]:
        """The processes that carry the mark and have `words` in their command line."""
        return [number for number, said in marked_processes(self.mark) if words in said]

    def _start(self, options: list[str]) -> None:
        command = [str(self.python), "-c", START, "start", *options, *OPTIONS, "--disable-usage-stats"]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=180)
        assert done.returncode == 0, done.stdout + done.stderr

    def _node_processes(self) -> list[int]:
        return self.processes("raylet/raylet ")


@contextmanager
def loopback_cluster(python: Path) -> Iterator[LoopbackCluster]:
    """A cluster; nothing of it is left afterwards."""
    cluster = LoopbackCluster(python)
    try:
        yield cluster
    finally:
        cluster.close()


def marked_processes(mark: str) -> list[tuple[int, str]]:
    """(process id, command line) of every living process that carries `mark` in its environment."""
    wanted, found = f"{MARK}={mark}".encode(), []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            if wanted in (place / "environ").read_bytes() and (said := (place / "cmdline").read_bytes()):
                found.append((int(place.name), said.replace(b"\0", b" ").decode("utf-8", "replace")))
        except OSError:
            continue
    return found


def listeners(numbers: list[int]) -> dict[str, list[int]]:
    """Address -> ports at which these processes listen for TCP."""
    sockets = set()
    for number in numbers:
        for link in Path(f"/proc/{number}/fd").glob("*"):
            try:
                sockets.add(os.readlink(link).removeprefix("socket:[").rstrip("]"))
            except OSError:
                continue
    found: dict[str, list[int]] = {}
    for table, family in (("tcp", socket.AF_INET), ("tcp6", socket.AF_INET6)):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in sockets:
                host, port = fields[1].split(":")
                words = [struct.pack("<I", int(host[at : at + 8], 16)) for at in range(0, len(host), 8)]
                found.setdefault(socket.inet_ntop(family, b"".join(words)), []).append(int(port, 16))
    return found


def wait_for(condition: Callable[[], object], seconds: float = 120) -> None:
    """Wait until `condition` holds."""
    give_up = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up, f"it did not happen within {seconds:g} s"
        time.sleep(0.05)


def _kill(number: int) -> None:
    try:
        os.kill(number, signal.SIGKILL)
    except ProcessLookupError:
        return
