"""The bus managers as the DMAs see them: requests taken, beats given or taken in order, errors on demand."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

import numpy as np

from tensaw.spec.registers import ErrorCode

from .commands import Registers
from .pauses import Pace

if TYPE_CHECKING:
    from .bench import Bench

__all__ = ["OFFSETS", "ReadManagerModel", "WriteManagerModel", "covering", "far_origin", "from_origin"]

OFFSETS = 1 << 32
"""Offsets in a region."""


def _tell(error: Any, told: tuple[int, int]) -> None:
    """Drive a BusErrorSignature with (code, address)."""
    error.valid.set(1)
    error.code.set(told[0])
    error.address.set(told[1])


def _halted(bench: Bench) -> bool:
    """Halted units take their requests back."""
    return "halt" in bench.ports and bool(bench.ports.halt.get())


def covering(offset: int, count: int, beat: int) -> range:
    """Offsets of the beats that cover ``count`` bytes from ``offset`` on."""
    return range(offset // beat * beat, offset + count, beat)


def far_origin(bench: Bench, size: int) -> int:
    """Where the bytes that a region's array of this size holds begin, a multiple of 4 KiB: another place in each test,
    so that all bits of offsets are used. It takes nothing from the test's other randomness."""
    own = np.random.default_rng(int(bench.rng.bit_generator.state["state"]["state"]) & 0xFFFFFFFF)
    return int(own.integers((OFFSETS - size) // 4096)) * 4096


def from_origin(registers: Registers, origin: int) -> Registers:
    """The registers of a run with its offset in memory counted from there."""
    memory = registers["MEMORY"]
    return {**registers, "MEMORY": {**memory, "offset": (memory.get("offset", 0) + origin) % OFFSETS}}


class ReadManagerModel:
    """Answers a ReadRequestSignature from ``regions`` (uint8 arrays).

    Data comes 4 cycles after its request at the earliest (ReadManager's own way takes 7). Requests that are not wholly
    inside a region become OUTSIDE_REGION, and nothing more is answered. A burst's beats are only promised where
    ``credit`` has room for all of them. ``origin``: the offset at which the arrays begin; all offsets here and in
    ``requests`` are counted from it.

    ``fail``: (region, offset, code), the beat at which to answer with an error, after which data is undefined; or
    ``fail_beat``: (beats that come before it, code), which is told as ReadManager does, for one cycle, the one after
    that in which the beat is there; ``failed`` is the number of its request. The address told is the beat's offset
    with the bits of ``elsewhere`` inverted; ``told`` is (code, address).
    """

    def __init__(
        self, bench: Bench, port: Any, regions: list[np.ndarray], ask: Pace, give: Pace, origin: int = 0
    ) -> None:
        self._bench, self._port, self._regions, self._ask, self.give = bench, port, regions, ask, give
        self._origin = origin
        self.requests: list[tuple[int, int, int]] = []
        self.turns: list[int] = []
        self.beats = 0
        self.beat_times: list[int] = []
        self.fail: tuple[int, int, int] | None = None
        self.fail_beat: tuple[int, int] | None = None
        self.failed = 0
        self.elsewhere = 0
        self.told: tuple[int, int] | None = None
        # Region, offset of a beat, beats of its burst if it is the first one, earliest cycle, number of the request.
        self._queue: deque[tuple[int, int, int, int, int]] = deque()
        self._refused = False
        bench.start_soon(self._take_requests())
        bench.start_soon(self._give_data())

    @property
    def idle(self) -> bool:
        return not self._queue

    def _refuse(self, code: int, address: int) -> None:
        self._refused = True
        self.told = code, address ^ self.elsewhere
        _tell(self._port.error, self.told)

    async def _take_requests(self) -> None:
        bench, request = self._bench, self._port.request
        most, beat = bench.config.burst_beats, bench.config.bus_bytes
        waiting: int | None = None
        while True:
            ready = self._ask() and not self._refused and len(self._queue) < 4 * most + 64
            request.ready.set(int(ready))
            await bench.edge
            if not request.valid.get():
                assert waiting is None or _halted(bench), "a request was withdrawn"
                waiting = None
                continue
            bits = request.payload.bits()
            assert waiting in (None, bits), "a request changed while it waited"
            waiting = None if ready else bits
            if not ready:
                continue
            access = request.payload.get()
            region, count = access["region"], access["bytes"]
            offset = (access["offset"] - self._origin) % OFFSETS
            self.requests.append((region, offset, count))
            self.turns.append(access["turn"])
            assert count, "a request of no bytes"
            if region >= len(self._regions) or offset + count > len(self._regions[region]):
                self._refuse(ErrorCode.OUTSIDE_REGION, offset)
                continue
            places = covering(offset, count, beat)
            for number, place in enumerate(places):
                burst = min(most, len(places) - number) if number % most == 0 else 0
                self._queue.append((region, place, burst, bench.cycle + 3, len(self.requests) - 1))

    async def _give_data(self) -> None:
        bench, port, beat = self._bench, self._port, self._bench.config.bus_bytes
        promised = just_taken = 0
        offering = False
        bad: tuple[int, int] | None = None  # to be told in the next cycle
        while True:
            if bad is not None:
                self._refuse(*bad)
                bad = None
            elif self.told is not None and self.fail_beat is not None:
                port.error.valid.set(0)
            if not offering:
                bench.randomise(port.data.payload)
                if self._queue and self._queue[0][3] <= bench.cycle and self.give() and not self._refused:
                    region, place, burst, _, request = self._queue[0]
                    if burst and not promised:
                        # ``credit`` was read before the last beat made it fall.
                        promised = burst if port.credit.get() - just_taken >= burst else 0
                    if promised:
                        offering = True
                        content = np.zeros(beat, np.uint8)
                        part = self._regions[region][place : place + beat]
                        content[: len(part)] = part
                        port.data.payload.set_bits(int.from_bytes(content.tobytes(), "little"))
                        if self.fail is not None and self.fail[:2] == (region, place):
                            self._refuse(self.fail[2], place)
                        if self.fail_beat is not None and self.fail_beat[0] == self.beats:
                            bad, self.failed = (self.fail_beat[1], place), request
            port.data.valid.set(int(offering))
            await bench.edge
            just_taken = int(offering and port.data.ready.get())
            if just_taken:
                self.beats += 1
                self.beat_times.append(bench.cycle - 1)
                promised -= 1
                self._queue.popleft()
                offering = False


class WriteManagerModel:
    """Takes what a WriteRequestSignature asks into ``regions``; acknowledges at a pace, then ``done`` is 1.

    ``fail_beat``, ``failed``, ``elsewhere``, ``told`` and ``origin`` as in ReadManagerModel, but an error is told when
    the beat's request is answered.
    """

    def __init__(
        self, bench: Bench, port: Any, regions: list[np.ndarray], ask: Pace, take: Pace, answer: Pace, origin: int = 0
    ) -> None:
        self._bench, self._port, self._regions, self._origin = bench, port, regions, origin
        self._ask, self.take, self._answer = ask, take, answer
        self.requests: list[tuple[int, int, int]] = []
        self.beat_times: list[int] = []
        self.fail_beat: tuple[int, int] | None = None
        self.failed = 0
        self.elsewhere = 0
        self.told: tuple[int, int] | None = None
        self._bad: tuple[int, int] | None = None
        # Region, offset, bytes, beats to come, number of the request.
        self._open: deque[tuple[int, int, int, int, int]] = deque()
        self._unanswered = 0
        self._refused = False
        bench.start_soon(self._run())

    @property
    def idle(self) -> bool:
        return not self._open and not self._unanswered

    def _refuse(self, code: int, address: int) -> None:
        self._refused = True
        self.told = code, address ^ self.elsewhere
        _tell(self._port.error, self.told)

    async def _run(self) -> None:
        bench, port, beat = self._bench, self._port, self._bench.config.bus_bytes
        waiting_request: int | None = None
        waiting_data: int | None = None
        while True:
            ask = self._ask() and not self._refused and len(self._open) < 8
            take = bool(self._open) and self.take() and not self._refused
            port.request.ready.set(int(ask))
            port.data.ready.set(int(take))
            port.done.set(int(self.idle))
            await bench.edge
            if self.told is not None and self.told[0] != ErrorCode.OUTSIDE_REGION:
                port.error.valid.set(0)
            if self._unanswered and self._answer():
                self._unanswered -= 1
                if self._bad is not None and not self._unanswered:
                    self._refuse(*self._bad)
                    self._bad = None
            if port.data.valid.get():
                bits = port.data.payload.bits()
                assert waiting_data in (None, bits), "data changed while it waited"
                waiting_data = None if take else bits
                if take:
                    self._write(bits, beat)
                    self.beat_times.append(bench.cycle - 1)
            else:
                assert waiting_data is None, "data was withdrawn"
            if not port.request.valid.get():
                assert waiting_request is None or _halted(bench), "a request was withdrawn"
                waiting_request = None
                continue
            bits = port.request.payload.bits()
            assert waiting_request in (None, bits), "a request changed while it waited"
            waiting_request = None if ask else bits
            if ask:
                self._accept(port.request.payload.get(), beat)

    def _accept(self, access: dict[str, int], beat: int) -> None:
        region, count = access["region"], access["bytes"]
        offset = (access["offset"] - self._origin) % OFFSETS
        self.requests.append((region, offset, count))
        assert count, "a request of no bytes"
        if region >= len(self._regions) or offset + count > len(self._regions[region]):
            self._refuse(ErrorCode.OUTSIDE_REGION, offset)
            return
        self._open.append((region, offset, count, len(covering(offset, count, beat)), len(self.requests) - 1))

    def _write(self, bits: int, beat: int) -> None:
        """The bytes of this beat that belong to the oldest request."""
        region, offset, count, beats, request = self._open.popleft()
        places = covering(offset, count, beat)
        place = places[len(places) - beats]
        content = np.frombuffer(bits.to_bytes(beat, "little"), np.uint8)
        first, end = max(offset, place), min(offset + count, place + beat)
        self._regions[region][first:end] = content[first - place : end - place]
        if self.fail_beat is not None and self.fail_beat[0] == len(self.beat_times):
            self._bad, self.failed = (self.fail_beat[1], place), request
        if beats > 1:
            self._open.appendleft((region, offset, count, beats - 1, request))
        else:
            self._unanswered += 1
