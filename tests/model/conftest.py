"""Running a ``.tflite`` network on the golden model and on LiteRT side by side."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tensaw.compiler.check import check_graph
from tensaw.compiler.frontends.tflite import load_tflite
from tensaw.model import run_graph


@pytest.fixture
def assert_equals_litert() -> Callable[..., None]:
    """``check(model, rng, runs=3, inputs=None)``: golden outputs equal LiteRT's reference kernels' in every byte."""
    pytest.importorskip("ai_edge_litert", reason="LiteRT is not installed")
    from tensaw.networks.litert import LitertReference

    def check(model: bytes, rng: np.random.Generator, runs: int = 3, inputs: list[np.ndarray] | None = None) -> None:
        graph = load_tflite(model, "network.tflite")
        check_graph(graph)
        reference = LitertReference(model)
        shapes = [graph.tensors[port.tensor].shape for port in graph.inputs]
        for _ in range(runs):
            arrays = inputs or [rng.integers(-128, 128, shape, dtype=np.int8) for shape in shapes]
            expected = reference.run(arrays)
            named = {port.tensor: array for port, array in zip(graph.inputs, arrays, strict=True)}
            results = run_graph(graph, named)
            for port, wanted in zip(graph.outputs, expected, strict=True):
                np.testing.assert_array_equal(results[port.tensor].reshape(wanted.shape), wanted, err_msg=port.name)

    return check
