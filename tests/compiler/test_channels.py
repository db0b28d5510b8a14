"""Channels that are left out: the network computes the same without them, and they are those that nothing needs."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from tensaw.compiler.check import check_graph
from tensaw.compiler.frontends.tflite import load_tflite
from tensaw.compiler.ir import Graph
from tensaw.compiler.operator_report import removed_channels
from tensaw.compiler.passes.channels import remove_channels
from tensaw.compiler.passes.constants import VARIES, channel_constants
from tensaw.compiler.pipeline import CompileOptions, compile_graph
from tensaw.model.graph import run_graph
from tensaw.networks.random_network import random_network
from tensaw.networks.tflite_builder import TfliteBuilder
from tensaw.spec.config import PRESETS, NpuConfig

PRUNED = (
    "CONV_2D", "CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "ADD", "MUL", "MAX_POOL_2D", "AVERAGE_POOL_2D",
    "MEAN", "RELU", "LOGISTIC", "CONCATENATION", "RESHAPE", "PAD",
)  # fmt: skip
"""Operators that channels go through."""


def pruned_network(number: int) -> Graph:
    rng, pruning = np.random.default_rng((77, number)), np.random.default_rng(number)
    return load_tflite(random_network(rng, PRUNED, max_layers=8, pruning=pruning), "pruned")


def random_inputs(graph: Graph, rng: np.random.Generator) -> dict[str, np.ndarray]:
    return {
        port.tensor: rng.integers(-128, 128, graph.tensors[port.tensor].shape, dtype=np.int8) for port in graph.inputs
    }


def same(graph: Graph, rng: np.random.Generator) -> dict[str, tuple[int, int]]:
    """Remove channels; the rest must be a legal network that computes the same. Returns what went."""
    smaller, removed = remove_channels(graph)
    check_graph(smaller)
    for _ in range(2):
        values = random_inputs(graph, rng)
        golden = run_graph(graph, values)
        for name, found in run_graph(smaller, values).items():
            np.testing.assert_array_equal(found, golden[name], err_msg=name)
    again, rest = remove_channels(smaller)
    assert not rest and again.ops == smaller.ops
    return removed


@pytest.mark.parametrize("number", range(150))
def test_pruned_random_networks_compute_the_same(number: int) -> None:
    graph, rng = pruned_network(number), np.random.default_rng(number)
    values = random_inputs(graph, rng)
    tensors = run_graph(graph, values, keep=True) | values
    for name, constants in channel_constants(graph).items():
        if name in tensors:
            rows = tensors[name].reshape(-1, len(constants))[:, constants != VARIES]
            np.testing.assert_array_equal(rows, np.broadcast_to(constants[constants != VARIES], rows.shape))
    same(graph, rng)


def test_random_networks_have_something_to_remove() -> None:
    counts = []
    for number in range(150):
        graph = pruned_network(number)
        counts.append(sum(gone for gone, _ in remove_channels(graph)[1].values()))
    assert sum(count > 0 for count in counts) > 8


def network(rng: np.random.Generator, padding: str, between: str, zero_point: int = -128) -> Graph:
    """Convolution with half its filters zero, something between, and a convolution with padding or without."""
    builder = TfliteBuilder("network")
    x = builder.input((1, 6, 7, 5), 0.1, 3)
    weights = rng.integers(-127, 128, (8, 3, 3, 5))
    weights[[1, 2, 5, 6]] = 0
    # Of the constants two are the zero point, so that padding cannot be told from them.
    bias = rng.integers(-500, 500, 8)
    bias[[1, 2]] = -(10**6)
    bias[[5, 6]] = 400
    options = {"weight_scale": 0.01, "out_scale": 0.1, "out_zp": zero_point}
    x = builder.conv2d(x, weights=weights, bias=bias, padding="SAME", activation="RELU", **options)
    if between == "depthwise":
        weights = rng.integers(-127, 128, (3, 3, 8))
        x = builder.depthwise_conv2d(x, weights=weights, padding=padding, **options)
    elif between == "add":
        weights = rng.integers(-127, 128, (8, 1, 1, 8))
        weights[:, :, :, 7] = 0
        y = builder.conv2d(x, weights=weights, bias=bias, padding="SAME", **options)
        x = builder.add(x, y, out_scale=0.2, out_zp=0)
    elif between == "pool":
        x = builder.max_pool2d(x, (2, 2), padding=padding)
    weights = rng.integers(-127, 128, (4, 3, 3, 8))
    weights[:, :, :, 7] = 0
    x = builder.conv2d(x, weights=weights, bias=rng.integers(-500, 500, 4), padding=padding, **options)
    builder.output(x)
    return load_tflite(builder.finish(), "network")


@pytest.mark.parametrize(
    ("padding", "between", "gone"),
    [
        ("VALID", "", 5),  # four constants, one that nothing reads
        ("SAME", "", 3),  # those two that are not the zero point would look different beside padding
        ("VALID", "depthwise", 10),
        ("SAME", "depthwise", 6),
        ("VALID", "pool", 10),
        ("SAME", "pool", 6),
    ],
)
def test_what_goes_between_two_convolutions(padding: str, between: str, gone: int, rng: np.random.Generator) -> None:
    removed = same(network(rng, padding, between), rng)
    assert sum(count for count, _ in removed.values()) == gone
    assert set(removed.values()) == {(gone // (2 if between else 1), 8)}


def test_a_constant_beside_a_varying_operand_stays(rng: np.random.Generator) -> None:
    graph = network(rng, "VALID", "add")
    # Channel 7 of the sum is read by nothing, so it goes from all three; the constants are added to what varies.
    assert set(same(graph, rng).values()) == {(1, 8)}


def test_outputs_of_the_network_stay_whole(rng: np.random.Generator) -> None:
    graph = network(rng, "VALID", "")
    first = graph.ops[0]
    port = dataclasses.replace(graph.outputs[0], tensor=first.output, name="first", shape=(1, 6, 7, 8))
    shown = dataclasses.replace(graph, outputs=[*graph.outputs, port])
    assert same(shown, rng) == {}


def test_a_tensor_keeps_a_channel_if_all_are_constant(rng: np.random.Generator) -> None:
    builder = TfliteBuilder("constant")
    x = builder.input((1, 4, 4, 3), 0.1, 0)
    options = {"weight_scale": 0.01, "out_scale": 0.1, "out_zp": 5}
    x = builder.conv2d(x, weights=np.zeros((6, 1, 1, 3), int), bias=rng.integers(-99, 99, 6), padding="SAME", **options)
    x = builder.conv2d(x, weights=rng.integers(-9, 9, (2, 1, 1, 6)), bias=None, padding="SAME", **options)
    builder.output(x)
    graph = load_tflite(builder.finish(), "constant")
    assert list(same(graph, rng).values()) == [(5, 6)]


@pytest.mark.parametrize("config", [PRESETS["base"], PRESETS["nano"], NpuConfig(rows=12, columns=10, requant_lanes=5)])
def test_programs_without_the_channels(config: NpuConfig, rng: np.random.Generator, agree) -> None:
    graph = network(rng, "SAME", "depthwise")
    program = agree(graph, config, rng)
    assert removed_channels(program) == "6 of 16 channels of 2 operators are constant or unused and were left out."
    entries = {entry["name"]: entry for entry in program.notes["operators"]}
    assert [entries[op.output].get("removed_channels") for op in graph.ops] == [3, 3, None]
    whole = compile_graph(graph, config, CompileOptions(remove_channels=False))
    assert removed_channels(whole) == "" and whole.macs > program.macs
    agree(graph, config, rng, CompileOptions(keep_tensors=True))
