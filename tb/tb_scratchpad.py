"""The scratchpad: who gets a bank, what is read when, and every byte of memory at the end."""

from __future__ import annotations

import numpy as np
from common.bench import Bench, testcase
from common.coverage import Cover

from tensaw.rtl.interfaces import READ_LATENCY

COVER = Cover("scratchpad")
cover_reader = COVER.cross("read", (0, 1), ("first byte", "middle", "last byte"), ("granted", "refused"))
cover_writer = COVER.cross("write", (0, 1), ("in a word", "to its end", "across words"), ("granted", "refused"),
                           without=lambda port, where, granted: port == 0 and granted == "refused")  # fmt: skip
cover_count = COVER.point("bytes written", ("0", "1", "some", "a word"))
cover_first = COVER.point("first byte written", ("0", "later", "none"))
cover_bank = COVER.cross("crosses into bank", ("read", "write"), tuple(range(4)))
cover_array = COVER.point("array words", (0, 1, 2, 3, 4))
cover_same = COVER.point("array slots of one bank", ("two", "three"))
cover_end = COVER.point("end of the scratchpad", ("read wraps", "write wraps", "last word"))
cover_order = COVER.point("read after write", ("one cycle", "two cycles"))


class ScratchpadBench(Bench):
    """A memory of bytes beside the block; every cycle's requests, grants and data are compared with it.

    A read sees the writes of earlier cycles; what it returns of a word that is written in the same cycle is nobody's,
    and not compared. The array's requests count a cycle later.
    """

    def prepare(self) -> None:
        config = self.config
        self.size, self.word = config.scratchpad_bytes, config.word_bytes
        # Addresses wrap at a power of two; between the size and that there is nothing, and nothing is known of it.
        self.wrap = 1 << (self.size - 1).bit_length()
        self.memory = np.zeros(self.wrap, np.uint8)
        self.known = np.zeros(self.wrap, bool)
        self.recent: list[np.ndarray] = [np.zeros(0, np.int64)] * 4
        """Addresses written in this cycle and in the ones before."""
        self.readers = [self.ports.read0, self.ports.read1]
        self.sizes = [config.requant_lanes, config.bus_bytes]
        """Bytes that the readers ask for."""
        self.pending: list[list[tuple[int, np.ndarray, np.ndarray]]] = [[] for _ in range(READ_LATENCY)]
        self.hot = self.integers(0, self.size - 1)
        self.asked: tuple[int, list[int]] = (0, [0] * (3 + self.config.groups))
        """The array's request of the cycle before."""

    def address(self, size: int = 1) -> int:
        """Often close to others', at edges of words, at the end; of ``size`` bytes."""
        edge = self.choose(0, 1, self.word - 1, self.word - size, self.word - size + 1) % self.word
        near = self.hot + self.integers(-3 * self.word, 3 * self.word)
        last = self.size - self.word + edge
        return self.choose(near, near, near // self.word * self.word + edge, last, self.integers(0, self.size - 1)) % (
            self.size
        )

    def banks(self, address: int, across: bool) -> set[int]:
        bank = address // self.word % self.config.banks
        return {bank, (bank + 1) % self.config.banks} if across else {bank}

    async def cycle_of(self, busy: float = 0.7) -> None:
        """One cycle of random requests on all ports."""
        ports, rng = self.ports, self.rng
        if rng.random() < 0.05:
            self.hot = self.integers(0, self.size - 1)
        words = self.size // self.word
        # Array reads: up to so many words.
        count = 3 + self.config.groups
        enable = int(rng.integers(1 << count)) if rng.random() < busy else 0
        slots = [self.address() // self.word if rng.random() < 0.3 else int(rng.integers(words)) for _ in range(count)]
        if rng.random() < 0.6:
            slots = [(slots[0] + slot * self.choose(1, 5, 2 * self.config.banks + 1)) % words for slot in range(count)]
        ports.array.enable.set(enable)
        ports.array.address.set(slots)
        reads = [(self.address(size), rng.random() < busy) for size in self.sizes]
        for port, (address, valid) in zip(self.readers, reads, strict=True):
            port.valid.set(int(valid))
            port.address.set(address)
        writes = []
        for port in ports.writes:
            count = self.choose(0, 1, self.word, self.integers(0, self.word))
            first = self.choose(0, 0, self.integers(0, self.word - 1))
            address, valid, content = self.address(), rng.random() < busy, self.bytes(self.word)
            port.valid.set(int(valid))
            port.address.set(address)
            mask = sum(1 << byte for byte in range(first, count)) << address % self.word
            port.mask.set(mask)
            port.across.set(int(mask >> self.word != 0))
            port.data.set_bits(int.from_bytes(content.tobytes(), "little"))
            writes.append((address, first, count, valid, content))
        await self.clocks()
        self.check_data()
        self.check_writes(writes)
        self.check_reads(*self.asked, reads)
        self.asked = enable, slots

    def check_reads(self, enable: int, slots: list[int], reads: list[tuple[int, bool]]) -> None:
        taken: set[int] = set()
        expected: list[tuple[int, np.ndarray, np.ndarray]] = []
        used = [slots[slot] % self.config.banks for slot in range(len(slots)) if enable >> slot & 1]
        cover_array(min(len(used), 4))
        if len(set(used)) < len(used):
            cover_same("three" if max(map(used.count, used)) > 2 else "two")
        for slot in range(len(slots)):
            bank = slots[slot] % self.config.banks
            if enable >> slot & 1 and bank not in taken:  # of one bank the lowest slot wins
                taken.add(bank)
                expected.append((slot, *self.read(slots[slot] * self.word, self.word)))
        for number, (port, (address, valid)) in enumerate(zip(self.readers, reads, strict=True)):
            offset, size = address % self.word, self.sizes[number]
            wanted = self.banks(address, offset + size > self.word)
            ready = not wanted & taken
            assert not valid or port.ready.get() == ready, f"read {number} at {address}: ready is {port.ready.get()}"
            if not valid:
                continue
            where = {0: "first byte", self.word - 1: "last byte"}.get(offset, "middle")
            cover_reader((number, where, ("refused", "granted")[ready]))
            taken |= set(range(self.config.banks))  # for the ports behind it, be it granted or not
            if ready:
                expected.append((len(slots) + number, *self.read(address, size)))
                if offset + size > self.word:
                    cover_bank(("read", (address // self.word + 1) % 4))
                cover_end("read wraps" if address + size > self.size else None)
        self.pending.append(expected)

    def read(self, address: int, size: int) -> tuple[np.ndarray, np.ndarray]:
        """Bytes from an address on as they are now, and which of them must come."""
        at = (address + np.arange(size)) % self.wrap
        words = np.isin(at // self.word, self.recent[-1] // self.word)
        if self.known[at].all() and not words.any():
            cover_order("one cycle" if np.isin(at, self.recent[-2]).any() else None)
            cover_order("two cycles" if np.isin(at, self.recent[-3]).any() else None)
        return self.memory[at], self.known[at] & ~words

    def check_data(self) -> None:
        """What was requested READ_LATENCY cycles ago."""
        ports, slots = self.ports, 3 + self.config.groups
        for place, content, certain in self.pending.pop(0):
            if not certain.any():
                continue
            port = ports.array.data if place < slots else self.readers[place - slots].data
            value = port.text()  # bytes never written are X in simulators that know it
            if place < slots:
                bits = 8 * self.word
                value = value[len(value) - (place + 1) * bits : len(value) - place * bits]
            for lane in np.flatnonzero(certain):
                text = value[len(value) - 8 * (lane + 1) : len(value) - 8 * lane]
                assert text == f"{content[lane]:08b}", f"byte {lane} of port {place} is {text}, not {content[lane]:08b}"

    def check_writes(self, writes: list[tuple[int, int, int, bool, np.ndarray]]) -> None:
        """Grants in order of priority; what is granted can be read in the next cycle."""
        taken: set[int] = set()
        written: list[np.ndarray] = []
        for number, (port, write) in enumerate(zip(self.ports.writes, writes, strict=True)):
            address, first, count, valid, content = write
            offset = address % self.word
            end = offset + count if count > first else 0
            wanted = self.banks(address, end > self.word)
            ready = not wanted & taken
            assert not valid or port.ready.get() == ready, f"write {number} at {address}: ready is {port.ready.get()}"
            if not valid:
                continue
            where = "in a word" if end < self.word else "to its end" if end == self.word else "across words"
            cover_writer((number, where, ("refused", "granted")[ready]))
            taken |= self.banks(address, offset != 0)  # for the ports behind it
            if ready:
                at = (address + np.arange(first, max(first, count))) % self.wrap
                self.memory[at] = content[first:count]
                self.known[at] = at < self.size
                written.append(at)
                cover_count({0: "0", 1: "1", self.word: "a word"}.get(len(at), "some"))
                cover_first("none" if not len(at) else "later" if first else "0")
                cover_bank(("write", (address // self.word + 1) % 4) if where == "across words" else None)
                cover_end("write wraps" if count and address + count > self.size else None)
                cover_end("last word" if address // self.word == self.size // self.word - 1 else None)
        self.recent = [*self.recent[1:], np.concatenate([*written, np.zeros(0, np.int64)])]

    async def fill(self) -> None:
        """Write every byte, a word at a time."""
        port = self.ports.writes[1]
        self.memory[: self.size] = self.bytes(self.size)
        self.known[: self.size] = True
        for port_ in (*self.readers, *self.ports.writes):
            port_.valid.set(0)
        self.ports.array.enable.set(0)
        port.valid.set(1)
        port.mask.set((1 << self.word) - 1)
        port.across.set(0)
        for address in range(0, self.size, self.word):
            port.address.set(address)
            port.data.set_bits(int.from_bytes(self.memory[address : address + self.word].tobytes(), "little"))
            await self.clocks()
        port.valid.set(0)
        await self.clocks(4)

    async def compare(self) -> None:
        """Read every bus beat and compare it."""
        port, size = self.readers[1], self.sizes[1]
        for name in self.ports.writes:
            name.valid.set(0)
        self.ports.array.enable.set(0)
        self.readers[0].valid.set(0)
        await self.clocks()
        port.valid.set(1)
        addresses = list(range(0, self.size, size))
        for number, address in enumerate([*addresses, *[0] * (READ_LATENCY + 1)]):
            port.address.set(address)
            await self.clocks()
            if READ_LATENCY <= number < len(addresses) + READ_LATENCY:
                at = addresses[number - READ_LATENCY]
                found = np.frombuffer(port.data.bits().to_bytes(size, "little"), np.uint8)
                assert np.array_equal(found, self.memory[at : at + size]), f"bytes at {at}"
        port.valid.set(0)


@testcase(ScratchpadBench)
async def random_traffic(bench: ScratchpadBench) -> None:
    """All ports at once, close together, at edges of words and at the end of memory."""
    for busy in (0.9, 0.7, 0.4):
        for _ in range(bench.count(700)):
            await bench.cycle_of(busy)


@testcase(ScratchpadBench)
async def whole_memory(bench: ScratchpadBench) -> None:
    """Every byte written once and, after random traffic, every byte right: nothing else was written."""
    if bench.size > 8192:
        return  # too long for large memories; smaller ones have the same logic
    await bench.fill()
    for _ in range(bench.count(600)):
        await bench.cycle_of(0.5)
    await bench.clocks(3)
    await bench.compare()


@testcase(ScratchpadBench)
async def reset_keeps_contents(bench: ScratchpadBench) -> None:
    """A reset changes no byte, not even by a write that has just been taken."""
    ports = bench.ports
    address = bench.integers(0, bench.size - bench.word)
    for value in (0x11, 0x22):
        ports.writes[0].valid.set(1)
        ports.writes[0].address.set(address)
        ports.writes[0].mask.set(1 << address % bench.word)
        ports.writes[0].across.set(0)
        ports.writes[0].data.set_bits(value)
        await bench.clocks()
        ports.writes[0].valid.set(0)
        await bench.clocks(2)
    await bench.restart()
    ports.read1.valid.set(1)
    ports.read1.address.set(address)
    await bench.clocks(READ_LATENCY + 1)
    assert ports.read1.data.text()[-8:] == f"{0x22:08b}"
