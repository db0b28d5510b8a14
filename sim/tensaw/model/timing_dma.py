"""Timing of the WEIGHT, LOAD and STORE units."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from tensaw.model.timing_bus import Access, Asker, Burst, ReadBus, Ring
from tensaw.model.timing_kernel import Kernel, News, Process, Steps
from tensaw.model.timing_link import READ, Link, Written
from tensaw.model.timing_program import Action, Port, Tokens
from tensaw.model.timing_scratchpad import ArrayReads, OutputWrites
from tensaw.model.timing_trace import Trace
from tensaw.spec.config import NpuConfig
from tensaw.spec.isa import Peer

__all__ = ["LoadAsker", "LoadUnit", "StoreUnit", "WeightAsker", "WeightUnit"]

ROWS_AHEAD = 8
"""Rows of a transfer that are asked for before their data path begins."""
SHOWN = 3
"""Cycles from a LOAD's last beat of a plane to its showing as progress."""
OUTSTANDING_WRITES = 8
BUFFER = 8
"""Beats between scratchpad and memory port in a STORE."""


class WeightAsker(Asker):
    """Bursts for the weight ring, issued only where there is room."""

    def __init__(self, kernel: Kernel, config: NpuConfig, ring: Ring) -> None:
        super().__init__(kernel, config)
        self.ring = ring

    def room(self, beats: int) -> int:
        return self.ring.room(self.issued + beats)

    def arrive(self, burst: Burst, first: int) -> int:
        self.ring.arrive(first, burst.beats)
        return super().arrive(burst, first)


class LoadAsker(Asker):
    """Each beat is written to the scratchpad as it comes; OUTPUT's writes go before."""

    holds = True

    def __init__(self, kernel: Kernel, config: NpuConfig, writes: OutputWrites) -> None:
        super().__init__(kernel, config)
        self._writes = writes

    def arrive(self, burst: Burst, first: int) -> int:
        address = burst.access.target
        burst.access.target += burst.beats * self._bus_bytes
        return super().arrive(burst, first) + self._writes.delay(first + 1, address, burst.beats)


class WeightUnit:
    """WEIGHT: one run whose data arrives, one asked for behind it."""

    def __init__(self, kernel: Kernel, port: Port, bus: ReadBus, asker: WeightAsker, trace: Trace) -> None:
        self._port, self._bus, self._asker, self._trace = port, bus, asker, trace
        kernel.start(self._work())

    def _work(self) -> Process:
        port, asker = self._port, self._asker
        before: Access | None = None  # the run before this one
        free = 0  # cycle from which another run may be asked for
        end = 0  # cycle behind the last beat of the run before
        while True:
            while port.offer is None:
                yield port.offered
            action = port.offer
            while asker.asked is not None:
                yield asker.granted
            cycle = max(action.pending, free, asker.free)
            yield cycle
            access = asker.ask(action["MEMORY"]["offset"], action.fields["bytes"], cycle, turn=action.fields["turn"])
            self._bus.look(asker.offered)
            port.accept(cycle)
            while before is not None and before.end is None:
                yield asker.granted
            if before is not None:
                assert before.end is not None
                end = before.end + 1
            free = max(cycle + 2, end)
            self._trace.add_weight(action, access, end)
            before = access


def _rows(action: Action) -> Iterator[tuple[int, int]]:
    """Offsets in memory and addresses in the scratchpad of the rows of a LOAD or STORE, in order."""
    count, row_pitch, plane_pitch = action["ROWS"]["count"], action["ROW_PITCH"], action["PLANE_PITCH"]
    for plane in range(action["PLANES"]["count"]):
        offset = action["MEMORY"]["offset"] + plane * plane_pitch["memory"]
        address = action["SCRATCHPAD"]["address"] + plane * plane_pitch["scratchpad"]
        for row in range(count):
            yield offset + row * row_pitch["memory"], address + row * row_pitch["scratchpad"]


class LoadUnit:
    """LOAD: rows are asked for up to eight ahead, also those of the next run; each beat is written as it comes."""

    def __init__(
        self, kernel: Kernel, config: NpuConfig, port: Port, tokens: Tokens, bus: ReadBus, asker: Asker, link: Link,
        trace: Trace,
    ) -> None:  # fmt: skip
        self._kernel, self._config, self._port, self._tokens = kernel, config, port, tokens
        self._bus, self._asker, self._link, self._trace = bus, asker, link, trace
        self._idle: list[int] = []
        """For each run the cycle in which it is over."""
        self._ended = News(kernel)
        self._behind: deque[Access] = deque()
        """Rows whose data path has not begun, and the one before them."""
        kernel.start(self._work())

    def _work(self) -> Process:
        port = self._port
        filled = False
        number = 0
        while True:
            while port.offer is None:
                yield port.offered
            action = port.offer
            granted = [action.pending]
            yield from self._tokens.take(Peer.LOAD, action.fields["wait"], granted)
            # Two runs may be under way, but a fill is alone.
            filling = bool(action.fields["fill"])
            over = number - 1 if filling or filled else number - 2
            while len(self._idle) <= over:
                yield self._ended
            cycle = max(granted[0], granted[-1], self._idle[over] if over >= 0 else 0)
            yield cycle
            yield from (self._fill if filling else self._read)(action, cycle)
            filled = filling
            number += 1

    def _fill(self, action: Action, cycle: int) -> Process:
        size = self._config.word_bytes
        steps = -(-action["ROWS"]["bytes"] // size)
        cycle += 2
        end = 0
        for _ in _rows(action):
            end = max(end + 1, cycle + 3) + steps - 1
            last, cycle = cycle, cycle + 2
        self._port.accept(last + 1)
        self._end(action, self._begin(), end)
        yield last

    def _read(self, action: Action, cycle: int) -> Process:
        asker, behind = self._asker, self._behind
        size, count = action["ROWS"]["bytes"], action["ROWS"]["count"]
        written = self._begin()
        planes: list[Access] = []  # the last row of each
        cycle += 2
        for number, (offset, address) in enumerate(_rows(action), 1):
            while asker.asked is not None:
                yield asker.granted
            cycle = max(cycle, asker.free)
            if len(behind) > ROWS_AHEAD:
                oldest = behind.popleft()
                while oldest.end is None:
                    yield asker.granted
                cycle = max(cycle, oldest.end + 1)
            yield cycle
            access = asker.ask(offset, size, cycle, address)
            behind.append(access)
            if number % count == 0:
                planes.append(access)
                if number == count:
                    self._kernel.start(self._wait(action, written, planes))
            self._bus.look(asker.offered)
            cycle += 2
        self._port.accept(cycle - 1)

    def _begin(self) -> Written:
        written = Written(self._link.from_load)
        self._link.loads.append(written)
        written.news.tell()
        return written

    def _wait(self, action: Action, written: Written, planes: list[Access]) -> Process:
        lines = action.fields["lines"]
        for number in range(action["PLANES"]["count"]):
            while len(planes) <= number or (end := planes[number].end) is None:
                yield self._asker.granted
            written.rows += [end + SHOWN] * lines
            if lines:
                written.news.tell()
        self._end(action, written, end)

    def _end(self, action: Action, written: Written, last: int) -> None:
        """The run's last step is taken in a cycle; it is written in the next, which is known in the one behind."""
        written.done = last + SHOWN
        written.news.tell()
        self._tokens.give(Peer.LOAD, action.fields["signal"], last + 3)
        start = max(action.pending, self._idle[-1] if self._idle else 0)
        self._idle.append(last + 3)
        self._trace.add("load", action.tag, start, last + 3)
        self._ended.tell()


class StoreUnit:
    """STORE: rows from the scratchpad, where the array reads first, to memory, where nobody else writes."""

    def __init__(
        self, kernel: Kernel, config: NpuConfig, port: Port, tokens: Tokens, latency: int, reads: ArrayReads,
        trace: Trace,
    ) -> None:  # fmt: skip
        self._config, self._port, self._tokens, self._latency = config, port, tokens, latency
        self._reads, self._trace = reads, trace
        self._answers: deque[int] = deque([0] * OUTSTANDING_WRITES, OUTSTANDING_WRITES)
        """Cycles in which the latest bursts are acknowledged."""
        self.beats = 0
        kernel.start(self._work())

    def _work(self) -> Process:
        port = self._port
        idle = 0
        while True:
            while port.offer is None:
                yield port.offered
            action = port.offer
            granted: list[int] = []
            yield from self._tokens.take(Peer.STORE, action.fields["wait"], granted)
            cycle = max(action.pending, idle, *granted)
            yield cycle
            end = yield from self._store(action, cycle)
            self._tokens.give(Peer.STORE, action.fields["signal"], end)
            self._trace.add("store", action.tag, max(action.pending, idle), end + 1)
            idle = end + 1

    def _store(self, action: Action, cycle: int) -> Steps:
        """A run that starts in ``cycle``; returns the cycle in which it ends."""
        bus, longest = self._config.bus_bytes, self._config.burst_beats
        size = action["ROWS"]["bytes"]
        rows = action["ROWS"]["count"] * action["PLANES"]["count"]
        answers = self._answers
        moved = deque([0] * BUFFER, BUFFER)  # cycles in which the latest beats go to the bus
        read = 0  # cycle in which the latest beat is read
        free = fired = 0
        begun: deque[int] = deque()
        taken = cycle + 2
        for number, (offset, address) in enumerate(_rows(action)):
            taken = max(taken, free)
            if len(begun) == ROWS_AHEAD:
                taken = max(taken, begun.popleft() + 1)
            if number == rows - 1:
                self._port.accept(taken + 1)
            lane = offset % bus
            beat, left = offset // bus, (lane + size + bus - 1) // bus
            address -= lane  # what is read begins where the bus word does
            self.beats += left
            read = max(read, taken + 3)
            begun.append(read - 1)
            while left:
                beats = min(left, longest, 4096 // bus - beat % (4096 // bus))
                free = max(taken, fired) + 2
                fired = max(fired + 2, taken + 2, answers[0] + 1)
                for _ in range(beats):
                    read = max(read, moved[0] + 1) + 1
                    yield read
                    while not self._reads.free(read, address):
                        read += 1
                        yield read
                    moved.append(max(moved[-1] + 1, fired + 3, read + READ + 2))
                    address += bus
                answers.append(moved[-1] + 1 + self._latency)
                beat, left = beat + beats, left - beats
            taken += 2
        return answers[-1] + 1
