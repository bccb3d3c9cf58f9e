"""What was measured once costs nothing again: in this start of the host, in the next one, and whatever lies in the folder."""

import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from ..host.recording import comfy

import folder_paths  # isort: skip
from tilework.models import kept_fields, receptive_fields  # isort: skip
from tilework.models.receptive_fields import upscaler_field  # isort: skip
from tilework.models.upscaler import Upscaler  # isort: skip
from tilework.tests.pack.upscale_models import described  # isort: skip
from tilework.tests.pack.upscalers import PlainUpscaler  # isort: skip

HALF = 0.5 / 255
PASS = 256 * 256


class Counted(PlainUpscaler):
    """Counts its runs, and the pixels of them."""

    def __init__(self, radius=4, seed=0):
        super().__init__(radius, seed)
        self.shapes = []

    def forward(self, x):
        self.shapes.append(tuple(x.shape))
        return super().forward(x)


@pytest.fixture(autouse=True)
def no_gradients():
    with torch.inference_mode():
        yield


def measured(threshold=HALF, **more):
    """A model loaded anew, as after a start of the host: what was found, and how often it was run for that."""
    with torch.inference_mode(False):
        network = Counted(**more)
    return upscaler_field(Upscaler(described(network)), threshold), len(network.shapes)


def kept():
    folder = Path(folder_paths.get_user_directory()) / kept_fields.FOLDER
    return sorted(folder.iterdir()) if folder.is_dir() else []


def warnings(caplog):
    return [
        record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING and "receptive field" in record.getMessage()
    ]


def test_the_second_time_costs_nothing():
    first, runs = measured()
    again, none = measured()
    assert runs > 0 == none and len(kept()) == 1
    assert again.report == first.report and again.headline == first.headline
    assert json.loads(kept()[0].read_text())["key"]["threshold"] == HALF


SCRIPT = """
import tilework.tests.host.recording
import folder_paths, torch
folder_paths.set_user_directory({folder!r})
from tilework.tests.models import test_kept_fields
with torch.inference_mode():
    found, runs = test_kept_fields.measured()
print("RUNS", runs, found.headline)
"""


def test_in_a_new_process_too():
    # Under the name that its class has there: a network is known by it.
    from tilework.tests.models import test_kept_fields

    found, runs = test_kept_fields.measured()
    start = f"import sys; sys.path.insert(0, {str(Path(__file__).resolve().parents[2])!r}); import tests.conftest\n"
    script = start + SCRIPT.format(folder=folder_paths.get_user_directory())
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    said = next((line for line in done.stdout.splitlines() if line.startswith("RUNS")), done.stderr)
    print(runs, said)
    assert runs and said == f"RUNS 0 {found.headline}"


def test_another_network_threshold_or_version_is_measured(monkeypatch):
    measured()
    assert measured(HALF / 2)[1] and measured(seed=1)[1] and measured(radius=3)[1] and len(kept()) == 4
    monkeypatch.setattr(receptive_fields, "MEASURING", receptive_fields.MEASURING + 1)
    assert measured()[1] and len(kept()) == 5


def garbage(path):
    path.write_bytes(b"\x00\xff{{{")


def nested(path):
    path.write_text("[" * 100_000)


def huge(path):
    path.write_bytes(b" " * (kept_fields.MOST_BYTES + 1))


def of_another(path):
    path.write_text(path.read_text().replace('"upscale"', '"decode"'))


def impossible(path):
    record = json.loads(path.read_text())
    record["field"]["trim"] = -5
    path.write_text(json.dumps(record))


def endless(path):
    path.write_text(path.read_text().replace('"floor": 0.0', '"floor": NaN'))


@pytest.mark.parametrize("spoil", [garbage, nested, huge, of_another, impossible, endless])
def test_a_broken_file_is_told_of_and_replaced(caplog, spoil):
    first, runs = measured()
    (path,) = kept()
    before = path.read_text()
    spoil(path)
    again, repeated = measured()
    (said,) = warnings(caplog)
    print(said)
    assert repeated == runs and again.report == first.report and "measuring again" in said
    assert path.read_text() == before and measured()[1] == 0


def test_what_is_no_file_is_not_opened(tmp_path):
    measured()
    (path,) = kept()
    elsewhere = tmp_path / "elsewhere.json"
    path.rename(elsewhere)
    path.symlink_to(elsewhere)
    assert measured()[1] and not path.is_symlink()
    if hasattr(os, "mkfifo"):
        path.unlink()
        os.mkfifo(path)
        assert measured()[1] and path.is_file()


@pytest.mark.parametrize("in_the_way", ["user", "user/" + kept_fields.FOLDER])
def test_a_folder_that_cannot_be_written_is_told_of_and_fails_nothing(caplog, tmp_path, in_the_way):
    (tmp_path / in_the_way).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / in_the_way).write_text("a file")
    found, runs = measured()
    print(warnings(caplog))
    assert runs and found.field.radius and any("could not be kept" in said for said in warnings(caplog))


def test_what_cannot_be_finished_leaves_nothing_behind(monkeypatch, caplog):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(kept_fields.os, "replace", full)
    assert measured()[1] and kept() == [] and "No space left" in warnings(caplog)[0]


def test_only_so_many_are_kept_and_those_in_use_longest(monkeypatch):
    monkeypatch.setattr(kept_fields, "MOST_FILES", 3)
    for seed in range(3):
        measured(seed=seed)
        os.utime(max(kept(), key=lambda file: file.stat().st_mtime_ns), (1e9 + seed, 1e9 + seed))
    (Path(folder_paths.get_user_directory()) / kept_fields.FOLDER / "notes.txt").write_text("mine")
    assert measured(seed=0)[1] == 0, "used again, so it is not the oldest any more"
    measured(seed=3)
    assert len(kept()) == 4 and any(file.name == "notes.txt" for file in kept())
    assert measured(seed=0)[1] == 0 and measured(seed=2)[1] == 0 and measured(seed=1)[1] > 0


def test_a_cancelled_measurement_is_not_kept():
    class Cancelled(Counted):
        def forward(self, x):
            if len(self.shapes) > 5:
                raise comfy.model_management.InterruptProcessingException
            return super().forward(x)

    with torch.inference_mode(False):
        model = described(Cancelled())
    with pytest.raises(comfy.model_management.InterruptProcessingException):
        upscaler_field(Upscaler(model), HALF)
    assert kept() == []


def test_numbers_that_cannot_be_read_are_measured_at_each_start(monkeypatch):
    monkeypatch.setattr(receptive_fields, "identity", lambda network: None)
    assert measured()[1] and measured()[1] and kept() == []


def test_a_model_that_has_run_is_still_the_same_model():
    """The host notes in a network what it has loaded of it: those are no settings of the network."""
    from tilework.blending.networks.network_identity import identity

    with torch.inference_mode(False):
        network, fresh = Counted(), Counted()
    before = identity(network)
    Upscaler(described(network)).load(0)
    assert identity(network) == before
    upscaler_field(Upscaler(described(network)), HALF)
    upscaler_field(Upscaler(described(fresh)), HALF)
    assert network.shapes and not fresh.shapes
