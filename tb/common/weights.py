"""The weight stream and its ring, as the weight loader and the array unit see them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tensaw.spec.isa import Mode

from .array_runs import stream_rows
from .commands import Registers
from .pauses import Pace

if TYPE_CHECKING:
    from .bench import Bench

__all__ = ["Ring", "tile_weights", "tables_rows", "plan_stream"]


class Ring:
    """Weight rows that arrive at a pace, are read by their number from the tail, and freed.

    No more of them are shown than what the buffer's addresses can count. Checks that only rows that have arrived are
    read and freed. ``order`` lists the absolute numbers of rows read.
    """

    def __init__(self, bench: Bench, rows: np.ndarray, pace: Pace) -> None:
        self._bench, self._rows, self._pace = bench, rows, pace
        self.tail = self.arrived = 0
        self.order: list[int] = []
        self.hold = False
        """Let no more rows arrive."""
        bench.start_soon(self._run())

    @property
    def freed(self) -> int:
        return self.tail

    async def _run(self) -> None:
        bench, ports = self._bench, self._bench.ports
        latency = bench.constants["ring_latency"]
        width = self._rows.shape[1]
        most = (1 << (bench.config.weight_rows + 1).bit_length()) - 1
        noise = [int.from_bytes(bench.rng.bytes(width), "little") for _ in range(8)]
        pipe: list[int] = noise[: latency - 1]
        while True:
            ports.available.set(min(self.arrived - self.tail, most))
            await bench.edge
            value = noise[bench.cycle % 8]
            if ports.ring_enable.get():
                row = self.tail + ports.ring_row.get()
                assert row < self.arrived, f"row {row} read, of {self.arrived} that have arrived"
                self.order.append(row)
                value = int.from_bytes(self._rows[row].astype(np.uint8).tobytes(), "little")
            pipe.append(value)
            ports.ring_data.set_bits(pipe.pop(0))
            self.tail += ports.release.get()
            assert self.tail <= self.arrived, "rows freed that have not arrived"
            if self.arrived < len(self._rows) and not self.hold and self._pace():
                self.arrived += 1


def plan_stream(runs: list[Registers]) -> tuple[list[int], int, int]:
    """Where each run's rows begin, how many rows the runs free, and how many must be in the stream at all."""
    start, starts, most = 0, [], 0
    for run in runs:
        starts.append(start)
        needed = run["TILES"]["count"] * sum(stream_rows(run))
        most = max(most, start + needed + run["WEIGHTS"]["pad"])
        if run["WEIGHTS"]["free"]:
            start += needed + run["WEIGHTS"]["pad"]
    return starts, start, most


def tile_weights(run: Registers, first: int, tile: int, step: int) -> range:
    """Absolute numbers of the rows of a kernel step; ``first``: where the run begins."""
    parameters, steps = stream_rows(run)
    rows = 0 if run["RUN"]["mode"] == Mode.POOL else run["WEIGHTS"]["rows"]
    begin = first + tile * (parameters + steps) + parameters + step * rows
    return range(begin, begin + rows)


def tables_rows(width: int, size: int) -> int:
    """Rows of a table of ``size`` bytes."""
    return size // width
