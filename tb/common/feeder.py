"""The feeder's neighbours, and what must arrive at the array."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import Any

import numpy as np
from cocotb.triggers import Timer

from tensaw.spec.isa import Mode, Unit

from .array_runs import Position, positions, vector_at
from .bench import Bench
from .commands import Registers, payload_of
from .long_runs import first_positions
from .pauses import Pace, make_pace
from .scoreboard import Scoreboard
from .scratchpad import ArrayReads
from .streams import Source

__all__ = [
    "BUSY", "BY_CHANNEL", "FeederNeighbours", "IDLE", "WAIT_ACCUMULATORS", "WAIT_FOLLOW", "WAIT_LOAD", "WAIT_TOKENS",
    "WAIT_WEIGHTS",
]  # fmt: skip

BY_CHANNEL = (Mode.DEPTHWISE, Mode.PAIRS)

IDLE, BUSY, WAIT_WEIGHTS, WAIT_TOKENS, WAIT_FOLLOW, WAIT_ACCUMULATORS, _, WAIT_LOAD = range(8)


class FeederNeighbours(Bench):
    """Plays scratchpad, weight loader, accumulators, tokens and output stage; checks each position's arrival.

    ``loader``, ``taker`` and ``tokens`` pace the answers of those units.
    """

    loader: Pace
    taker: Pace
    tokens: Pace

    async def restart(self, cycles: int = 0) -> None:
        """With a reset in which what is on its way to the array arrives: its swaps are not taken back."""
        await super().restart(cycles or self.constants["latency"] + 1)

    def prepare(self) -> None:
        self.memory = self.bytes(self.config.scratchpad_bytes)
        self.reads = ArrayReads(self, self.ports.memory, self.memory)
        self.arrivals = Scoreboard("positions")
        self.gives = Scoreboard("tokens given")
        self.takes = Scoreboard("tokens taken")
        self.loader = self.taker = self.tokens = make_pace(self.rng, "never")
        self.half = 0
        self.busy_halves = 0
        self.busy_cycles = self.issued = 0
        self.swaps: deque[int] = deque()
        self.states: set[int] = set()
        self.give_times: list[int] = []
        self.positions = 0
        self.positions_before_give: list[int] = []
        self.source = Source(self, self.ports.run, make_pace(self.rng, "rarely"), early=True)
        for part in (self.load_weights(), self.accumulate(), self.grant(), self.watch()):
            self.start_soon(part)

    # What is expected ----------------------------------------------------------------------------------------------

    def expect(self, run: Registers, most: int = 0) -> None:
        """A run: its tokens, and what arrives at the array for each of its positions, or the first ``most``."""
        self.takes.expect(run["RUN"]["wait"])
        config, mode = self.config, run["RUN"]["mode"]
        block = 0
        first = True
        signed = self.memory.view(np.int8)
        for position in first_positions(config, run, most) if most else positions(config, run):
            self.half ^= position.block != block
            block = position.block
            self.arrivals.expect((self.half, self.vectors(run, position, signed), position, run, first))
            first = False
            self.positions += 1
            self.seen_padding(self.padding(run, position))
        self.half ^= 1
        self.expect_give(run["RUN"]["signal"])
        if mode in BY_CHANNEL:
            self.seen_groups(Mode(mode), run["RUN"]["groups"])

    def expect_give(self, mask: int) -> None:
        """Tokens, given when the bytes of all positions so far have been read."""
        self.gives.expect(mask)
        self.positions_before_give.append(self.positions)

    def vectors(
        self, run: Registers, position: Position, memory: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
        """Lanes, columns, second pixels and by_column."""
        config, mode = self.config, run["RUN"]["mode"]
        lanes = np.zeros(config.rows, np.int64)
        columns = np.zeros((config.groups, config.columns), np.int64)
        seconds = np.zeros_like(columns)
        if mode == Mode.CONV:
            used = run["WEIGHTS"]["rows"]
            lanes[:used] = vector_at(config, run, memory, position, used)
            return lanes, columns, seconds, 0
        groups = run["RUN"]["groups"] if mode in BY_CHANNEL else 1
        for group in range(groups):
            columns[group] = vector_at(config, run, memory, position, config.columns, group)
            if mode == Mode.PAIRS:
                second = replace(position, x=position.x + run["STEP"]["position"] // 2)
                seconds[group] = vector_at(config, run, memory, second, config.columns, group)
        return lanes, columns, seconds, (1 << groups) - 1

    def words(self, run: Registers, position: Position) -> list[int | None]:
        """The scratchpad words that a position needs, by slot: of one vector the next word where it goes on there, of
        several one each, and of pairs also the second pixels'."""
        config, mode = self.config, run["RUN"]["mode"]
        word, start = config.word_bytes, position.row_address + position.x
        slots: list[int | None] = [None] * (3 + config.groups)
        starts = {0: start}
        if mode in BY_CHANNEL:
            for group in range(run["RUN"]["groups"]):
                starts[group] = start + group * run["KERNEL_Y"]["group_pitch"]
                if mode == Mode.PAIRS:
                    starts[3 + group] = starts[group] + run["STEP"]["position"] // 2
        elif start % word + (config.columns if mode == Mode.POOL else run["WEIGHTS"]["rows"]) > word:
            starts[1] = start + word
        for slot, address in starts.items():
            slots[slot] = address % (1 << config.address_bits) // word
        return slots

    def padding(self, run: Registers, position: Position) -> str:
        """Where a position leaves the image, if it does."""
        window = run["WINDOW"]
        if position.y < 0:
            return "above"
        if position.y >= window["height"]:
            return "below"
        if position.x < 0:
            return "left"
        return "right" if position.x + self.config.columns > window["row_bytes"] else "none"

    def seen_groups(self, mode: Mode, groups: int) -> None:
        """For coverage: a run of these is expected."""

    def seen_padding(self, where: str) -> None:
        """For coverage: a position that leaves the image there is expected."""

    def seen_joined(self, when: str) -> None:
        """For coverage: what follows a joined row has come so."""

    # Neighbours ----------------------------------------------------------------------------------------------------

    async def load_weights(self) -> None:
        """A step's weights are there after some time; a swap uses them up."""
        ports = self.ports
        ready = False
        settle = Timer(2, "ns")
        while True:
            await settle
            swap = bool(ports.swap.get())
            filled = (swap or not ready) and self.loader()
            ports.filled.set(int(filled))
            await self.edge
            if swap:
                assert ready, "swap without weights"
                self.swaps.append(self.cycle - 1)
            ready = filled or (ready and not swap)

    async def accumulate(self) -> None:
        """A half is busy from its opening on until it has been emptied, some time later."""
        ports = self.ports
        opened = []
        while True:
            ports.half_busy.set(self.busy_halves)
            await self.edge
            if ports.open.get():
                half = ports.open_half.get()
                assert not self.busy_halves >> half & 1, f"half {half} opened while it is busy"
                self.busy_halves |= 1 << half
                opened.append(half)
            elif opened and self.taker():
                self.busy_halves &= ~(1 << opened.pop(0))

    async def grant(self) -> None:
        ports = self.ports
        ready = False
        while True:
            ready = ready or self.tokens()  # until they are taken
            ports.take_ready.set(int(ready))
            await self.edge
            if ports.take.get():
                assert ready, "tokens taken that are not there"
                self.takes.check(ports.take_mask.get())
                ready = False
            if ports.give.get():
                self.gives.check(ports.give_mask.get())
                self.give_times.append(self.cycle - 1)

    async def watch(self) -> None:
        """What arrives at the array, ``latency`` cycles after it was issued."""
        ports, latency = self.ports, self.constants["latency"]
        step_swaps: deque[int] = self.swaps
        before: Position | None = None
        before_cycle = -1
        shared: np.ndarray | None = None
        while True:
            await self.edge
            now = self.cycle - 1
            state = ports.state.get()
            self.states.add(state)
            self.busy_cycles += state == BUSY
            control, by_column, swap = ports.control.get(), ports.by_column.get(), ports.array_swap.get()
            if before is not None and shared is not None and now == before_cycle + 1:
                found_columns = np.array(ports.columns.get())
                assert np.array_equal(found_columns, shared), f"columns {found_columns} behind a joined row, {before}"
                self.seen_joined("at once" if by_column else "late")
            if swap:
                assert step_swaps and step_swaps.popleft() == now - latency, f"array_swap in cycle {now}"
            if not control["valid"] and not by_column:
                assert not swap, "a swap without a position"
                continue
            half, (lanes, columns, seconds, wanted_columns), position, run, first = self.next_arrival()
            self.issued += 1
            text = f"position {self.arrivals.count} ({position})"
            asked, words = self.reads.requests[self.arrivals.count - 1], self.words(run, position)
            assert asked == words, f"the words {asked} are read instead of {words} for {text}"
            assert by_column == wanted_columns, f"by_column {by_column} at {text}"
            held = run["RUN"]["mode"] == Mode.POOL and not first
            assert swap == (position.step_start and not held), f"swap is {swap} at {text}"
            found_columns = np.array(ports.columns.get())
            assert np.array_equal(found_columns, columns), f"columns {found_columns} instead of {columns} at {text}"
            found_seconds = np.array(ports.seconds.get())
            assert np.array_equal(found_seconds, seconds), f"seconds {found_seconds} instead of {seconds} at {text}"
            assert ports.pairs.get() == (run["RUN"]["mode"] == Mode.PAIRS), f"pairs at {text}"
            assert np.array_equal(ports.lanes.get(), lanes), f"lanes {ports.lanes.get()} instead of {lanes} at {text}"
            assert control["valid"] == position.keep, text
            if position.keep:
                wanted = {"valid": 1, "half": half, "index": position.index, "first": int(position.first),
                          "last": int(position.last), "final": int(position.final),
                          "maximum": run["RUN"]["maximum"]}  # fmt: skip
                assert control == wanted, f"control {control} instead of {wanted} at {text}"
            if run["RUN"]["mode"] in BY_CHANNEL and before is not None and not position.row_start:
                assert now == before_cycle + 1, f"a gap within a row, where later positions are taps: {text}"
            before, before_cycle = position, now
            shared = self.shared(run, position)

    def shared(self, run: Registers, position: Position) -> np.ndarray | None:
        """What the array must see in the cycle behind a position, though no position may be there: the padding behind
        a joined row that another one follows; None if anything may be there."""
        following = self.arrivals._expected[0] if self.arrivals.left else None
        if not run["STEP"]["join"] or following is None or following[3] is not run:
            return None
        if not following[2].row_start or following[2].step_start:
            return None
        columns = np.zeros((self.config.groups, self.config.columns), np.int64)
        columns[: run["RUN"]["groups"]] = run["TILES"]["pad_value"]
        return columns

    def next_arrival(self) -> Any:
        if not self.arrivals.left:
            raise AssertionError("a position arrived that no run has")
        item = self.arrivals._expected.popleft()
        self.arrivals.count += 1
        return item

    # Tests' parts --------------------------------------------------------------------------------------------------

    def send(self, run: Registers) -> None:
        self.expect(run)
        self.source.send(payload_of(Unit.ARRAY, run))

    async def settled(self, limit: int = 60_000) -> None:
        """All runs are through."""
        await self.until(
            lambda: self.source.idle and not self.arrivals.left and not self.gives.left, limit, "all positions"
        )
        await self.clocks(12)

    def finish(self) -> None:
        for board in (self.arrivals, self.gives, self.takes):
            board.finish()
        assert not self.swaps, "a swap that the array never saw"
        for time, count in zip(self.give_times, self.positions_before_give, strict=True):
            assert not count or time >= self.reads.times[count - 1], "tokens given before the last bytes were read"
