"""What the tests of the back end share: running a compiled program on the instruction-level golden model."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tensaw.compiler.ir import Graph
from tensaw.compiler.pipeline import CompileOptions, compile_graph
from tensaw.model.graph import run_graph
from tensaw.model.machine import Machine
from tensaw.regress.configs import random_config
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


@pytest.fixture
def any_config() -> Callable[[np.random.Generator], NpuConfig]:
    """Makes random legal configurations."""
    return random_config
