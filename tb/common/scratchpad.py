"""The scratchpad as other blocks see it: its latency, unaligned reads and writes, random refusals."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from tensaw.rtl.interfaces import ARRAY_READ_LATENCY, READ_LATENCY

from .pauses import Pace

if TYPE_CHECKING:
    from .bench import Bench

__all__ = ["ArrayReads", "PadReads", "PadWrites"]


class ArrayReads:
    """Answers an ArrayReadSignature from ``memory`` (uint8). Enabled slots must lie in different banks."""

    def __init__(self, bench: Bench, port: Any, memory: np.ndarray) -> None:
        self._bench, self._port, self._memory = bench, port, memory
        self.times: list[int] = []
        """Cycles with a request."""
        self.requests: list[list[int | None]] = []
        """Each request's word addresses (None: slot not enabled)."""
        self.seen: Callable[[list[int | None]], None] | None = None
        """Called with each request's word addresses (None: slot not enabled)."""
        bench.start_soon(self._run())

    async def _run(self) -> None:
        bench, port, size = self._bench, self._port, self._bench.config.word_bytes
        words = self._memory.reshape(-1, size)
        noise = [int.from_bytes(bench.rng.bytes(size), "little") for _ in range(16)]
        slots = 3 + bench.config.groups
        pending = [list(noise[:slots])] * (ARRAY_READ_LATENCY - 1)
        number = 0
        while True:
            await bench.edge
            enable = port.enable.bits()
            port.data.set(pending.pop(0))
            number = (number + 1) % (len(noise) - slots)
            pending.append(noise[number : number + slots])
            if not enable:
                continue
            self.times.append(bench.cycle - 1)
            addresses = [int(a) if enable >> slot & 1 else None for slot, a in enumerate(port.address.get())]
            used = [address % bench.config.banks for address in addresses if address is not None]
            if len(set(used)) != len(used):
                raise AssertionError(f"two words of one bank in a cycle: {addresses}")
            pending[-1] = [
                noise[slot] if address is None else int.from_bytes(words[address % len(words)].tobytes(), "little")
                for slot, address in enumerate(addresses)
            ]
            self.requests.append(addresses)
            if self.seen is not None:
                self.seen(addresses)


class PadReads:
    """Answers a ReadPortSignature from ``memory`` exactly READ_LATENCY cycles after each request that it takes."""

    def __init__(self, bench: Bench, port: Any, memory: np.ndarray, pace: Pace) -> None:
        self._bench, self._port, self._memory, self._pace = bench, port, memory, pace
        self.addresses: list[int] = []
        bench.start_soon(self._run())

    async def _run(self) -> None:
        bench, port = self._bench, self._port
        lane = np.arange(port.data.width // 8)
        pending: list[int | None] = [None] * (READ_LATENCY - 1)
        waiting: int | None = None
        while True:
            ready = self._pace()
            port.ready.set_bits(int(ready))
            await bench.edge
            due = pending.pop(0)
            if due is None:
                bench.randomise(port.data)
            else:
                port.data.set_bits(due)
            pending.append(None)
            if not port.valid.bits():
                if waiting is not None:
                    raise AssertionError(f"{port.valid.name} fell before the request was taken")
                continue
            address = port.address.bits()
            if waiting not in (None, address):
                raise AssertionError(f"{port.address.name} changed while the request waited")
            waiting = None if ready else address
            if ready:
                self.addresses.append(address)
                # Between its size and the next power of two there is nothing.
                places = (address + lane) % (1 << (len(self._memory) - 1).bit_length())
                content = np.frombuffer(bench.rng.bytes(len(lane)), np.uint8).copy()
                there = places < len(self._memory)
                content[there] = self._memory[places[there]]
                pending[-1] = int.from_bytes(content.tobytes(), "little")


class PadWrites:
    """Takes writes of a WritePortSignature into ``memory``, ``delay`` cycles after they are taken.

    ``written`` is called with (address, bytes) of each write that it takes.
    """

    def __init__(
        self, bench: Bench, port: Any, memory: np.ndarray, pace: Pace,
        written: Callable[[int, np.ndarray], None] | None = None, delay: int = 0,
    ) -> None:  # fmt: skip
        self._delay = delay
        self._bench, self._port, self._memory, self._pace, self._written = bench, port, memory, pace, written
        self.taken = 0
        self.times: list[int] = []
        """Cycles in which writes were taken."""
        bench.start_soon(self._run())

    async def _run(self) -> None:
        bench, port, size = self._bench, self._port, self._bench.config.word_bytes
        waiting: tuple[int, int, str] | None = None
        pending: list[tuple[np.ndarray, np.ndarray] | None] = [None] * self._delay
        while True:
            ready = self._pace()
            port.ready.set_bits(int(ready))
            await bench.edge
            pending.append(None)
            due = pending.pop(0)
            if due is not None:
                self._memory[due[0]] = due[1]
            if not port.valid.bits():
                if waiting is not None:
                    raise AssertionError(f"{port.valid.name} fell before the write was taken")
                continue
            mask, address = port.mask.bits(), port.address.bits()
            now = mask, address, port.data.text()
            if waiting is not None and waiting != now:
                raise AssertionError(f"{port.valid.name}: the write changed while it waited: {waiting} to {now}")
            waiting = None if ready else now
            if ready:
                assert port.across.bits() == (mask >> size != 0), f"{port.across.name} is wrong of {mask:b}"
                written = np.flatnonzero([mask >> address % size >> lane & 1 for lane in range(size)])
                first, size_written = int(written[0]) if len(written) else 0, len(written)
                whole = ((1 << size_written) - 1) << (address % size + first)
                assert mask == whole, f"{port.mask.name} is {mask:b} from {address} on: not bytes of the data in a row"
                # What lies beside the bytes that count is nobody's, and may have no value.
                bits = port.data.part(8 * first, 8 * size_written)
                given = content = np.frombuffer(bits.to_bytes(size_written, "little"), np.uint8)
                wrap = 1 << (len(self._memory) - 1).bit_length()
                at = (address + first + np.arange(size_written)) % wrap
                there = at < len(self._memory)  # what is written behind the size is lost
                at, content = at[there], content[there]
                if self._delay:
                    pending[-1] = at, content
                else:
                    self._memory[at] = content
                self.taken += 1
                self.times.append(bench.cycle - 1)
                if self._written is not None:
                    self._written((address + first) % (1 << port.address.width), given)
