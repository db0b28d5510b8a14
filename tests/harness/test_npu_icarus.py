"""Verilator and Icarus agree on the generated hardware: the same memory, the same cycles, the same counters."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from tensaw.compiler.frontends import load
from tensaw.compiler.pipeline import compile_graph
from tensaw.runtime import Session
from tensaw.spec.config import PRESETS

MODEL = Path(__file__).resolve().parents[2] / "examples" / "digits" / "digits_int8.tflite"


@pytest.mark.skipif(not shutil.which("iverilog"), reason="Icarus Verilog is not installed")
@pytest.mark.parametrize("stalls", [None, 0.3])
def test_icarus_and_verilator_agree(stalls: float | None, rng: np.random.Generator) -> None:
    program = compile_graph(load(MODEL), PRESETS["nano"])
    inputs = {binding.name: rng.integers(-128, 128, binding.file_shape, np.int8) for binding in program.inputs}
    found = []
    for backend in ("verilator", "icarus"):
        with Session(program, backend, stalls=stalls, seed=5, optimise="build") as session:
            result = session.run(inputs)
            memory = [session.read_region(region).tobytes() for region in range(4)]
            found.append((memory, result.cycles, result.counters, result.events, result.layers))
    assert found[0] == found[1]
    assert found[0][1] > 1000
