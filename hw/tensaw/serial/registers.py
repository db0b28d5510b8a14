"""The registers of the serial core, of which some are those that the host sees."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from amaranth import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from tensaw.serial.instruction import REGISTERS
from tensaw.spec.registers import REGISTERS as HOST_REGISTERS

__all__ = ["VISIBLE", "RegisterFile"]

VISIBLE = [
    item.name for item in HOST_REGISTERS
    if item.offset < 0x100 and not item.name.endswith("BASE_HI") and item.name not in ("CONTROL", "STATUS")
    or item.name in ("CYCLES_LO", "CYCLES_HI", "OUTPUT_BUSY_LO", "OUTPUT_BUSY_HI", "BYTES_READ_LO", "BYTES_WRITTEN_LO")
]  # fmt: skip
"""What the host finds in the registers, at their numbers; others read as 0, or are none of these."""


class RegisterFile(wiring.Component):
    """256 words of 32 bits with two read ports and one write port, in block RAM.

    Parameters
    ----------
    contents : sequence of 256 int
        What they hold when the FPGA has been configured; a reset changes nothing.

    Members
    -------
    read_a : In(1), address_a : In(8), value_a : Out(32)
        A read, and its result from the next cycle until the next read; ``b`` likewise.
    write : In(1), address : In(8), value : In(32)
        A write. A read of the same word in the same cycle gives the old value.
    """

    read_a: Signal
    address_a: Signal
    value_a: Signal
    read_b: Signal
    address_b: Signal
    value_b: Signal
    write: Signal
    address: Signal
    value: Signal

    def __init__(self, contents: Sequence[int]) -> None:
        self._contents = list(contents)
        super().__init__(
            {
                "read_a": In(1),
                "address_a": In(8),
                "value_a": Out(32),
                "read_b": In(1),
                "address_b": In(8),
                "value_b": Out(32),
                "write": In(1),
                "address": In(8),
                "value": In(32),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        # One copy for each read port.
        for side in ("a", "b"):
            memory = Memory(shape=32, depth=REGISTERS, init=self._contents)
            m.submodules[f"copy_{side}"] = memory
            write, read = memory.write_port(), memory.read_port()
            m.d.comb += [
                write.en.eq(self.write),
                write.addr.eq(self.address),
                write.data.eq(self.value),
                read.en.eq(getattr(self, f"read_{side}")),
                read.addr.eq(getattr(self, f"address_{side}")),
                getattr(self, f"value_{side}").eq(read.data),
            ]
        return m
