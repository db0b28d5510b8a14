"""Host arrays to memory bytes and back, and what is refused."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from tensaw.runtime.tensors import from_bytes, inputs_to_bytes, to_bytes
from tensaw.spec.errors import InputError
from tensaw.spec.program import INPUTS, Binding

PLAIN = Binding("x", "t", INPUTS, 0, (2, 3), (2, 3), "int8", None, 0.5, -3)
NCHW = Binding("x", "t", INPUTS, 0, (1, 4, 5, 2), (1, 2, 4, 5), "int8", (0, 2, 3, 1))
UINT8 = Binding("x", "t", INPUTS, 0, (2, 3), (6,), "uint8", None, 0.5, -3)
FLOAT = Binding("x", "t", INPUTS, 0, (6,), (2, 3), "float32", None, 0.5, -3)


@pytest.mark.parametrize("binding", [PLAIN, NCHW, UINT8], ids=["int8", "nchw", "uint8"])
def test_there_and_back(binding):
    rng = np.random.default_rng(3)
    kind = np.dtype(binding.dtype)
    info = np.iinfo(kind)
    array = rng.integers(info.min, info.max + 1, binding.file_shape, kind)
    back = from_bytes(binding, to_bytes(binding, array))
    np.testing.assert_array_equal(back, array)
    assert back.dtype == kind


def test_permuted_inputs_lie_in_memory_as_nhwc():
    array = np.arange(40, dtype=np.int8).reshape(1, 2, 4, 5)
    np.testing.assert_array_equal(to_bytes(NCHW, array), array.transpose(0, 2, 3, 1).ravel().view(np.uint8))


def test_unsigned_inputs_lie_128_lower():
    array = np.array([0, 1, 127, 128, 254, 255], np.uint8)
    assert to_bytes(UINT8, array).view(np.int8).tolist() == [-128, -127, -1, 0, 126, 127]


@pytest.mark.parametrize(
    "even, steps", [(True, [-3, -3, -1, -3, 127, -128]), (False, [-3, -2, -1, -4, 127, -128])], ids=["onnx", "litert"]
)
def test_float_ports_are_quantised_as_their_framework_rounds_ties(even: bool, steps: list[int]):
    array = np.array([[0.0, 0.25, 0.75], [-0.25, 1000, -1000]])
    content = to_bytes(dataclasses.replace(FLOAT, ties_to_even=even), array)
    assert content.view(np.int8).tolist() == steps


def test_float_ports_are_scaled_back():
    content = np.array([-3, -3, -1, -3, 127, -128], np.int8).view(np.uint8)
    np.testing.assert_array_equal(from_bytes(FLOAT, content), [[0, 0, 1], [0, 65, -62.5]])


@pytest.mark.parametrize(
    "binding, inputs, text",
    [
        (PLAIN, {"y": 0}, "The model has no input 'y'; its inputs are 'x'."),
        (PLAIN, {}, "The input 'x' is missing; the model's inputs are 'x'."),
        (PLAIN, {"x": np.zeros(6, np.int8)}, "The input 'x' must have the shape 2×3, not 6."),
        (PLAIN, {"x": np.int8(0)}, "The input 'x' must have the shape 2×3, not of a single number."),
        (
            PLAIN, {"x": np.zeros((2, 3))},
            "The input 'x' must be int8, not float64. Quantise it first: round(x / 0.5) - 3.",
        ),
        (PLAIN, {"x": np.zeros((2, 3), np.int64)}, "The input 'x' must be int8, not int64."),
        (
            UINT8, {"x": np.zeros(6, np.float32)},
            "The input 'x' must be uint8, not float32. Quantise it first: round(x / 0.5) + 125.",
        ),
        (
            FLOAT, {"x": np.zeros((2, 3), np.int8)},
            "The input 'x' must be float32, not int8: the model quantises it itself.",
        ),
        (FLOAT, {"x": np.full((2, 3), np.nan)}, "The input 'x' holds values that are not finite numbers."),
    ],
)  # fmt: skip
def test_inputs_that_do_not_fit_are_refused(binding, inputs, text):
    with pytest.raises(InputError) as error:
        inputs_to_bytes([binding], inputs)
    assert str(error.value) == text
