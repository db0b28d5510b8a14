"""Memory regions, the scratchpad and the strided transfers between them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from tensaw.model.machine_error import Refused
from tensaw.spec.limits import Registers
from tensaw.spec.registers import ErrorCode

__all__ = ["Footprint", "Region", "load", "read_stream", "store"]

Bytes: TypeAlias = npt.NDArray[np.uint8]
Addresses: TypeAlias = npt.NDArray[np.int64]


@dataclass
class Region:
    """One window of memory: its bytes, and what the NPU may do there."""

    data: Bytes
    read: bool = True
    write: bool = True


@dataclass
class Footprint:
    """What a command read and wrote, as integer arrays in no particular order (repeats allowed).

    ``memory`` addresses are ``region << 40 | offset``. ``read_rows`` (ARRAY) and ``write_rows`` (OUTPUT,
    LOAD) give the row of each scratchpad address read or written, in arrays of the same shapes. ``table`` entries are
    TableKind values, plus the part.
    """

    scratchpad_reads: list[Addresses] = field(default_factory=list)
    scratchpad_writes: list[Addresses] = field(default_factory=list)
    memory_reads: list[Addresses] = field(default_factory=list)
    memory_writes: list[Addresses] = field(default_factory=list)
    read_rows: list[Addresses] = field(default_factory=list)
    write_rows: list[Addresses] = field(default_factory=list)
    table_reads: list[Addresses] = field(default_factory=list)
    table_writes: list[Addresses] = field(default_factory=list)


def _region(regions: list[Region], index: int, lowest: int, end: int, write: bool) -> Region:
    """The region, after checking that bytes ``lowest`` to ``end - 1`` may be accessed."""
    if index >= len(regions):
        raise Refused(f"there is no region {index}", ErrorCode.OUTSIDE_REGION)
    region = regions[index]
    if not (region.write if write else region.read):
        verb = "written" if write else "read"
        raise Refused(f"region {index} may not be {verb}", ErrorCode.OUTSIDE_REGION)
    if end > len(region.data):
        raise Refused(
            f"bytes {lowest} to {end - 1} are not inside region {index}, which has {len(region.data)} bytes",
            ErrorCode.OUTSIDE_REGION,
        )
    return region


def read_stream(regions: list[Region], index: int, offset: int, count: int) -> Bytes:
    """``count`` contiguous bytes of a region. Raises Refused if they are not readable."""
    return _region(regions, index, offset, offset + count, write=False).data[offset : offset + count].copy()


def _addresses(registers: Registers, side: str, base: int) -> Addresses:
    """Byte addresses (planes, rows, bytes) of a transfer's ``memory`` or ``scratchpad`` side, not wrapped."""
    planes = np.arange(registers["PLANES"]["count"]) * registers["PLANE_PITCH"][side]
    rows = np.arange(registers["ROWS"]["count"]) * registers["ROW_PITCH"][side]
    return base + planes[:, None, None] + rows[:, None] + np.arange(registers["ROWS"]["bytes"])


def _scratchpad_side(scratchpad: Bytes, registers: Registers) -> Addresses:
    addresses = _addresses(registers, "scratchpad", registers["SCRATCHPAD"]["address"])
    last = int(addresses.max())
    if last >= len(scratchpad):
        raise Refused(f"it reaches scratchpad byte {last}, but there are {len(scratchpad)}", ErrorCode.ILLEGAL_VALUE)
    return addresses


def _memory_side(regions: list[Region], registers: Registers, write: bool) -> tuple[Region, Addresses]:
    index, offset = registers["MEMORY"]["region"], registers["MEMORY"]["offset"]
    last_row = (
        offset
        + (registers["PLANES"]["count"] - 1) * registers["PLANE_PITCH"]["memory"]
        + (registers["ROWS"]["count"] - 1) * registers["ROW_PITCH"]["memory"]
    )
    region = _region(regions, index, offset, last_row + registers["ROWS"]["bytes"], write)
    return region, _addresses(registers, "memory", offset)


def load(regions: list[Region], scratchpad: Bytes, registers: Registers) -> Footprint:
    """LOAD.RUN: memory, or the fill value, to the scratchpad. Raises Refused.

    Of bytes written twice the last in order (planes, rows, bytes) stays.
    """
    target = _scratchpad_side(scratchpad, registers)
    footprint = Footprint()
    if registers["RUN"]["fill"]:
        scratchpad[target] = registers["RUN"]["value"]
    else:
        region, source = _memory_side(regions, registers, write=False)
        scratchpad[target.ravel()] = region.data[source.ravel()]
        footprint.memory_reads.append(source | registers["MEMORY"]["region"] << 40)
    footprint.scratchpad_writes.append(target)
    # A follower may read its rows when the plane that they belong to is written.
    planes = np.arange(len(target)) * registers["RUN"]["lines"]
    footprint.write_rows.append(np.broadcast_to(planes[:, None, None], target.shape))
    return footprint


def store(regions: list[Region], scratchpad: Bytes, registers: Registers) -> Footprint:
    """STORE.RUN: the scratchpad to memory. Raises Refused."""
    source = _scratchpad_side(scratchpad, registers)
    region, target = _memory_side(regions, registers, write=True)
    region.data[target.ravel()] = scratchpad[source.ravel()]
    footprint = Footprint()
    footprint.scratchpad_reads.append(source)
    footprint.memory_writes.append(target | registers["MEMORY"]["region"] << 40)
    return footprint
