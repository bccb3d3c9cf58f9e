"""The weights in a pair of ncnn files: a .param, which names the layers, and a .bin, which holds their weights in that order.

The format is ncnn's own (Tencent/ncnn, docs/developer-guide/param-and-model-file-structure.md and operation-param-weight-table.md).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch

MAGIC = "7767517"
# The word in front of weights says what they are stored as. Biases and slopes have none, and are float32.
STORED_AS = {0: np.dtype("<f4"), 0x01306B47: np.dtype("<f2")}
ALIGNED_TO = 4  # bytes
FIRST_ATTRIBUTE = 4  # behind type, name and the numbers of inputs and outputs come these, then the attributes


class Layer(NamedTuple):
    """A layer that has weights.

    Attributes:
        kind: "Convolution", "Deconvolution", "InnerProduct" or "PReLU".
        tensors: float32, as PyTorch has them: [out, in, h, w] of a convolution, [in, out, h, w] of a transposed one, [out, in] of an
            inner product, each with its bias [out] behind it where there is one; [n] of a PReLU.
    """

    kind: str
    tensors: list[torch.Tensor]


class _Weights:
    """The content of a .bin, read from front to back."""

    def __init__(self, content: bytes) -> None:
        self.content, self.at = content, 0

    def plain(self, count: int, dtype: np.dtype = STORED_AS[0]) -> torch.Tensor:
        """The next `count` numbers as float32 [count]."""
        length = count * dtype.itemsize
        if self.at + length > len(self.content):
            raise ValueError(f"the .bin ends after {len(self.content)} bytes, and {self.at + length} are wanted: it is not whole")
        values = np.frombuffer(self.content, dtype, count, self.at).astype(np.float32)
        self.at += -(-length // ALIGNED_TO) * ALIGNED_TO
        return torch.from_numpy(values)

    def flagged(self, count: int) -> torch.Tensor:
        """The same, with the word in front that says what they are stored as."""
        flag = int.from_bytes(self.content[self.at : self.at + ALIGNED_TO], "little")
        if flag not in STORED_AS:
            raise ValueError(f"the weights at byte {self.at} have the flag {flag:#x}: float32 (0x0) and float16 (0x1306b47) can be read")
        self.at += ALIGNED_TO
        return self.plain(count, STORED_AS[flag])


def layers(param: str, content: bytes) -> list[Layer]:
    """The layers that have weights, in the file's order.

    Args:
        param: the text of the .param.
        content: of the .bin.

    Raises:
        ValueError: where one of them is no such file, where they do not belong together, and where the weights are stored in a way or
            belong to a layer that this cannot read.
    """
    lines = [line.split() for line in param.splitlines() if line.strip()]
    if not lines or lines[0] != [MAGIC]:
        raise ValueError(f"this is no ncnn .param: it does not begin with {MAGIC}")
    weights = _Weights(content)
    found = list(_with_weights(lines[2:], weights))
    if weights.at != len(content):
        raise ValueError(
            f"{len(content) - weights.at} of the .bin's {len(content)} bytes are left over: it is another .param's, or has layers "
            "that cannot be read"
        )
    return found


def _with_weights(lines: list[list[str]], weights: _Weights) -> Iterator[Layer]:
    for words in lines:
        kind, inputs, outputs = words[0], int(words[2]), int(words[3])
        of = dict(word.split("=", 1) for word in words[FIRST_ATTRIBUTE + inputs + outputs :])
        if kind in ("Convolution", "Deconvolution"):
            out, width, count = (int(of[key]) for key in ("0", "1", "6"))
            height = int(of.get("11", width))
            tensor = weights.flagged(count).reshape(out, -1, height, width)
            tensors, biased = [tensor.transpose(0, 1).contiguous() if kind == "Deconvolution" else tensor], of.get("5")
        elif kind == "InnerProduct":
            out, count = int(of["0"]), int(of["2"])
            tensors, biased = [weights.flagged(count).reshape(out, -1)], of.get("1")
        elif kind == "PReLU":
            out, tensors, biased = 0, [weights.plain(int(of["0"]))], None
        else:
            continue
        yield Layer(kind, tensors + ([weights.plain(out)] if biased == "1" else []))
