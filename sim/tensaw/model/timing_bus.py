"""Timing of the memory port: bursts of three askers in turn, a memory with a latency, and the ring for the weights."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from dataclasses import dataclass, field

from tensaw.model.timing_kernel import Kernel, News
from tensaw.spec.config import NpuConfig
from tensaw.spec.isa import Turn

__all__ = ["Access", "Asker", "Burst", "ReadBus", "Ring"]

BOUNDARY = 4096
"""Bytes: no burst crosses a multiple of this."""
PATIENCE = 3
"""Bursts of LOAD that may overtake a waiting burst of WEIGHT."""
GRANT = 2
"""Cycles from a burst's issue to the next one's at the earliest."""
FREED = 2
"""Cycles from a burst's last beat to the issue of one that takes its place among ``outstanding_reads``."""
UNKNOWN = 1 << 62
"""A cycle that nobody can tell yet."""


@dataclass(eq=False)
class Access:
    """A linear read. ``arrivals``: (cycle of the first beat at the asker, beats) of each burst of which that is known;
    ``end``: cycle of its last beat, once known. ``target``: where in the scratchpad byte 0 of its first beat goes."""

    beat: int
    left: int
    taken: int
    target: int = 0
    turn: int = Turn.SHARED
    arrivals: list[tuple[int, int]] = field(default_factory=list)
    end: int | None = None


class Asker:
    """One of the askers of the read manager, with its burst splitter: one access in work, one waiting behind it."""

    holds = False
    """Whether it may take longer than a cycle for a beat."""

    def __init__(self, kernel: Kernel, config: NpuConfig) -> None:
        self.granted = News(kernel)
        """A burst was granted, or it is known when one arrives."""
        self.issued = 0
        """Beats of all bursts granted."""
        self.working: Access | None = None
        self.offered = 0
        """Cycle from which the next burst of ``working`` is on offer."""
        self.asked: Access | None = None
        self.free = 0
        """Cycle from which the next access can be taken; only while ``asked`` is None."""
        self._bus_bytes = config.bus_bytes
        self._burst_beats = config.burst_beats

    def ask(self, offset: int, size: int, cycle: int, target: int = 0, turn: int = Turn.SHARED) -> Access:
        """An access is taken in a cycle, which must not be before ``free``; its first byte goes to ``target``.
        ``turn``: of a WEIGHT run."""
        first = offset // self._bus_bytes
        last = (offset + size - 1) // self._bus_bytes
        access = Access(first, last - first + 1, cycle, target - offset % self._bus_bytes, turn)
        if self.working is None:
            self.working, self.offered, self.free = access, max(cycle + 4, self.offered), cycle + 3
        else:
            self.asked = access
        return access

    def burst(self) -> int:
        """Beats of the burst on offer."""
        assert self.working is not None
        boundary = BOUNDARY // self._bus_bytes
        return min(self.working.left, self._burst_beats, boundary - self.working.beat % boundary)

    def room(self, beats: int) -> int:
        """Cycle from which a burst of so many beats may be issued as far as the asker's own room goes."""
        return 0

    def fire(self, cycle: int) -> Burst:
        """The burst on offer was granted in a cycle."""
        access, beats = self.working, self.burst()
        assert access is not None
        access.beat += beats
        access.left -= beats
        self.issued += beats
        self.offered = cycle + 2
        if not access.left:
            self.working, self.asked = self.asked, None
            if self.working is not None:
                self.offered = max(self.offered, self.working.taken + 4)
                self.free = max(cycle + 1, self.working.taken + 3)
        self.granted.tell()
        return Burst(self, access, beats, not access.left)

    def arrive(self, burst: Burst, first: int) -> int:
        """The first beat of a burst arrives in a cycle. Returns the cycle of the last one."""
        end = first + burst.beats - 1
        burst.access.arrivals.append((first, burst.beats))
        if burst.last:
            burst.access.end = end
        self.granted.tell()
        return end


@dataclass(eq=False)
class Burst:
    """A burst on its way; ``earliest``: the cycle before which its first beat cannot be there."""

    asker: Asker
    access: Access
    beats: int
    last: bool
    earliest: int = 0


class ReadBus:
    """The read manager and the memory behind it: fetch before load before weight, ``outstanding_reads`` bursts.

    Bursts arrive in the order in which they were granted. When they do is known at once, but for those of an asker that
    may hold them up: of them, and of what is behind them, when the first beat is there.
    """

    def __init__(self, kernel: Kernel, config: NpuConfig, latency: int, askers: tuple[Asker, Asker, Asker]) -> None:
        self._kernel = kernel
        self._latency = latency
        self._askers = askers
        self._most = config.outstanding_reads
        self._ends: deque[int] = deque()
        self._flying: deque[Burst] = deque()  # of which it is not known when they end
        self._data_free = 0
        self._overtaken = 0
        self._last_grant = -GRANT
        self._planned = UNKNOWN
        self.beats = 0
        """Beats of all bursts."""
        self.idle = 0
        """First cycle behind the last beat."""

    def look(self, cycle: int) -> None:
        """Something may have changed from that cycle on: look whether a burst can be granted."""
        cycle = max(cycle, self._last_grant + GRANT, self._kernel.now)
        if cycle < self._planned:
            self._planned = cycle
            self._kernel.call(cycle, self._arbitrate)

    def _arbitrate(self) -> None:
        now = self._kernel.now
        if now != self._planned:
            return  # planned earlier, and done then
        self._planned = UNKNOWN
        ends = self._ends
        while ends and ends[0] + FREED <= now:
            ends.popleft()
        if len(ends) + len(self._flying) >= self._most:
            if ends:
                self.look(ends[0] + FREED)
            return
        times = [UNKNOWN] * 3
        for index, asker in enumerate(self._askers):
            if asker.working is not None:
                times[index] = max(asker.offered, asker.room(asker.burst()))
        fetch, load, weight = (time <= now for time in times)
        if not weight:
            self._overtaken = 0
        working = self._askers[2].working
        turn = Turn.SHARED if working is None else working.turn
        weight_turn = turn == Turn.FIRST or (turn == Turn.SHARED and self._overtaken == PATIENCE)
        if fetch:
            chosen = 0
        elif load and not (weight and weight_turn):
            chosen = 1
            self._overtaken = min(self._overtaken + weight, PATIENCE)
        elif weight:
            chosen = 2
            self._overtaken = 0
        else:
            earliest = min(times)
            if earliest < UNKNOWN:
                self.look(earliest)
            return
        burst = self._askers[chosen].fire(now)
        # Two cycles to the port, the memory's latency, one cycle back.
        burst.earliest = now + self._latency + 3
        self.beats += burst.beats
        self._last_grant = now
        self._flying.append(burst)
        if len(self._flying) == 1:
            self._deliver()
        self.look(now + GRANT)

    def _deliver(self) -> None:
        """Say when bursts arrive as far as that can be known now."""
        now = self._kernel.now
        while self._flying:
            burst = self._flying[0]
            first = max(burst.earliest, self._data_free)
            if burst.asker.holds and first > now:
                self._kernel.call(first, self._deliver)
                return
            self._flying.popleft()
            end = burst.asker.arrive(burst, first)
            self._data_free = self.idle = end + 1
            self._ends.append(end)
            if len(self._ends) + len(self._flying) >= self._most:
                self.look(self._ends[0] + FREED)


class Ring:
    """The weight ring: which rows have arrived when, and when there is room for more."""

    def __init__(self, kernel: Kernel, config: NpuConfig) -> None:
        self.changed = News(kernel)
        """Beats were promised."""
        self._bus_bytes = config.bus_bytes
        self._row_bytes = config.weight_row_bytes
        self._word_bytes = config.weight_word_bytes
        self._capacity = config.weight_bytes // config.bus_bytes
        self._starts: list[int] = []  # first beat of each burst
        self._cycles: list[int] = []  # and the cycle in which it arrives
        self._beats = 0
        self._released = [0]  # rows freed by the end of each stretch
        self._stretches: list[tuple[int, int]] = [(0, 0)]  # cycles in which its first and its last row was freed
        self._next = 1  # stretch in which the writer looks for room

    @property
    def freed(self) -> int:
        """Rows freed so far."""
        return self._released[-1]

    def arrive(self, cycle: int, beats: int) -> None:
        """A burst whose first beat comes in a cycle."""
        self._starts.append(self._beats)
        self._cycles.append(cycle)
        self._beats += beats
        self.changed.tell()

    def available(self, row: int) -> int | None:
        """Cycle from which a row, counted from the start of the program, can be read; None while its burst has not been
        granted."""
        words = (row + 1) * self._row_bytes + self._word_bytes - 1
        beat = words // self._word_bytes * (self._word_bytes // self._bus_bytes) - 1
        if beat >= self._beats:
            return None
        burst = bisect_right(self._starts, beat) - 1
        return self._cycles[burst] + beat - self._starts[burst] + 2

    def free(self, first: int, last: int, rows: int) -> None:
        """Rows are read, to be freed, from cycle ``first`` to cycle ``last``, evenly."""
        if rows:
            self._released.append(self._released[-1] + rows)
            self._stretches.append((first, last))

    def room(self, beats: int) -> int:
        """Cycle from which the ring has room for so many beats, counted from the start of the program. Never asked for
        fewer than before."""
        rows = -(-(beats - self._capacity) * self._bus_bytes // self._row_bytes)
        if rows <= 0:
            return 0
        while self._next < len(self._released) and self._released[self._next] < rows:
            self._next += 1
        if self._next >= len(self._released):
            return UNKNOWN
        before = self._released[self._next - 1]
        count = self._released[self._next] - before
        first, last = self._stretches[self._next]
        return first + (last - first) * (rows - before - 1) // max(count - 1, 1) + 3
