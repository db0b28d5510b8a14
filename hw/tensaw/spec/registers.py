"""The register map of the AXI4-Lite port: 32-bit registers at byte offsets, and the error codes they report.

The RTL, the driver, the C header and ``docs/registers.md`` are made from or checked against this table.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from tensaw.spec.isa import REGIONS

__all__ = [
    "Access",
    "Bit",
    "Register",
    "REGISTERS",
    "COUNTERS",
    "ErrorCode",
    "ERROR_TEXTS",
    "IDENTITY",
    "VERSION",
    "ADDRESS_BITS",
    "register",
    "region_register",
]

IDENTITY = int.from_bytes(b"TSAW", "little")
VERSION = 1
"""Version of the program format and register map together."""
ADDRESS_BITS = 12


class Access(enum.Enum):
    READ = "read"
    READ_WRITE = "read/write"
    WRITE_ONE = "write 1 to act"
    CLEAR = "read, write 1 to clear"


@dataclass(frozen=True)
class Bit:
    name: str
    low: int
    width: int
    text: str


@dataclass(frozen=True)
class Register:
    name: str
    offset: int
    access: Access
    text: str
    bits: tuple[Bit, ...] = ()


class ErrorCode(enum.IntEnum):
    """ERROR.code: why a run stopped."""

    NONE = 0
    READ_SLVERR = 1
    READ_DECERR = 2
    WRITE_SLVERR = 3
    WRITE_DECERR = 4
    ILLEGAL_COMMAND = 5
    ILLEGAL_VALUE = 6
    OUTSIDE_REGION = 7
    NO_END = 8
    STOPPED = 9


ERROR_TEXTS: dict[ErrorCode, str] = {
    ErrorCode.NONE: "no error",
    ErrorCode.READ_SLVERR: "memory answered a read with SLVERR",
    ErrorCode.READ_DECERR: "memory answered a read with DECERR",
    ErrorCode.WRITE_SLVERR: "memory answered a write with SLVERR",
    ErrorCode.WRITE_DECERR: "memory answered a write with DECERR",
    ErrorCode.ILLEGAL_COMMAND: "a word of no unit or no such register, or with bits above its last field",
    ErrorCode.ILLEGAL_VALUE: "a value that the unit cannot carry out (see isa.md), or more than 255 waiting tokens",
    ErrorCode.OUTSIDE_REGION: "an access beyond a region's size, or to a region above 3, or that ACCESS does not allow",
    ErrorCode.NO_END: "the program's last word was reached without CONTROL.END",
    ErrorCode.STOPPED: "software asked for it (CONTROL.stop)",
}

COUNTERS: tuple[tuple[str, str], ...] = (
    ("CYCLES", "clock cycles from start to done"),
    ("ARRAY_BUSY", "cycles in which the array took a position"),
    ("WAIT_WEIGHTS", "cycles the array waited for weights to arrive"),
    ("WAIT_INPUT", "cycles the array waited for tokens, or for rows that LOAD was still writing"),
    ("WAIT_FOLLOW", "cycles the array waited for rows that the output stage was still writing"),
    ("WAIT_ACCUMULATORS", "cycles the array waited for a free accumulator half, that is, for the output stage"),
    ("OUTPUT_BUSY", "cycles in which the output stage had a run"),
    ("BYTES_READ", "bytes read over the memory port"),
    ("BYTES_WRITTEN", "bytes written over the memory port"),
)

_FIXED = (
    Register("IDENTITY", 0x000, Access.READ, "0x57415354, the letters TSAW."),
    Register("VERSION", 0x004, Access.READ, "Version of register map and program format."),
    Register("CONFIG", 0x008, Access.READ, "Digest of the configuration; a program carries the same."),
    Register(
        "SHAPE",
        0x00C,
        Access.READ,
        "Size of the array.",
        (
            Bit("rows", 0, 8, "array rows"),
            Bit("columns", 8, 8, "array columns"),
            Bit("bus_bytes", 16, 8, "bus width"),
            Bit("lanes", 24, 8, "requantise lanes"),
        ),
    ),
    Register("SCRATCHPAD_BYTES", 0x010, Access.READ, "Scratchpad size."),
    Register("WEIGHT_BYTES", 0x014, Access.READ, "Weight buffer size."),
    Register("ACC_ENTRIES", 0x018, Access.READ, "Accumulator entries."),
    Register(
        "CONTROL",
        0x020,
        Access.WRITE_ONE,
        "Start and stop.",
        (
            Bit("start", 0, 1, "reset the core and run the program; ignored while busy"),
            Bit("stop", 1, 1, "end the run: outstanding bus transfers finish, then ERROR with code STOPPED"),
        ),
    ),
    Register(
        "STATUS",
        0x024,
        Access.CLEAR,
        "State of the run.",
        (
            Bit("busy", 0, 1, "a run is in progress"),
            Bit("done", 1, 1, "the program reached its end"),
            Bit("error", 2, 1, "the run stopped with an error"),
        ),
    ),
    Register(
        "INTERRUPT_ENABLE",
        0x028,
        Access.READ_WRITE,
        "The interrupt is enable and (done or error).",
        (Bit("enable", 0, 1, "raise the interrupt line"),),
    ),
    Register(
        "ERROR",
        0x030,
        Access.READ,
        "Cause of the last error.",
        (
            Bit("code", 0, 8, "ErrorCode"),
            Bit("unit", 8, 4, "unit as in the command word, 0 for the program fetch"),
            Bit("tag", 16, 16, "tag of the run that failed"),
        ),
    ),
    Register("ERROR_ADDRESS_LO", 0x034, Access.READ, "Bus address, or low half of the illegal command word."),
    Register("ERROR_ADDRESS_HI", 0x038, Access.READ, "Its upper half."),
    Register("PROGRAM_OFFSET", 0x040, Access.READ_WRITE, "Byte offset of the program in region 0, multiple of 16."),
    Register("PROGRAM_BYTES", 0x044, Access.READ_WRITE, "Bytes of the program, multiple of 16."),
)


def _regions() -> tuple[Register, ...]:
    registers = []
    for index in range(REGIONS):
        base = 0x080 + 0x10 * index
        registers += [
            Register(
                f"REGION{index}_BASE_LO",
                base,
                Access.READ_WRITE,
                f"Bus address of region {index}, low half; a multiple of 16.",
            ),
            Register(f"REGION{index}_BASE_HI", base + 4, Access.READ_WRITE, "High half."),
            Register(f"REGION{index}_SIZE", base + 8, Access.READ_WRITE, "Bytes; 0 closes the region."),
            Register(
                f"REGION{index}_ACCESS",
                base + 12,
                Access.READ_WRITE,
                "What the NPU may do there.",
                (Bit("read", 0, 1, "reads allowed"), Bit("write", 1, 1, "writes allowed")),
            ),
        ]
    return tuple(registers)


def _counters() -> tuple[Register, ...]:
    registers = []
    for index, (name, text) in enumerate(COUNTERS):
        registers += [
            Register(f"{name}_LO", 0x100 + 8 * index, Access.READ, text[0].upper() + text[1:] + "."),
            Register(f"{name}_HI", 0x104 + 8 * index, Access.READ, "Upper half."),
        ]
    return tuple(registers)


_STALLS = tuple(
    Register(
        f"STALL_{unit}",
        0x180 + 4 * index,
        Access.READ,
        f"What the {unit.lower()} unit is doing, for finding a hang.",
        (
            Bit(
                "state",
                0,
                4,
                "0 idle, 1 running, 2 waiting for tokens, 3 for weights, 4 for rows of the output stage, "
                "5 for accumulators, 6 for the bus, 7 for room in the weight buffer, 8 for results of the array",
            ),
            Bit("wait", 4, 4, "wait mask of the run that waits"),
            Bit("queued", 8, 8, "command words queued, at most 255"),
            Bit("tag", 16, 16, "tag of the run"),
        ),
    )
    for index, unit in enumerate(("WEIGHT", "LOAD", "ARRAY", "OUTPUT", "STORE"))
)

REGISTERS: tuple[Register, ...] = (*_FIXED, *_regions(), *_counters(), *_STALLS)

_BY_NAME = {item.name: item for item in REGISTERS}


def register(name: str) -> Register:
    """The register of that name; KeyError if there is none."""
    return _BY_NAME[name]


def region_register(index: int, part: str) -> Register:
    """``part`` is BASE_LO, BASE_HI, SIZE or ACCESS."""
    return _BY_NAME[f"REGION{index}_{part}"]
