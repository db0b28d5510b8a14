"""The serial core in Verilator, for two configurations."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tensaw.harness.serial_core import SerialDevice, build_serial_core
from tensaw.rtl.export import block_verilog
from tensaw.serial.core import SerialCore
from tensaw.spec.config import NpuConfig

Devices = Callable[[NpuConfig], SerialDevice]


@pytest.fixture(scope="session")
def devices() -> Iterator[Devices]:
    """``devices(config)``: a core of that configuration after a reset, the same one each time."""
    running: dict[int, SerialDevice] = {}

    def device(config: NpuConfig) -> SerialDevice:
        if config.digest not in running:
            verilog = block_verilog("tensaw_serial_core", SerialCore(config), (config,), config)
            running[config.digest] = SerialDevice(build_serial_core(verilog))
        running[config.digest].reset()
        return running[config.digest]

    yield device
    for one in running.values():
        one.close()
