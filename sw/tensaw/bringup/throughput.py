"""How fast the link is, by the board's own clock, so that the figures of a virtual board are those of a real one."""

from __future__ import annotations

import random
from dataclasses import dataclass

from tensaw.runtime.link import HostLink
from tensaw.spec.registers import register

__all__ = ["Throughput", "measure"]

_START_BITS = 10
"""Bits of line for a byte."""
_READS = 20


@dataclass(frozen=True)
class Throughput:
    """``write`` and ``read`` in bytes a second of the board's time, ``line`` what the line's rate allows; ``register``:
    seconds for one register read; ``size``: bytes in each direction; ``resent``: requests sent again."""

    size: int
    write: float
    read: float
    line: float
    register: float
    resent: int

    def to_dict(self) -> dict[str, float]:
        """For JSON."""
        return {
            "bytes": self.size,
            "write_bytes_per_second": round(self.write),
            "read_bytes_per_second": round(self.read),
            "line_bytes_per_second": round(self.line),
            "write_share": round(self.write / self.line, 4),
            "read_share": round(self.read / self.line, 4),
            "register_read_seconds": self.register,
            "resent": self.resent,
        }


def measure(link: HostLink, size: int) -> Throughput:
    """Write and read ``size`` bytes of memory. Raises DeviceError."""
    identity = link.identity
    size = min(size, identity.memory_bytes)
    content = random.Random(7).randbytes(size)
    before = link.resent

    def clock() -> int:
        return link.counters()[0]

    started = clock()
    link.write_memory(identity.memory_base, content)
    written = clock()
    link.read_memory(identity.memory_base, size)
    read = clock()
    for _ in range(_READS):
        link.read_registers(register("STATUS").offset)
    ended = clock()

    def rate(cycles: int) -> float:
        return size * identity.clock / max(cycles % 2**32, 1)

    return Throughput(
        size, rate(written - started), rate(read - written), identity.baud / _START_BITS,
        (ended - read) % 2**32 / identity.clock / (_READS + 1), link.resent - before,
    )  # fmt: skip
