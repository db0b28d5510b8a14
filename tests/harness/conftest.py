"""The stand-in for the NPU, built for both simulators."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tensaw.harness import Waves, build_icarus, build_verilator
from tensaw.spec.config import NpuConfig

MEMORY = 64 << 10
BASE = 0x10000000


@pytest.fixture(scope="session")
def standin() -> dict[str, str]:
    """Verilog of the stand-in."""
    return {"tensaw_npu.v": (Path(__file__).parent / "standin.v").read_text()}


@pytest.fixture(scope="session")
def build(standin: dict[str, str]) -> Callable[..., Path]:
    """``build(simulator, waves=None)``: the program to run."""

    def make(simulator: str, waves: Waves | None = None) -> Path:
        if simulator == "icarus":
            return build_icarus(standin, NpuConfig(), MEMORY)
        return build_verilator(standin, NpuConfig(), waves=waves.format if waves else None)

    return make
