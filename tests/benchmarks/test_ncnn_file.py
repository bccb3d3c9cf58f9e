"""Reading ncnn files: the benchmarks' trained networks come in them."""

import numpy as np
import pytest
import torch
from tilework.benchmarks.ncnn_file import layers

FLOAT32, FLOAT16, INT8 = 0, 0x01306B47, 0x000D4B38


def param(*lines):
    return "\n".join(["7767517", f"{len(lines)} {len(lines)}", *lines]) + "\n"


def stored(values, flag=None):
    """Bytes as they lie in a .bin: with the flag in front of weights, filled up to four bytes."""
    raw = np.asarray(values, "<f2" if flag == FLOAT16 else "<f4").tobytes()
    return (b"" if flag is None else flag.to_bytes(4, "little")) + raw + b"\0" * (-len(raw) % 4)


def ramp(*shape):
    return torch.arange(float(np.prod(shape))).reshape(shape)


CONVOLUTION = "Convolution one 1 1 data one 0=2 1=3 5=1 6=54 9=2 -23310=1,0.1"


def test_a_convolution_has_its_weights_and_its_bias():
    content = stored(ramp(54), FLOAT32) + stored([7, 8])
    ((kind, (weight, bias)),) = layers(param("Input data 0 1 data", CONVOLUTION, "ReLU r 1 1 one r"), content)
    assert kind == "Convolution"
    assert torch.equal(weight, ramp(2, 3, 3, 3)) and torch.equal(bias, torch.tensor([7.0, 8.0]))
    assert weight.dtype == bias.dtype == torch.float32


def test_a_kernel_may_be_higher_than_wide():
    ((_, (weight,)),) = layers(param("Convolution one 1 1 data one 0=2 1=1 11=3 6=6"), stored(ramp(6), FLOAT32))
    assert torch.equal(weight, ramp(2, 1, 3, 1))


def test_float16_is_read_and_what_fills_it_up_is_not():
    # Three values of two bytes: two bytes fill them up, and the bias behind them is float32.
    content = stored([1, 2, 3], FLOAT16) + stored([0.5])
    ((_, (weight, bias)),) = layers(param("Convolution one 1 1 data one 0=1 1=1 5=1 6=3"), content)
    assert weight.flatten().tolist() == [1, 2, 3] and bias.tolist() == [0.5]


def test_a_transposed_convolution_is_turned_to_what_pytorch_takes():
    ((kind, (weight,)),) = layers(param("Deconvolution up 1 1 data up 0=2 1=2 3=2 6=24"), stored(ramp(24), FLOAT32))
    assert kind == "Deconvolution" and weight.shape == (3, 2, 2, 2)
    assert torch.equal(weight, ramp(2, 3, 2, 2).transpose(0, 1))


def test_layers_come_in_the_file_s_order_whatever_lies_between_them():
    text = param(
        "Split s 1 2 data a b",
        "PReLU p 1 1 a p 0=3",
        "BinaryOp add 2 1 p b add 0=0",
        "InnerProduct full 1 1 add full 0=2 1=1 2=6",
    )
    slopes, full = layers(text, stored([1, 2, 3]) + stored(ramp(6), FLOAT32) + stored([4, 5]))
    assert slopes.kind == "PReLU" and slopes.tensors[0].tolist() == [1, 2, 3]
    assert full.kind == "InnerProduct" and torch.equal(full.tensors[0], ramp(2, 3)) and full.tensors[1].tolist() == [4, 5]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (stored(ramp(54), FLOAT32), "ends after 220 bytes, and 228 are wanted"),
        (stored(ramp(20), FLOAT32), "not whole"),
        (b"", "not whole"),
        (stored(ramp(54), FLOAT32) + stored([7, 8, 9]), "4 of the .bin's 232 bytes are left over"),
        (stored(ramp(54), INT8) + stored([7, 8]), "flag 0xd4b38"),
    ],
)
def test_a_bin_that_does_not_fit_is_refused(content, words):
    with pytest.raises(ValueError, match=words):
        layers(param(CONVOLUTION), content)


@pytest.mark.parametrize("text", ["", "7767518\n1 1\n", "<html>not found</html>"])
def test_what_is_no_param_is_refused(text):
    with pytest.raises(ValueError, match=r"no ncnn \.param"):
        layers(text, b"")
