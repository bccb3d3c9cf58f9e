"""What dev.py says when pip fails or the disk is too small."""

import collections
import errno

import pytest
from tilework.tools.process.host_error import HostError, from_os_error
from tilework.tools.process.long_step import pip_activity
from tilework.tools.setup import pip
from tilework.tools.setup.pip_failures import explain

NETWORK = (
    "WARNING: Retrying (Retry(total=0, connect=None)) after connection broken by 'NewConnectionError(': Failed to establish "
    "a new connection: [Errno 111] Connection refused')': /simple/torch/\n"
    "ERROR: Could not find a version that satisfies the requirement torch==2.11.0 (from versions: none)\n"
    "ERROR: No matching distribution found for torch==2.11.0\n"
)


@pytest.mark.parametrize(
    ("output", "words"),
    [
        ("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device\n", "disk became full"),
        ("OSError: [WinError 112] There is not enough space on the disk", "disk became full"),
        ("error: Microsoft Visual C++ 14.0 or greater is required.", "no working C compiler"),
        ("error: command 'x86_64-linux-gnu-gcc' failed: No such file or directory", "no working C compiler"),
        ("error: [Errno 2] No such file or directory: 'gcc'", "no working C compiler"),
        ("xcrun: error: invalid active developer path (/Library/Developer)", "no working C compiler"),
        (NETWORK, "could not be reached"),
        ("socket.gaierror: [Errno -3] Temporary failure in name resolution", "could not be reached"),
        ("ERROR: No matching distribution found for torch==2.11.0", "no file of a needed package"),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE", "arrived broken"),
        ("urllib3.exceptions.IncompleteRead: IncompleteRead(100 bytes read, 20 more expected)", "arrived broken"),
        ("ssl.SSLCertVerificationError: CERTIFICATE_VERIFY_FAILED", "certificate"),
        ("ERROR: Could not install packages due to an OSError: [Errno 13] Permission denied: '/x'", "not allowed"),
        ("ERROR: something new", "does not know"),
    ],
)
def test_every_known_failure_has_its_words(output, words):
    said = explain(f"Collecting torch\n{output}\n")
    assert words in said
    assert "again" in said
    assert "\n" not in said


def test_a_failing_pip_is_one_paragraph_with_the_log_named(tmp_path, monkeypatch):
    def run_step(command, log, env, report, describe):
        log.parent.mkdir(parents=True)
        log.write_text("Collecting torch\nERROR: [Errno 28] No space left on device\n")
        return 1

    monkeypatch.setattr(pip, "run_step", run_step)
    with pytest.raises(HostError) as failure:
        pip.run_pip("python", ["install", "torch"], tmp_path, "install", print)
    assert "disk became full" in failure.value.message
    assert str(tmp_path / "logs" / "install.log") in failure.value.message
    assert "No space left" in failure.value.detail
    assert not (tmp_path / "tmp" / "pip").exists(), "pip's temporary files are gone"


def test_pip_does_not_heed_variables_that_lead_it_elsewhere(tmp_path, monkeypatch):
    seen = {}
    monkeypatch.setattr(pip, "run_step", lambda command, log, env, report, describe: seen.update(env) or 0)
    for name in ("PIP_USER", "PIP_TARGET", "PYTHONPATH", "PYTHONHOME"):
        monkeypatch.setenv(name, "elsewhere")
    monkeypatch.setenv("PIP_INDEX_URL", "kept")
    pip.run_pip("python", ["install", "torch"], tmp_path, "install", print)
    assert not {"PIP_USER", "PIP_TARGET", "PYTHONPATH", "PYTHONHOME"} & set(seen)
    assert seen["PIP_INDEX_URL"] == "kept"
    assert seen["TMPDIR"].startswith(str(tmp_path)), "a small system folder for temporary files must not matter"


def test_a_disk_too_full_to_write_the_reason_down_is_recognised(tmp_path, monkeypatch):
    usage = collections.namedtuple("usage", "total used free")
    monkeypatch.setattr(pip.shutil, "disk_usage", lambda _: usage(10e9, 10e9, 4096))
    monkeypatch.setattr(pip, "run_step", lambda *_: 1)
    with pytest.raises(HostError, match="disk became full"):
        pip.run_pip("python", ["install", "torch"], tmp_path, "install", print)


def test_too_small_a_disk_is_said_beforehand(tmp_path, monkeypatch):
    usage = collections.namedtuple("usage", "total used free")
    monkeypatch.setattr(pip.shutil, "disk_usage", lambda _: usage(10e9, 7e9, 3e9))
    with pytest.raises(HostError, match=r"needs about 9 GB, and the disk of .* has 3.0 GB free.*TILEWORK_HOST"):
        pip.check_space(tmp_path, 9, "The environment")
    pip.check_space(tmp_path, 3, "The environment")


def test_a_disk_that_fills_up_under_us_is_put_in_words():
    assert "disk is full" in from_os_error(OSError(errno.ENOSPC, "No space left on device", "/x/y")).message
    assert "/x/y" in from_os_error(OSError(errno.ENOSPC, "No space left on device", "/x/y")).message
    assert "permission" in from_os_error(PermissionError(errno.EACCES, "Permission denied", "/x")).message


def test_the_sign_of_life_says_what_pip_does():
    log = "Collecting torch==2.11.0 (from x)\n  Downloading torch-2.11.0-cp311-cp311-manylinux_2_28_x86_64.whl (530.6 MB)\n"
    assert pip_activity("") == "pip is starting"
    assert pip_activity(log).startswith("downloading torch-2.11.0")
    assert "530.6 MB" in pip_activity(log)
    assert pip_activity(log + "Installing collected packages: a, b\n").startswith("installing")
    assert "tries again" in pip_activity(log + "WARNING: Retrying (Retry(total=4)) after connection broken\n")
