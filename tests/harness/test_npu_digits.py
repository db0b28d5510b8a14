"""The digits network on the generated hardware, bit for bit, for arrays of many shapes and memories of many sizes.

Simulators are built for a fast build: each of these runs a few thousand cycles.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from tensaw.compiler.frontends import load
from tensaw.compiler.ir import Graph
from tensaw.compiler.pipeline import compile_graph
from tensaw.model.graph import run_graph
from tensaw.runtime import Session
from tensaw.spec.config import PRESETS, NpuConfig

DIGITS = Path(__file__).resolve().parents[2] / "examples" / "digits"

TILED = NpuConfig(
    name="tiled", rows=5, columns=7, column_group=3, scratchpad_bytes=512, weight_bytes=512, acc_entries=16,
    requant_lanes=3, queue_depth=16, burst_beats=2, outstanding_reads=1,
)  # fmt: skip
"""So small that every layer is tiled."""

CONFIGS = [
    PRESETS["nano"],
    NpuConfig(name="tall", rows=8, columns=16, bus_bytes=16, requant_lanes=4),
    NpuConfig(name="wide", rows=16, columns=8, requant_lanes=8, scratchpad_bytes=4096, weight_bytes=2048),
    NpuConfig(name="twelve_ten", rows=12, columns=10, requant_lanes=5, bus_bytes=16, acc_entries=32),
    TILED,
    PRESETS["base"].replace(bus_bytes=16),
    PRESETS["large"],
    PRESETS["small"],
    NpuConfig(name="least", rows=2, columns=2, requant_lanes=1, scratchpad_bytes=2048, weight_bytes=512),
    NpuConfig(name="odd", rows=3, columns=20, requant_lanes=20, bus_bytes=16, address_width=40, acc_entries=64),
    NpuConfig(name="column", rows=24, columns=3, requant_lanes=2, column_group=2, burst_beats=64),
]  # fmt: skip


@cache
def network() -> Graph:
    return load(DIGITS / "digits_int8.tflite")


@cache
def images() -> np.ndarray:
    return np.load(DIGITS / "digits_images.npz")["image"][[3, 141]]


def title(config: NpuConfig) -> str:
    return f"{config.rows}x{config.columns}"


def test_the_shapes_are_those_that_matter() -> None:
    shapes = {title(config) for config in CONFIGS}
    assert len(shapes) >= 10 and shapes >= {"4x4", "8x16", "16x8", "12x10", "5x7", "16x16", "32x32"}
    assert {config.bus_bytes for config in CONFIGS} == {8, 16}


def test_every_layer_is_tiled_where_memories_are_small() -> None:
    """Into several runs by the compiler, or into several channel tiles by the hardware's loops."""
    program = compile_graph(network(), TILED)
    divided = 0
    for number, layer in enumerate(program.layers):
        runs = len({tag.tile for tag in program.tags if tag.layer == number})
        assert runs > 1 or network().tensors[layer.output].shape[-1] > TILED.columns, layer.name
        divided += runs > 1
    assert divided >= 4


@pytest.mark.parametrize("config", CONFIGS, ids=title)
def test_bit_exact(config: NpuConfig) -> None:
    graph = network()
    program = compile_graph(graph, config)
    (source,), (sink,) = graph.inputs, graph.outputs
    stalls = 0.2 if config is TILED else None
    with Session(program, "verilator", stalls=stalls, optimise="build") as session:
        for image in images():
            value = image.reshape(graph.tensors[source.tensor].shape)
            expected = run_graph(graph, {source.tensor: value})[sink.tensor]
            result = session.run({source.name: image.reshape(source.shape)})
            np.testing.assert_array_equal(result.outputs[sink.name].ravel(), expected.ravel())
            assert result.cycles > 0
