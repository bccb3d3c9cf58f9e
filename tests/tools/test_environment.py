"""dev.py's host: made once, used again, mended where it was left half-made; all without pip and network."""

import subprocess
import sys

import pytest
from tilework.tools.process.host_error import HostError
from tilework.tools.setup import environment, virtual_environment
from tilework.tools.setup.environment import MARK, ensure_host, find_host
from tilework.tools.setup.virtual_environment import STAMP, has_cuda, is_complete, python_of, read_stamp, requirements_key, write_stamp


class FakeTools:
    """Stands in for venv, pip and the interpreter of the environment, and keeps count of them."""

    def __init__(self, root, monkeypatch):
        self.root, self.venv = root, root / "venv"
        self.created = self.installed = 0
        self.works = []
        self.fails = None
        fakes = {"run_step": self.create, "run_pip": self.install, "ask": self.ask, "check_space": lambda *_: None}
        for name, fake in {**fakes, "_works": lambda *_: not self.works or self.works.pop(0)}.items():
            monkeypatch.setattr(virtual_environment, name, fake)
        monkeypatch.setattr(environment, "ensure_comfy", self.comfy)

    def create(self, command, log, env, report):
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
        return str((self.venv / "torch").exists())

    def comfy(self, root, python, report):
        comfy = root / "ComfyUI"
        (comfy / "comfy").mkdir(parents=True, exist_ok=True)
        (comfy / "main.py").touch()
        (comfy / "requirements.txt").write_text("torch\n")


@pytest.fixture
def tools(tmp_path, monkeypatch):
    monkeypatch.setenv("TILEWORK_HOST", str(tmp_path / "host"))
    monkeypatch.setattr(environment, "existing_comfy", lambda repository: None)
    return FakeTools(tmp_path / "host", monkeypatch)


def quiet(line):
    """A report that nobody reads."""


def test_a_second_run_uses_what_the_first_made_and_other_requirements_make_pip_look_again(tools):
    with pytest.raises(HostError, match=r"Run python dev\.py test"):
        find_host()
    first = ensure_host(quiet)
    said = []
    assert ensure_host(said.append) == first == find_host()
    assert (tools.created, tools.installed) == (1, 1) and said == []
    (first.comfy / "requirements.txt").write_text("torch\nnumpy\n")
    with pytest.raises(HostError):
        find_host()
    ensure_host(quiet)
    assert (tools.created, tools.installed) == (1, 2)


@pytest.mark.parametrize("complete_before", [False, True])
@pytest.mark.parametrize("trouble", [HostError("no network"), KeyboardInterrupt()])
def test_a_failed_or_stopped_installation_goes_on_in_the_same_environment(tools, trouble, complete_before):
    if complete_before:
        ensure_host(quiet)
        (tools.venv / "torch").unlink()
    tools.fails = trouble
    with pytest.raises(type(trouble)):
        ensure_host(quiet)
    with pytest.raises(HostError):
        find_host()
    assert not (tools.venv / STAMP).exists(), "what was complete once is not taken for complete"
    tools.fails = None
    ensure_host(quiet)
    assert (tools.created, tools.installed) == (1, 2 + complete_before), "the environment is kept, pip looks again"
    find_host()


@pytest.mark.parametrize("lost", ["pip", "interpreter"])
def test_an_environment_without_pip_or_interpreter_is_made_anew(tools, lost):
    ensure_host(quiet)
    (python_of(tools.venv) if lost == "interpreter" else tools.venv / "pip").unlink()
    (tools.venv / STAMP).unlink()
    said = []
    ensure_host(said.append)
    assert (tools.created, tools.installed) == (2, 2)
    assert any("half-made" in line for line in said)


def test_packages_that_do_not_work_lead_to_a_new_environment_and_are_never_stamped(tools):
    tools.works = [False, True]
    ensure_host(quiet)
    assert (tools.created, tools.installed) == (2, 2)
    (tools.venv / STAMP).unlink()
    tools.works = [False, False]
    with pytest.raises(HostError, match="do not work although pip installed them"):
        ensure_host(quiet)
    assert not (tools.venv / STAMP).exists()


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
        assert read_stamp(tmp_path) == {} and not is_complete(tmp_path, "key")


@pytest.mark.parametrize("precious", ["venv/thesis.txt", ""])
def test_a_folder_with_somebodys_files_is_not_taken_nor_a_file(tools, precious):
    file = tools.root / precious
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("precious")
    with pytest.raises(HostError, match="did not make"):
        ensure_host(quiet)
    assert file.read_text() == "precious" and not (tools.root / MARK).exists()


@pytest.mark.parametrize("missing", ["venv", "ensurepip", None])
def test_a_python_that_cannot_make_environments_is_put_in_words(tools, monkeypatch, missing):
    def broken(command, log, env, report):
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text("ensurepip is not available.")
        return 1

    find = virtual_environment.importlib.util.find_spec
    monkeypatch.setattr(virtual_environment.importlib.util, "find_spec", lambda name: None if name == missing else find(name))
    monkeypatch.setattr(virtual_environment, "run_step", broken)
    with pytest.raises(HostError, match=rf"{f'module {missing} is missing' if missing else 'last lines'}.*python3-venv") as failure:
        ensure_host(quiet)
    assert missing or "ensurepip is not available" in failure.value.detail


def test_cuda_is_asked_once_and_again_on_another_machine(tools, monkeypatch):
    host = ensure_host(quiet)
    asked = []
    monkeypatch.setattr(virtual_environment, "ask", lambda python, code: asked.append(code) or "True")
    for visible in ("0", "0", "none at all"):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
        assert has_cuda(tools.venv)
    assert len(asked) == 2
    assert find_host() == host, "the other stamps are kept"


@pytest.mark.parametrize(("packages", "works"), [(("json",), True), (("json", "a_package_without_its_files"), False)])
def test_what_was_installed_is_imported_and_looked_over_by_pip(tmp_path, monkeypatch, packages, works):
    monkeypatch.setattr(virtual_environment, "CORE_PACKAGES", packages)
    monkeypatch.setattr(virtual_environment, "python_of", lambda venv: sys.executable)
    assert virtual_environment._works(tmp_path, quiet) == works
    assert ("a_package_without_its_files" in (tmp_path / "logs" / "check.log").read_text()) != works


def test_what_works_before_the_environment_imports_the_standard_library_only():
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import tools.commands; "
        "print(sorted({n.split('.')[0] for n in sys.modules} - set(sys.stdlib_module_names) - {'tools', '__main__'}))"
    )
    command = [sys.executable, "-I", "-S", "-c", code, str(environment.REPOSITORY)]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"
