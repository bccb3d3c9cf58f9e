"""What `farm.py folder` costs beside ComfyUI itself: the same pictures through bare servers, and through one and two workers.

    .host/venv/bin/python benchmarks/farm_overhead.py [--pictures 24] [--side 640] [--rounds 3] [--out FILE]

- bare: one ComfyUI, or two side by side, started before the clock; a thread for each hands in a picture, waits, reads the result
  and writes it to a file, and takes the next. No keys, no records, nothing kept.
- folder: `farm.py folder --workers 1`, or 2, on a Ray of its own. Its start-up (Ray, ComfyUI) is told apart.

One thread per server everywhere. Runs alternate; medians and ratios are printed as Markdown. FILE is for `farm_simulation.py
--measured`. Needs a machine with nothing else to do, and two cores.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from loading import PACK, load_pack, note, tiny_file
from split_blend import machine

load_pack()
machines, tools = "tilework.machines", "tilework.tools"
comfy_server = importlib.import_module(f"{machines}.comfy_server")
installation = importlib.import_module(f"{machines}.installation")
links = importlib.import_module(f"{machines}.process.links")
program_environment = importlib.import_module(f"{machines}.process.child").program_environment
environment = importlib.import_module(f"{tools}.setup.environment")
ensure_ray = importlib.import_module(f"{tools}.setup.ray").ensure_ray

SAVE = "6"
WORKFLOW: dict[str, Any] = {
    "1": {"class_type": "LoadImage", "inputs": {"image": "any.png"}},
    "2": {"class_type": "UpscaleModelLoader", "inputs": {"model_name": "tilework_tiny_x2.safetensors"}},
    "3": {
        "class_type": "TileworkTileSplit",
        "inputs": {"image": ["1", 0], "tile_width": 256, "tile_height": 256, "overlap": 32, "multiple_of": 8},
    },
    "4": {"class_type": "ImageUpscaleWithModel", "inputs": {"upscale_model": ["2", 0], "image": ["3", 0]}},
    "5": {"class_type": "TileworkSeamBlend", "inputs": {"tiles": ["4", 0], "layout": ["3", 1], "method": "hann", "trim": 0, "scale": 0}},
    SAVE: {"class_type": "SaveImage", "inputs": {"images": ["5", 0], "filename_prefix": "farm"}},
}
MOST = {"folder beside bare": 1.1, "start up": 20.0}


class Farm:
    """The pictures, and a place for ComfyUI's packs, models and results.

    Args:
        place: an empty folder.
        pictures: how many.
        side: of each, in pixels.
    """

    def __init__(self, place: Path, pictures: int, side: int) -> None:
        self.place, self.host = place, environment.find_host()
        self.base = place / "base"
        for name in ("custom_nodes", "models/upscale_models", "input"):
            (self.base / name).mkdir(parents=True)
        links.link_folder(self.base / "custom_nodes" / "tilework", PACK)
        links.place_file(tiny_file(), self.base / "models" / "upscale_models" / tiny_file().name, share=True)
        (place / "workflow.json").write_text(json.dumps(WORKFLOW), "utf-8")
        self.python = ensure_ray(self.host, note)
        self._make_pictures(pictures, side)

    def bare(self, servers: int) -> float:
        """Seconds for all pictures through so many servers that run already."""
        found = installation.find_installation(self.host.comfy, self.host.python, self.base, ("--cpu",))
        waiting, out = deque(sorted((self.place / "in").iterdir())), Path(tempfile.mkdtemp(dir=self.place))

        def drive(server: Any) -> None:
            while True:
                try:
                    picture = waiting.popleft()
                except IndexError:
                    return
                prompt = json.loads(json.dumps(WORKFLOW))
                prompt["1"]["inputs"]["image"] = server.give(picture, picture.name)
                entry = server.queue.run(prompt)
                with server.read(entry["outputs"][SAVE]["images"][0]) as stream:
                    (out / picture.name).write_bytes(stream.read())

        with ExitStack() as stack:
            made = [comfy_server.ComfyServer(found, self.place / "work", {"OMP_NUM_THREADS": "1"}) for _ in range(servers)]
            for server in made:
                stack.callback(server.close)
            begun = time.monotonic()
            with ThreadPoolExecutor(servers) as pool:
                list(pool.map(drive, made))
            return time.monotonic() - begun

    def folder(self, workers: int, source: str = "in") -> tuple[dict[str, float], float]:
        """What a run of farm.py folder reports of its seconds, and the processor seconds of its driver."""
        out = Path(tempfile.mkdtemp(dir=self.place))
        named = {"--in": self.place / source, "--out": out, "--work": self.place / "work", "--comfy": self.host.comfy}
        named |= {"--python": self.host.python, "--base": self.base, "--workers": workers}
        words = [str(part) for pair in named.items() for part in pair]
        command = [str(self.python), str(PACK / "farm.py"), "folder", str(self.place / "workflow.json"), *words, "--", "--cpu"]
        done = subprocess.Popen(command, env=program_environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        said = done.stdout.read()
        _, status, used = os.wait4(done.pid, 0)
        done.returncode = os.waitstatus_to_exitcode(status)
        if done.returncode:
            raise SystemExit(said)
        return json.loads((out / "report.json").read_text("utf-8"))["seconds"], used.ru_utime + used.ru_stime

    def _make_pictures(self, count: int, side: int) -> None:
        # Pillow and NumPy are in ComfyUI's Python, which runs this.
        import numpy as np
        from PIL import Image

        for folder, pictures in (("in", count), ("one", 1)):
            (self.place / folder).mkdir()
            for number in range(pictures):
                pixels = np.random.default_rng(number).integers(0, 255, (side // 8, side // 8, 3), np.uint8)
                Image.fromarray(pixels).resize((side, side)).save(self.place / folder / f"{number:03}.png")


def measured(farm: Farm, pictures: int, rounds: int) -> dict[str, Any]:
    """All figures, in seconds: medians of `rounds` runs of each, which alternate."""
    bare: dict[int, list[float]] = {1: [], 2: []}
    folder: dict[int, list[dict[str, float]]] = {1: [], 2: []}
    used = []
    for number in range(rounds):
        for workers in (1, 2):
            bare[workers].append(farm.bare(workers))
            seconds, driver = farm.folder(workers)
            folder[workers].append(seconds)
            used.append(driver)
            ours = f"folder {seconds['work']:.1f} s after {seconds['start up']:.1f} s"
            note(f"round {number + 1}, {workers}: bare {bare[workers][-1]:.1f} s, {ours}, driver {driver:.1f} s")
    _, begin = farm.folder(1, "one")
    middle = {workers: statistics.median(bare[workers]) for workers in bare}
    return {
        "pictures": pictures,
        "bare seconds": {str(workers): middle[workers] for workers in middle},
        "folder seconds": {str(workers): statistics.median(run["work"] for run in folder[workers]) for workers in folder},
        "start up": statistics.median(run["start up"] for runs in folder.values() for run in runs),
        "one picture": middle[1] / pictures,
        "crowding of two": 2 * middle[2] / middle[1],
        "driver seconds per picture": max(0.0, (statistics.median(used) - begin) / max(1, pictures - 1)),
    }


def table(figures: dict[str, Any]) -> list[str]:
    """The figures as Markdown."""
    rows = ["| servers or workers | bare, s | farm.py folder, s | ratio | at most |", "|---:|---:|---:|---:|---|"]
    most = MOST["folder beside bare"]
    for workers in ("1", "2"):
        bare, ours = figures["bare seconds"][workers], figures["folder seconds"][workers]
        rows.append(f"| {workers} | {bare:.1f} | {ours:.1f} | {ours / bare:.3f} | {most}: {'met' if ours / bare <= most else 'MISSED'} |")
    bare, ours = figures["bare seconds"], figures["folder seconds"]
    soon = "met" if figures["start up"] <= MOST["start up"] else "MISSED"
    return [
        *rows,
        "",
        f"- {figures['pictures']} pictures of {figures['one picture']:.2f} s; the load of the machine at the end {os.getloadavg()[0]:.1f}",
        f"- two of one: bare {bare['2'] / bare['1']:.2f}, workers {ours['2'] / ours['1']:.2f}",
        f"- start-up {figures['start up']:.1f} s, at most {MOST['start up']:g}: {soon}",
        f"- the driver's processor time per picture: {1000 * figures['driver seconds per picture']:.0f} ms",
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="farm.py folder beside bare ComfyUIs.")
    parser.add_argument("--pictures", type=int, default=24)
    parser.add_argument("--side", type=int, default=640, help="of a picture, in pixels")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        figures = measured(Farm(Path(place), asked.pictures, asked.side), asked.pictures, asked.rounds)
    print(machine(), *table(figures), sep="\n")
    if asked.out:
        asked.out.write_text(json.dumps(figures, indent=1), "utf-8")


if __name__ == "__main__":
    sys.exit(main())
