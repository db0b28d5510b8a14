"""The graph checker accepts what the front end makes and finds each kind of broken promise."""

import dataclasses

import numpy as np
import pytest

from tensaw.compiler import ir
from tensaw.compiler.check import GraphError, check_graph
from tensaw.compiler.frontends.tflite import load_tflite
from tensaw.networks import TfliteBuilder


@pytest.fixture
def graph(rng) -> ir.Graph:
    """conv, depthwise, add of a constant, pool, mean, fully connected, softmax."""
    builder = TfliteBuilder("everything")
    x = builder.input((1, 8, 8, 3), 0.1, 5, name="x")
    x = builder.conv2d(x, rng.integers(-9, 9, (4, 3, 3, 3)), activation="RELU", name="conv")
    x = builder.depthwise_conv2d(x, rng.integers(-9, 9, (3, 3, 4)), name="depthwise")
    x = builder.add(x, builder.constant(rng.integers(-9, 9, (1, 1, 1, 4)), 0.1, name="constant"), name="add")
    x = builder.max_pool2d(x, 2, name="pool")
    x = builder.pad(x, [(0, 0), (1, 1), (0, 0), (0, 0)], name="pad")
    x = builder.concatenation([x, x], 3, name="concat")
    x = builder.pointwise("TANH", x, name="tanh")
    x = builder.mean(x, name="mean")
    x = builder.fully_connected(x, rng.integers(-9, 9, (5, 8)), name="dense")
    builder.softmax(x, name="softmax")
    return load_tflite(builder.finish(), "everything.tflite")


def position(graph: ir.Graph, name: str) -> int:
    return [op.name for op in graph.ops].index(name)


def change_op(graph: ir.Graph, name: str, **fields) -> None:
    index = position(graph, name)
    graph.ops[index] = dataclasses.replace(graph.ops[index], **fields)


def change_tensor(graph: ir.Graph, name: str, **fields) -> None:
    graph.tensors[name] = dataclasses.replace(graph.tensors[name], **fields)


def requantise(graph: ir.Graph, name: str, **fields) -> None:
    old = graph.ops[position(graph, name)]
    assert isinstance(old, (ir.Conv2d, ir.Mean))
    change_op(graph, name, requantise=dataclasses.replace(old.requantise, **fields))


def test_accepts_a_good_graph(graph):
    check_graph(graph)


BREAKS = {
    "renamed tensor": (lambda g: g.tensors.update(extra=g.tensors["conv"]), "stored under another name"),
    "empty dimension": (lambda g: change_tensor(g, "conv", shape=(1, 8, 0, 4)), "dimension below 1"),
    "wrong shape": (
        lambda g: change_tensor(g, "conv", shape=(1, 8, 8, 5)),
        "output (1, 8, 8, 5) should be (1, 8, 8, 4)",
    ),
    "large zero point": (lambda g: change_tensor(g, "conv", zero_point=200), "zero point 200 is not int8"),
    "other zero point": (lambda g: change_op(g, "conv", input_zero_point=6), "zero point 6, tensor has 5"),
    "other output zero point": (lambda g: requantise(g, "conv", zero_point=0), "output zero point 0, tensor has 5"),
    "bad scale": (lambda g: change_tensor(g, "conv", scale=float("nan")), "is not a scale"),
    "constant of another type": (
        lambda g: change_tensor(g, "constant", data=np.zeros((1, 1, 1, 4), np.int32)),
        "data are int32, not int8",
    ),
    "order": (lambda g: g.ops.reverse(), "before it is written"),
    "written twice": (lambda g: g.ops.insert(0, dataclasses.replace(g.ops[0], name="again")), "already defined"),
    "same name": (lambda g: g.ops.append(g.ops[-1]), "two operators have the same name"),
    "missing tensor": (lambda g: change_op(g, "tanh", inputs=("nowhere",)), "tensor 'nowhere' does not exist"),
    "no output": (lambda g: g.outputs.clear(), "no output"),
    "unknown port": (lambda g: g.outputs.append(ir.Port("nowhere", "y", (1, 5))), "never written"),
    "port type": (lambda g: g.inputs.__setitem__(0, ir.Port("x", "x", (1, 8, 8, 3), "int16")), "type 'int16'"),
    "port permutation": (
        lambda g: g.inputs.__setitem__(0, ir.Port("x", "x", (1, 8, 8, 3), "int8", (0, 1, 2, 2))),
        "permutation",
    ),
    "port size": (lambda g: g.inputs.__setitem__(0, ir.Port("x", "x", (1, 8, 8, 4))), "(1, 8, 8, 4) against"),
    "multiplier": (lambda g: requantise(g, "mean", multiplier=np.array([1, 2])), "multipliers and shifts"),
    "multiplier range": (
        lambda g: requantise(g, "mean", multiplier=np.array([1 << 31])),
        "a multiplier is outside [0, 2**31)",
    ),
    "shift range": (lambda g: requantise(g, "mean", shift=np.array([-32])), "a shift is outside [-31, 30]"),
    "clamp": (lambda g: requantise(g, "conv", low=5, high=4), "clamp [5, 4]"),
    "bias type": (lambda g: change_op(g, "conv", bias=np.zeros(4, np.int64)), "bias int64"),
    "groups": (lambda g: change_op(g, "conv", groups=2), "groups"),
    "stride": (lambda g: change_op(g, "conv", stride=(0, 1)), "stride (0, 1)"),
    "depth multiplier": (lambda g: change_op(g, "depthwise", multiplier=2), "4 outputs for multiplier 2"),
    "pool padding": (lambda g: change_op(g, "pool", padding=(2, 0, 0, 0)), "padding (2, 0, 0, 0)"),
    "matrix": (lambda g: change_op(g, "dense", weights=np.zeros((5, 9), np.int8)), "(5, 9) weights for input"),
    "broadcast": (lambda g: change_op(g, "add", inputs=("depthwise", "x")), "do not broadcast"),
    "table": (lambda g: change_op(g, "tanh", table=np.zeros(255, np.int8)), "table int8 (255,)"),
    "tables": (lambda g: change_op(g, "concat", tables=np.zeros((1, 256), np.int8)), "tables (1, 256)"),
    "diff_min": (lambda g: change_op(g, "softmax", diff_min=1), "diff_min 1"),
    "pad": (lambda g: change_op(g, "pad", padding=((0, 0), (-1, 0), (0, 0), (0, 0))), "padding"),
}


@pytest.mark.parametrize("kind", BREAKS)
def test_finds(kind, graph):
    damage, words = BREAKS[kind]
    damage(graph)
    with pytest.raises(GraphError) as caught:
        check_graph(graph)
    assert words in str(caught.value)
