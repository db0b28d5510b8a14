"""Programs on the board: a copy by the NPU's DMA, one layer, a whole network; all compared with the golden model."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from tensaw.bringup.finding import Finding
from tensaw.cli.calls import golden_tensors
from tensaw.compiler.frontends.tflite import load_tflite
from tensaw.compiler.ir import Graph
from tensaw.compiler.pipeline import compile_graph
from tensaw.networks.random_layers import SCALE, RandomLayers
from tensaw.runtime.arrays import random_inputs
from tensaw.runtime.link import HostLink
from tensaw.runtime.session import Session
from tensaw.spec.errors import DeviceError
from tensaw.spec.isa import assemble
from tensaw.spec.program import INPUTS, OUTPUTS, Binding, Program

__all__ = ["compare_network", "run_network", "test_dma", "test_layer", "test_network"]

_COPIED = 1499
"""Bytes of the copy: several bursts, over a 4 KiB boundary, with an odd end."""
_COPY = """
LOAD.MEMORY region={source}
LOAD.ROWS bytes={size} count=1
LOAD.PLANES count=1
LOAD.RUN tag=0 signal=8
STORE.MEMORY region={target}
STORE.ROWS bytes={size} count=1
STORE.PLANES count=1
STORE.RUN tag=1 wait=1
CONTROL.END
"""
_TIMING = "Was timing met (`tensaw fpga build` says so)? Build with a lower --clock, and load the bitstream again."


def test_dma(link: HostLink) -> str:
    """Memory to scratchpad and back. Raises Finding."""
    words = assemble(_COPY.format(source=INPUTS, target=OUTPUTS, size=_COPIED))
    words += [words[-1]] * (len(words) % 2)
    constants = b"".join(word.to_bytes(8, "little") for word in words)
    shape = (_COPIED,)
    program = Program(
        "dma_loopback", link.identity.config, constants, 0, len(constants), (len(constants), _COPIED, _COPIED, 0),
        [Binding("source", "source", INPUTS, 0, shape, shape)], [Binding("copy", "copy", OUTPUTS, 0, shape, shape)],
    )  # fmt: skip
    source = np.random.default_rng(3).integers(-128, 128, _COPIED, np.int8)
    meaning = "The link reaches the memory, but the NPU's own transfers do not work."
    copy = np.asarray(_run(link, program, {"source": source}, meaning)["copy"]).reshape(-1)
    wrong = np.flatnonzero(copy != source)
    if len(wrong):
        raise Finding(
            f"Of {_COPIED} bytes that the NPU copied from memory to its scratchpad and back, {len(wrong)} are wrong, "
            f"the first at byte {wrong[0]} ({int(copy[wrong[0]])} instead of {int(source[wrong[0]])}).",
            meaning,
            _TIMING,
        )
    return f"{_COPIED:,} bytes from memory to scratchpad and back"


def test_layer(link: HostLink) -> str:
    """A convolution of which every multiplier takes part. Raises Finding."""
    config = link.identity.config
    layers = RandomLayers("one_layer", 5)
    x = layers.builder.input((1, 5, 6, config.rows + 3), SCALE, -7, name="image")
    layers.builder.output(layers.convolution(x, config.columns + 5, 3))
    return compare_network(
        link, load_tflite(layers.builder.finish(), "one_layer"), "convolution",
        "The array computes patterns of single inputs rightly, but not a whole layer: weights, accumulators, addresses "
        "or requantisation.",
    )  # fmt: skip


def test_network(link: HostLink, graph: Graph | None = None) -> str:
    """A small network with every kind of operator, or the user's own. Raises Finding."""
    return compare_network(
        link, graph or load_tflite(_small_network(), "small_network"), "network",
        "Single layers are right; what is wrong comes with several: tables, residual operands, tokens, or a path "
        "that is too slow.",
    )  # fmt: skip


def _small_network() -> bytes:
    layers = RandomLayers("small_network", 11)
    builder = layers.builder
    x = builder.input((1, 8, 8, 3), SCALE, 4, name="image")
    y = layers.depthwise(layers.convolution(x, 12, 3), 3)
    z = layers.convolution(y, 12, 1, rectified=False)
    y = builder.add(y, z, activation="RELU", out_scale=math.hypot(y.scale, z.scale), out_zp=-128)
    y = builder.average_pool2d(builder.max_pool2d(y, 2), 2)
    y = builder.reshape(y, (1, 48))
    y = builder.fully_connected(y, **layers.weights(y, (10, 48), per_channel=False), out_zp=3)
    builder.output(builder.softmax(y))
    return builder.finish()


def compare_network(link: HostLink, graph: Graph, kind: str, meaning: str) -> str:
    """Random inputs, every output byte compared. Raises Finding."""
    program = compile_graph(graph, link.identity.config)
    inputs = random_inputs(program.inputs, 1)
    found, expected, cycles = _both(link, graph, program, inputs, meaning)
    for name, golden in expected.items():
        ours = np.asarray(found[name])
        wrong = np.flatnonzero(ours.reshape(-1) != golden.reshape(-1))
        if len(wrong):
            raise Finding(
                f"{len(wrong)} of {golden.size} values of the {kind}'s output {name!r} are wrong, the first at index "
                f"{[int(place) for place in np.unravel_index(wrong[0], golden.shape)]}.",
                meaning,
                _TIMING,
            )
    total = sum(golden.size for golden in expected.values())
    return f"{graph.name}: {total:,} values equal to the golden model's, {cycles:,} cycles"


def run_network(
    link: HostLink, model: bytes, inputs: Mapping[str, npt.NDArray[np.int8]]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Outputs of the board and of the golden model. Raises Finding."""
    graph = load_tflite(model, "patterns")
    program = compile_graph(graph, link.identity.config)
    found, expected, _ = _both(link, graph, program, inputs, "The NPU does not run programs.")
    return found, expected


def _both(
    link: HostLink, graph: Graph, program: Program, inputs: Mapping[str, Any], meaning: str
) -> tuple[dict[str, Any], dict[str, Any], int]:
    expected, _ = golden_tensors(graph, inputs)
    outcome: dict[str, int] = {}
    found = _run(link, program, inputs, meaning, outcome)
    return found, expected, outcome["cycles"]


def _run(
    link: HostLink, program: Program, inputs: Mapping[str, Any], meaning: str, outcome: dict[str, int] | None = None
) -> dict[str, Any]:
    """Outputs; a run that fails is a Finding."""
    try:
        with Session(program, "board", device=link) as session:
            result = session.run(inputs)
    except DeviceError as error:
        raise Finding(str(error), meaning, _TIMING) from None
    if outcome is not None:
        outcome["cycles"] = result.cycles
    return result.outputs
