"""What the example workflow works on: a small upscale model, trained here, and a photograph."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from ..process.child import program_environment
from ..process.host_error import HostError, tail
from ..process.links import remove_tree
from ..process.lock import make_once
from ..process.long_step import Report, run_step
from ..setup.environment import REPOSITORY, Host

UPSCALER = "tilework_tiny_x2.safetensors"
TRAINER = REPOSITORY / "tests" / "pack" / "train_upscaler.py"
PHOTOGRAPH = "example.png"
# NASA's portrait of the astronaut Eileen Collins (public domain, 512 x 512), out of the scikit-image wheel: nothing is downloaded.
TAKE_PHOTOGRAPH = "import sys, skimage.data; from PIL import Image; Image.fromarray(skimage.data.astronaut()).save(sys.argv[1], 'PNG')"


def ensure_upscaler(host: Host, report: Report = print) -> Path:
    """The tiny x2 upscaler, trained again where it is missing or its script has changed."""
    model = host.root / "models" / UPSCALER
    stamp = model.with_suffix(".json")
    script = hashlib.sha256(b"\n".join(TRAINER.read_bytes().splitlines())).hexdigest()

    def make() -> None:
        report("Training the small upscaler that the example uses (once, about half a minute).")
        stamp.unlink(missing_ok=True)
        _run(host, [str(TRAINER), "--out"], model, report)
        stamp.write_text(json.dumps({"script": script}), "utf-8")

    make_once(host.root, lambda: model.is_file() and stamp.is_file() and script in stamp.read_text("utf-8"), make, report)
    return model


def ensure_photograph(host: Host, report: Report = print) -> Path:
    """The photograph that the example loads."""
    picture = host.root / "pictures" / PHOTOGRAPH

    def make() -> None:
        report("Taking the photograph out of scikit-image.")
        _run(host, ["-I", "-c", TAKE_PHOTOGRAPH], picture, report)

    make_once(host.root, picture.is_file, make, report)
    return picture


def _run(host: Host, command: list[str], file: Path, report: Report) -> None:
    """Let the environment's Python make `file`: under another name first, so what bears the name is whole."""
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_name(f"unfinished-{file.name}")
    log = host.root / "logs" / f"{file.stem}.log"
    env = program_environment(OMP_NUM_THREADS="1", PYTHONUNBUFFERED="1", PYTHONIOENCODING="utf-8")
    status = run_step([str(host.python), *command, str(unfinished)], log, env, report)
    if status or not unfinished.is_file():
        remove_tree(unfinished)
        raise HostError(f"{file.name} could not be made (status {status}). The end of the log {log}:", tail(log))
    unfinished.replace(file)
