"""The serial core's program: an interpreter of command words."""

from __future__ import annotations

from functools import cache

from tensaw.serial.assembler import Assembler, Firmware
from tensaw.serial.microcode.array import array_run, sums, table
from tensaw.serial.microcode.control import control
from tensaw.serial.microcode.output import drain
from tensaw.serial.microcode.requantise import requantise
from tensaw.serial.microcode.softmax import softmax
from tensaw.serial.microcode.transfer import stop, transfer, weight_stream
from tensaw.spec.config import NpuConfig
from tensaw.spec.registers import IDENTITY, VERSION

__all__ = ["firmware"]

_SHARED = {
    # Of transfers, and of the drain's loops.
    "planes": "tile_base", "rows": "row_0", "left": "x_left", "plane_memory": "tile_target", "plane_pad": "row_target",
    "row_memory": "tile_operand", "row_pad": "row_operand", "source": "operand", "span": "parameters",
    "total": "tile_bytes", "rest": "weights",
    # Of softmax, and of the drain.
    "row_source": "tile_target", "largest": "column", "half": "byte_0", "turns": "stream_bytes", "shifts": "count",
    # Of one action of the array, and of another.
    "block_height": "k_row", "block_width": "k_byte",
}  # fmt: skip
"""Registers with a second name."""


@cache
def firmware(config: NpuConfig, memory_bytes: int) -> Firmware:
    """The program for a configuration, and for so many bytes of memory."""
    asm = Assembler()
    asm.reg("scratchpad_bytes")
    for name, other in _SHARED.items():
        asm.share(name, asm.reg(other))
    control(asm, memory_bytes)
    transfer(asm, config, "LOAD")
    transfer(asm, config, "STORE")
    weight_stream(asm, config)
    stop(asm)
    array_run(asm, config)
    table(asm)
    drain(asm, config)
    sums(asm, config)
    requantise(asm)
    softmax(asm)
    asm.preset("scratchpad_bytes", config.scratchpad_bytes)
    for name, value in (
        ("IDENTITY", IDENTITY),
        ("VERSION", VERSION),
        ("CONFIG", config.digest),
        ("SHAPE", config.rows | config.columns << 8 | config.bus_bytes << 16 | config.requant_lanes << 24),
        ("SCRATCHPAD_BYTES", config.scratchpad_bytes),
        ("WEIGHT_BYTES", config.weight_bytes),
        ("ACC_ENTRIES", config.acc_entries),
    ):
        asm.preset(name, value)
    return asm.finish()
