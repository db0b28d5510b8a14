"""What each ONNX operator refuses, one node at a time: the rule and the fix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from tensaw.compiler.frontends.onnx import load_onnx
from tensaw.networks.onnx_writer import OnnxWriter
from tensaw.spec.errors import ModelError

IMAGE = (1, 3, 8, 8)
ONES = np.ones((3, 3, 3, 3), np.int8)

# (operator, shape of the input, further constant inputs, attributes, part of the message)
Case = tuple[str, Sequence[int], Sequence[npt.ArrayLike], dict[str, Any], str]
CASES: list[Case] = [
    ("MaxPool", IMAGE, [], {"kernel_shape": [2, 2], "dilations": [2, 2]},
     "has dilations [2, 2], and pooling windows are dense; pool without dilation."),
    ("MaxPool", IMAGE, [], {"kernel_shape": [2]}, "has the kernel_shape [2] for a tensor of 4 dimensions;"),
    ("MaxPool", IMAGE, [], {"kernel_shape": [9, 9]},
     "has a window of [9, 9] for an image of [8, 8] padded by [0, 0, 0, 0];"),
    ("MaxPool", IMAGE, [], {"kernel_shape": [2, 2], "pads": [2, 0, 0, 0]},
     "has pads [2, 0, 0, 0], which must be smaller than its kernel [2, 2];"),
    ("MaxPool", IMAGE, [], {"kernel_shape": [2, 2], "auto_pad": "SAME"},
     "has the auto_pad 'SAME', which must be NOTSET, VALID, SAME_UPPER or SAME_LOWER;"),
    ("MaxPool", IMAGE, [], {"kernel_shape": [2, 2], "strides": [0, 1]},
     "has strides [0, 1], which must be positive integers for one or two dimensions;"),
    ("ReduceMean", IMAGE, [], {"axes": [1]},
     "averages over the axes [1] of 4 dimensions, and only the mean over all spatial axes of an (N, C, H, W) tensor"),
    ("Softmax", IMAGE, [], {"axis": 2},
     "runs over axis 2 of a tensor of shape [1, 3, 8, 8], and it must be the channels"),
    ("Softmax", IMAGE, [], {"axis": 4}, "names the axes [4], which a tensor of 4 dimensions does not have;"),
    ("Gemm", (1, 3), [np.ones((3, 2), np.int8)], {"transA": 1},
     "has transA set, and the NPU transposes no activations; transpose the input outside."),
    ("Gemm", (1, 3), [np.ones((3, 2), np.int8)], {"alpha": -1.0},
     "has alpha -1.0 and beta 1.0, and alpha must be positive;"),
    ("Gemm", (1, 4), [np.ones((3, 2), np.int8)], {},
     "multiplies a tensor of shape [1, 4] by weights of shape [2, 3] (outputs, inputs);"),
    ("Conv", IMAGE, [np.ones((3, 2, 3, 3), np.int8)], {},
     "has weights [3, 2, 3, 3] in 1 groups for an input of 3 channels;"),
    ("Conv", IMAGE, [ONES[0]], {}, "has weights of 3 dimensions for an input of 4;"),
    ("Conv", IMAGE, [ONES], {"kernel_shape": [2, 2]}, "has a kernel_shape that differs from its weights';"),
    ("Conv", (1, 3), [ONES], {},
     "works on a tensor of 2 dimensions, [1, 3], and images must be (1, C, H, W) or (1, C, L);"),
    ("Conv", IMAGE, [ONES], {"pads": [-1, 0, 0, 0]},
     "has pads [-1, 0, 0, 0], which must be integers from 0 up, two for each dimension;"),
    ("PRelu", IMAGE, [np.ones((3, 1, 1), np.float32)], {},
     "has a slope per channel, and a table serves a whole tensor; use one slope, or LeakyRelu."),
    ("Clip", IMAGE, [np.ones(2, np.float32)], {}, "has a bound of shape [2] and type float32, not one float;"),
    ("Div", IMAGE, [np.ones((3, 1, 1), np.int8)], {},
     "divides two tensors, and only a constant divisor is supported; multiply by a constant."),
    ("Add", IMAGE, [np.ones((3, 1, 1), np.float32)], {},
     "combines a tensor with a float constant of more than one value, and both sides must be quantised;"),
    ("Add", IMAGE, [np.ones((5, 1, 1), np.int8)], {},
     "combines shapes [1, 3, 8, 8] and [5, 1, 1], which do not broadcast;"),
    ("Pad", IMAGE, [np.zeros(8, np.int64)], {"mode": "reflect"},
     "pads by mirroring or repeating, and the NPU pads with a constant; use mode constant."),
    ("Pad", IMAGE, [np.array([0, 0, -1, 0, 0, 0, 0, 0])], {},
     "removes rows with negative pads; remove them outside the"),
    ("Pad", IMAGE, [np.array([0, 0, 1, 0, 0, 0, 0, 0]), np.float32(0.34)], {},
     "pads with 0.34, which the tensor's scale 0.1 and zero point 3 cannot represent;"),
    ("Reshape", IMAGE, [np.array([1, 7, -1])], {}, "reshapes [1, 3, 8, 8] to [1, 7, -1];"),
    ("Squeeze", IMAGE, [np.array([1])], {}, "squeezes the axes [1] of a tensor of shape [1, 3, 8, 8];"),
    ("Transpose", IMAGE, [], {"perm": [0, 1, 2, 2]}, "has the perm [0, 1, 2, 2] for a tensor of 4 dimensions;"),
    ("Flatten", IMAGE, [], {"axis": 5}, "flattens a tensor of 4 dimensions at axis 5;"),
    ("Concat", IMAGE, [np.ones(IMAGE, np.int8)], {"axis": 1},
     "reads a constant as its input 1, where a tensor that the network computes is expected;"),
    ("Gather", IMAGE, [np.array(0)], {}, "has an input 0 that is computed by the network, and it must be a constant;"),
    ("BatchNormalization", IMAGE, [np.ones(3, np.float32)] * 4, {}, "is of a type that is not supported;"),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c[0]}-{c[4][:30]}")
def test_refusal(case: Case) -> None:
    kind, shape, constants, attributes, expected = case
    net = OnnxWriter("qdq")
    x = net.input("x", shape, 0.1, 3)
    inputs: list[Any] = [x]
    for i, array in enumerate(constants):
        array = np.asarray(array)
        integers = array.dtype == np.int8
        inputs.append(net.weights(f"c{i}", array, 0.1) if integers else net.constant(f"c{i}", array))
    y = net.operator(kind, inputs, scale=0.05, zero_point=0, **attributes)
    net.output(y, (1, 1))
    with pytest.raises(ModelError) as caught:
        load_onnx(net.to_bytes(), "net.onnx")
    text = str(caught.value)
    assert expected in text
    assert text.startswith("net.onnx: node ") and kind in text and text.endswith(".") and "\n" not in text


def test_average_over_the_border_with_a_finer_output_scale() -> None:
    net = OnnxWriter("qdq")
    x = net.input("x", IMAGE, 0.1, 3)
    y = net.operator("AveragePool", [x], scale=0.04, zero_point=0, kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    net.output(y, IMAGE)
    with pytest.raises(ModelError, match="averages over fewer values at the border and enlarges the scale 2.5 times"):
        load_onnx(net.to_bytes(), "net.onnx")


def test_bias_too_large() -> None:
    net = OnnxWriter("qdq")
    x = net.input("x", IMAGE, 0.1, 3)
    bias = net.constant("bias", np.full(3, 1e9, np.float32))
    y = net.operator("Conv", [x, net.weights("w", ONES, 0.1), bias], scale=0.1, zero_point=0)
    net.output(y, (1, 3, 6, 6))
    with pytest.raises(
        ModelError, match="has a bias of 1e.11 in units of input scale times weight scale, and it must fit"
    ):
        load_onnx(net.to_bytes(), "net.onnx")


def test_input_quantised_twice() -> None:
    net = OnnxWriter("qdq")
    a = net.input("x", IMAGE, 0.1, 3)
    b = net.quantise("x", "again", 0.2, 3)
    net.output(net.operator("Add", [a, b], scale=0.3, zero_point=0), IMAGE)
    with pytest.raises(
        ModelError, match="input 'x' is quantised twice, with the scales 0.1 and 0.2, and a network input"
    ):
        load_onnx(net.to_bytes(), "net.onnx")
