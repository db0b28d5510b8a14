"""AXI with cocotbext-axi: an AXI4-Lite manager for registers, memories behind the AXI4 port, and the channels' rules.

cocotbext-axi plays the other side of each bus. What it does not do is here: errors on demand, and checking that the
block keeps an offer unchanged until it is taken.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from cocotb.types import LogicArray
from cocotbext.axi import (
    AxiLiteBus,
    AxiLiteMaster,
    AxiReadBus,
    AxiResp,
    AxiSlaveRead,
    AxiSlaveWrite,
    AxiWriteBus,
)

from tensaw.spec.registers import register

from .pauses import Pace

if TYPE_CHECKING:
    from .bench import Bench

__all__ = ["AxiMemory", "Registers", "pauses", "watch_channel"]

logging.getLogger("cocotb").setLevel(logging.ERROR)  # a failed access is not news here


def pauses(pace: Pace) -> Iterator[bool]:
    """A pace as cocotbext-axi wants it: True where it pauses."""
    while True:
        yield not pace()


class Registers:
    """The registers behind an AXI4-Lite port, by name. To be made once in a test: it lives until the test's end."""

    def __init__(self, bench: Bench, prefix: str, paces: Sequence[Pace] = ()) -> None:
        self.master = AxiLiteMaster(AxiLiteBus.from_prefix(bench.dut, prefix), bench.dut.clk)
        self.set_paces(paces)

    def set_paces(self, paces: Sequence[Pace]) -> None:
        """Pauses of the channels AW, W, B, AR, R."""
        write, read = self.master.write_if, self.master.read_if
        channels = write.aw_channel, write.w_channel, write.b_channel, read.ar_channel, read.r_channel
        for channel, pace in zip(channels, paces, strict=False):
            channel.set_pause_generator(pauses(pace))

    async def write_address(self, address: int, value: int) -> int:
        """A whole word; returns the response code."""
        return int((await self.master.write(address, value.to_bytes(4, "little"))).resp)

    async def read_address(self, address: int) -> int:
        answer = await self.master.read(address, 4)
        assert answer.resp == AxiResp.OKAY
        return int.from_bytes(answer.data, "little")

    async def write(self, name: str, value: int) -> None:
        assert await self.write_address(register(name).offset, value) == AxiResp.OKAY, name

    async def write_bytes(self, name: str, first: int, content: bytes) -> None:
        """Some bytes of a register, from byte ``first`` on: the others have no strobe."""
        assert (await self.master.write(register(name).offset + first, content)).resp == AxiResp.OKAY

    async def read(self, name: str) -> int:
        return await self.read_address(register(name).offset)


class AxiMemory:
    """A memory of ``size`` bytes at bus address ``base`` behind an AXI4 port.

    Accesses outside of it, and those that are not bursts of whole bus words, fail the test. ``content`` uint8;
    ``fail``: from a bus address to AxiResp, what a beat at that address is answered with; ``reads``, ``writes``: bursts
    as (address, beats).
    """

    def __init__(
        self, bench: Bench, prefix: str, size: int, base: int = 0, *, read: bool = True, write: bool = True
    ) -> None:
        self.bench, self.base, self.size = bench, base, size
        self.content = bench.bytes(size)
        self.fail: dict[int, AxiResp] = {}
        self.reads: list[tuple[int, int]] = []
        self.writes: list[tuple[int, int]] = []
        self.written = np.zeros(size, bool)
        dut, clock = bench.dut, bench.dut.clk
        self.read_if: AxiSlaveRead | None = None
        self.write_if: AxiSlaveWrite | None = None
        if read:
            self.read_if = _Read(self, AxiReadBus.from_prefix(dut, prefix), clock)
            watch_channel(bench, prefix, "ar", self._burst(self.reads))
        if write:
            self.write_if = _Write(self, AxiWriteBus.from_prefix(dut, prefix), clock)
            watch_channel(bench, prefix, "aw", self._burst(self.writes))
            watch_channel(bench, prefix, "w")

    def set_paces(self, paces: dict[str, Pace]) -> None:
        """Pauses of the channels "ar", "r", "aw", "w", "b"."""
        for name, pace in paces.items():
            owner: Any = self.read_if if name in ("ar", "r") else self.write_if
            getattr(owner, f"{name}_channel").set_pause_generator(pauses(pace))

    def _burst(self, bursts: list[tuple[int, int]]) -> Callable[[dict[str, int]], None]:
        config = self.bench.config

        def check(channel: dict[str, int]) -> None:
            address, beats = channel["addr"], channel["len"] + 1
            assert 1 << channel["size"] == config.bus_bytes and channel["burst"] == 1, (
                f"no INCR burst of words: {channel}"
            )
            assert not channel["id"] and not channel["lock"], channel
            assert address % config.bus_bytes == 0, f"burst at {address:#x}"
            assert beats <= config.burst_beats, f"burst of {beats} beats"
            end = address + beats * config.bus_bytes
            assert address // 4096 == (end - 1) // 4096, f"burst from {address:#x} crosses 4 KiB"
            assert self.base <= address and end <= self.base + self.size, f"burst at {address:#x} outside the memory"
            bursts.append((address, beats))

        return check

    def load(self, address: int, count: int) -> bytes:
        at = address - self.base
        return self.content[at : at + count].tobytes()

    def store(self, address: int, data: bytes) -> None:
        at = address - self.base
        assert 0 <= at and at + len(data) <= self.size, f"write at {address:#x} outside the memory"
        self.content[at : at + len(data)] = np.frombuffer(data, np.uint8)
        self.written[at : at + len(data)] = True


class _Read(AxiSlaveRead):
    """cocotbext-axi answers failing reads with SLVERR; here also with DECERR."""

    def __init__(self, memory: AxiMemory, bus: Any, clock: Any) -> None:
        self._memory = memory
        super().__init__(bus, clock)
        send = self.r_channel.send

        async def answer(beat: Any) -> None:
            if self._response is not None:
                beat.rresp = self._response
                beat.rdata = int.from_bytes(memory.bench.rng.bytes(self.byte_lanes), "little")
            await send(beat)

        self.r_channel.send = answer
        self._response: AxiResp | None = None

    async def _read(self, address: int, length: int) -> bytes:
        self._response = self._memory.fail.get(address)
        return self._memory.load(address, length)


class _Write(AxiSlaveWrite):
    """A burst one of whose beats fails is answered with that beat's response. Bytes without strobe need no value, which
    cocotbext-axi wants of all: they are 0 here."""

    def __init__(self, memory: AxiMemory, bus: Any, clock: Any) -> None:
        self._memory = memory
        self._response: AxiResp | None = None
        super().__init__(bus, clock)
        send = self.b_channel.send

        async def answer(response: Any) -> None:
            if self._response is not None:
                response.bresp = self._response
                self._response = None
            await send(response)

        self.b_channel.send = answer
        recv = self.w_channel.recv

        async def beat() -> Any:
            taken = await recv()
            word, strobes = str(taken.wdata), str(taken.wstrb)  # the last byte and the last strobe first
            lanes = (word[8 * lane :][:8] if strobe == "1" else "0" * 8 for lane, strobe in enumerate(strobes))
            taken.wdata = LogicArray("".join(lanes))
            return taken

        self.w_channel.recv = beat

    async def _write(self, address: int, data: bytes) -> None:
        lanes = self.byte_lanes
        self._response = self._memory.fail.get(address // lanes * lanes, self._response)
        self._memory.store(address, data)


def watch_channel(
    bench: Bench, prefix: str, channel: str, taken: Callable[[dict[str, int]], None] | None = None
) -> None:
    """Check a channel that the block drives: an offer stands unchanged until it is taken. ``taken`` gets the fields, by
    their names without the channel's."""
    dut = bench.dut
    fields = {
        "ar": ("id", "addr", "len", "size", "burst", "lock", "cache", "prot", "qos"),
        "aw": ("id", "addr", "len", "size", "burst", "lock", "cache", "prot", "qos"),
        "w": ("data", "strb", "last"), "r": ("data", "resp"), "b": ("resp",),
    }[channel]  # fmt: skip
    handles = {name: getattr(dut, f"{prefix}_{channel}{name}") for name in fields}
    valid, ready = getattr(dut, f"{prefix}_{channel}valid"), getattr(dut, f"{prefix}_{channel}ready")

    async def watch() -> None:
        waiting: list[str] | None = None
        while True:
            await bench.edge
            if not int(valid.value):
                if waiting is not None and not int(dut.rst.value):
                    raise AssertionError(f"{prefix}_{channel}valid fell before the offer was taken")
                waiting = None
                continue
            now = [str(handle.value) for handle in handles.values()]
            if waiting is not None and waiting != now:
                raise AssertionError(f"{prefix}_{channel}* changed while it waited: {waiting} to {now}")
            waiting = None if int(ready.value) else now
            if waiting is None and taken is not None:
                taken({name: int(handle.value) for name, handle in handles.items()})

    bench.start_soon(watch())
