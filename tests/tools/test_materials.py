"""The example's model and photograph: made once, made again when their script changes, never half there."""

import sys

import pytest
from tilework.tools.demo import materials
from tilework.tools.demo.materials import UPSCALER, ensure_upscaler
from tilework.tools.process.host_error import HostError
from tilework.tools.setup.environment import Host

TRAINER = "import sys, pathlib\nprint('training')\npathlib.Path(sys.argv[sys.argv.index('--out') + 1]).write_text('weights {0}')\n"


@pytest.fixture
def host(tmp_path, monkeypatch):
    monkeypatch.setattr(materials, "TRAINER", tmp_path / "train.py")
    (tmp_path / "train.py").write_text(TRAINER.format(1))
    return Host(tmp_path / "host", tmp_path / "host" / "ComfyUI", sys.executable)


def test_the_model_is_made_once_and_again_when_its_script_changes(host, tmp_path):
    said = []
    model = ensure_upscaler(host, said.append)
    assert model == host.root / "models" / UPSCALER
    assert model.read_text() == "weights 1"
    said.clear()
    ensure_upscaler(host, said.append)
    assert said == [], "it is there already"
    (tmp_path / "train.py").write_text(TRAINER.format(2))
    assert ensure_upscaler(host, said.append).read_text() == "weights 2"
    model.unlink()
    assert ensure_upscaler(host, said.append).exists()


def test_a_failed_training_shows_its_log_and_leaves_no_model(host, tmp_path):
    (tmp_path / "train.py").write_text(TRAINER.format(1) + "raise SystemExit('out of memory')")
    with pytest.raises(HostError, match=rf"{UPSCALER} could not be made") as failure:
        ensure_upscaler(host, print)
    assert "out of memory" in failure.value.detail
    assert list((host.root / "models").iterdir()) == []
    (tmp_path / "train.py").write_text(TRAINER.format(1))
    assert ensure_upscaler(host, print).read_text() == "weights 1"
