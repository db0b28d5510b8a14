"""The activation scratchpad: interleaved banks behind a port for the array and shared, unaligned ports."""

from __future__ import annotations

import functools
import operator
from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from tensaw.rtl.checks import check
from tensaw.rtl.interfaces import (
    ARRAY_READ_LATENCY,
    READ_LATENCY,
    ArrayReadSignature,
    ReadPortSignature,
    WritePortSignature,
)
from tensaw.rtl.memory.ram import Ram
from tensaw.spec.config import NpuConfig

__all__ = ["Scratchpad", "rotate_bytes_left", "rotate_bytes_right"]


def rotate_bytes_right(value: Value, amount: Value) -> Value:
    """Byte i of the result is byte ``(i + amount) % bytes`` of ``value``; a power of two of bytes.

    The farthest move comes first: where only the lower bytes are used, the later stages are the smaller for it.
    """
    for stage in reversed(range(len(amount))):
        value = Mux(amount[stage], value.rotate_right(8 << stage), value)
    return value


def rotate_bytes_left(value: Value, amount: Value) -> Value:
    """Byte ``(i + amount) % bytes`` of the result is byte i of ``value``; a power of two of bytes."""
    for stage in range(len(amount)):
        value = Mux(amount[stage], value.rotate_left(8 << stage), value)
    return value


def _choose(selects: Value, values: list[Value]) -> Value:
    """The one of ``values`` whose bit of ``selects`` is 1, of which only one is: that takes fewer LUTs than a number
    would, and none whose place is bound to another's."""
    chosen = [Mux(select, value, 0) for select, value in zip(selects, values, strict=True)]
    return functools.reduce(operator.or_, chosen)


def _one_hot(number: Value, count: int) -> Value:
    """Bit ``number`` of ``count`` bits, a power of two."""
    return Cat(number[: (count - 1).bit_length()] == bit for bit in range(count))


def _first_wanted(users: list[tuple[Value, Value]]) -> Value:
    """Of pairs (wanted, row) the row of the first one that is wanted, else that of the last one."""
    chosen = users[-1][1]
    for wanted, row in reversed(users[:-1]):
        chosen = Mux(wanted, row, chosen)
    return chosen


class _Span:
    """The words that an access of a shared port touches: word ``w`` of bank ``bank`` and, if ``both``, word w + 1."""

    def __init__(self, config: NpuConfig, address: Value, both: Value | None = None) -> None:
        offset_bits = (config.word_bytes - 1).bit_length()
        bank_bits = (config.banks - 1).bit_length()
        row_bits = (config.scratchpad_bytes // config.word_bytes // config.banks - 1).bit_length()
        self.offset = address[:offset_bits]
        self.bank = address[offset_bits : offset_bits + bank_bits]
        self.row = address[offset_bits + bank_bits :][:row_bits]
        self.both = self.offset != 0 if both is None else both
        first = Cat(self.bank == b for b in range(config.banks))
        self.first, self.second = first, first.rotate_left(1)
        self.banks = first | Mux(self.both, self.second, 0)

        # Only bank 0 can hold a word w + 1 of the next row, and does so only then: the sum is made behind a register.
        self.wraps = self.bank == config.banks - 1


class Scratchpad(wiring.Component):
    """``scratchpad_bytes`` bytes in ``config.banks`` banks; word address w lies in bank ``w % config.banks``.

    Parameters
    ----------
    config : NpuConfig
    read_sizes : sequence of int
        Bytes that each of the shared read ports asks for, in order of falling priority. Default: OUTPUT's operands
        (``requant_lanes``) and STORE's bus beats (``bus_bytes``).
    writers : int
        Shared write ports, in order of falling priority.

    Members
    -------
    array : In(ArrayReadSignature)
        The array's reads, before all others.
    read0, read1, ... : In(ReadPortSignature(size))
    writes : In(WritePortSignature) × writers
        Requests of a shared port touch the bank of their first word and, where their bytes go beyond it, the next bank.
        A read is granted in a cycle in which no port before it asks, and for whose banks the array did not ask in the
        cycle before; a write in one in which writes before it do not ask for its banks: unless their address is a
        multiple of the word they ask for the next one, too. Reads do not disturb writes. ``ready`` depends on ``valid``
        of the same and of earlier ports, on the addresses and on the own ``across``.

    Timing
    ------
    Reads (READ_LATENCY): choice of each bank's row in the cycle of the request, bank access in the next, a register
    beside each bank in the third, bank choice in the fourth; the rotation of ``data`` stands *behind* the register of
    that: register ``data`` before using it. The array's requests are registered first (ARRAY_READ_LATENCY).
    Writes: rotated into a register of each port, written one cycle later, so a read requested after the cycle of the
    write sees it; a read of the same word in that cycle (the array's: in the one before) returns undefined data, and
    who orders the two (tokens, row progress) must not let that happen.
    Only what is asked for is reset, not the data nor the contents.

    Corner cases
    ------------
    Address bits beyond the scratchpad are ignored, so addresses wrap where its size is a power of two; otherwise
    reading between the size and the next power of two gives undefined bytes, and writes there are lost. A write of 0
    bytes changes nothing.
    """

    array: Any
    writes: Any

    def __init__(self, config: NpuConfig, read_sizes: Sequence[int] | None = None, writers: int = 2) -> None:
        self._config = config
        self.read_sizes = (config.requant_lanes, config.bus_bytes) if read_sizes is None else tuple(read_sizes)
        super().__init__(
            {
                "array": In(ArrayReadSignature(config)),
                **{f"read{number}": In(ReadPortSignature(size)) for number, size in enumerate(self.read_sizes)},
                "writes": In(WritePortSignature(config)).array(writers),
            }
        )

    @property
    def reads(self) -> list[Any]:
        """The shared read ports."""
        return [getattr(self, f"read{number}") for number in range(len(self.read_sizes))]

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        config = self._config
        depth = config.scratchpad_bytes // config.word_bytes // config.banks
        banks = [Ram(depth, config.word_bytes * 8, 8) for _ in range(config.banks)]
        for index, bank in enumerate(banks):
            m.submodules[f"bank{index}"] = bank
        self._elaborate_reads(m, platform, banks)
        self._elaborate_writes(m, platform, banks)
        return m

    def _elaborate_reads(self, m: Module, platform: Any, banks: list[Ram]) -> None:
        config = self._config
        # Block RAM is slow to answer: nothing but a wire goes to the register that takes its word.
        words = [Signal(config.word_bytes * 8, name=f"bank{b}_word", reset_less=True) for b in range(config.banks)]
        m.d.sync += [word.eq(bank.read_data) for word, bank in zip(words, banks, strict=True)]
        bank_bits = (config.banks - 1).bit_length()
        slots = len(self.array.enable)
        users: list[list[tuple[Value, Value]]] = [[] for _ in banks]  # per bank: (wanted, row), first one wins

        taken: Value = Signal(config.banks, name="array_banks")
        hits, coming = [], []
        for slot in range(slots):
            address = self.array.address[slot]
            hit = Signal(config.banks, name=f"array_hit{slot}")
            row = Signal(len(address) - bank_bits, name=f"array_row{slot}", reset_less=True)
            before = _after(m, address[:bank_bits], ARRAY_READ_LATENCY - 2, f"array_bank{slot}")
            from_bank = Signal(config.banks, name=f"array_from{slot}", reset_less=True)
            word = Signal(config.word_bytes * 8, name=f"array_word{slot}", reset_less=True)
            banks_of = Mux(self.array.enable[slot], _one_hot(address[:bank_bits], config.banks), 0)
            coming.append(banks_of)
            m.d.sync += [
                hit.eq(banks_of),
                row.eq(address[bank_bits:]),
                from_bank.eq(_one_hot(before, config.banks)),
                word.eq(_choose(from_bank, words)),
            ]
            m.d.comb += self.array.data[slot].eq(word)
            hits.append(hit)
            for b in range(config.banks):
                users[b].append((hit[b], row))
        m.d.sync += taken.eq(functools.reduce(operator.or_, coming))

        wrapping: list[tuple[Value, Value]] = []
        others: Value = Const(0, 1)  # a port before asks: for which banks is left out, so that little hangs on it
        spans = [self._read_span(number, port.address) for number, port in enumerate(self.reads)]
        for number, (port, span) in enumerate(zip(self.reads, spans, strict=True)):
            wanted = Signal(config.banks, name=f"read_banks{number}")
            m.d.comb += [
                port.ready.eq(~(others | (span.banks & taken).any())),
                wanted.eq(Mux(port.valid, span.banks, 0)),
            ]
            # A bank that is wanted is as good as used: who waits is not known in time to give its other bank away.
            for b in range(config.banks):
                users[b].append((wanted[b], span.row))
            wrapping.append((wanted[0], span.wraps))
            others = others | port.valid
        self._shared_data(m, spans, words)

        for b, (bank, wanted) in enumerate(zip(banks, users, strict=True)):
            # The array's requests stand in registers: their row is chosen beside the others', which are known late.
            mine = Cat(want for want, _ in wanted[:slots]).any()
            chosen = Mux(mine, _first_wanted(wanted[:slots]), _first_wanted(wanted[slots:]))
            reads = Signal(name=f"bank{b}_reads")
            read_row = Signal(len(bank.read_address), name=f"bank{b}_read_row", reset_less=True)
            m.d.sync += [reads.eq(Cat(want for want, _ in wanted).any()), read_row.eq(chosen)]
            m.d.comb += [bank.read_enable.eq(reads), bank.read_address.eq(read_row)]
            if b == 0:
                next_row = Signal(name="bank0_read_next", reset_less=True)
                m.d.sync += next_row.eq(~mine & _first_wanted(wrapping))
                m.d.comb += bank.read_address.eq(read_row + next_row)
        granted = [Mux(port.valid & port.ready, span.banks, 0) for port, span in zip(self.reads, spans, strict=True)]
        for b in range(config.banks):
            shared = sum((banks[b] for banks in granted), start=Cat(hit[b] for hit in hits).any())
            check(m, platform, shared <= 1, f"read_bank{b}", f"two ports read bank {b} at once")

    def _shared_data(self, m: Module, spans: list[_Span], words: list[Signal]) -> None:
        """From the banks' words to the shared ports' data: one way for all, since only one of them is granted at a
        time, which is the first one that asks."""
        config, ports = self._config, self.reads
        bank, offset = spans[-1].bank, spans[-1].offset
        for port, span in zip(reversed(ports[:-1]), reversed(spans[:-1]), strict=True):
            bank, offset = Mux(port.valid, span.bank, bank), Mux(port.valid, span.offset, offset)
        # Byte lanes below the offset come from word w + 1; then the rotation brings the addressed byte to lane 0.
        lanes = Signal(config.word_bytes * 8, name="read_lanes", reset_less=True)
        first_bank = _after(m, bank, READ_LATENCY - 2, "read_first")
        first_lane = _after(m, offset, READ_LATENCY - 2, "read_lane")
        rotation = _after(m, first_lane, 2, "read_rotation")
        for lane in range(config.word_bytes):
            from_bank = Signal(config.banks, name=f"read_from{lane}", reset_less=True)
            beyond = lane < first_lane if lane + 1 < config.word_bytes else 0
            m.d.sync += [
                from_bank.eq(_one_hot(first_bank + beyond, config.banks)),
                lanes[8 * lane :][:8].eq(_choose(from_bank, [word[8 * lane :][:8] for word in words])),
            ]
        turned = rotate_bytes_right(lanes, rotation)
        m.d.comb += [port.data.eq(turned[: len(port.data)]) for port in ports]

    def _read_span(self, number: int, address: Value) -> _Span:
        """What a request of a shared read port touches."""
        word, size = self._config.word_bytes, self.read_sizes[number]
        last = word - size
        return _Span(self._config, address, both=address[: (word - 1).bit_length()] > last if size > 1 else Const(0))

    def _elaborate_writes(self, m: Module, platform: Any, banks: list[Ram]) -> None:
        config = self._config
        size = config.word_bytes
        spans, grants = [], []
        taken: Value | None = None
        for number, port in enumerate(self.writes):
            span = _Span(config, port.address, both=port.across)
            granted = Signal(config.banks, name=f"write_banks{number}")
            m.d.comb += [
                port.ready.eq(1 if taken is None else ~(span.banks & taken).any()),
                granted.eq(Mux(port.valid & port.ready, span.banks, 0)),
            ]
            # For those behind it a write off the word's first byte takes two banks, so that little hangs on it.
            wanted = Mux(port.valid, _Span(config, port.address).banks, 0)
            taken = wanted if taken is None else taken | wanted
            spans.append(span)
            grants.append(granted)

        # Of each port in the next cycle: its first bank if it was taken, which banks it may have, its bytes turned.
        firsts, uses, values, masks = [], [], [], []
        for number, (port, span) in enumerate(zip(self.writes, spans, strict=True)):
            first = Signal(config.banks, name=f"write_first{number}")
            used = Signal(config.banks, name=f"write_uses{number}", reset_less=True)
            mask = Signal(2 * size, name=f"write_mask{number}", reset_less=True)
            turned = Signal(size * 8, name=f"write_turned{number}", reset_less=True)
            half = Signal(name=f"write_half{number}", reset_less=True)
            m.d.sync += [
                first.eq(Mux(port.valid & port.ready, span.first, 0)),
                used.eq(Mux(port.valid, span.banks, 0)),
                mask.eq(port.mask),
                turned.eq(rotate_bytes_left(port.data, span.offset[:-1])),
                half.eq(span.offset[-1]),
            ]
            firsts.append(first)
            uses.append(used)
            masks.append(mask)
            values.append(Mux(half, turned.rotate_left(len(turned) // 2), turned))

            within = ~port.valid | ((port.mask & ~(Const((1 << size) - 1, size) << span.offset)) == 0)
            check(m, platform, within, f"mask{number}", f"write port {number} writes bytes that it does not give")
            told = ~port.valid | (port.across == port.mask[size:].any())
            check(m, platform, told, f"across{number}", f"write port {number} says wrongly whether it leaves its word")

        for b, bank in enumerate(banks):
            together = sum((granted[b] for granted in grants[1:]), start=grants[0][b])
            check(m, platform, together <= 1, f"write_bank{b}", f"two ports write bank {b} at once")
            enable = Signal(size, name=f"bank{b}_enable")
            row = Signal(len(bank.write_address), name=f"bank{b}_row", reset_less=True)
            value = Signal(size * 8, name=f"bank{b}_value")
            lanes: Value = Const(0, size)
            for first, mask in zip(firsts, masks, strict=True):
                lanes = lanes | Mux(first[b], mask[:size], 0) | Mux(first[b - 1], mask[size:], 0)
            wanted = [Mux(port.valid, span.banks[b], 0) for port, span in zip(self.writes, spans, strict=True)]
            m.d.sync += row.eq(_first_wanted([(want, span.row) for want, span in zip(wanted, spans, strict=True)]))
            m.d.comb += [
                enable.eq(lanes),
                value.eq(_first_wanted([(used[b], mine) for used, mine in zip(uses, values, strict=True)])),
                bank.write_enable.eq(enable),
                bank.write_address.eq(row),
                bank.write_data.eq(value),
            ]
            if b == 0:
                wrap = Signal(name="bank0_wraps", reset_less=True)
                wrapped = Signal(len(row), name="bank0_wrapped")
                wraps = _first_wanted([(want, span.wraps) for want, span in zip(wanted, spans, strict=True)])
                m.d.sync += wrap.eq(wraps)
                m.d.comb += [wrapped.eq(row + wrap), bank.write_address.eq(wrapped)]


def _after(m: Module, value: Value, cycles: int, name: str) -> Value:
    for cycle in range(cycles):
        register = Signal(len(value), name=f"{name}_d{cycle + 1}", reset_less=True)
        m.d.sync += register.eq(value)
        value = register
    return value
