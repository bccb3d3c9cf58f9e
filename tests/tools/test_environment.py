"""dev.py's host: made once, used again, mended where it was left half-made; all without pip and network."""

import json
import sys

import pytest
from tilework.tools.process.host_error import HostError
from tilework.tools.setup import environment, virtual_environment
from tilework.tools.setup.environment import MARK, ensure_host, find_host, host_folder
from tilework.tools.setup.virtual_environment import STAMP, is_complete, python_of, read_stamp, requirements_key, write_stamp


class FakeTools:
    """Stands in for venv, pip and the interpreter of the environment, and keeps count of them."""

    def __init__(self, root, monkeypatch):
        self.root = root
        self.created = self.installed = 0
        self.incomplete = []
        self.fails = None
        monkeypatch.setattr(virtual_environment, "run_step", self.create)
        monkeypatch.setattr(virtual_environment, "run_pip", self.install)
        monkeypatch.setattr(virtual_environment, "ask", self.ask)
        monkeypatch.setattr(virtual_environment, "check_space", lambda *_: None)
        monkeypatch.setattr(virtual_environment, "_incomplete", lambda venv: self.incomplete.pop(0) if self.incomplete else [])
        monkeypatch.setattr(environment, "ensure_comfy", self.comfy)

    @property
    def venv(self):
        return self.root / "venv"

    def create(self, command, log, env, report, describe):
        self.created += 1
        python_of(self.venv).parent.mkdir(parents=True)
        python_of(self.venv).touch()
        (self.venv / "pip").touch()
        return 0

    def install(self, python, arguments, root, name, report):
        self.installed += 1
        assert not read_stamp(self.venv), "no stamp while pip is at work"
        if self.fails:
            raise self.fails
        (self.venv / "torch").touch()

    def ask(self, python, code, timeout=0):
        if not python.exists() or not (self.venv / "pip").exists():
            return None
        return "alive" if "alive" in code else str((self.venv / "torch").exists())

    def comfy(self, root, python, report):
        comfy = root / "ComfyUI"
        (comfy / "comfy").mkdir(parents=True, exist_ok=True)
        (comfy / "main.py").touch()
        (comfy / "requirements.txt").write_text("torch\n")
        return comfy


@pytest.fixture
def tools(tmp_path, monkeypatch):
    root = tmp_path / "host"
    monkeypatch.setenv("TILEWORK_HOST", str(root))
    monkeypatch.delenv("COMFYUI_PATH", raising=False)
    monkeypatch.setattr(environment, "existing_comfy", lambda repository: None)
    return FakeTools(root, monkeypatch)


def quiet(line):
    """A report that nobody reads."""


def test_a_second_run_uses_what_the_first_made(tools):
    first = ensure_host(quiet)
    assert (tools.created, tools.installed) == (1, 1)
    said = []
    assert ensure_host(said.append) == first == find_host()
    assert (tools.created, tools.installed) == (1, 1)
    assert said == []


def test_without_a_set_up_the_mend_is_named(tools):
    with pytest.raises(HostError, match=r"Run python dev\.py test"):
        find_host()


@pytest.mark.parametrize("trouble", [HostError("no network"), KeyboardInterrupt()])
def test_a_stopped_installation_is_taken_up_again(tools, trouble):
    tools.fails = trouble
    with pytest.raises(type(trouble)):
        ensure_host(quiet)
    with pytest.raises(HostError):
        find_host()
    tools.fails = None
    ensure_host(quiet)
    assert (tools.created, tools.installed) == (1, 2), "the environment is kept, pip looks again"
    find_host()


def test_a_half_made_environment_is_made_anew(tools):
    python_of(tools.venv).parent.mkdir(parents=True)
    python_of(tools.venv).touch()
    (tools.root / MARK).touch()
    said = []
    ensure_host(said.append)
    assert tools.created == 1
    assert any("half-made" in line for line in said)


def test_an_environment_that_lost_its_interpreter_is_made_anew(tools):
    ensure_host(quiet)
    python_of(tools.venv).unlink()
    ensure_host(quiet)
    assert (tools.created, tools.installed) == (2, 2)


def test_an_environment_that_lost_a_package_is_filled_again(tools):
    ensure_host(quiet)
    (tools.venv / "torch").unlink()
    tools.fails = HostError("no network")
    with pytest.raises(HostError, match="no network"):
        ensure_host(quiet)
    assert not (tools.venv / STAMP).exists(), "what was complete once is not taken for complete"
    tools.fails = None
    ensure_host(quiet)
    assert (tools.created, tools.installed) == (1, 3)


def test_packages_without_their_files_lead_to_a_new_environment(tools):
    tools.incomplete = [["torch"], []]
    said = []
    ensure_host(said.append)
    assert (tools.created, tools.installed) == (2, 2)
    assert any("packages lack files" in line and "torch" in line for line in said)


def test_packages_that_stay_incomplete_are_not_stamped(tools):
    tools.incomplete = [["torch"], ["torch"]]
    with pytest.raises(HostError, match="torch"):
        ensure_host(quiet)
    assert not (tools.venv / STAMP).exists()


def test_other_requirements_make_pip_look_again(tools):
    host = ensure_host(quiet)
    (host.comfy / "requirements.txt").write_text("torch\nnumpy\n")
    with pytest.raises(HostError):
        find_host()


def test_the_key_heeds_content_and_not_line_endings(tmp_path):
    for name, content in (("a", b"x\ny\n"), ("b", b"x\r\ny\r\n"), ("c", b"x\nz\n")):
        (tmp_path / name).write_bytes(content)
    assert requirements_key(tmp_path / "a") == requirements_key(tmp_path / "b") != requirements_key(tmp_path / "c")


def test_a_torn_stamp_counts_as_none(tmp_path):
    write_stamp(tmp_path, requirements="key")
    write_stamp(tmp_path, cuda="False")
    assert read_stamp(tmp_path) == {"requirements": "key", "cuda": "False"}
    for torn in ("", '{"requirements": "ke', "[]"):
        (tmp_path / STAMP).write_text(torn)
        assert read_stamp(tmp_path) == {}
        assert not is_complete(tmp_path, "key")


def test_a_folder_with_somebodys_files_is_not_taken(tools):
    (tools.root / "venv").mkdir(parents=True)
    (tools.root / "venv" / "thesis.txt").write_text("precious")
    with pytest.raises(HostError, match="did not make"):
        ensure_host(quiet)
    assert (tools.root / "venv" / "thesis.txt").exists()


def test_a_file_in_place_of_the_folder_is_put_in_words(tools):
    tools.root.write_text("")
    with pytest.raises(HostError, match="is a file"):
        ensure_host(quiet)


def test_the_folder_is_the_named_one_or_ours(tmp_path):
    assert host_folder({"TILEWORK_HOST": str(tmp_path)}) == tmp_path
    assert host_folder({}) == environment.REPOSITORY / ".host"


@pytest.mark.parametrize("module", ["venv", "ensurepip"])
def test_a_python_that_cannot_make_environments_is_said_beforehand(tools, monkeypatch, module):
    find = virtual_environment.importlib.util.find_spec
    monkeypatch.setattr(virtual_environment.importlib.util, "find_spec", lambda name: None if name == module else find(name))
    with pytest.raises(HostError, match=rf"its module {module} is missing.*python3-venv"):
        ensure_host(quiet)


def test_an_ensurepip_that_fails_is_put_in_words(tools, monkeypatch):
    def broken(command, log, env, report, describe):
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text("The virtual environment was not created successfully because ensurepip is not available.")
        return 1

    monkeypatch.setattr(virtual_environment, "run_step", broken)
    with pytest.raises(HostError, match="cannot put pip in a virtual environment"):
        ensure_host(quiet)


def test_cuda_is_asked_once_and_again_on_another_machine(tools, monkeypatch):
    host = ensure_host(quiet)
    asked = []
    monkeypatch.setattr(environment, "ask", lambda python, code: asked.append(code) or "True")
    assert environment.has_cuda(host)
    assert environment.has_cuda(host)
    assert len(asked) == 1
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "none at all")
    environment.has_cuda(host)
    assert len(asked) == 2
    assert find_host() == host, "the other stamps are kept"


def test_the_package_check_finds_what_lacks_files(tmp_path):
    package = tmp_path / "thing"
    package.mkdir()
    (package / "__init__.py").write_text("x = 1\n")
    info = tmp_path / "thing-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: thing\nVersion: 1.0\n")
    (info / "RECORD").write_text("thing/__init__.py,sha256=x,6\nthing-1.0.dist-info/RECORD,,\n")
    from importlib import metadata

    from tilework.tools.setup.package_check import incomplete

    (found,) = metadata.distributions(path=[str(tmp_path)])
    assert not incomplete(found)
    (package / "__init__.py").write_text("x")
    assert incomplete(found)
    (package / "__init__.py").unlink()
    assert incomplete(found)


def test_the_stamp_is_plain_json(tools):
    ensure_host(quiet)
    assert set(json.loads((tools.venv / STAMP).read_text())) == {"requirements"}


def test_what_works_before_the_environment_imports_the_standard_library_only():
    import subprocess

    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import tools.commands; "
        "print(sorted({n.split('.')[0] for n in sys.modules} - set(sys.stdlib_module_names) - {'tools', '__main__'}))"
    )
    command = [sys.executable, "-I", "-S", "-c", code, str(environment.REPOSITORY)]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"
