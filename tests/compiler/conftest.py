"""What the tests of the back end share: running a compiled program on the instruction-level golden model."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tensaw.compiler.ir import Graph
from tensaw.compiler.pipeline import CompileOptions, compile_graph
from tensaw.model.graph import run_graph
from tensaw.model.machine import Machine
from tensaw.spec.config import NpuConfig
from tensaw.spec.program import Binding, Program

Agree = Callable[..., Program]


def transposed(graph: Graph, binding: Binding) -> bool:
    """Whether the compiler has exchanged rows and columns of a port."""
    ports = [port for port in (*graph.inputs, *graph.outputs) if port.tensor == binding.tensor]
    return all(port.permutation != binding.permutation for port in ports) and bool(ports)


def run_program(graph: Graph, program: Program, values: dict[str, np.ndarray], races: bool) -> dict[str, np.ndarray]:
    """Outputs and kept tensors by IR name, in the IR's shapes; fails on anything the machine warns of."""
    machine = Machine(program.config, check_races=races)
    inputs = {}
    for binding in program.inputs:
        value = values[binding.tensor]
        inputs[binding.tensor] = value.transpose(0, 2, 1, 3).copy() if transposed(graph, binding) else value
    outputs = machine.run(program, inputs)
    assert machine.warnings == []
    for binding in program.outputs:
        if transposed(graph, binding):
            outputs[binding.tensor] = outputs[binding.tensor].transpose(0, 2, 1, 3)
    return outputs


@pytest.fixture
def agree() -> Agree:
    """Compile a graph, run the program and hold every tensor that it stores to the golden operators; returns it."""

    def check(
        graph: Graph,
        config: NpuConfig,
        rng: np.random.Generator,
        options: CompileOptions | None = None,
        inputs: dict[str, np.ndarray] | None = None,
        races: bool = True,
    ) -> Program:
        program = compile_graph(graph, config, options)
        values = inputs or {
            port.tensor: rng.integers(-128, 128, graph.tensors[port.tensor].shape, dtype=np.int8)
            for port in graph.inputs
        }
        outputs = run_program(graph, program, values, races)
        golden = run_graph(graph, values, keep=True)
        assert {port.tensor for port in graph.outputs} <= set(outputs)
        for name, value in outputs.items():
            np.testing.assert_array_equal(value, golden[name], err_msg=name)
        return program

    return check


def random_config(rng: np.random.Generator) -> NpuConfig:
    """A legal configuration: any shape, memories from the smallest legal size upwards."""
    sizes = (2, 3, 4, 5, 7, 8, 10, 12, 16, 24, 32, 64)
    columns = int(rng.choice(sizes))
    config = NpuConfig(
        rows=int(rng.choice(sizes)),
        columns=columns,
        bus_bytes=int(rng.choice((8, 16))),
        weight_bytes=96 << 10,
        scratchpad_bytes=1 << 20,
        requant_lanes=int(rng.integers(1, columns + 1)),
        queue_depth=int(rng.integers(16, 100)),
        acc_entries=int(rng.choice((8, 16, 64, 512))),
    )
    step = 4 * config.word_bytes
    scratchpad = max(int(rng.choice((8 * step, 32 * step, 4096, 16384, 1 << 17))) // step, 8) * step
    scratchpad = max(scratchpad, -(-512 // step) * step)
    unit = config.weight_word_bytes
    least = 2 * (config.rows + 9) * config.weight_row_bytes + 2 * config.burst_beats * config.bus_bytes
    weights = int(rng.choice((least, 2 * least, 96 << 10)))
    return config.replace(scratchpad_bytes=scratchpad, weight_bytes=-(-weights // unit) * unit)


@pytest.fixture
def any_config() -> Callable[[np.random.Generator], NpuConfig]:
    """Makes random legal configurations."""
    return random_config
