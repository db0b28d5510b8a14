"""What the back end refuses, and the paragraph that says so."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest

from tensaw.compiler import ir
from tensaw.compiler.pipeline import compile_graph
from tensaw.spec.config import PRESETS, NpuConfig
from tensaw.spec.errors import UnsupportedError

BASE = PRESETS["base"]
SCALE = ir.Requantise(np.array([1 << 30]), np.array([-5]), 0, -128, 127, ir.Rounding.DOUBLE)


def graph(op: ir.Op, *shapes: tuple[int, ...]) -> ir.Graph:
    tensors = {f"t{i}": ir.Tensor(f"t{i}", shape) for i, shape in enumerate(shapes)}
    ports = [ir.Port(name, name, tensor.shape) for name, tensor in tensors.items()]
    return ir.Graph("net", tensors, [op], ports[:-1], ports[-1:])


def conv(kernel: tuple[int, int], channels: int = 1, **changes) -> ir.Conv2d:
    op = ir.Conv2d(
        "conv", "CONV_2D", ("t0",), "t1", np.ones((1, *kernel, channels), np.int8), np.zeros(1, np.int32),
        (1, 1), (1, 1), (0, 0, 0, 0), 1, 0, SCALE,
    )  # fmt: skip
    return dataclasses.replace(op, **changes)


def refusal(graph: ir.Graph, config: NpuConfig = BASE) -> str:
    with pytest.raises(UnsupportedError) as error:
        compile_graph(graph, config)
    return str(error.value)


def test_scratchpad_smaller_than_one_position() -> None:
    config = BASE.replace(scratchpad_bytes=512)
    assert refusal(graph(conv((3, 3), 100), (1, 8, 8, 100), (1, 6, 6, 1)), config) == (
        "CONV_2D 'conv' needs 1024 bytes of scratchpad for a single output position with all its inputs, but "
        "scratchpad_bytes is 512. Choose a configuration with at least that much."
    )


def test_the_size_that_the_message_asks_for_is_enough() -> None:
    network = graph(conv((3, 3), 100), (1, 8, 8, 100), (1, 6, 6, 1))
    needed = re.search(r"needs (\d+) bytes", refusal(network, BASE.replace(scratchpad_bytes=512)))
    assert needed is not None
    compile_graph(network, BASE.replace(scratchpad_bytes=int(needed[1])))


def test_address_space() -> None:
    shape = (1, 200, 200, 1)
    config = BASE.replace(address_width=16)
    table = ir.Lookup("table", "TANH", ("t0",), "t1", np.zeros(256, np.int8))
    text = refusal(graph(table, shape, shape), config)
    assert text.startswith("The network 'net' needs 8")
    assert text.endswith(
        "bytes of memory for constants, inputs, outputs and intermediate tensors, but address_width 16 reaches 65536. "
        "Choose a configuration with a larger address_width."
    )


@pytest.mark.parametrize(
    ("op", "shapes", "text"),
    [
        (
            conv((256, 1)), ((1, 300, 1, 1), (1, 45, 1, 1)),
            "CONV_2D 'conv' has 256 kernel rows; the array's address generator offers at most 255. Split the operator "
            "or downsample its input before it.",
        ),
        (
            conv((2, 1), dilation=(256, 1)), ((1, 300, 1, 1), (1, 44, 1, 1)),
            "CONV_2D 'conv' has 256 rows between kernel rows (dilation); the array's address generator offers at most "
            "255. Split the operator or downsample its input before it.",
        ),
        (
            conv((1, 1), stride=(256, 1)), ((1, 300, 1, 1), (1, 2, 1, 1)),
            "CONV_2D 'conv' has 256 rows between outputs (stride); the array's address generator offers at most 255. "
            "Split the operator or downsample its input before it.",
        ),
        (
            ir.Pool2d("pool", "MAX_POOL_2D", ("t0",), "t1", ir.PoolKind.MAX, (1, 256), (1, 1), (0, 0, 0, 0), -128, 127),
            ((1, 1, 256, 1), (1, 1, 1, 1)),
            "MAX_POOL_2D 'pool' has a window of 256 columns; at most 255 are supported. Pool in two stages.",
        ),
        (
            ir.Softmax("softmax", "SOFTMAX", ("t0",), "t1", 1 << 30, 20, -100), ((1, 4096), (1, 4096)),
            "SOFTMAX 'softmax' has rows of 4096 elements; at most 4095 are supported (the sum of exponentials has 32 "
            "bits). Compute it on the host instead.",
        ),
        (
            ir.Pad("pad", "PAD", ("t0",), "t1", ((0, 0),) * 4 + ((1, 1),), 0), ((1, 1, 1, 1, 1), (1, 1, 1, 1, 3)),
            "PAD 'pad' pads a tensor of 5 dimensions; at most 4 are supported. Reshape it to 4 dimensions before it is "
            "padded.",
        ),
        (
            ir.Elementwise("add", "ADD", ("t0", "t1"), "t2", ir.ElementwiseKind.ADD, (0, 0), (1 << 30, 1 << 30), (0, 0),
                           SCALE),
            ((2, 1, 1, 1, 4), (1, 2, 1, 1, 4), (2, 2, 1, 1, 4)),
            "ADD 'add' broadcasts over one of the first 2 of 5 dimensions; at most 4 dimensions are supported there. "
            "Reshape its operands to 4 dimensions.",
        ),
    ],
    ids=["kernel", "dilation", "stride", "pool", "softmax", "pad", "broadcast"],
)  # fmt: skip
def test_refusals(op: ir.Op, shapes: tuple[tuple[int, ...], ...], text: str) -> None:
    assert refusal(graph(op, *shapes)) == text
