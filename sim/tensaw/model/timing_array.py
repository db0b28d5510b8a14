"""Timing of the ARRAY unit: weight loader and feeder, kernel step by kernel step.

The loader fetches the weights of the next step while this one streams. With s(k) and e(k) the cycles of a step's first
and last position, l(k) the cycle in which its last weight row is read:

    l(k) = max(s(k-1) + rows, cycles in which the rows arrive)
    s(k) = max(e(k-1) + 1, l(k), accumulator half free, input rows written)

A last row that comes late, or is the only one, is told of a cycle later: s(k) > l(k).
"""

from __future__ import annotations

from tensaw.harness.profile import ArrayState
from tensaw.model.timing_bus import ReadBus, Ring
from tensaw.model.timing_geometry import Geometry
from tensaw.model.timing_kernel import Kernel, News, Process, Steps
from tensaw.model.timing_link import Link, Row, Written
from tensaw.model.timing_parameters import ParameterTiming
from tensaw.model.timing_program import Action, Port, Tokens
from tensaw.model.timing_scratchpad import ArrayReads, StepReads
from tensaw.model.timing_trace import Trace
from tensaw.spec.config import NpuConfig
from tensaw.spec.isa import Follow, Peer

__all__ = ["ArrayUnit"]

PREPARATION = 2
"""Cycles from the loader's taking a run or table to the first in which the feeder can take it."""
ENTRY = 2
"""Cycles from the feeder's taking a run to its first position."""
TABLE_BYTES = 256


class ArrayUnit:
    """ARRAY. One process for loader and feeder: each needs the other at every step."""

    def __init__(
        self, kernel: Kernel, config: NpuConfig, port: Port, tokens: Tokens, bus: ReadBus, ring: Ring, link: Link,
        reads: ArrayReads, trace: Trace,
    ) -> None:  # fmt: skip
        self._config, self._port, self._tokens = config, port, tokens
        self._bus, self._ring, self._link, self._reads, self._trace = bus, ring, link, reads, trace
        self._parameters = ParameterTiming(config, ring, bus, link)
        self._loader_free = 0
        self._shadow_free = 0  # cycle from which the array takes the next step's weights
        self._last = -1  # cycle of the last position given
        self._tail = 0  # weight row, counted from the start of the program, that the next run begins with
        self._seen = -1  # latest weight row that is known to have been read
        self._first = 0  # cycle of the first position of the latest step
        self._blocks = 0
        self._row = 0  # lowest input row of the output row before, in a run that follows another one
        self._kernel = kernel
        self._pooling = False  # the loader still reads a POOL run's parameters
        self._pooled = News(kernel)
        kernel.start(self._work())

    def _work(self) -> Process:
        port = self._port
        while True:
            while port.offer is None:
                yield port.offered
            action = port.offer
            while self._pooling:
                yield self._pooled
            taken = max(action.pending, self._loader_free)
            if action.name == "TABLE" and not action.fields["wait"] and not action.fields["signal"]:
                yield from self._lonely_table(action, taken)
                continue
            begin = max(action.pending, self._last + 1)
            yield from (self._table if action.name == "TABLE" else self._run)(action, taken, begin)
            self._trace.add("array", action.tag, begin, self._last + 1)

    def _lonely_table(self, action: Action, taken: int) -> Process:
        """A TABLE without tokens: the loader takes it on while the feeder is still at the run before."""
        begin = max(action.pending, self._last + 1)
        if begin < taken:  # the feeder has nothing to do: the unit shows what it is offered
            self._trace.add("array", action.tag, begin, taken)
            self._trace.count(action.tag, ArrayState.OVERHEAD, taken - begin)
        self._port.accept(taken + 1)
        end = 1 + (yield from self._parameters.read_table(self._tail, TABLE_BYTES, taken + 2))
        self._tail = self._ring.freed
        self._loader_free = end + 1

    def _table(self, action: Action, taken: int, begin: int) -> Process:
        start = yield from self._wait_tokens(action, begin, max(taken + PREPARATION, begin))
        end = 1 + (yield from self._parameters.read_table(self._tail, TABLE_BYTES, start + 1))
        self._tail = self._ring.freed
        self._port.accept(end)
        self._loader_free = end + 1
        self._last = end
        self._tokens.give(Peer.ARRAY, action.fields["signal"], end)
        self._trace.count(action.tag, ArrayState.WAIT_WEIGHTS, end - start)

    def _run(self, action: Action, taken: int, begin: int) -> Process:
        shape = Geometry(action, self._config)
        followed = None
        if action.follows is not None:
            link = self._link
            loading = action.fields["follow"] == Follow.LOAD
            runs, news = (link.loads, link.from_load) if loading else (link.runs, link.from_output)
            while len(runs) <= action.follows:
                yield news
            followed = runs[action.follows]
        # Of the loader: behind parameters it has had time to get ready for the first step.
        cursor = taken + 1 + 2 * (not shape.pool and not shape.streamed)
        loaded = 0
        position = self._tail
        started = False
        if shape.pool:
            loaded = max(cursor, self._shadow_free) + self._config.taps
            # The feeder does not wait for what the loader does besides.
            self._pooling = True
            self._kernel.start(self._finish_loading(shape, loaded, position))
        for tile in range(shape.tiles):
            if shape.streamed and not shape.pool:
                cursor = 1 + (yield from self._parameters.read_tile(shape.weights, position, cursor))
                position += self._parameters.rows_of(shape.weights)
            for block in range(len(shape.blocks)):
                freeing = shape.free and block == len(shape.blocks) - 1
                for number in range(len(shape.steps)):
                    if not shape.pool:
                        cursor, loaded = yield from self._load(
                            max(cursor, self._shadow_free), position + number * shape.rows, shape.rows, freeing
                        )
                    if not started:
                        yield from self._start(action, taken, begin)
                    yield from self._step(action, shape, tile, block, number, loaded, followed, not started)
                    if not shape.pool or not started:
                        self._shadow_free = self._first + 1
                    started = True
                    loaded = 0
            if not shape.pool:
                position += len(shape.steps) * shape.rows
        if not shape.pool:
            yield from self._end_loading(shape, cursor, position)
        self._tokens.give(Peer.ARRAY, action.fields["signal"], self._last + 3)

    def _finish_loading(self, shape: Geometry, cursor: int, position: int) -> Process:
        """A POOL run's loader: the parameters of all tiles."""
        if shape.streamed:
            for _ in range(shape.tiles):
                cursor = 1 + (yield from self._parameters.read_tile(shape.weights, position, cursor))
                position += self._parameters.rows_of(shape.weights)
        yield from self._end_loading(shape, cursor, position)
        self._pooling = False
        self._pooled.tell()

    def _end_loading(self, shape: Geometry, cursor: int, position: int) -> Process:
        """Padding behind a run's last tile; the loader can take the next run. ``position``: the weight row behind."""
        if shape.free:
            if pad := shape.weights["pad"]:
                # What is there is known a cycle later, and looked at when the last row has been freed.
                cursor = max(cursor + 2, (yield from self._load(cursor, position + pad - 1, 1, False))[0])
                self._ring.free(cursor, cursor, pad)
                self._bus.look(cursor + 3)
            self._tail = position + pad
        self._loader_free = cursor + 1

    def _start(self, action: Action, taken: int, begin: int) -> Process:
        """The feeder takes the run."""
        start = yield from self._wait_tokens(action, begin, max(taken + PREPARATION, begin), ENTRY)
        self._port.accept(start)
        self._last = start + ENTRY - 1

    def _wait_tokens(self, action: Action, begin: int, ready: int, entry: int = 1) -> Steps:
        """Cycle in which an action that is on offer from ``begin`` on and could start in ``ready`` has its tokens; its
        first position or row comes ``entry`` cycles later."""
        granted = [begin - 1]
        yield from self._tokens.take(Peer.ARRAY, action.fields["wait"], granted)
        there = max(granted)
        start = max(ready, there + 1)
        there = max(there, begin)
        self._trace.wait_tokens(action.tag, begin, there)
        self._trace.count(action.tag, ArrayState.OVERHEAD, start + entry - there)
        return start

    def _load(self, begin: int, row: int, rows: int, freeing: bool) -> Steps:
        """Read weight rows from ``row`` on; returns the cycle behind the last one, and the first in which the step may
        begin: the last one's, unless it was not there yet when the one before it was read."""
        ring = self._ring
        last = row + rows - 1
        cycle = begin + rows - 1
        late = rows == 1
        if last > self._seen:
            while (available := ring.available(last)) is None:
                yield ring.changed
            first = ring.available(row)
            assert first is not None
            cycle = max(cycle, available, first + rows - 1)
            late |= available >= cycle
            self._seen = last
        if freeing:
            ring.free(cycle - rows + 1, cycle, rows)
            self._bus.look(cycle - rows + 4)
        return cycle + 1, cycle + late

    def _step(
        self, action: Action, shape: Geometry, tile: int, block: int, number: int, loaded: int,
        followed: Written | None, fresh: bool,
    ) -> Process:  # fmt: skip
        """One kernel step of one block; its weights are there in cycle ``loaded``. ``fresh``: the run's first."""
        link, trace, tag = self._link, self._trace, action.tag
        waiting = ArrayState.WAIT_INPUT if action.fields["follow"] == Follow.LOAD else ArrayState.WAIT_FOLLOW
        height, width, length, top, x = shape.blocks[block]
        down, right = shape.steps[number]
        top += down
        y = top + shape.reach
        first = self._last + 1
        behind = followed is not None and (fresh or followed.done is None or followed.done + 2 > first)
        if behind:
            begin = yield from self._written(followed, y, first, shape, fresh)
            trace.count(tag, waiting, begin - first)
            first = begin
        if number == 0 and self._blocks >= 2:
            while len(link.freed) <= self._blocks - 2:
                yield link.from_output
            free = max(first, link.freed[self._blocks - 2])
            trace.count(tag, ArrayState.WAIT_ACCUMULATORS, free - first)
            first = free
        if loaded > first:
            trace.count(tag, ArrayState.WAIT_WEIGHTS, loaded - first)
            first = loaded
        if number == 0:
            self._blocks += 1
        self._first = first
        last_step = number == len(shape.steps) - 1
        address = shape.base + tile * shape.input_step + top * shape.pitch + x + right
        reads = StepReads(
            first, first, length, None, address, shape.row_step * shape.pitch, shape.position, shape.size, shape.groups,
            shape.group_pitch, shape.second,
        )  # fmt: skip
        if not behind:
            if last_step:
                link.rows += [Row(first + line * length, width, shape.spacing) for line in range(height)]
            begin = first + height * length + shape.joined
        else:
            begin = first
            reads.lines = []
            for line in range(height):
                if line:
                    start = yield from self._written(followed, y + line * shape.row_step, begin, shape, False)
                    trace.count(tag, waiting, start - begin)
                    begin = start
                reads.lines.append(begin)
                if last_step:
                    link.rows.append(Row(begin, width, shape.spacing))
                    link.from_array.tell()
                begin += length
            begin += shape.joined
        self._last = reads.end = begin - 1
        self._reads.add(reads)
        if last_step:
            link.from_array.tell()
        trace.count(tag, ArrayState.BUSY, height * width)
        trace.count(tag, ArrayState.OVERHEAD, height * (length - width) + shape.joined)

    def _written(self, followed: Written | None, y: int, cycle: int, shape: Geometry, fresh: bool) -> Steps:
        """Cycle, from ``cycle`` on, in which a row's first position can be given: input row y is written.

        The tests are registered twice, that for a row not before the position is there, but for one that takes the
        row before it for the highest of those that can come before this one; none is valid for a run's first
        position in its first cycle.
        """
        assert followed is not None
        needed = min(y + 1, shape.window)
        surely = min(self._row + shape.lead + 1, shape.window)
        self._row = y
        while True:
            if followed.done is None and self._kernel.now < cycle:
                yield cycle  # it may end before
            done = followed.done
            if done is not None:
                done = max(done + 2, cycle + fresh)
                if done <= cycle:
                    return cycle
            if not fresh and 0 < surely <= len(followed.rows) and followed.rows[surely - 1] + 2 <= cycle:
                return cycle
            if needed <= 0:
                return cycle + 1
            if len(followed.rows) >= needed:
                there = max(cycle, followed.rows[needed - 1] + 1) + 1
                return there if done is None else min(there, done)
            if done is not None:
                return done
            yield followed.news
