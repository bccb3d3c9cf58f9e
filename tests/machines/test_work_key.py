"""The key of a piece of work: another one for all that changes a picture, the same for all that does not."""

import json
import os

import pytest
from tilework.machines.installation import find_installation
from tilework.machines.one_job import Job
from tilework.machines.process.host_error import HostError
from tilework.machines.work_key import Digests, file_digest, named_inputs, named_models, surroundings_of, work_key
from tilework.machines.workflow_file import parse_setting, read_workflow
from tilework.tests.machines import stand_in

UI = {
    "id": "a", "extra": {"ds": {"scale": 1}}, "groups": [], "links": [[1, 1, 0, 2, 0, "IMAGE"]],
    "nodes": [
        {"id": 1, "type": "LoadImage", "pos": [0, 0], "size": [3, 4], "mode": 0, "widgets_values": ["example.png", "image"]},
        {"id": 2, "type": "Worker", "pos": [9, 0], "mode": 0, "widgets_values": {"size": 3, "model_name": "weights.safetensors"}},
        {"id": 3, "type": "MarkdownNote", "pos": [5, 5], "widgets_values": ["hello"]},
    ],
}  # fmt: skip


@pytest.fixture
def key(bench, tmp_path):
    """The key as a later process finds it."""

    def look(settings=(), arguments=("--cpu",), **job):
        made = Job(read_workflow(bench.workflow), settings=tuple(parse_setting(text) for text in settings), **job)
        installation = find_installation(bench.comfy, arguments=arguments)
        return work_key(bench.picture, surroundings_of(made, installation, Digests(tmp_path / "digests.json"))).digest

    return look


def test_whatever_can_change_a_picture_changes_the_key(bench, key):
    keys = [key()]
    assert key() == keys[0]

    def another(what, value):
        assert value not in keys, what
        keys.append(value)

    bench.picture.write_bytes(stand_in.picture("other"))
    another("picture", key())
    another("setting", key(["2.strength=2"]))
    another("node that is meant", key(save="3"))
    another("ComfyUI's options", key(arguments=("--cpu", "--fast")))
    for file, content in {
        "custom_nodes/pack/pyproject.toml": b'[project]\nversion = "1.0.1"\n',
        "custom_nodes/pack/__init__.py": b"# mended",
        "custom_nodes/other.py": b"",
        "models/upscale_models/weights.safetensors": b"weighty",
        "comfyui_version.py": b'__version__ = "0.31.0"\n',
        "comfy/samplers.py": b"# mended",
        "input/example.png": b"another mask",
    }.items():
        (bench.comfy / file).write_bytes(content)
        another(file, key())
    bench.write({**stand_in.WORKFLOW, "4": {"class_type": "Worker", "inputs": {}}})
    another("workflow", key())
    bench.write(UI)
    another("form", key())
    bench.write(json.loads(json.dumps(UI).replace('"size": 3, "model', '"size": 4, "model')))
    another("a value that has the name of a looks", key())


def test_what_changes_no_picture_leaves_the_key(bench, key):
    bench.write(UI)
    before = key()
    for old, new in {'"pos": [0, 0]': '"pos": [7, 7]', "hello": "good bye", '"scale": 1': '"scale": 2', '"id": "a"': '"id": "b"'}.items():
        assert old in json.dumps(UI)
        bench.write(json.loads(json.dumps(UI).replace(old, new)))
        assert key() == before, new
    for file in (".git/HEAD.py", "pack.disabled", "__pycache__/x.py", "pack/__pycache__/x.py", "pack/settings.json", "pack/.venv/x.py"):
        path = bench.comfy / "custom_nodes" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
        assert key() == before, file
    (bench.comfy / "models" / "upscale_models" / "unused.safetensors").write_text("x")
    (bench.comfy / "output").mkdir()
    (bench.comfy / "output" / "x.py").write_text("x")
    os.utime(bench.comfy / "models" / "upscale_models" / "weights.safetensors", (1, 1))
    assert key() == before


def test_a_large_file_is_read_again_only_where_it_looks_changed(tmp_path, monkeypatch):
    read = []
    monkeypatch.setattr("tilework.machines.work_key.file_digest", lambda file: read.append(file) or file_digest(file))
    model, memory = tmp_path / "model", tmp_path / "folder" / "digests.json"
    model.write_bytes(b"one")
    first = Digests(memory).of(model)
    assert Digests(memory).of(model) == first and len(read) == 1
    times = model.stat()
    model.write_bytes(b"two")
    os.utime(model, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert Digests(memory).of(model) != first, "of one size and with its old time"
    memory.write_text("[")
    assert Digests(memory).of(model) == file_digest(model)


def test_models_are_found_by_the_ends_of_their_paths_and_embeddings_by_their_word(tmp_path):
    for name in ("loras/sdxl/a.safetensors", "loras/a.safetensors", "ultralytics/bbox/face.pt", "embeddings/bad.pt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    folders = [tmp_path / name for name in ("loras", "ultralytics", "embeddings", "missing")]

    def found(*texts):
        return sorted(name for name, _ in named_models(texts, folders))

    assert found("sdxl\\a.safetensors") == ["loras/sdxl/a.safetensors"]
    assert found("a.safetensors") == ["loras/a.safetensors", "loras/sdxl/a.safetensors"]
    assert found("face.pt", "bbox/face.pt") == ["ultralytics/bbox/face.pt"] * 2
    assert found("a photograph, embedding:bad, sharp") == ["embeddings/bad.pt"]
    assert found("../loras/a.safetensors", "", "hann", "x" * 5000, "loras\n.pt") == []


def test_other_inputs_are_found_and_links_out_of_the_folder_are_not(bench, tmp_path):
    (tmp_path / "secret.png").write_text("x")
    (bench.comfy / "input" / "link.png").symlink_to(tmp_path / "secret.png")
    names = ["example.png", "example.png [input]", "link.png", "../main.py", str(tmp_path / "secret.png"), "none.png"]
    assert {name for name, _ in named_inputs(names, find_installation(bench.comfy))} == {"example.png"}


def test_folders_of_extra_model_paths_are_looked_through(bench, key, tmp_path):
    pytest.importorskip("yaml")
    shared = tmp_path / "shared" / "loras" / "weights.safetensors"
    shared.parent.mkdir(parents=True)
    shared.write_text("first")
    (bench.comfy / "extra_model_paths.yaml").write_text(
        f"mine:\n  base_path: {tmp_path / 'shared'}\n  is_default: true\n  loras: |\n    loras\n"
    )
    before = key()
    shared.write_text("second")
    assert key() != before
    (bench.comfy / "extra_model_paths.yaml").write_text("- a\n")
    with pytest.raises(HostError, match="cannot be read as ComfyUI's list"):
        key()


def test_an_installation_is_found_in_words(bench, monkeypatch, tmp_path):
    monkeypatch.setenv("COMFYUI_PATH", str(bench.comfy))
    assert find_installation().folder == bench.comfy.resolve() and find_installation().version == "0.30.0"
    for said, asked in {
        "is not a ComfyUI": {"named": tmp_path},
        "no folder": {"base": tmp_path / "none"},
        "--port cannot be given": {"arguments": ("--port", "1")},
        "--listen cannot be given": {"arguments": ("--listen=0.0.0.0",)},
    }.items():
        with pytest.raises(HostError, match=said):
            find_installation(**asked)


@pytest.mark.parametrize("text", ["A photograph of a forest in the morning mist. " * 7, "雾." * 90, "a/" + "b." * 128, "\ud800.png"])
def test_a_long_prompt_or_one_that_is_no_text_names_no_file(text, tmp_path):
    (tmp_path / "input").mkdir()
    installation = type("Installation", (), {"base": tmp_path})()
    assert list(named_inputs([text], installation)) == []
