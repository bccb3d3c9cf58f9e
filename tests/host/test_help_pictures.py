"""The pictures of the help pages are what the mathematics gives today, not a drawing of it."""

import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image
from tilework.tools.process.child import program_environment

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "web" / "docs" / "pictures"


def test_the_script_makes_the_pictures_that_are_there(tmp_path):
    command = [sys.executable, "-m", "tools.help.pages", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, env=program_environment(OMP_NUM_THREADS="1"), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    made = sorted(path.name for path in tmp_path.iterdir())
    assert len(made) >= 15
    for name in made:
        new, old = (np.asarray(Image.open(folder / name).convert("RGB"), dtype=np.float32) for folder in (tmp_path, FOLDER))
        assert new.shape == old.shape and np.abs(new - old).mean() < 4, f"{name}: python -m tools.help.pages, and look at it"
