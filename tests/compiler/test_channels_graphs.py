"""Leaving out channels on graphs of the IR itself: exact on random ones, and all that can go goes on planned ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from tensaw.compiler.check import check_graph
from tensaw.compiler.frontends.tflite import load_tflite
from tensaw.compiler.ir import (
    Concat,
    Conv2d,
    DepthwiseConv2d,
    Elementwise,
    ElementwiseKind,
    FullyConnected,
    Graph,
    Lookup,
    Mean,
    Op,
    Pad,
    Pool2d,
    Port,
    Requantise,
    Reshape,
    Rounding,
    Tensor,
)
from tensaw.compiler.passes.channels import remove_channels
from tensaw.compiler.passes.constants import VARIES, channel_constants
from tensaw.compiler.pipeline import CompileOptions
from tensaw.model.graph import run_graph
from tensaw.networks import TfliteBuilder
from tensaw.networks.pruned_graph import pruned_graph
from tensaw.spec.config import NpuConfig
from tensaw.spec.errors import UnsupportedError


def random_inputs(graph: Graph, rng: np.random.Generator) -> dict[str, np.ndarray]:
    shapes = {port.tensor: graph.tensors[port.tensor].shape for port in graph.inputs}
    return {name: rng.integers(-128, 128, shape, dtype=np.int8) for name, shape in shapes.items()}


def agree_without_channels(graph: Graph, rng: np.random.Generator) -> dict[str, tuple[int, int]]:
    """Constants hold, outputs are the same without the channels, and nothing is left to remove. Returns what went."""
    check_graph(graph)
    smaller, removed = remove_channels(graph)
    check_graph(smaller)
    assert smaller.inputs == graph.inputs and smaller.outputs == graph.outputs
    constants = channel_constants(graph)
    for _ in range(2):
        values = random_inputs(graph, rng)
        tensors = run_graph(graph, values, keep=True)
        for name, tensor in tensors.items():
            known = constants[name] != VARIES
            rows = tensor.reshape(-1, len(known))[:, known]
            np.testing.assert_array_equal(rows, np.broadcast_to(constants[name][known], rows.shape), err_msg=name)
        for name, found in run_graph(smaller, values).items():
            np.testing.assert_array_equal(found, tensors[name], err_msg=name)
    assert remove_channels(smaller)[1] == {}
    return removed


@pytest.mark.parametrize("group", range(20))
def test_random_graphs_compute_the_same(group: int) -> None:
    removing = 0
    for number in range(25):
        rng = np.random.default_rng((group, number))
        graph = pruned_graph(rng)
        removing += bool(agree_without_channels(graph, rng))
    # Or the graphs are none that could show a mistake.
    assert removing >= 8


def test_random_graphs_lose_channels_of_every_kind() -> None:
    kinds = set()
    for number in range(120):
        graph = pruned_graph(np.random.default_rng((0, number)))
        removed = remove_channels(graph)[1]
        kinds |= {type(op) for op in graph.ops if op.name in removed}
    assert kinds == {
        Concat, Conv2d, DepthwiseConv2d, Elementwise, FullyConnected, Lookup, Mean, Pad, Pool2d, Reshape
    }  # fmt: skip


@pytest.mark.parametrize("number", range(24))
def test_programs_of_random_graphs(number: int, agree, any_config: Callable[[np.random.Generator], NpuConfig]) -> None:
    rng = np.random.default_rng((7, number))
    graph = pruned_graph(rng)
    config = any_config(rng)
    for options in (CompileOptions(), CompileOptions(keep_tensors=True)):
        try:
            agree(graph, config, rng, options)
        except UnsupportedError:
            assert config.scratchpad_bytes < 1 << 16


# Planned graphs ------------------------------------------------------------------------------------------------------

ZERO_POINT = -5
REQUANTISE = Requantise(np.array([1 << 30]), np.array([-7]), ZERO_POINT, -128, 127, Rounding.DOUBLE)
"""Of every operator below: sums divided by 256."""
OFF = 90 * 256
"""A bias that gives another value than the zero point."""


class Plan:
    """Writes graphs of 6 × 6 images whose tensors all have the same zero point."""

    def __init__(self, rng: np.random.Generator, channels: int = 4) -> None:
        self.rng = rng
        self.graph = Graph("plan")
        self.input = self.tensor("x", (1, 6, 6, channels))
        self.graph.inputs.append(Port("x", "x", (1, 6, 6, channels)))

    def tensor(self, name: str, shape: tuple[int, ...], data: np.ndarray | None = None) -> str:
        self.graph.tensors[name] = Tensor(name, shape, 1.0, ZERO_POINT, data)
        return name

    def shape(self, name: str) -> tuple[int, ...]:
        return self.graph.tensors[name].shape

    def add(self, name: str, op: Op, shape: tuple[int, ...]) -> str:
        self.graph.ops.append(replace(op, name=name, output=name))
        return self.tensor(name, shape)

    def conv(
        self, name: str, x: str, outputs: int, zero: tuple[int, ...] = (), unread: tuple[int, ...] = (),
        bias: int = OFF, padding: int = 1, groups: int = 1,
    ) -> str:  # fmt: skip
        """A 3 × 3 convolution with filters ``zero`` (and their bias ``bias``) that does not read ``unread``."""
        _, height, width, channels = self.shape(x)
        weights = self.rng.integers(1, 128, (outputs, 3, 3, channels // groups), dtype=np.int8)
        biases = self.rng.integers(-999, 999, outputs).astype(np.int32)
        weights[list(zero)], biases[list(zero)] = 0, bias
        weights[..., list(unread)] = 0
        around = (padding, padding, padding, padding)
        op = Conv2d(
            "", "", (x,), "", weights, biases, (1, 1), (1, 1), around, groups, ZERO_POINT, REQUANTISE
        )  # fmt: skip
        return self.add(name, op, (1, height + 2 * padding - 2, width + 2 * padding - 2, outputs))

    def depthwise(self, name: str, x: str, zero: tuple[int, ...] = (), multiplier: int = 1, padding: int = 1) -> str:
        _, height, width, channels = self.shape(x)
        outputs = channels * multiplier
        weights = self.rng.integers(1, 128, (3, 3, outputs), dtype=np.int8)
        weights[..., list(zero)] = 0
        around = (padding, padding, padding, padding)
        op = DepthwiseConv2d(
            "", "", (x,), "", weights, np.zeros(outputs, np.int32), (1, 1), (1, 1), around, multiplier, ZERO_POINT,
            REQUANTISE,
        )  # fmt: skip
        return self.add(name, op, (1, height + 2 * padding - 2, width + 2 * padding - 2, outputs))

    def elementwise(self, name: str, kind: ElementwiseKind, a: str, b: str) -> str:
        op = Elementwise(
            "", "", (a, b), "", kind, (ZERO_POINT, ZERO_POINT), (1 << 30, 1 << 30), (0, 0),
            replace(REQUANTISE, shift=np.array([-7 if kind is ElementwiseKind.MUL else -19])),
        )  # fmt: skip
        return self.add(name, op, np.broadcast_shapes(self.shape(a), self.shape(b)))

    def reshape(self, name: str, x: str, shape: tuple[int, ...]) -> str:
        return self.add(name, Reshape("", "", (x,), ""), shape)

    def gone(self, *outputs: str) -> dict[str, int]:
        """How many channels go from each operator's result if these tensors are the outputs."""
        self.graph.outputs = [Port(name, name, self.shape(name)) for name in outputs]
        removed = agree_without_channels(self.graph, self.rng)
        return {name: count for name, (count, _) in removed.items()}


@pytest.fixture
def plan(rng: np.random.Generator) -> Plan:
    return Plan(rng)


def test_a_constant_stays_where_padding_shows_beside_it(plan: Plan) -> None:
    a = plan.conv("a", "x", 6, zero=(1, 4))
    assert plan.gone(plan.conv("b", a, 3)) == {}


def test_the_zero_point_cannot_be_told_from_padding(plan: Plan) -> None:
    a = plan.conv("a", "x", 6, zero=(1, 4), bias=0)
    assert plan.gone(plan.conv("b", a, 3)) == {"a": 2}


def test_every_reader_must_do_without(plan: Plan) -> None:
    a = plan.conv("a", "x", 6, zero=(1, 4))
    b = plan.conv("b", a, 3, padding=0)
    # Channel 1 is read by the padded convolution, channel 4 by the other one only.
    c = plan.conv("c", a, 3, unread=(4,))
    assert plan.gone(b, c) == {"a": 1}


def test_a_zero_depthwise_filter_is_constant_beside_padding_too(plan: Plan) -> None:
    a = plan.conv("a", "x", 6)
    b = plan.depthwise("b", a, zero=(0, 3, 5))
    assert plan.gone(plan.conv("c", b, 2, padding=0)) == {"a": 3, "b": 3}


def test_depthwise_turns_a_constant_into_a_border(plan: Plan) -> None:
    a = plan.conv("a", "x", 6, zero=(2,))
    b = plan.depthwise("b", a)
    assert plan.gone(plan.conv("c", b, 2, padding=0)) == {}


def test_all_channels_of_a_depthwise_multiplier_go_together(plan: Plan) -> None:
    a = plan.conv("a", "x", 3, zero=(0,), bias=0)
    b = plan.depthwise("b", a, multiplier=2)
    assert plan.gone(plan.conv("c", b, 2, unread=(3,))) == {"a": 1, "b": 2}


def test_whole_groups_go(plan: Plan) -> None:
    a = plan.conv("a", "x", 6)
    # Of three groups of two inputs and two outputs: one all zero, one half.
    b = plan.conv("b", a, 6, zero=(2, 3, 4), groups=3)
    assert plan.gone(plan.conv("c", b, 2, padding=0)) == {"a": 2, "b": 2}


def test_the_last_group_is_a_convolution_like_any_other(plan: Plan) -> None:
    a = plan.conv("a", "x", 4)
    b = plan.conv("b", a, 4, zero=(2, 3, 1), groups=2, bias=0)
    assert plan.gone(plan.conv("c", b, 2)) == {"a": 2, "b": 3}


def test_a_product_with_nothing_is_constant(plan: Plan) -> None:
    a, b = plan.conv("a", "x", 5, zero=(1, 2), bias=0), plan.conv("b", "x", 5, zero=(3,), bias=0)
    c = plan.elementwise("c", ElementwiseKind.MUL, a, b)
    assert plan.gone(plan.conv("d", c, 2)) == {"a": 3, "b": 3, "c": 3}


def test_a_product_with_a_constant_that_is_not_the_zero_point_varies(plan: Plan) -> None:
    a, b = plan.conv("a", "x", 5, zero=(1, 2)), plan.conv("b", "x", 5)
    c = plan.elementwise("c", ElementwiseKind.MUL, a, b)
    assert plan.gone(plan.conv("d", c, 2, padding=0)) == {}


def test_a_residual_goes_where_both_branches_are_constant(plan: Plan) -> None:
    a, b = plan.conv("a", "x", 5, zero=(1, 2, 4)), plan.conv("b", "x", 5, zero=(2, 3, 4))
    c = plan.elementwise("c", ElementwiseKind.ADD, a, b)
    assert plan.gone(plan.conv("d", c, 2, padding=0)) == {"a": 2, "b": 2, "c": 2}


def test_a_constant_tensor_loses_the_same_channels(plan: Plan) -> None:
    a = plan.conv("a", "x", 5, zero=(0, 4))
    data = plan.rng.integers(-99, 99, (1, 1, 1, 5), dtype=np.int8)
    b = plan.elementwise("b", ElementwiseKind.ADD, a, plan.tensor("k", data.shape, data))
    assert plan.gone(plan.conv("c", b, 2, padding=0)) == {"a": 2, "b": 2}


@pytest.mark.parametrize(
    ("shape", "zero", "gone"),
    [
        ((1, 6, 3, 8), (1,), {"a": 1, "b": 2}),  # pixel pairs become pixels
        ((1, 12, 6, 2), (0, 2), {"a": 2, "b": 1}),  # every pixel becomes two
        ((1, 12, 6, 2), (0, 1), {}),  # of each pair only one is constant
        ((1, 8, 6, 3), (0, 1), {}),  # channels mix
    ],
)
def test_reshapes_of_channels(plan: Plan, shape: tuple[int, ...], zero: tuple[int, ...], gone: dict[str, int]) -> None:
    a = plan.conv("a", "x", 4, zero=zero)
    b = plan.reshape("b", a, shape)
    assert plan.gone(plan.conv("c", b, 2, padding=0)) == gone


def test_channels_of_a_concatenation(plan: Plan) -> None:
    builder = TfliteBuilder("concatenation")
    x = builder.input((1, 5, 5, 3), 0.1, 0)
    branches = []
    for zero in ([0, 2], [1]):
        weights = plan.rng.integers(1, 99, (4, 1, 1, 3))
        weights[zero] = 0
        branches.append(builder.conv2d(x, weights, bias=np.full(4, 50), weight_scale=0.1, out_scale=0.1))
    y = builder.concatenation(branches, 3)
    weights = plan.rng.integers(1, 99, (2, 1, 1, 8))
    weights[..., 7] = 0
    builder.output(builder.conv2d(y, weights, weight_scale=0.01, out_scale=0.1))
    graph = load_tflite(builder.finish(), "concatenation")
    assert list(agree_without_channels(graph, plan.rng).values()) == [(2, 4), (2, 4), (4, 8)]


def test_what_goes_into_the_bias_wraps_as_sums_do(plan: Plan) -> None:
    a = plan.conv("a", "x", 4, zero=(0,), bias=1 << 30)
    b = plan.conv("b", a, 2, padding=0)
    last = plan.graph.ops[-1]
    assert isinstance(last, Conv2d)
    plan.graph.ops[-1] = replace(last, bias=np.full(2, (1 << 31) - 1, np.int32))
    assert plan.gone(b) == {"a": 1}
    folded = remove_channels(plan.graph)[0].ops[-1]
    assert isinstance(folded, Conv2d) and folded.bias.max() < 0


def test_a_chain_is_removed_to_its_end(plan: Plan) -> None:
    # d reads one channel of c; so c needs what that one reads, and so on to the front.
    x = "x"
    for name in "abc":
        x = plan.conv(name, x, 4)
        op = plan.graph.ops[-1]
        assert isinstance(op, Conv2d)
        weights = op.weights.copy()
        weights[0, :, :, 1:] = 0
        plan.graph.ops[-1] = replace(op, weights=weights)
    assert plan.gone(plan.conv("d", x, 2, unread=(1, 2, 3))) == {"a": 3, "b": 3, "c": 3}


def test_nothing_goes_that_is_shown(plan: Plan) -> None:
    a = plan.conv("a", "x", 6, zero=(1, 4), bias=0)
    b = plan.depthwise("b", a)
    assert plan.gone(a, plan.conv("c", b, 3)) == {}
