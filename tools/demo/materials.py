"""What the example workflow works on: a small upscale model, trained here, and a photograph."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from ..process.child import surroundings
from ..process.host_error import HostError, from_os_error, tail
from ..process.links import remove_tree
from ..process.lock import held
from ..process.long_step import Report, last_line, run_step
from ..setup.environment import REPOSITORY, Host

UPSCALER = "tilework_tiny_x2.safetensors"
TRAINER = REPOSITORY / "tests" / "pack" / "train_upscaler.py"
PHOTOGRAPH = "example.png"
PHOTOGRAPH_SCRIPT = Path(__file__).with_name("photograph.py")


def ensure_upscaler(host: Host, report: Report = print) -> Path:
    """The tiny x2 upscaler, trained again where it is missing or its script has changed."""
    model = host.root / "models" / UPSCALER
    script = hashlib.sha256(b"\n".join(_read(TRAINER).splitlines())).hexdigest()

    def is_current() -> bool:
        return model.is_file() and _stamp(model) == script

    def make() -> None:
        report("Training the small upscaler that the example uses (once, about half a minute).")
        _run(host, [str(TRAINER)], ["--out"], model, report)
        _stamp_file(model).write_text(json.dumps({"script": script}), "utf-8")

    _ensure(host, model, is_current, make, report)
    return model


def ensure_photograph(host: Host, report: Report = print) -> Path:
    """The photograph that the example loads."""
    picture = host.root / "pictures" / PHOTOGRAPH

    def make() -> None:
        report("Taking the photograph out of scikit-image.")
        _run(host, ["-I", str(PHOTOGRAPH_SCRIPT)], [], picture, report)

    _ensure(host, picture, picture.is_file, make, report)
    return picture


def _ensure(host: Host, file: Path, is_current, make, report: Report) -> None:
    try:
        if is_current():
            return
        with held(host.root / "setup.lock", report):
            # Whoever had the lock may have made it.
            if not is_current():
                file.parent.mkdir(parents=True, exist_ok=True)
                _stamp_file(file).unlink(missing_ok=True)
                make()
    except OSError as error:
        raise from_os_error(error) from error


def _run(host: Host, command: list[str], flags: list[str], file: Path, report: Report) -> None:
    """Let the environment's Python make `file`: under another name first, so what bears the name is whole."""
    unfinished = file.with_name(f"unfinished-{file.name}")
    log = host.root / "logs" / f"{file.stem}.log"
    env = surroundings(OMP_NUM_THREADS="1", PYTHONUNBUFFERED="1", PYTHONIOENCODING="utf-8")
    status = run_step([str(host.python), *command, *flags, str(unfinished)], log, env, report, last_line)
    if status or not unfinished.is_file():
        remove_tree(unfinished)
        raise HostError(f"{file.name} could not be made (status {status}). The end of the log {log}:", tail(log))
    unfinished.replace(file)


def _stamp_file(file: Path) -> Path:
    return file.with_suffix(".json")


def _stamp(file: Path) -> str | None:
    try:
        return json.loads(_stamp_file(file).read_text("utf-8")).get("script")
    except (OSError, ValueError, AttributeError):
        return None


def _read(script: Path) -> bytes:
    try:
        return script.read_bytes()
    except OSError as error:
        raise HostError(f"{script} is missing: this is not the whole repository. Clone it, or fetch all its files.") from error
