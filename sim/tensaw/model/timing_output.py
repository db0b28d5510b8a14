"""Timing of the OUTPUT unit: beats of ``requant_lanes`` channels, output row by output row; softmax."""

from __future__ import annotations

from tensaw.model.timing_kernel import Kernel, Process, Steps
from tensaw.model.timing_link import FEEDER, READ, Link, Written, array_latency
from tensaw.model.timing_program import Action, Port, Tokens
from tensaw.model.timing_scratchpad import OutputWrites, RowWrites
from tensaw.model.timing_trace import Trace
from tensaw.spec.config import NpuConfig
from tensaw.spec.isa import Operation, OutputKind, Peer

__all__ = ["OutputUnit"]

SUMS_TO_QUEUE = 4
"""Cycles from a position's sums to the output stage, through the accumulators."""
TAKEN_TO_FREE = 2
"""Cycles from reading a half's last accumulators to the array's seeing it free."""
TAKEN_TO_TAKEN = 1
"""And to reading the other one's first."""
TAKEN_TO_QUEUE = 2
"""Cycles from reading accumulators to their being on offer."""
QUEUE = 4
"""Positions between accumulators and output stage."""
BYTES = 11
"""Cycles from a beat to its bytes, and with a second operand."""
BYTES_COMBINED = 28
SHOWN = 2
"""Cycles from writing bytes to showing them as progress."""
COMBINED = 4
"""Cycles of a beat with a second operand, whose first cycle is ``SLOT`` modulo 4."""
SLOT = 2
DRAINED = 21
"""Cycles from the last beat with a second operand until another run may start."""
BUFFER = 1
"""Cycles from a run's first beat to the lanes' taking it."""
OPERANDS = READ + 3
"""Cycles from a run's first address to its operand."""
SOFTMAX_DIVISION = 1 + 3 + 13 + 63 + 1
"""Cycles of a row that no element takes: the last maximum, sum, normalisation (for a sum near 1: the longest), seven
products, mantissa."""


class OutputUnit:
    """OUTPUT. Its cycles follow from what the array tells, so it never has to wait for the clock."""

    def __init__(
        self, kernel: Kernel, config: NpuConfig, port: Port, tokens: Tokens, link: Link, writes: OutputWrites,
        trace: Trace,
    ) -> None:  # fmt: skip
        self._config, self._port, self._tokens, self._link, self._trace = config, port, tokens, link, trace
        self._writes = writes
        self._latency = FEEDER + array_latency(config) + SUMS_TO_QUEUE
        self._latest: tuple[int, int, int] | None = None  # the latest run's tag, its begin, and the cycle behind it
        self._free = 0  # cycle from which the next run can be taken
        self._next_half = 0  # cycle from which a position of the next block can be there
        self._tiles = 0  # tiles with streamed parameters so far
        kernel.start(self._work())

    def _work(self) -> Process:
        port, link = self._port, self._link
        before: tuple[int, int] | None = None  # tag and begin of the run before
        finished = 0  # cycle from which everything written so far can be read
        while True:
            while port.offer is None:
                yield port.offered
            action = port.offer
            softmax = action.fields["kind"] == OutputKind.SOFTMAX
            combine = not softmax and action["OPERAND_STEP"]["operation"] != Operation.NONE
            granted = [action.pending, self._free, finished if softmax or combine else 0]
            yield from self._tokens.take(Peer.OUTPUT, action.fields["wait"], granted)
            taken = max(granted) + 1
            port.accept(taken)
            begin = max(action.pending, min(taken + 1, finished))
            if before is not None:
                self._trace.add("output", before[0], before[1], min(begin, finished))
            before = action.tag, begin
            link.runs.append(Written(link.from_output))
            link.from_output.tell()
            if softmax:
                last = self._softmax(action, taken)
                delay = BYTES
            else:
                last = yield from self._drain(action, taken + 2, combine)
                delay = BYTES_COMBINED if combine else BYTES
            self._free = last + (DRAINED if combine else 1)
            finished = last + delay + SHOWN
            link.runs[-1].done = finished
            link.from_output.tell()
            self._tokens.give(Peer.OUTPUT, action.fields["signal"], finished - 1)
            self._latest = *before, finished

    def close(self) -> int:
        """Record the last run. Returns the cycle from which the unit is idle for good."""
        if self._latest is None:
            return 0
        tag, begin, finished = self._latest
        self._trace.add("output", tag, begin, finished)
        return finished

    def _softmax(self, action: Action, taken: int) -> int:
        """Cycle of the last output's operation. Three passes over each row."""
        width, height = action["OUT"]["width"], action["OUT"]["height"]
        written = self._link.runs[-1]
        cycle = taken + 2 + OPERANDS
        last = cycle
        for _ in range(height):
            # The first output is popped behind maximum, sum and division; its operation is three cycles later.
            last = cycle + 3 * width - 1 + SOFTMAX_DIVISION + 3
            written.rows.append(last + BYTES + SHOWN)
            cycle = last + 1
        return last

    def _drain(self, action: Action, cycle: int, combine: bool) -> Steps:
        """Cycle of the last beat of a run whose first could be in ``cycle``."""
        config, link, latency = self._config, self._link, self._latency
        channels, out, block = action["CHANNELS"], action["OUT"], action["BLOCK"]
        quant = action["QUANT"]
        streamed = quant["bias"] or quant["scale"]
        gap = COMBINED if combine else 1
        delay = (BYTES_COMBINED if combine else BYTES) + SHOWN
        height, width = out["height"], out["width"]
        lanes, pixel_pitch, pitch = config.requant_lanes, channels["pixel_pitch"], action["TARGET"]["pitch"]
        rows = link.rows
        written = link.runs[-1]
        cycle += OPERANDS if combine else BUFFER
        last = cycle
        for tile in range(channels["tiles"]):
            final = tile == channels["tiles"] - 1
            beats = -(-(channels["last"] if final else channels["tile"]) // lanes)
            base = action["TARGET"]["base"] + tile * channels["tile"]
            if streamed:
                while len(link.filled) <= self._tiles:
                    yield link.from_array
                cycle = max(cycle, link.filled[self._tiles])
            for top in range(0, height, block["height"]):
                for left in range(0, width, block["width"]):
                    count = 0
                    for line in range(top, min(top + block["height"], height)):
                        while not rows:
                            yield link.from_array
                        row = rows.popleft()
                        end = row.start + (row.count - 1) * row.spacing + latency  # the last one is there
                        first = max(cycle, row.start + latency, self._next_half)
                        if combine:
                            first += (SLOT - first) % 4
                            end += (SLOT - end) % 4
                        last = max(first + (row.count * beats - 1) * gap, end + (beats - 1) * gap)
                        cycle = last + gap
                        count += row.count
                        self._writes.add(
                            RowWrites(
                                first + delay - SHOWN,
                                last + delay - SHOWN,
                                row.count,
                                beats,
                                lanes,
                                base + line * pitch + left * pixel_pitch,
                                pixel_pitch,
                                channels["last"] if final else channels["tile"],
                            )
                        )
                        if final and left + block["width"] >= width:
                            written.rows.append(last + delay)
                            link.from_output.tell()
                    # The half is free when its last positions are in the queue, which come at most one a cycle.
                    popped = last - min(QUEUE, count - 1) * beats * gap
                    taken = max(end - TAKEN_TO_QUEUE, popped + 1, self._next_half - TAKEN_TO_QUEUE + count - 1)
                    link.freed.append(taken + TAKEN_TO_FREE)
                    self._next_half = taken + TAKEN_TO_TAKEN + TAKEN_TO_QUEUE
                    link.from_output.tell()
            if streamed:
                link.released.append(last + 1)
                link.from_output.tell()
                self._tiles += 1
        return last
