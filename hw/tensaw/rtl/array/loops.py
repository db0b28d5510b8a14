"""The loops of an ARRAY run: which position comes next, and where in its image it lies."""

from __future__ import annotations

from typing import Any

from amaranth import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from tensaw.rtl.control.command import run_layout
from tensaw.spec.config import NpuConfig
from tensaw.spec.isa import Follow, Mode, Unit

__all__ = ["Loops", "position_layout", "upcoming_layout"]


def position_layout(config: NpuConfig) -> data.StructLayout:
    """One streamed position.

    ``row_y``: its input row; ``x``: its byte in the row; ``base``: scratchpad address of row 0, byte 0 for its tile.
    ``keep``: its sums are wanted, as entry ``index`` of accumulator half ``half``; ``first`` and ``last``: in the first
    and last kernel step; ``final``: and it is the block's last. ``takes_weights``: it is the first of a kernel step (in
    POOL: of the run). ``block_start``: it is the first of a block. ``follows``: it is the first of a row, and the run
    follows another one. ``run_end``: nothing follows.
    ``overflow``: the block is larger than a half.
    """
    return data.StructLayout(
        {
            "base": config.address_bits,
            "x": signed(26),
            "row_y": signed(18),
            "keep": 1,
            "half": 1,
            "index": range(config.acc_half),
            "first": 1,
            "last": 1,
            "final": 1,
            "takes_weights": 1,
            "block_start": 1,
            "follows": 1,
            "run_end": 1,
            "overflow": 1,
        }
    )


def upcoming_layout() -> data.StructLayout:
    """Of the position that is there in the next cycle, this one or another: see :func:`position_layout`."""
    return data.StructLayout({"half": 1, "block_start": 1, "follows": 1})


class _Countdown:
    """Counts what is left of a loop. The register holds two less, so that its sign says that this is the last one."""

    def __init__(self, m: Module, width: int, name: str) -> None:
        self._left = Signal(signed(width + 1), name=f"{name}_left_but_two", reset_less=True)
        self.following = Signal(signed(width + 1), name=f"{name}_following")
        """What the register is to hold next; unless :meth:`load` or :meth:`next` is used, what it holds."""
        m.d.comb += self.following.eq(self._left)

    @property
    def last(self) -> Value:
        return self._left[-1]

    def load(self, count_but_two: Value) -> Any:
        """A combinational statement: two more than this are left."""
        return self.following.eq(count_but_two)

    def next(self) -> Any:
        """A combinational statement: one has been done."""
        return self.following.eq(self._left - 1)

    def step(self) -> Any:
        """A statement for the clock."""
        return self._left.eq(self.following)


class _Cut:
    """A side of the output, cut into blocks: how long each is, less two, and what remains behind it.

    ``start`` takes the side's and a block's length; before the first :meth:`restart` nothing remains. Registers hold
    one less than what remains, so that the sign says that nothing does. The next block is prepared in a block's first
    cycle.
    """

    def __init__(self, m: Module, start: Value, out: Value, size: Value, name: str) -> None:
        def register(what: str) -> Signal:
            return Signal(signed(17), name=f"{name}_{what}", reset_less=True)

        self._rest, self._rest_next, self._rest_first = register("rest"), register("rest_next"), register("rest_first")
        out_but_two, size_but_two = register("but_two"), register("of_block_but_two")
        block = Signal(16, name=f"{name}_of_block", reset_less=True)
        m.d.sync += self._rest_next.eq(self._rest - block)
        with m.If(start):
            m.d.sync += [
                self._rest.eq(-1),
                self._rest_first.eq(out + Cat(~size, 1).as_signed()),  # out - size - 1
                out_but_two.eq(out - 2),
                size_but_two.eq(size - 2),
                block.eq(size),
            ]
        self.first = Mux(self._rest_first < 0, out_but_two, size_but_two)
        self.following = Mux(self._rest_next < 0, self._rest - 1, size_but_two)
        self.length = register("length_but_two")

    @property
    def last(self) -> Value:
        return self._rest[-1]

    def restart(self) -> list[Any]:
        """Statements: the first block begins."""
        return [self._rest.eq(self._rest_first), self.length.eq(self.first)]

    def next(self) -> list[Any]:
        """Statements: the next block begins."""
        return [self._rest.eq(self._rest_next), self.length.eq(self.following)]


class Loops(wiring.Component):
    """Channel tiles, blocks of rows, blocks of columns, kernel y, kernel x, chunks, rows, columns; innermost last.

    Parameters
    ----------
    config : NpuConfig

    Members
    -------
    start : In(1), setup : In(run_layout(ARRAY))
        Takes a run; its first position is offered two cycles later. Not while ``busy``.
    busy : Out(1)
        A run has positions left.
    active : Out(1)
        ``position`` is one of a run.
    position : Out(position_layout)
    upcoming : Out(upcoming_layout)
        What some of its fields will be in the next cycle.
    advance : In(1)
        Go on to the next position, only while ``active``; the last one ends ``busy``.
    held : Out(run_layout(ARRAY))
        The run that was taken.

    Timing
    ------
    A new position in each cycle with ``advance``; a block of a single position in a single kernel step takes two
    cycles. Everything that decides what the next position is comes from registers.

    Corner cases
    ------------
    DEPTHWISE rows go on for max(taps, decimation) - 1 positions behind the last one kept, PAIRS rows for
    max(2, decimation) - 1, so that its sum is complete and the next block of columns knows where to begin. With
    ``join`` and a decimation of 1 or 2, DEPTHWISE rows end one position earlier, but for a block's last.
    """

    start: Signal
    setup: Any
    busy: Signal
    active: Signal
    position: Any
    upcoming: Any
    advance: Signal
    held: Any

    def __init__(self, config: NpuConfig) -> None:
        self._config = config
        super().__init__(
            {
                "start": In(1),
                "setup": In(run_layout(Unit.ARRAY)),
                "busy": Out(1),
                "active": Out(1),
                "position": Out(position_layout(config)),
                "upcoming": Out(upcoming_layout()),
                "advance": In(1),
                "held": Out(run_layout(Unit.ARRAY)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config, setup = self._config, self.setup
        # Neither this nor what else a start writes is reset.
        run = Signal(run_layout(Unit.ARRAY), name="run", reset_less=True)
        m.d.comb += self.held.eq(run)

        # What is said of the present position: each of these is a register.
        row_end = Signal(reset_less=True)
        step_end = Signal(reset_less=True)
        block_end = Signal(reset_less=True)
        new_row = Signal(reset_less=True)  # the step is a kernel row's last one
        passing = Signal(reset_less=True)  # the next position is where the block to the right begins, if it is not left
        first_step = Signal(reset_less=True)
        last_step = Signal(reset_less=True)
        in_phase = Signal(reset_less=True)  # the position is kept, but for the tail
        in_tail = Signal(reset_less=True)  # behind the row's last position that is kept
        entering = Signal()  # there is none: the run's first block is entered
        has_tail = Signal(reset_less=True)  # of the run
        adjacent = Signal(reset_less=True)  # of the run: every position is kept
        joined = Signal(reset_less=True)  # of the run: the last of two tail positions is the next row's first position

        # Counters, innermost last.
        tiles = _Countdown(m, 12, "tiles")
        rows = _Cut(m, self.start, setup.out.height, setup.block.height, "rows")
        columns = _Cut(m, self.start, setup.out.width, setup.block.width, "columns")
        steps_y, steps_x, chunks = _Countdown(m, 8, "steps_y"), _Countdown(m, 8, "steps_x"), _Countdown(m, 16, "chunks")
        lines, kept = _Countdown(m, 16, "lines"), _Countdown(m, 16, "kept")
        phase, tail = _Countdown(m, 6, "phase"), _Countdown(m, 6, "tail")

        keep, run_end = Signal(), Signal()
        go = Signal()
        m.d.comb += [
            keep.eq(in_phase & ~in_tail),
            run_end.eq(block_end & columns.last & rows.last & tiles.last),
            go.eq(entering | self.advance),
        ]

        # A start leaves the run's fields in ``held`` and pretends a tile's last position, which ends with the cycle.
        with m.If(self.start):
            m.d.sync += [run.eq(setup), self.busy.eq(1), row_end.eq(1), step_end.eq(1), block_end.eq(1), new_row.eq(1)]
        m.d.sync += entering.eq(self.start)
        with m.If(self.advance & run_end):
            m.d.sync += self.busy.eq(0)

        # In DEPTHWISE mode a sum that starts at a position is complete `taps` positions later; in PAIRS mode the next
        # position has the last of three taps.
        by_channel = setup.run.mode == Mode.PAIRS
        if config.taps > 1:
            by_channel |= setup.run.mode == Mode.DEPTHWISE
        with m.If(self.start):
            m.d.sync += [
                has_tail.eq(by_channel | (setup.step.decimation != 1)),
                adjacent.eq(setup.step.decimation == 1),
            ]
        # The others are not looked at while the first block is entered.
        drain = Mux(run.run.mode == Mode.DEPTHWISE, config.taps - 1, run.run.mode == Mode.PAIRS)
        skip = run.step.decimation - 1
        tail_but_two = Signal(signed(7), reset_less=True)
        m.d.sync += [
            tail_but_two.eq(Mux(skip > drain, skip, drain) - 2),
            joined.eq(run.step.join & (run.run.mode == Mode.DEPTHWISE) & (skip < 2) if config.taps == 3 else 0),
        ]

        # Positions of a row, rows of a step. Lengths are those of the block that the next position belongs to.
        next_width, next_height = Signal(signed(17)), Signal(signed(17))
        next_in_phase, next_in_tail = Signal(), Signal()
        m.d.comb += [phase.next(), next_in_phase.eq(phase.last), next_in_tail.eq(in_tail)]
        with m.If(phase.last | row_end):
            m.d.comb += phase.load(run.step.decimation - 2)
        with m.If(in_tail):
            m.d.comb += tail.next()
        with m.If(keep):
            one = joined & ~lines.last
            m.d.comb += [kept.next(), tail.load(Mux(one, -1, tail_but_two)), next_in_tail.eq(kept.last)]
        with m.If(row_end):
            m.d.comb += [kept.load(next_width), lines.next(), next_in_tail.eq(0), next_in_phase.eq(1)]
        with m.If(step_end):
            m.d.comb += lines.load(next_height)

        # Kernel steps of a block.
        with m.If(step_end):
            m.d.comb += chunks.next()
            with m.If(chunks.last):
                m.d.comb += [chunks.load(run.kernel_x.chunks - 2), steps_x.next()]
                with m.If(steps_x.last):
                    m.d.comb += [steps_x.load(run.kernel_x.steps - 2), steps_y.next()]
        with m.If(block_end):
            m.d.comb += [
                steps_y.load(run.kernel_y.steps - 2),
                steps_x.load(run.kernel_x.steps - 2),
                chunks.load(run.kernel_x.chunks - 2),
            ]

        # Blocks of a tile.
        m.d.comb += [next_width.eq(columns.length), next_height.eq(rows.length)]
        with m.If(block_end):
            m.d.comb += next_width.eq(Mux(columns.last, columns.first, columns.following))
            with m.If(columns.last):
                m.d.comb += next_height.eq(Mux(rows.last, rows.first, rows.following))
        with m.If(go & block_end):
            with m.If(~columns.last):
                m.d.sync += columns.next()
            with m.Else():
                m.d.sync += columns.restart()
                with m.If(~rows.last):
                    m.d.sync += rows.next()
                with m.Else():
                    m.d.sync += rows.restart()

        # What will be said of the next position.
        next_row_end, next_step_end, next_block_end, next_last_step = Signal(), Signal(), Signal(), Signal()
        next_first_step = Signal()
        next_last = Signal()  # the row's last that is kept
        m.d.comb += [
            next_row_end.eq(Mux(next_in_tail, tail.following < 0, next_in_phase & (kept.following < 0) & ~has_tail)),
            next_step_end.eq(next_row_end & (lines.following < 0)),
            next_last_step.eq((steps_y.following < 0) & (steps_x.following < 0) & (chunks.following < 0)),
            next_block_end.eq(next_step_end & next_last_step),
            next_first_step.eq(block_end | (first_step & ~step_end)),
            next_last.eq(next_in_phase & ~next_in_tail & (kept.following < 0)),
        ]
        with m.If(go):
            m.d.sync += [counter.step() for counter in (phase, tail, kept, lines, chunks, steps_x, steps_y)]
            m.d.sync += [
                in_phase.eq(next_in_phase),
                in_tail.eq(next_in_tail),
                row_end.eq(next_row_end),
                step_end.eq(next_step_end),
                block_end.eq(next_block_end),
                last_step.eq(next_last_step),
                first_step.eq(next_first_step),
                new_row.eq((steps_x.following < 0) & (chunks.following < 0)),
                passing.eq(next_first_step & (phase.following < 0) & Mux(adjacent, next_last, next_in_tail)),
            ]
        # A block that ends in its first cycle must wait for the next one to be prepared; one that is too large stops.
        next_overflow = self._elaborate_places(m, go, row_end, step_end, block_end, keep, next_in_phase & ~next_in_tail)
        m.d.sync += self.active.eq(
            self.busy
            & ~(self.advance & run_end)
            & ~(go & block_end & next_block_end)
            & ~(next_overflow | self.position.overflow)
        )

        base = Signal(config.address_bits, reset_less=True)
        half = Signal()
        m.d.comb += self.upcoming.half.eq(half ^ (self.advance & block_end))
        m.d.sync += half.eq(self.upcoming.half)
        with m.If(self.advance & block_end):
            with m.If(columns.last & rows.last):
                m.d.comb += tiles.next()
                m.d.sync += [base.eq(base + run.tiles.input_step), tiles.step()]
        with m.If(self.start):
            m.d.comb += tiles.load(setup.tiles.count - 2)
            m.d.sync += [base.eq(setup.input.base), tiles.step()]

        self._elaborate_coordinates(
            m, go, row_end, step_end, block_end, first_step,
            new_column=chunks.last, new_row=new_row, right=~columns.last, down=~rows.last, passing=passing,
        )  # fmt: skip
        m.d.comb += [
            self.position.base.eq(base),
            self.position.keep.eq(keep),
            self.position.half.eq(half),
            self.position.first.eq(first_step),
            self.position.last.eq(last_step),
            self.position.final.eq(keep & kept.last & lines.last & last_step),
            self.position.run_end.eq(run_end),
        ]
        return m

    def _elaborate_places(
        self, m: Module, go: Value, row_end: Value, step_end: Value, block_end: Value, keep: Value, next_keep: Value
    ) -> Value:
        """Places in the accumulators; beginnings. Returns: the next position will have no place."""
        config, run = self._config, self.held
        index = Signal(range(config.acc_half), reset_less=True)
        full = Signal(reset_less=True)  # all places of the half are taken
        next_overflow = Signal()
        fresh = Signal(reset_less=True)  # the run has had no position
        m.d.comb += next_overflow.eq(go & ~step_end & next_keep & (full | (keep & (index == config.acc_half - 1))))
        with m.If(go):
            with m.If(step_end):
                m.d.sync += [index.eq(0), full.eq(0)]
            with m.Elif(keep):
                m.d.sync += [index.eq(index + 1), full.eq(index == config.acc_half - 1)]
            m.d.sync += [
                fresh.eq(0),
                self.position.overflow.eq(next_overflow),
                self.position.takes_weights.eq(step_end & ((run.run.mode != Mode.POOL) | fresh)),
            ]
        position, upcoming = self.position, self.upcoming
        m.d.comb += [
            upcoming.block_start.eq(Mux(go, block_end, position.block_start)),
            upcoming.follows.eq(Mux(go, row_end & (run.run.follow != Follow.NOBODY), position.follows)),
        ]
        m.d.sync += [position.block_start.eq(upcoming.block_start), position.follows.eq(upcoming.follows)]
        with m.If(self.start):
            m.d.sync += fresh.eq(1)
        m.d.comb += self.position.index.eq(index)
        return next_overflow

    def _elaborate_coordinates(
        self, m: Module, go: Value, row_end: Value, step_end: Value, block_end: Value, first_step: Value, *,
        new_column: Value, new_row: Value, right: Value, down: Value, passing: Value,
    ) -> None:  # fmt: skip
        """Where in the image. Levels of the loops are entered with the same values as the position itself.

        At a step's end ``new_column`` and ``new_row`` say that the next step begins another kernel column or row, else
        a chunk; at a block's end, where ``new_row`` is 1, too, ``right`` and ``down`` say where the next one lies, else
        that a tile begins. The next blocks' beginnings are seen in passing during a block's first kernel step;
        ``passing``: that of the block to the right is the next position.
        """
        run = self.held
        x, step_x, kernel_x, block_x, seen_x = (
            Signal(signed(26), name=name, reset_less=True) for name in ("x", "step_x", "kernel_x", "block_x", "seen_x")
        )
        next_x, next_step_x, next_block_x, along, further = (
            Signal(signed(26), name=name) for name in ("next_x", "next_step_x", "next_block_x", "along_x", "further_x")
        )
        y, step_y, block_y, seen_y, next_y, below = (
            Signal(signed(18), name=name, reset_less=True)
            for name in ("y", "step_y", "block_y", "seen_y", "next_y", "below_y")
        )
        m.d.comb += [
            along.eq(x + run.step.position),
            below.eq(y + run.step.row),
            further.eq(Mux(new_column, kernel_x + run.kernel_x.bytes, step_x + run.weights.rows)),
            next_y.eq(below),
            # Each from as little as it needs: a block's end is a kernel row's, which is a step's, which is a row's.
            next_block_x.eq(Mux(right, Mux(passing, along, seen_x), run.origin.x)),
            next_step_x.eq(Mux(new_row, Mux(block_end, next_block_x, block_x), further)),
            next_x.eq(Mux(step_end, next_step_x, Mux(row_end, step_x, along))),
        ]
        with m.If(block_end):
            with m.If(right):
                m.d.comb += next_y.eq(block_y)
            with m.Else():
                m.d.comb += next_y.eq(Mux(down, Mux(first_step, below, seen_y), run.origin.y))
        with m.Elif(step_end):
            m.d.comb += next_y.eq(Mux(new_row, step_y + run.kernel_y.rows, step_y))
        with m.If(go):
            m.d.sync += x.eq(next_x)
            with m.If(row_end):
                m.d.sync += y.eq(next_y)
            with m.If(step_end):
                m.d.sync += [step_x.eq(next_step_x), step_y.eq(next_y)]
            with m.If(block_end | (step_end & new_column)):
                m.d.sync += kernel_x.eq(next_step_x)
            with m.If(block_end):
                m.d.sync += [block_x.eq(next_block_x), block_y.eq(next_y)]
            with m.If(passing):
                m.d.sync += seen_x.eq(along)
            with m.If(first_step):
                m.d.sync += seen_y.eq(below)
        m.d.comb += [self.position.x.eq(x), self.position.row_y.eq(y)]
