"""Synchronous RAM with one write port and one read port: the only way large memories enter the design."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import ClockSignal, Elaboratable, Instance, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from tensaw.rtl.shared import ExportPlatform

__all__ = ["Ram", "ram_module_name", "ram_verilog"]

_BLOCK_ROWS = 1024
"""No family's block RAM is used with fewer rows than these to good effect."""


def _lanes(depth: int, width: int, granularity: int) -> int:
    if depth < 2 or width < 1 or granularity < 1 or width % granularity:
        raise ValueError(
            f"A RAM needs 2 rows or more and a lane that divides the row, not depth={depth!r}, width={width!r}, "
            f"granularity={granularity!r}."
        )
    return width // granularity


def ram_module_name(depth: int, width: int, granularity: int) -> str:
    """Verilog module name of a RAM of ``depth`` rows of ``width`` bits, written in lanes of ``granularity`` bits."""
    return f"tensaw_ram_{depth}x{width}_{granularity}"


def _parts(depth: int) -> list[tuple[int, int]]:
    """First row and rows of each array of a RAM: powers of two but for the last one, which may be any number of rows up
    to a block RAM's."""
    parts, first = [], 0
    while depth - first > _BLOCK_ROWS and (depth - first).bit_count() > 1:
        rows = 1 << (depth - first).bit_length() - 1
        parts.append((first, rows))
        first += rows
    return [*parts, (first, depth - first)]


def ram_verilog(depth: int, width: int, granularity: int, attribute: str = "", poisoned: bool = False) -> str:
    """Verilog text of :func:`ram_module_name`: an array of registers that synthesis infers as block RAM, without
    initial contents (``lib.memory`` would write one ``initial`` line for each row).

    A depth that is no power of two becomes several arrays, of which those that are not read give 0: synthesis would
    make it of equally deep blocks, with a choice among them all behind their slow outputs.

    ``attribute`` stands before the array (tensaw.rtl.technology), beside ``no_rw_check``: without it Yosys adds logic
    for a row that is read while it is written. ``poisoned``: lanes that are read while they are written give the
    complement, so that a simulation shows whoever uses them.
    """
    lanes = _lanes(depth, width, granularity)
    address = max(1, ceil_log2(depth))
    parts = _parts(depth)
    text, outputs = "", []
    for number, (first, rows) in enumerate(parts):
        suffix = str(number) if len(parts) > 1 else ""
        memory, output = f"mem{suffix}", f"data{suffix}" if suffix else "read_data"
        bits = max(1, ceil_log2(rows))
        select = f"[{bits - 1}:0]" if suffix else ""
        here = {
            side: f" && {side}_address[{address - 1}:{bits}] == {address - bits}'d{first >> bits}" if suffix else ""
            for side in ("write", "read")
        }
        text += f"  (* no_rw_check *) {attribute}reg [{width - 1}:0] {memory} [0:{rows - 1}];\n"
        if suffix:
            text += f"  reg [{width - 1}:0] {output};\n"
        text += "  always @(posedge clk) begin\n"
        poison = ""
        for lane in range(lanes):
            enable = "write_enable" if lanes == 1 else f"write_enable[{lane}]"
            part = "" if lanes == 1 else f"[{(lane + 1) * granularity - 1}:{lane * granularity}]"
            text += f"    if ({enable}{here['write']}) {memory}[write_address{select}]{part} <= write_data{part};\n"
            if poisoned:
                same = f"read_enable{here['read']} && write_address == read_address"
                poison += f"    if ({same} && {enable}) {output}{part} <= ~{memory}[read_address{select}]{part};\n"
        if suffix:
            text += f"    if (read_enable && !({here['read'][4:]})) {output} <= 0;\n    else"
        else:
            text += "   "
        text += f" if (read_enable) {output} <= {memory}[read_address{select}];\n"
        text += f"{poison}  end\n"
        outputs.append(output)
    joined = "" if len(parts) == 1 else f"  assign read_data = {' | '.join(outputs)};\n"
    return f"""\
module {ram_module_name(depth, width, granularity)} (
  input clk,
  input [{lanes - 1}:0] write_enable,
  input [{address - 1}:0] write_address,
  input [{width - 1}:0] write_data,
  input read_enable,
  input [{address - 1}:0] read_address,
  output {"" if joined else "reg "}[{width - 1}:0] read_data
);
{text}{joined}endmodule
"""


class Ram(wiring.Component):
    """A RAM of ``depth`` rows of ``width`` bits with one write port and one synchronous read port.

    Parameters
    ----------
    depth : int
        Rows, at least 2.
    width : int
        Bits of a row.
    granularity : int, optional
        Bits of a lane that can be written alone; divides ``width``. Default: the whole row.

    Members
    -------
    write_enable : In(width / granularity)
        Bit l writes lane l of the row at ``write_address``.
    write_address : In(ceil_log2(depth))
    write_data : In(width)
    read_enable : In(1)
        Reads the row at ``read_address``; while 0, ``read_data`` holds its value.
    read_address : In(ceil_log2(depth))
    read_data : Out(width)

    Timing
    ------
    ``read_data`` is valid in the cycle after the one with ``read_enable``; a write is seen by reads in later cycles.
    One write and one read each cycle. There is no reset: contents are undefined at power-up and reset keeps them.

    Corner cases
    ------------
    A lane that is read in the cycle in which it is written is undefined (FPGA block RAMs differ; simulation gives the
    old contents, or their complement where the Verilog has checks); the row's other lanes are as they were. Whoever
    instantiates the RAM must not use what such a read returns for that lane.

    Elaboration
    -----------
    On an ExportPlatform it is an ``Instance`` of the module :func:`ram_module_name`, and the platform gets that
    module's Verilog text; otherwise (simulation in Python) the RAM is a ``lib.memory.Memory``.
    """

    write_enable: Signal
    write_address: Signal
    write_data: Signal
    read_enable: Signal
    read_address: Signal
    read_data: Signal

    def __init__(self, depth: int, width: int, granularity: int | None = None) -> None:
        granularity = width if granularity is None else granularity
        self.depth, self.width, self.granularity = depth, width, granularity
        super().__init__(
            {
                "write_enable": In(_lanes(depth, width, granularity)),
                "write_address": In(ceil_log2(depth)),
                "write_data": In(width),
                "read_enable": In(1),
                "read_address": In(ceil_log2(depth)),
                "read_data": Out(width),
            }
        )

    def elaborate(self, platform: Any) -> Elaboratable:
        if isinstance(platform, ExportPlatform):
            name = ram_module_name(self.depth, self.width, self.granularity)
            attribute = platform.technology.ram_attribute(self.depth)
            platform.texts[name] = ram_verilog(self.depth, self.width, self.granularity, attribute, platform.checks)
            platform.rams[name] = (self.depth, self.width, self.granularity)
            return Instance(
                name,
                i_clk=ClockSignal("sync"),
                i_write_enable=self.write_enable,
                i_write_address=self.write_address,
                i_write_data=self.write_data,
                i_read_enable=self.read_enable,
                i_read_address=self.read_address,
                o_read_data=self.read_data,
            )
        m = Module()
        m.submodules.memory = memory = Memory(shape=self.width, depth=self.depth, init=[])
        write = memory.write_port(granularity=self.granularity)
        read = memory.read_port()
        m.d.comb += [
            write.en.eq(self.write_enable),
            write.addr.eq(self.write_address),
            write.data.eq(self.write_data),
            read.en.eq(self.read_enable),
            read.addr.eq(self.read_address),
            self.read_data.eq(read.data),
        ]
        return m
