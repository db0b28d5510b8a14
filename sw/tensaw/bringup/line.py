"""The serial line: whether bytes are lost on it, or changed."""

from __future__ import annotations

import random
import time
import zlib
from collections import Counter

from tensaw.bringup.finding import Finding
from tensaw.runtime.link import HostLink, Request
from tensaw.spec.errors import DeviceError
from tensaw.spec.link import PROTOCOL, SYNC_RESPONSE, Header, Op, Status

__all__ = ["test_line"]

PROBES = 16
"""Answers of some 600 bytes each, compared byte by byte."""
_SILENCE = 1.0
"""Seconds after which nothing more is expected."""
BULK = 4096
"""Bytes written and read back."""

_LOST = (
    "Bytes are lost between board and host.",
    "Use another USB port without a hub, a shorter cable, and end programs that keep this machine busy; if it goes on, "
    "build the bitstream with a lower --baud.",
)
_CHANGED = (
    "Bits are changed between board and host: noise, a bad cable, or rates that differ by more than 2 %.",
    "Use a shorter cable, check that the board's clock has the frequency that its definition says, and build the "
    "bitstream with a lower --baud.",
)


def test_line(link: HostLink) -> str:
    """Raises Finding."""
    seen: Counter[str] = Counter()
    tag = random.SystemRandom().randrange(256)
    for number in range(PROBES):
        seen[_probe(link, (tag + number) % 256)] += 1
    if seen["short"] or seen["changed"]:
        meaning, check = _LOST if seen["short"] > seen["changed"] else _CHANGED
        raise Finding(
            f"Of {PROBES} answers that should be known in every byte, {seen['short']} came with bytes missing and "
            f"{seen['changed']} with bits changed"
            + (f"; {seen['none']} did not come at all." if seen["none"] else "."),
            meaning, check,
        )  # fmt: skip
    if seen["none"]:
        raise Finding(
            f"{seen['none']} of {PROBES} requests were not answered.",
            "Bytes are lost or changed on the way from host to board; the other way is sound.",
            _CHANGED[1],
        )
    content = random.Random(1).randbytes(BULK)
    base, before = link.identity.memory_base, link.resent
    try:
        link.write_memory(base, content)
        same = link.read_memory(base, BULK) == content
    except DeviceError as error:
        raise Finding(str(error), *_CHANGED) from None
    _, damaged, dropped = link.counters()
    if link.resent > before:
        raise Finding(
            f"{link.resent - before} requests had to be sent again while {BULK:,} bytes went each way; the board "
            f"counted {damaged} damaged frames and {dropped} without room.",
            *_CHANGED,
        )
    note = "" if same else "; the memory did not keep them, see below"
    return f"{PROBES} answers and {BULK:,} bytes each way without an error at {link.port.baud:,} baud{note}"


def _probe(link: HostLink, tag: int) -> str:
    """Ask who is there and look at every byte that comes: "right", "short", "changed" or "none"."""
    number = random.SystemRandom().randrange(1 << 32)
    payload = link.identity.to_bytes()
    head = Header(PROTOCOL, Op.HELLO, tag, 0, number, len(payload)).to_bytes()
    body = payload + bytes([Status.OK])
    expected = SYNC_RESPONSE + head + _crc(head) + body + _crc(body)
    while link.port.read(0.0):
        pass
    link.port.write(Request(Op.HELLO, number).to_bytes(tag))
    found = b""
    heard = time.monotonic()
    while len(found) < len(expected) and time.monotonic() < heard + _SILENCE:
        content = link.port.read(_SILENCE)
        if content:
            found += content
            heard = time.monotonic()
    if found == expected:
        return "right"
    if not found:
        return "none"
    return "short" if len(found) < len(expected) else "changed"


def _crc(content: bytes) -> bytes:
    return zlib.crc32(content).to_bytes(4, "little")
