"""The committed table of nodes and model families is what the runs give today."""

import json
import re
import subprocess
import sys
from pathlib import Path

from tilework.tests.pack.families import FAMILIES, NOT_IN_COMFYUI
from tilework.tools.setup.environment import find_host

ROOT = Path(__file__).resolve().parents[2]
# One U-Net, one transformer of pictures, one whose latents have frames; with --release all.
SOME = ("SDXL", "SD3", "Wan")


def committed():
    """Family -> node -> word, and the reasons by their numbers."""
    page = (ROOT / "docs" / "compatibility.md").read_text("utf-8")
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if line.startswith("| ")]
    (_, *names), *rows = rows
    reasons = dict(re.findall(r"^(\d+)\. (.+)$", page, re.MULTILINE))
    return {name: {row[0]: row[1 + index] for row in rows} for index, name in enumerate(names)}, reasons


def test_every_cell_is_as_committed(pytestconfig):
    table, reasons = committed()
    assert list(table) == [*FAMILIES, *NOT_IN_COMFYUI]
    families = list(FAMILIES) if pytestconfig.getoption("--release") else list(SOME)
    command = [sys.executable, str(ROOT / "tests" / "sampling" / "compatibility_runs.py"), str(find_host().comfy), *families]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT.parent)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(next(line for line in done.stdout.splitlines() if line.startswith("RESULT")).removeprefix("RESULT"))
    for family in families:
        wrong = {}
        for node, said in found[family].items():
            word, _, number = table[family][node].partition(" (")
            wanted = f"{word}: {reasons[number.rstrip(')')]}" if number else word
            if said != wanted:
                wrong[node] = (said, wanted)
        assert not wrong, f"{family}: run compatibility_runs.py with --write and read what has changed: {wrong}"
        assert set(found[family]) == set(table[family])
    assert not [cell for column in table.values() for cell in column.values() if cell.startswith("broken")]
