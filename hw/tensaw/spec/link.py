"""The host link: what host and board say to each other over a serial line. ``docs/link.md`` is the prose.

A frame is two bytes of synchronisation, a :class:`Header` with its CRC, and, where the operation has one, a payload
with its CRC. All numbers are little-endian; the CRC is that of zlib (CRC-32, reflected, 0xEDB88320).
"""

from __future__ import annotations

import enum
import json
import struct
from dataclasses import dataclass
from typing import Any

from tensaw.spec.config import NpuConfig
from tensaw.spec.errors import ConfigError, DeviceError

__all__ = [
    "BACKGROUNDS", "BAUD_RATES", "COUNTERS_FORMAT", "FAST_RATES", "HEADER_BYTES", "Header",
    "IDENTITY_MAGIC", "Identity", "MARCH_TEXTS",
    "MarchFlag", "OP_TEXTS", "Op", "PROTOCOL", "STATUS_TEXTS", "SYNC_REQUEST", "SYNC_RESPONSE", "Status",
    "WITH_PAYLOAD", "ONCE",
]  # fmt: skip

PROTOCOL = 1
"""Version in every header. HELLO is answered whatever the version of the request."""
SYNC_REQUEST = b"\xa7\x53"
SYNC_RESPONSE = b"\x53\xa7"
"""Not the same, so that a host does not take its own echo for an answer."""

BAUD_RATES = (3_000_000, 2_000_000, 1_000_000, 115_200)
"""Rates at which a board is looked for."""
FAST_RATES = (16_000_000, 12_000_000, 8_000_000, 4_000_000, 2_000_000, 1_000_000)
"""Rates of virtual boards, beyond what serial ports can do."""

_HEADER = struct.Struct("<BBBBIH")
HEADER_BYTES = _HEADER.size
"""Bytes that the header's CRC covers: neither the synchronisation nor the CRC itself."""


class Op(enum.IntEnum):
    """What a request asks for."""

    HELLO = 0
    RESET = 1
    READ_MEMORY = 2
    WRITE_MEMORY = 3
    READ_REGISTERS = 4
    WRITE_REGISTERS = 5
    MARCH = 6
    COUNTERS = 7


OP_TEXTS: dict[Op, tuple[str, str, str]] = {
    Op.HELLO: ("any number", "0", "Who is there: the answer's payload is the identity. Forgets the last ONCE tag."),
    Op.RESET: ("0", "0", "Reset NPU and interconnect, whatever they are doing; answered when the memory is ready."),
    Op.READ_MEMORY: ("byte address", "bytes to read", "The answer's payload is the memory's contents."),
    Op.WRITE_MEMORY: ("byte address", "bytes of payload", "Write the payload, any alignment and length."),
    Op.READ_REGISTERS: ("offset", "bytes, 4 each", "Read successive registers of the NPU."),
    Op.WRITE_REGISTERS: ("offset", "bytes, 4 each", "Write successive registers of the NPU, in order."),
    Op.MARCH: ("byte address", "words", "One element of a march test, at the speed of the memory; see below."),
    Op.COUNTERS: ("0", "0", "Clock cycles since configuration, frames dropped for an error, frames dropped for room."),
}
"""For each operation the meaning of ADDRESS and COUNT in the request, and what it does."""

WITH_PAYLOAD = frozenset({Op.WRITE_MEMORY, Op.WRITE_REGISTERS})
"""Requests that carry COUNT bytes of payload."""
ONCE = frozenset({Op.WRITE_REGISTERS, Op.MARCH})
"""Operations that must not be done twice: a second request with the tag of the last one is answered with REPEATED."""

COUNTERS_FORMAT = struct.Struct("<IHH")
"""Payload of COUNTERS: cycles, frames dropped for an error, frames dropped for room; each wraps around."""


class Status(enum.IntEnum):
    """How a request ended; the last byte of every answer before its CRC."""

    OK = 0
    VERSION = 1
    UNKNOWN = 2
    OUTSIDE = 3
    MISALIGNED = 4
    BUS_ERROR = 5
    TIMEOUT = 6
    MISMATCH = 7
    REPEATED = 8


STATUS_TEXTS: dict[Status, str] = {
    Status.OK: "done",
    Status.VERSION: "the request is of another version of the protocol; nothing was done",
    Status.UNKNOWN: "there is no such operation; nothing was done",
    Status.OUTSIDE: "not wholly inside the registers",
    Status.MISALIGNED: "address or count is not a multiple of the word; nothing was done",
    Status.BUS_ERROR: "memory or registers answered with an error; how much was done is unknown",
    Status.TIMEOUT: "memory or registers did not answer; only RESET helps",
    Status.MISMATCH: "MARCH read another value than it expected",
    Status.REPEATED: "done before: this tag was that of the last operation that must not be done twice",
}


class MarchFlag(enum.IntFlag):
    """FLAGS of MARCH; bits 5 and 6 choose the background (:data:`BACKGROUNDS`)."""

    READ = 1
    READ_INVERSE = 2
    WRITE = 4
    WRITE_INVERSE = 8
    DOWN = 16


MARCH_TEXTS: dict[MarchFlag, str] = {
    MarchFlag.READ: "read each word and compare it",
    MarchFlag.READ_INVERSE: "the inverse of the background is expected",
    MarchFlag.WRITE: "write each word, after it was read",
    MarchFlag.WRITE_INVERSE: "the inverse of the background is written",
    MarchFlag.DOWN: "from ADDRESS to lower addresses instead of to higher ones",
}

BACKGROUNDS = (0x00, 0x55, 0x33, 0x0F)
"""Bytes of which the words of a march test consist."""


@dataclass(frozen=True)
class Header:
    """The header of a frame. An answer repeats VERSION (the board's own), OP, TAG, FLAGS and ADDRESS of its request;
    its COUNT is the length of its payload. ``address`` is 32 bits, ``count`` 16, the others 8."""

    version: int
    op: int
    tag: int
    flags: int
    address: int
    count: int

    def to_bytes(self) -> bytes:
        """The ten bytes that the CRC covers."""
        return _HEADER.pack(self.version, self.op, self.tag, self.flags, self.address, self.count)

    @classmethod
    def from_bytes(cls, content: bytes) -> Header:
        """Of exactly ten bytes; any are a header."""
        return cls(*_HEADER.unpack(content))


IDENTITY_MAGIC = b"TSLK"
_IDENTITY = struct.Struct("<4sHHI8sIIIIHH16s")


@dataclass(frozen=True)
class Identity:
    """What a board says of itself: the payload of HELLO's answer.

    ``digest`` is that of the configuration, which follows in full as JSON, so that the host need not have it;
    ``build`` eight bytes that stand for all that went into the bitstream. ``clock`` (of NPU, memory and link) in hertz,
    ``baud`` in bits a second, memory in bytes. ``buffer_bytes`` of requests wait in the board while it is busy: more
    than that must not be under way. ``payload_bytes`` is the longest payload of a request.
    """

    board: str
    config: NpuConfig
    build: bytes
    clock: int
    baud: int
    memory_base: int
    memory_bytes: int
    buffer_bytes: int
    payload_bytes: int
    protocol: int = PROTOCOL

    @property
    def digest(self) -> int:
        """Digest of the configuration."""
        return self.config.digest

    def summary(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "board": self.board,
            "config": self.config.name,
            "digest": f"0x{self.digest:08x}",
            "build": self.build.hex(),
            "clock_mhz": self.clock / 1e6,
            "baud": self.baud,
            "memory_bytes": self.memory_bytes,
        }

    def to_bytes(self) -> bytes:
        """The identity as it is sent, at most 65,535 bytes. Raises ValueError for a value that has no room."""
        name = self.board.encode("ascii")
        if len(name) > 16 or len(self.build) != 8:
            raise ValueError(f"{self.board!r} must have at most 16 bytes, the build hash {self.build!r} 8.")
        text = json.dumps(self.config.to_dict(), separators=(",", ":")).encode()
        return _IDENTITY.pack(
            IDENTITY_MAGIC, self.protocol, _IDENTITY.size + len(text), self.digest, self.build, self.clock, self.baud,
            self.memory_base, self.memory_bytes, self.buffer_bytes, self.payload_bytes, name,
        ) + text  # fmt: skip

    @classmethod
    def from_bytes(cls, content: bytes) -> Identity:
        """Read what a board sent. Raises DeviceError if it is no identity, or one that this release cannot read."""
        if len(content) < _IDENTITY.size or not content.startswith(IDENTITY_MAGIC):
            raise DeviceError(
                f"What answers is no tensaw board: its identity begins with {content[:4]!r} instead of "
                f"{IDENTITY_MAGIC!r}. Check that the port is the board's and that it was programmed with "
                "`tensaw fpga build`."
            )
        (_, protocol, size, digest, build, clock, baud, base, memory, buffer, payload, name) = _IDENTITY.unpack_from(
            content
        )
        if protocol != PROTOCOL:
            raise DeviceError(
                f"The board speaks version {protocol} of the link's protocol, this release version {PROTOCOL}: build "
                "its bitstream again with this release."
            )
        board = name.rstrip(b"\0").decode("ascii", "replace")
        try:
            config = NpuConfig.from_dict(json.loads(content[_IDENTITY.size : size]))
        except (ValueError, ConfigError) as error:
            reason = str(error).rstrip(".")
        else:
            if config.digest == digest:
                return cls(board, config, build, clock, baud, base, memory, buffer, payload, protocol)
            reason = f"its digest is 0x{config.digest:08x} here and 0x{digest:08x} there"
        raise DeviceError(
            f"The board {board!r} has a configuration that this release does not know ({reason}): build its bitstream "
            "again with this release."
        )
