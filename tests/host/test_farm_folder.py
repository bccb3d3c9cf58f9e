"""`farm.py folder` with a real ComfyUI on a real Ray cluster of two node processes, and everything killed that can be.

With --release: each case starts a cluster and two ComfyUIs. tests/machines/test_folder.py has the same on a stand-in.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tilework.machines.process.child import program_environment
from tilework.machines.record import BEGUN, read_record
from tilework.tests.host.prompts import blend, node, split
from tilework.tests.machines.loopback_cluster import LoopbackCluster, listeners, loopback_cluster, wait_for
from tilework.tools.setup.environment import find_host
from tilework.tools.setup.ray import ensure_ray

ROOT = Path(__file__).resolve().parents[2]
pytestmark = [
    pytest.mark.skipif("not config.getoption('--release')", reason="minutes: clusters and ComfyUIs"),
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="what is left of processes is looked up in /proc"),
]
COUNT, WORKERS, IN_FLIGHT = 24, 2, 2
GOOD = [f"{'deep/' if number % 2 else ''}picture {number:02}.png" for number in range(COUNT)]
# One is truncated, one overflows the network, one is too small for the filter.
POISON = {
    GOOD[3]: ("truncated", "is cut off"),
    GOOD[11]: ("NaN", "NaN"),
    GOOD[20]: ("1 x 1", "ImageSharpen"),
}
# Too small for the pad of this radius; every other picture is far larger.
RADIUS = 9
WORKFLOW = {
    "1": node("LoadImage", image="any.png"),
    "2": split(["1", 0], 64, 16),
    "3": node("TileworkTestUpscaler", kind="overflowing", seed=1),
    "4": node("ImageUpscaleWithModel", upscale_model=["3", 0], image=["2", 0]),
    "5": blend(["4", 0], ["2", 1]),
    "6": node("ImageSharpen", image=["5", 0], sharpen_radius=RADIUS, sigma=1.0, alpha=0.5),
    "7": node("TileworkTestSlow", image=["6", 0], seconds=0.6),
    "8": node("SaveImage", images=["7", 0], filename_prefix="farm"),
}
LOOPBACK = {"127.0.0.1", "::ffff:127.0.0.1", "::1"}


def make_pictures(folder: Path, poison: bool) -> None:
    """24 small pictures, no two alike; with `poison`, three of them that cannot be made."""
    for number, name in enumerate(GOOD):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 250, (96 + number, 120, 3), np.uint8)
        kind = POISON[name][0] if poison and name in POISON else ""
        if kind == "NaN":
            pixels[:40, :40] = 255
        Image.fromarray(pixels[:1, :1] if kind == "1 x 1" else pixels).save(path)
        if kind == "truncated":
            path.write_bytes(path.read_bytes()[:4000])


@dataclass
class Farm:
    """A folder of pictures, a cluster, and farm.py between the two."""

    place: Path
    base: Path
    python: Path
    cluster: LoopbackCluster
    killed: list[str] = field(default_factory=list)

    @property
    def out(self) -> Path:
        return self.place / "out"

    def command(self, *more: str) -> list[str]:
        host = find_host()
        named = {"--in": self.place / "in", "--out": self.out, "--work": self.place / "work", "--comfy": host.comfy}
        named |= {"--python": host.python, "--base": self.base, "--workers": WORKERS, "--address": self.cluster.address}
        options = [str(part) for pair in named.items() for part in pair]
        return [str(self.python), str(ROOT / "farm.py"), "folder", str(self.place / "workflow.json"), *options, *more, "--", "--cpu"]

    def start(self, *more: str) -> subprocess.Popen:
        said = (self.place / "said.txt").open("ab")
        return subprocess.Popen(self.command(*more), env=self.cluster.environment, stdout=said, stderr=subprocess.STDOUT)

    def said(self) -> str:
        return (self.place / "said.txt").read_text()

    def results(self) -> list[Path]:
        return [path for path in self.out.rglob("*.png") if ".farm" not in path.parts]

    def wait_for_results(self, count: int) -> None:
        wait_for(lambda: len(self.results()) >= count, 240)

    def comfyuis(self) -> list[int]:
        """The servers themselves, without those who keep them, and without Ray's own program of that name."""
        found = self.cluster.processes(str(find_host().comfy / "main.py"))
        return [number for number in found if "keeper.py" not in Path(f"/proc/{number}/cmdline").read_text()]

    def kill(self, what: str, number: int) -> None:
        os.kill(number, signal.SIGKILL)
        self.killed.append(what)


def kill_nothing(farm: Farm) -> None:
    farm.start().wait(400)


def kill_a_worker(farm: Farm) -> None:
    driver = farm.start()
    farm.wait_for_results(6)
    farm.kill("worker", farm.cluster.processes("ray::FolderActor")[0])
    driver.wait(400)


def kill_a_comfyui(farm: Farm) -> None:
    driver = farm.start()
    farm.wait_for_results(6)
    farm.kill("ComfyUI", farm.comfyuis()[0])
    driver.wait(400)


def kill_the_driver(farm: Farm) -> None:
    driver = farm.start()
    farm.wait_for_results(6)
    farm.kill("driver", driver.pid)
    driver.wait(10)
    # A result is there once its key is: between the two the work is done again.
    before = {path: path.stat().st_mtime_ns for path in farm.out.rglob("*.png.key.json")}
    farm.start().wait(400)
    assert all(path.stat().st_mtime_ns == when for path, when in before.items()), "what was there was made again"


def kill_a_node(farm: Farm) -> None:
    driver = farm.start()
    farm.wait_for_results(6)
    farm.cluster.kill_node()
    farm.killed.append("node")
    driver.wait(400)


# What is killed, and how many pictures were in flight at that.
CASES = {
    "nothing": (kill_nothing, 0),
    "a worker": (kill_a_worker, IN_FLIGHT),
    "a ComfyUI": (kill_a_comfyui, IN_FLIGHT),
    "the driver": (kill_the_driver, WORKERS * IN_FLIGHT),
    "a node": (kill_a_node, IN_FLIGHT),
    "poison": (kill_nothing, 0),
}


def run_single(workflow: Path, picture: Path, result: Path, server) -> np.ndarray:
    """What `farm.py run` makes of a picture."""
    words = ["run", str(workflow), "--in", str(picture), "--out", str(result), "--server", server.url]
    done = subprocess.run([sys.executable, "farm.py", *words], cwd=ROOT, env=program_environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return np.asarray(Image.open(result))


@pytest.fixture(scope="module")
def singles(server, tmp_path_factory):
    """Each picture as `farm.py run` makes it: name -> pixels."""
    place = tmp_path_factory.mktemp("singles")
    make_pictures(place / "in", poison=False)
    (place / "workflow.json").write_text(json.dumps(WORKFLOW))
    made = {}
    for name in GOOD:
        made[name] = run_single(place / "workflow.json", place / "in" / name, place / "out" / name, server)
    return made


@pytest.mark.parametrize("case", CASES)
def test_every_picture_is_made_and_nothing_is_left(case, server, singles, tmp_path):
    act, in_flight = CASES[case]
    poison = POISON if case == "poison" else {}
    make_pictures(tmp_path / "in", bool(poison))
    (tmp_path / "workflow.json").write_text(json.dumps(WORKFLOW))
    with loopback_cluster(ensure_ray(find_host())) as cluster:
        farm = Farm(tmp_path, server.base, cluster.python, cluster)
        idle, begun = set(cluster.processes()), time.monotonic()
        watched = _Listeners(cluster)
        try:
            act(farm)
        finally:
            everywhere = watched.stop()
        seconds = time.monotonic() - begun
        said = farm.said()
        assert "Traceback" not in said, said
        wait_for(lambda: set(cluster.processes()) <= idle, 60)
        assert not list((tmp_path / "work").glob("comfy-*")), "a server's folder is left"
    assert not cluster.processes()
    assert everywhere and set(everywhere) <= LOOPBACK, everywhere
    assert not [port for port in _listening() if port in set().union(*everywhere.values())], "a port is left"

    report = json.loads((farm.out / "report.json").read_text())
    rows = {row["picture"]: row for row in report["rows"]}
    assert sorted(rows) == sorted(GOOD), said
    for name, row in rows.items():
        if name in poison:
            assert row["state"] == "put aside" and row["result"] is None and poison[name][1] in row["reason"], row
        else:
            assert np.array_equal(np.asarray(Image.open(farm.out / name)), singles[name]), row
    assert report["counts"]["aside"] == len(poison) and len(farm.results()) == COUNT - len(poison)
    entries = [entry for entry in read_record(farm.out) if entry["event"] == BEGUN]
    again = {name: count for name, count in Counter(entry["picture"] for entry in entries).items() if count > 1}
    # What cannot be made is tried twice.
    assert len(entries) <= COUNT + len(poison) + in_flight, again
    print(
        f"{case}: {len(farm.results())} results in {seconds:.0f} s, begun {len(entries)} times, again {sorted(again)}, {len(poison)} aside"
    )
    print(f"  losses {report['losses']}; {sum(map(len, everywhere.values()))} ports, all on {sorted(everywhere)}")


TILES = {
    "1": node("LoadImage", image="any.png"),
    "2": split(["1", 0], 64, 16),
    "3": node("TileworkTestSlow", image=["2", 0], seconds=0.4),
    "4": blend(["3", 0], ["2", 1]),
    "5": node("SaveImage", images=["4", 0], filename_prefix="farm"),
}
TILE_COUNT, LET_BE = 110, 40


def test_one_picture_is_shared_by_two_nodes_and_outlives_one_of_them(server, tmp_path):
    (tmp_path / "in").mkdir()
    pixels = np.random.default_rng(5).integers(0, 250, (480, 528, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "in" / "large.png")
    (tmp_path / "workflow.json").write_text(json.dumps(TILES))
    single = run_single(tmp_path / "workflow.json", tmp_path / "in" / "large.png", tmp_path / "single.png", server)
    with loopback_cluster(ensure_ray(find_host())) as cluster:
        farm = Farm(tmp_path, server.base, cluster.python, cluster)
        idle, log = set(cluster.processes()), []

        def ended(driver):
            for path in (farm.out / ".farm" / "tiles").glob("*/log.jsonl"):
                log[:] = max(log, [json.loads(line) for line in path.read_text().splitlines()], key=len)
            return driver.poll() is not None or sum(line["event"] == "ended" for line in log) >= wanted

        wanted, driver = LET_BE, farm.start("--split-tiles")
        wait_for(lambda: ended(driver), 240)
        cluster.kill_node()
        wanted = TILE_COUNT + 1
        wait_for(lambda: ended(driver), 240)
        assert driver.returncode == 0 and "Traceback" not in farm.said(), farm.said()
        wait_for(lambda: set(cluster.processes()) <= idle, 60)
        assert not list((tmp_path / "work").glob("comfy-*")), "a server's folder is left"
    assert np.array_equal(np.asarray(Image.open(farm.out / "large.png")), single)
    begun = Counter(line["by"] for line in log if line["event"] == "begun")
    tiles = {line["tile"] for line in log if line["event"] == "begun"}
    assert len(begun) >= 2 and len(tiles) >= TILE_COUNT - 3 and begun.total() <= TILE_COUNT + IN_FLIGHT, begun
    assert not (farm.out / ".farm" / "tiles").exists(), "tile files go when all results are there"
    counts = json.loads((farm.out / "report.json").read_text())["counts"]
    assert counts == {"total": 1, "made": 1, "there": 0, "aside": 0, "left": 0}
    print(f"{TILE_COUNT} tiles begun {begun.total()} times, by each process: {sorted(begun.values())}")


class _Listeners:
    """Looks once a second at which addresses a cluster's processes listen."""

    def __init__(self, cluster: LoopbackCluster) -> None:
        import threading

        self.cluster, self.found, self._over = cluster, {}, threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()

    def stop(self) -> dict[str, set[int]]:
        """Address -> ports, of all that was seen."""
        self._over.set()
        self._thread.join()
        return self.found

    def _look(self) -> None:
        while not self._over.wait(1.0):
            for address, ports in listeners(self.cluster.processes()).items():
                self.found.setdefault(address, set()).update(ports)


def _listening() -> set[int]:
    """Every port at which anybody on this machine listens."""
    lines = [line.split() for table in ("tcp", "tcp6") for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]]
    return {int(fields[1].rpartition(":")[2], 16) for fields in lines if fields[3] == "0A"}
