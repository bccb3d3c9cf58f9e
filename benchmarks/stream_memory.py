"""12,000 x 9,000 from tile files to a PNG, an identity step between, blended as a stream: how much memory that takes.

    python benchmarks/stream_memory.py [--width 12000] [--height 9000] [--tile 1024] [--overlap 128] [--method hann ...]

What `farm.py run --split-tiles` does when all tiles are there: `farm.py blend` in a process of its own; beside it the same tiles
blended in memory. Peak resident memory above what importing torch takes, pages of mapped files counted; the stream with hann at most 1 GB.
What comes out is compared with the picture that the tiles are of. Linux; 5 GB of disk in --folder (default: a temporary one).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from loading import PACK, blending, note

MOST = 1e9
WAYS = ("stream", "in memory")
COMPARED_ROWS = 500


def place_values(height: int, width: int) -> Callable[[slice, slice], torch.Tensor]:
    """A picture [1, h, w, 3] that is known at every place without being held: waves, another one in each channel."""
    y, x = torch.arange(float(height))[:, None, None], torch.arange(float(width))[None, :, None]

    def values(rows: slice, columns: slice) -> torch.Tensor:
        waves = torch.sin(y[rows] / 37 + x[:, columns] / 53 + torch.arange(3.0))
        return (0.5 + 0.25 * waves + 0.25 * torch.cos(x[:, columns] / 11))[None]

    return values


def write_tiles(folder: Path, layout: Any, values: Callable[[slice, slice], torch.Tensor]) -> dict[str, Any]:
    """The tiles and the layout as files; the job that blends them."""
    files = blending("pixels.tile_file")
    paths = [files.tile_path(folder, "tile", number) for number in range(len(layout))]
    for path, tile in zip(paths, layout.tiles, strict=True):
        part = values(slice(tile.y, tile.y + tile.height), slice(tile.x, tile.x + tile.width))
        # A tile that reaches over the picture's border is thrown away there.
        pad = (0, 0, 0, tile.width - part.shape[2], 0, tile.height - part.shape[1])
        files.write_tile(path, torch.nn.functional.pad(part, pad))
    files.write_record(folder / "layout.json", layout.to_json())
    named = {"layout": str(folder / "layout.json"), "picture": str(folder / "picture.npy"), "png": str(folder / "picture.png")}
    return {"tiles": [str(path) for path in paths], **named, "trim": 0, "scale": 0, "cut_feather": 0}


def blend_in_memory(job: dict[str, Any]) -> None:
    """All tiles and the picture at once, as a node is given them; prints what it took."""
    stream = _stream()
    before = stream.resident_bytes()
    layout = blending("layout.tile_layout").TileLayout.from_json(Path(job["layout"]).read_text("utf-8"))
    read = blending("pixels.tile_file").read_tile
    blending("composition.compose").compose([read(Path(path)) for path in job["tiles"]], layout, job["method"])
    print(json.dumps({"bytes_before": before, "bytes_at_peak": stream.resident_bytes("VmHWM")}))


def _stream() -> Any:
    blending()
    import tilework.machines.stream_blend as stream

    return stream


def measure(way: str, job: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Bytes above the import of torch, and seconds, of one way in a process of its own."""
    file = folder / "job.json"
    file.write_text(json.dumps(job), "utf-8")
    command = [str(PACK / "farm.py"), "blend"] if way == "stream" else [__file__, "--blend-in-memory"]
    begun = time.monotonic()
    done = subprocess.run([sys.executable, *command, str(file)], stdout=subprocess.PIPE, text=True, check=True, cwd=PACK)
    said = json.loads(done.stdout.strip().splitlines()[-1])
    return {"bytes": said["bytes_at_peak"] - said["bytes_before"], "seconds": time.monotonic() - begun}


def largest_difference(picture: Path, values: Callable[[slice, slice], torch.Tensor]) -> float:
    """Between the picture in the file and the one that its tiles are of."""
    made = np.load(picture, mmap_mode="r")
    tops = range(0, made.shape[1], COMPARED_ROWS)
    parts = [slice(top, top + COMPARED_ROWS) for top in tops]
    return max(float(np.abs(made[:, rows] - values(rows, slice(None)).numpy()).max()) for rows in parts)


def main() -> None:
    """Write the tiles, blend them each way, and print one table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    for name, usual in {"width": 12000, "height": 9000, "tile": 1024, "overlap": 128}.items():
        parser.add_argument(f"--{name}", type=int, default=usual)
    parser.add_argument("--method", nargs="+", default=["hann"])
    parser.add_argument("--folder", type=Path, help="for the files: a new folder in it, which goes afterwards")
    parser.add_argument("--blend-in-memory", type=Path, metavar="JOB", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.blend_in_memory:
        blend_in_memory(json.loads(options.blend_in_memory.read_text("utf-8")))
        return
    height, width = options.height, options.width
    layout = blending("layout.tile_layout").TileLayout.grid(height, width, options.tile, options.tile, options.overlap, 8)
    values = place_values(height, width)
    megabytes = height * width * 12 / 1e6
    print(f"### {width} x {height}, {len(layout)} tiles of {options.tile}, overlap {options.overlap}; the picture: {megabytes:.0f} MB\n")
    print("| method | way | peak above torch, MB | at most | s | max error |\n|---|---|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        note("writing the tiles")
        job = write_tiles(Path(folder), layout, values)
        for method in options.method:
            for way in WAYS:
                note(f"[{method}, {way}]")
                came = measure(way, {**job, "method": method}, Path(folder))
                streamed = way == "stream"
                bound = streamed and method == "hann"
                line = f"{MOST / 1e6:.0f}: {'met' if came['bytes'] <= MOST else 'MISSED'}" if bound else "-"
                error = f"{largest_difference(Path(job['picture']), values):.1e}" if streamed else "-"
                print(f"| {method} | {way} | {came['bytes'] / 1e6:.0f} | {line} | {came['seconds']:.0f} | {error} |", flush=True)


if __name__ == "__main__":
    main()
