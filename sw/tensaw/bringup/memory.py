"""The board's memory: data lines, address lines, then a march test of its cells, at the memory's own speed."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from tensaw.bringup.finding import Finding
from tensaw.runtime.link import HostLink
from tensaw.spec.link import BACKGROUNDS, MarchFlag, Status

if TYPE_CHECKING:
    from tensaw.boards.sdram.chip import SdramChip

__all__ = ["MARCH", "test_memory"]

_R0, _R1 = MarchFlag.READ, MarchFlag.READ | MarchFlag.READ_INVERSE
_W0, _W1 = MarchFlag.WRITE, MarchFlag.WRITE | MarchFlag.WRITE_INVERSE
MARCH = (_W0, _R0 | _W1, _R1 | _W0, _R0 | _W1 | MarchFlag.DOWN, _R1 | _W0 | MarchFlag.DOWN, _R0)
"""March C−: finds all stuck, transition and coupling faults of cells, and faults of the address decoder."""
_ATTEMPTS = 3
_MOST_WORDS = 65_535
_FIRST_BYTES = 16_384
SECONDS = 20.0
"""What the march may take where nobody says how much of the memory it shall cover."""
_CHECK = (
    "Look at the solder joints of the memory and at its supply; build with a lower --clock; if only this cell is "
    "wrong, "
    "the chip is broken."
)


def test_memory(link: HostLink, size: int | None = None, tell: Callable[[str], None] = lambda text: None) -> str:
    """``size``: bytes to march over, at most the whole memory; default: as much as takes some 20 seconds.

    Raises Finding.
    """
    tell("Memory: data and address lines")
    _data_lines(link)
    _address_lines(link)
    identity = link.identity
    width, whole = identity.config.bus_bytes, identity.memory_bytes
    wanted = whole if size is None else max(min(size, whole), width)
    done, started = 0, time.monotonic()
    while done < wanted:
        if size is None and done and time.monotonic() - started > SECONDS:
            break
        # The first piece tells how fast it goes.
        piece = min(_FIRST_BYTES if not done else 16 * done, wanted - done, _MOST_WORDS * width)
        tell(f"Memory: march, {done:,} of {wanted:,} bytes")
        _march(link, identity.memory_base + done, piece // width)
        done += piece // width * width
        if wanted - done < width:
            break
    part = "all" if done >= whole else f"the first {done:,}"
    return f"data lines, address lines, and March C− over {part} of {whole:,} bytes"


def _data_lines(link: HostLink) -> None:
    """A one in each bit of the word in turn, then a zero."""
    width, base = link.identity.config.bus_bytes, link.identity.memory_base
    ones = [1 << bit for bit in range(8 * width)]
    words = [*ones, *(value ^ (1 << 8 * width) - 1 for value in ones)]
    content = b"".join(word.to_bytes(width, "little") for word in words)
    link.write_memory(base, content)
    found = link.read_memory(base, len(content))
    wrong = [
        int.from_bytes(found[place : place + width], "little") ^ word
        for place, word in zip(range(0, len(content), width), words, strict=True)
    ]
    always = 0
    for bit in range(8 * width):
        # A line that is stuck is wrong in half of the words or in all but some.
        if sum(word >> bit & 1 for word in wrong) >= len(words) // 4:
            always |= 1 << bit
    if always:
        raise Finding(
            f"Of the words written to the memory {_bits(link, always)} wrong in many.",
            "Data lines are open, stuck or tied to each other, or data are taken at the wrong moment.",
            "Look at the solder joints of the data lines; build with a lower --clock.",
        )


def _address_lines(link: HostLink) -> None:
    """Other words at the base and at each power of two."""
    width, base, size = link.identity.config.bus_bytes, link.identity.memory_base, link.identity.memory_bytes
    offsets = [0, *(1 << bit for bit in range(width.bit_length() - 1, (size - 1).bit_length()))]
    words = [bytes([0xA5 ^ number, number] * (width // 2)) for number in range(len(offsets))]
    for offset, word in zip(offsets, words, strict=True):
        link.write_memory(base + offset, word)
    for offset, word in zip(offsets, words, strict=True):
        found = link.read_memory(base + offset, width)
        if found == word:
            continue
        if found in words:
            other = offsets[words.index(found)]
            raise Finding(
                f"The bytes at offsets 0x{offset:x} and 0x{other:x} of the memory are the same.",
                f"The address line of 0x{max(offset, other):x} is open or stuck{_sdram_line(link, offset, other)}.",
                "Look at the solder joints of the address lines; check the memory's size in the board's definition.",
            )
        _cell(link, base + offset, int.from_bytes(found, "little") ^ int.from_bytes(word, "little"))


def _march(link: HostLink, base: int, words: int) -> None:
    width = link.identity.config.bus_bytes
    for _ in range(_ATTEMPTS):
        for flags in MARCH:
            down = bool(flags & MarchFlag.DOWN)
            result = link.march(base + (words - 1) * width if down else base, words, flags, 0)
            if result is None:  # its answer was lost, and nobody knows whether it was done
                break
            if result.status == Status.MISMATCH:
                expected = BACKGROUNDS[0] ^ (0xFF if flags & MarchFlag.READ_INVERSE else 0)
                found = int.from_bytes(result.found, "little")
                _cell(link, result.address, found ^ int.from_bytes(bytes([expected]) * width, "little"))
        else:
            return
    raise Finding(
        f"The answers to {_ATTEMPTS} march tests were lost.",
        "The serial line is bad.",
        "See what the first step says of it.",
    )


def _cell(link: HostLink, address: int, wrong: int) -> None:
    """Look closer at a word with wrong bits. Raises Finding."""
    width = link.identity.config.bus_bytes
    zeros, ones = bytes(width), b"\xff" * width
    link.write_memory(address, zeros)
    at_zero = int.from_bytes(link.read_memory(address, width), "little")
    link.write_memory(address, ones)
    at_one = int.from_bytes(link.read_memory(address, width), "little") ^ (1 << 8 * width) - 1
    first = (wrong & -wrong).bit_length() - 1
    place = address + first // 8
    kind = "reads wrong now and then"
    meaning = (
        "The cell does not keep its value: it is coupled to another, refreshed too late, or its data come too late."
    )
    if at_zero >> first & 1:
        kind, meaning = "always reads 1", "The cell is stuck, in the memory chip itself: its lines work elsewhere."
    elif at_one >> first & 1:
        kind, meaning = "always reads 0", "The cell is stuck, in the memory chip itself: its lines work elsewhere."
    more = f" ({_bits(link, wrong)} wrong in this word)" if wrong & (wrong - 1) else ""
    raise Finding(
        f"Bit {first % 8} of the byte at 0x{place:x} {kind}{_sdram_cell(link, place, first % 8)}{more}.",
        meaning,
        _CHECK,
    )


def _bits(link: HostLink, mask: int) -> str:
    bits = [bit for bit in range(mask.bit_length()) if mask >> bit & 1]
    chip = _chip(link)
    names = [f"{bit}" if chip is None else f"{bit} (sdram_dq[{bit % chip.data_bits}])" for bit in bits[:8]]
    text = ", ".join(names) + (", ..." if len(bits) > 8 else "")
    return f"bit {text} is" if len(bits) == 1 else f"bits {text} are"


def _sdram_cell(link: HostLink, byte: int, bit: int) -> str:
    """Where a byte lies in an SDRAM, if the board is one that is known to have one."""
    chip = _chip(link)
    if chip is None:
        return ""
    lanes = chip.data_bits // 8
    word = (byte - link.identity.memory_base) // lanes
    column = word & (1 << chip.column_bits) - 1
    bank = word >> chip.column_bits & (1 << chip.bank_bits) - 1
    row = word >> chip.column_bits + chip.bank_bits
    return f" (SDRAM: bank {bank}, row {row}, column {column}, sdram_dq[{byte % lanes * 8 + bit}])"


def _sdram_line(link: HostLink, *offsets: int) -> str:
    chip = _chip(link)
    bit = max(offsets).bit_length() - 1
    if chip is None:
        return ""
    bit -= (chip.data_bits // 8).bit_length() - 1
    if bit < chip.column_bits:
        return f" (SDRAM: column, sdram_a[{bit}])"
    if bit < chip.column_bits + chip.bank_bits:
        return f" (SDRAM: sdram_ba[{bit - chip.column_bits}])"
    return f" (SDRAM: row, sdram_a[{bit - chip.column_bits - chip.bank_bits}])"


def _chip(link: HostLink) -> SdramChip | None:
    from tensaw.boards.board import Sdram
    from tensaw.boards.definitions import BOARDS

    board = BOARDS.get(link.identity.board)
    return board.memory.chip if board is not None and isinstance(board.memory, Sdram) else None
