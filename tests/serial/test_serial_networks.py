"""Networks on the serial core: every byte of memory as the golden models leave it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tensaw.boards.board import BlockRam
from tensaw.compiler.frontends import load
from tensaw.compiler.pipeline import CompileOptions, compile_graph
from tensaw.harness.serial_core import MEMORY_BYTES
from tensaw.model.machine import Machine
from tensaw.regress.cases import Case
from tensaw.runtime.driver import Driver
from tensaw.runtime.placement import place_on_board
from tensaw.spec.config import PRESETS, NpuConfig

DIGITS = Path(__file__).resolve().parents[2] / "examples" / "digits"
NANO = PRESETS["nano"]
ODD = NANO.replace(name="odd", rows=7, columns=3, scratchpad_bytes=2048, acc_entries=16, queue_depth=16)
"""Two groups of taps, a column that is not there, and so little room that nearly everything is tiled."""
CASES = 40
SEED = 2711


@dataclass(frozen=True)
class OddCase(Case):
    """A case for a configuration without a name."""

    @property
    def config(self) -> NpuConfig:  # type: ignore[override]
        return ODD


@pytest.mark.parametrize("kind", [Case, OddCase])
def test_random_networks(devices: Any, run_case: Any, kind: type[Case]) -> None:
    """The regression's, on 4 × 4 elements and, with block RAM, on 7 × 3; compile options are drawn, too."""
    device = devices(NANO) if kind is Case else devices(ODD, BlockRam(MEMORY_BYTES))
    done = [run_case(device, kind(SEED, index, ("nano",))) for index in range(CASES)]
    assert sum(counters is not None for counters in done) >= CASES * 3 // 4
    assert any(counters and counters["output_busy"] for counters in done)
    assert any(counters and counters["bytes_read"] for counters in done)


def test_digits(devices: Any) -> None:
    """The example, several images without a reset between them."""
    graph = load(DIGITS / "digits_int8.tflite")
    program = compile_graph(graph, NANO, CompileOptions())
    images = np.load(DIGITS / "digits_images.npz")["image"]
    device = devices(NANO)
    place = place_on_board(program, 0, MEMORY_BYTES)
    driver = Driver(device, program, place)
    driver.open()
    (source,), (sink,) = program.inputs, program.outputs
    for number in (3, 141, 90):
        image = images[number].reshape(source.shape)
        expected = Machine(NANO).run(program, {source.tensor: image})[sink.tensor]
        device.write_memory(place.regions[source.region] + source.offset, image.view(np.uint8).ravel())
        counters = driver.run()
        found = device.read_memory(place.regions[sink.region] + sink.offset, expected.size)
        assert (found.view(np.int8) == expected.ravel()).all(), number
        assert counters["bytes_read"] == image.size and counters["bytes_written"] == expected.size
