"""What dev.py says when pip fails or the disk is too small."""

import collections

import pytest
from tilework.tools.process.host_error import HostError
from tilework.tools.setup import pip

Usage = collections.namedtuple("Usage", "total used free")


@pytest.fixture
def failing(tmp_path, monkeypatch):
    """A pip that fails with a line in its log; call it to run it on a disk with so much room, and get the error."""

    def run_step(command, log, env, report):
        log.parent.mkdir(parents=True)
        log.write_text("Collecting torch\nERROR: No matching distribution found for torch==2.11.0\n")
        return 1

    def fail(free):
        monkeypatch.setattr(pip, "run_step", run_step)
        monkeypatch.setattr(pip.shutil, "disk_usage", lambda _: Usage(10e9, 10e9 - free, free))
        with pytest.raises(HostError) as failure:
            pip.run_pip("python", ["install", "torch"], tmp_path, "install", print)
        assert not (tmp_path / "tmp" / "pip").exists(), "pip's temporary files are gone"
        assert "No matching distribution" in failure.value.detail and "goes on from here" in failure.value.message
        return failure.value.message

    return fail


def test_a_failing_pip_is_one_paragraph_with_its_last_lines_and_the_log_named(failing, tmp_path):
    said = failing(free=5e9)
    assert "\n" not in said and "3.11, 3.12 or 3.13" in said and str(tmp_path / "logs" / "install.log") in said


def test_a_disk_too_full_to_write_the_reason_down_is_recognised(failing):
    assert "became full" in failing(free=4096)


def test_pip_does_not_heed_variables_that_lead_it_elsewhere(tmp_path, monkeypatch):
    seen = {}
    monkeypatch.setattr(pip, "run_step", lambda command, log, env, report: seen.update(env) or 0)
    for name in ("PIP_USER", "PIP_TARGET", "PYTHONPATH", "PYTHONHOME"):
        monkeypatch.setenv(name, "elsewhere")
    monkeypatch.setenv("PIP_INDEX_URL", "kept")
    pip.run_pip("python", ["install", "torch"], tmp_path, "install", print)
    assert "elsewhere" not in seen.values() and seen["PIP_INDEX_URL"] == "kept"
    assert seen["TMPDIR"].startswith(str(tmp_path)), "a small system folder for temporary files must not matter"


def test_too_small_a_disk_is_said_beforehand(tmp_path, monkeypatch):
    monkeypatch.setattr(pip.shutil, "disk_usage", lambda _: Usage(10e9, 7e9, 3e9))
    with pytest.raises(HostError, match=r"needs about 9 GB, and the disk of .* has 3.0 GB free.*TILEWORK_HOST"):
        pip.check_space(tmp_path, 9, "The environment")
    pip.check_space(tmp_path, 3, "The environment")
