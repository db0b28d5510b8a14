"""The serial core in Verilator, for two configurations."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from tensaw.boards.board import BlockRam, SinglePort
from tensaw.harness.serial_core import MEMORY_BYTES, SerialDevice, build_serial_core
from tensaw.regress.bench import prepare
from tensaw.regress.cases import Case
from tensaw.rtl.export import block_verilog
from tensaw.runtime.driver import Driver
from tensaw.runtime.placement import place_on_board
from tensaw.serial.core import SerialCore
from tensaw.spec.config import NpuConfig
from tensaw.spec.errors import InputError, UnsupportedError

_MEMORY = SinglePort(MEMORY_BYTES)
Devices = Callable[..., SerialDevice]


@pytest.fixture(scope="session")
def devices() -> Iterator[Devices]:
    """``devices(config, memory)``: a core of that configuration, with that memory, after a reset, the same one each
    time."""
    running: dict[Any, SerialDevice] = {}

    def device(config: NpuConfig, memory: BlockRam | SinglePort = _MEMORY) -> SerialDevice:
        key = config.digest, memory
        if key not in running:
            core = SerialCore(config, memory)
            verilog = block_verilog("tensaw_serial_core", core, (config, memory), config)
            running[key] = SerialDevice(build_serial_core(verilog))
        running[key].reset()
        return running[key]

    yield device
    for one in running.values():
        one.close()


@pytest.fixture(scope="session")
def run_case() -> Callable[[SerialDevice, Case], dict[str, int] | None]:
    """``run_case(device, case)``: run it and compare memory; its counters, or None where it cannot be compiled or has
    no room."""
    return _run_case


def _run_case(device: SerialDevice, case: Case) -> dict[str, int] | None:
    try:
        program, placement, before, expected = prepare(case)
        place = place_on_board(program, 0, MEMORY_BYTES)
    except (UnsupportedError, InputError):
        return None
    memory = np.random.default_rng(case.index).integers(0, 256, MEMORY_BYTES, np.uint8)
    wanted = memory.copy()
    for here, there, size in zip(place.regions, placement.regions, place.sizes, strict=True):
        there -= placement.base
        memory[here : here + size] = before[there : there + size]
        wanted[here : here + size] = expected[there : there + size]
    device.write_memory(0, memory)
    driver = Driver(device, program, place)
    driver.open()
    counters = driver.run()
    found = device.read_memory(0, MEMORY_BYTES)
    assert (found == wanted).all(), (case.index, str(case), int(np.flatnonzero(found != wanted)[0]))
    assert counters["cycles"] <= device.cycles <= counters["cycles"] + 100
    assert counters["output_busy"] <= counters["cycles"]
    return counters
