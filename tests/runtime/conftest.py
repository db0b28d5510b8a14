"""A program for the stand-in of tests/harness, which inverts region 1 into region 2."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tensaw.spec.config import NpuConfig
from tensaw.spec.isa import END_WORD
from tensaw.spec.program import INPUTS, OUTPUTS, Binding, Layer, Program, Tag

CONFIG = NpuConfig(name="standin", rows=4, columns=4, requant_lanes=1)


@pytest.fixture(scope="session")
def standin() -> dict[str, str]:
    """Verilog of the stand-in, with the digest of its configuration."""
    text = (Path(__file__).parent.parent / "harness" / "standin.v").read_text()
    return {"tensaw_npu.v": text.replace("DIGEST = 0", f"DIGEST = {CONFIG.digest}")}


@pytest.fixture(scope="session")
def program() -> Callable[..., Program]:
    """``program(mode, **changes)``: two layers, an input of 1×3×8×8 bytes seen as NHWC, an output of as many."""

    def make(mode: int = 16, **changes: Any) -> Program:
        constants = END_WORD.to_bytes(8, "little") * (mode // 8 + 2)
        image = Binding("image", "t0", INPUTS, 0, (1, 8, 8, 3), (1, 3, 8, 8), "int8", (0, 2, 3, 1), 0.5, -1)
        inverse = Binding("inverse", "t1", OUTPUTS, 0, (192,), (1, 192), "int8", None, 0.25, 3)
        made = Program(
            "copy", CONFIG, constants, 16, mode, (len(constants), 192, 192, 0), [image], [inverse],
            layers=[Layer("stem", "CONV_2D", "t0", macs=100), Layer("head", "RESHAPE", "t1"), Layer("none", "PAD", "")],
            tags=[Tag(0, "rows 0..3"), Tag(0, "rows 4..7"), Tag(1, "")],
        )  # fmt: skip
        return dataclasses.replace(made, **changes)

    return make
