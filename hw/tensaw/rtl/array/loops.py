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
    """Of the position that is there in the next cycle, this one or another: ``active``, whether it is one of a run; for
    the others see :func:`position_layout`."""
    return data.StructLayout({"active": 1, "half": 1, "block_start": 1, "follows": 1, "takes_weights": 1})


class _Countdown:
    """Counts what is left of a loop. The register holds two less, so that its sign says that this is the last one."""

    def __init__(self, m: Module, width: int, name: str) -> None:
        self._left = Signal(signed(width + 1), name=f"{name}_left_but_two", reset_less=True)
        self.following = Signal(signed(width + 1), name=f"{name}_following")
        """What the register is to hold next; unless :meth:`load` or :meth:`next` is used, what it holds; its sign."""
        self.following_last = Signal(name=f"{name}_following_last")
        m.d.comb += [self.following.eq(self._left), self.following_last.eq(self.last)]

    @property
    def last(self) -> Value:
        return self._left[-1]

    def load(self, count_but_two: Value, last: Value | None = None) -> list[Any]:
        """Combinational statements: two more than this are left; ``last``: that is one."""
        return [self.following.eq(count_but_two), self.following_last.eq(count_but_two < 0 if last is None else last)]

    def next(self) -> list[Any]:
        """Combinational statements: one has been done."""
        return [self.following.eq(self._left - 1), self.following_last.eq(self._left - 1 < 0)]

    def step(self) -> Any:
        """A statement for the clock."""
        return self._left.eq(self.following)


class _Steps:
    """Counts what is left of a loop that is as long in all of a run: ``count``, which is that of ``setup`` from the
    cycle after ``idle`` on. Registers beside the counter say that this is the last one, or the last but one, so that
    neither waits for a subtraction.
    """

    def __init__(self, m: Module, idle: Value, setup: Value, count: Value, name: str) -> None:
        self._count = count
        self._left = Signal(len(count), name=f"{name}_left", reset_less=True)
        self.last = Signal(name=f"{name}_last", init=1, reset_less=True)
        self._last_but_one, self.single, self._double = (
            Signal(name=f"{name}_{what}", reset_less=True) for what in ("last_but_one", "single", "double")
        )
        self.following_last = Signal(name=f"{name}_following_last")
        """What ``last`` will be; unless :meth:`load` or :meth:`next` is used, what it is."""
        m.d.comb += self.following_last.eq(self.last)
        with m.If(idle):
            m.d.sync += [self.single.eq(setup == 1), self._double.eq(setup == 2)]

    def load(self) -> tuple[Any, list[Any]]:
        """To begin: a combinational statement, and those for the clock."""
        return self.following_last.eq(self.single), [
            self._left.eq(self._count), self.last.eq(self.single), self._last_but_one.eq(self._double)
        ]  # fmt: skip

    def next(self) -> tuple[Any, list[Any]]:
        """One has been done."""
        return self.following_last.eq(self._last_but_one), [
            self._left.eq(self._left - 1), self.last.eq(self._last_but_one), self._last_but_one.eq(self._left == 3)
        ]  # fmt: skip


class _Cut:
    """A side of the output, cut into blocks: how long each is, less two, and what remains behind it.

    While ``idle`` the side's and a block's length are taken; before the first :meth:`step` nothing remains. Registers
    hold one less than what remains, so that the sign says that nothing does. The next block is prepared in a block's
    first cycle.
    """

    def __init__(self, m: Module, idle: Value, out: Value, size: Value, name: str) -> None:
        def register(what: str) -> Signal:
            return Signal(signed(17), name=f"{name}_{what}", reset_less=True)

        self._idle = idle
        self._rest = Signal(signed(17), name=f"{name}_rest", init=-1, reset_less=True)
        self._rest_next, self._rest_first = register("rest_next"), register("rest_first")
        out_but_two, size_but_two = register("but_two"), register("of_block_but_two")
        block = Signal(16, name=f"{name}_of_block", reset_less=True)
        following = register("following_but_two")
        rest_next = self._rest - block
        m.d.sync += [
            self._rest_next.eq(rest_next),
            following.eq(Mux(rest_next < 0, self._rest - 1, size_but_two)),
        ]
        self.single = Signal(name=f"{name}_single", reset_less=True)
        """The next block, or the first one behind the last, is one long."""
        first_single = Signal(name=f"{name}_first_single", reset_less=True)
        following_single = Mux(rest_next < 0, self._rest - 1 < 0, size_but_two < 0)
        m.d.sync += self.single.eq(Mux(self._rest < 0, first_single, following_single))
        with m.If(idle):
            m.d.sync += [
                *(flag.eq((out == 1) | (size == 1)) for flag in (first_single, self.single)),
                self._rest_first.eq(out + Cat(~size, 1).as_signed()),  # out - size - 1
                out_but_two.eq(out - 2),
                size_but_two.eq(size - 2),
                block.eq(size),
            ]
        self.last = self._rest[-1]
        self.following = Mux(self.last, Mux(self._rest_first < 0, out_but_two, size_but_two), following)
        """Length of the next block, or of the first one behind the last."""
        self.length = register("length_but_two")

    def step(self, m: Module, go: Value) -> None:
        """The next block begins, or the first one."""
        with m.If(go):
            m.d.sync += self._rest.eq(Mux(self.last, self._rest_first, self._rest_next))
            m.d.sync += self.length.eq(self.following)
        with m.If(self._idle):
            m.d.sync += self._rest.eq(-1)


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
        Go on to the next position, only while ``active``; the last one ends ``busy``. In the cycle after ``start``: to
        the first position.
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
        # Without a run everything stands as a start wants it, so that nothing else hangs on one. None of it is reset.
        idle = Signal()
        run = Signal(run_layout(Unit.ARRAY), name="run", reset_less=True)
        m.d.comb += [self.held.eq(run), idle.eq(~self.busy)]

        # What is said of the present position: each of these is a register.
        row_end = Signal(init=1, reset_less=True)
        step_end = Signal(init=1, reset_less=True)
        block_end = Signal(init=1, reset_less=True)
        new_row = Signal(init=1, reset_less=True)  # the step is a kernel row's last one
        passing = Signal(reset_less=True)  # the next position is where the block to the right begins, if it is not left
        first_step = Signal(reset_less=True)
        last_step = Signal(reset_less=True)
        in_phase = Signal(reset_less=True)  # the position is kept, but for the tail
        in_tail = Signal(reset_less=True)  # behind the row's last position that is kept
        has_tail = Signal(reset_less=True)  # of the run
        adjacent = Signal(reset_less=True)  # of the run: every position is kept
        joined = Signal(reset_less=True)  # of the run: the last of two tail positions is the next row's first position

        # Counters, innermost last.
        tiles = _Countdown(m, 12, "tiles")
        rows = _Cut(m, idle, setup.out.height, setup.block.height, "rows")
        columns = _Cut(m, idle, setup.out.width, setup.block.width, "columns")
        steps_y = _Steps(m, idle, setup.kernel_y.steps, run.kernel_y.steps, "steps_y")
        steps_x = _Steps(m, idle, setup.kernel_x.steps, run.kernel_x.steps, "steps_x")
        chunks = _Steps(m, idle, setup.kernel_x.chunks, run.kernel_x.chunks, "chunks")
        lines, kept = _Countdown(m, 16, "lines"), _Countdown(m, 16, "kept")
        phase, tail = _Countdown(m, 6, "phase"), _Countdown(m, 6, "tail")

        keep, run_end = Signal(), Signal()
        # Known before the block ends; of what a start pretends to end neither is so.
        last_of_tile, last_block = Signal(reset_less=True), Signal(reset_less=True)
        go = self.advance
        m.d.sync += [
            last_of_tile.eq(self.busy & columns.last & rows.last),
            last_block.eq(self.busy & columns.last & rows.last & tiles.last),
        ]
        m.d.comb += [keep.eq(in_phase & ~in_tail), run_end.eq(block_end & last_block)]

        # A start leaves the run's fields in ``held`` and pretends a last position, which the first one follows.
        with m.If(idle):
            m.d.sync += run.eq(setup)
        m.d.sync += self.busy.eq(self.start | (self.busy & ~(go & run_end)))

        # In DEPTHWISE mode a sum that starts at a position is complete `taps` positions later; in PAIRS mode the next
        # position has the last of three taps.
        by_channel = setup.run.mode == Mode.PAIRS
        if config.taps > 1:
            by_channel |= setup.run.mode == Mode.DEPTHWISE
        with m.If(idle):
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
        next_single_x, next_single_y = Signal(), Signal()  # they are one
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
            m.d.comb += [kept.load(next_width, next_single_x), lines.next(), next_in_tail.eq(0), next_in_phase.eq(1)]
        with m.If(step_end):
            m.d.comb += lines.load(next_height, next_single_y)

        # Kernel steps of a block, which ends where a kernel row does.
        for when, ends, steps in (
            (step_end, chunks.last, chunks),
            (step_end & chunks.last, new_row, steps_x),
            (step_end & new_row, block_end, steps_y),
        ):
            (following, counted), (first, begun) = steps.next(), steps.load()
            with m.If(when):
                with m.If(ends):
                    m.d.comb += first
                with m.Else():
                    m.d.comb += following
            with m.If(go & when):
                with m.If(ends):
                    m.d.sync += begun
                with m.Else():
                    m.d.sync += counted

        # Blocks of a tile.
        m.d.comb += [
            next_width.eq(Mux(block_end, columns.following, columns.length)),
            next_single_x.eq(Mux(block_end, columns.single, columns.length < 0)),
            next_height.eq(Mux(block_end & columns.last, rows.following, rows.length)),
            next_single_y.eq(Mux(block_end & columns.last, rows.single, rows.length < 0)),
        ]
        columns.step(m, go & block_end)
        rows.step(m, go & block_end & columns.last)

        # What will be said of the next position.
        next_row_end, next_step_end, next_block_end, next_last_step = Signal(), Signal(), Signal(), Signal()
        next_first_step = Signal()
        next_last = Signal()  # the row's last that is kept
        m.d.comb += [
            next_row_end.eq(Mux(next_in_tail, tail.following_last, next_in_phase & kept.following_last & ~has_tail)),
            next_step_end.eq(next_row_end & lines.following_last),
            next_last_step.eq(steps_y.following_last & steps_x.following_last & chunks.following_last),
            next_block_end.eq(next_step_end & next_last_step),
            next_first_step.eq(block_end | (first_step & ~step_end)),
            next_last.eq(next_in_phase & ~next_in_tail & kept.following_last),
        ]
        with m.If(go):
            m.d.sync += [phase.step(), tail.step()]
            m.d.sync += [
                in_phase.eq(next_in_phase),
                in_tail.eq(next_in_tail),
                row_end.eq(next_row_end),
                step_end.eq(next_step_end),
                block_end.eq(next_block_end),
                last_step.eq(next_last_step),
                first_step.eq(next_first_step),
                new_row.eq(steps_x.following_last & chunks.following_last),
                passing.eq(next_first_step & phase.following_last & Mux(adjacent, next_last, next_in_tail)),
            ]
        with m.If(go & row_end):
            m.d.sync += lines.step()
        with m.If(go & (row_end | keep)):
            m.d.sync += kept.step()
        with m.If(idle):
            m.d.sync += [row_end.eq(1), step_end.eq(1), block_end.eq(1), chunks.last.eq(1), new_row.eq(1)]
        # A block that ends in its first cycle must wait for the next one to be prepared; one that is too large stops.
        next_overflow = self._elaborate_places(
            m, idle, go, row_end, step_end, block_end, keep, next_in_phase & ~next_in_tail
        )
        one_step = steps_y.single & steps_x.single & chunks.single
        m.d.comb += self.upcoming.active.eq(
            self.busy
            & ~(go & run_end)
            & ~(go & block_end & one_step & ~has_tail & next_single_x & next_single_y)
            & ~(next_overflow | self.position.overflow)
        )
        m.d.sync += self.active.eq(self.upcoming.active)

        base = Signal(config.address_bits, reset_less=True)
        half = Signal()
        m.d.comb += self.upcoming.half.eq(half ^ (go & block_end & self.active))
        m.d.sync += half.eq(self.upcoming.half)
        m.d.comb += tiles.next()
        with m.If(go & block_end & last_of_tile):
            m.d.sync += [base.eq(base + run.tiles.input_step), tiles.step()]
        with m.If(idle):
            m.d.comb += tiles.load(setup.tiles.count - 2)
            m.d.sync += [base.eq(setup.input.base), tiles.step()]

        self._elaborate_coordinates(
            m, go, row_end, step_end, block_end, first_step, one_step,
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
        self, m: Module, idle: Value, go: Value, row_end: Value, step_end: Value, block_end: Value, keep: Value,
        next_keep: Value,
    ) -> Value:  # fmt: skip
        """Places in the accumulators; beginnings. Returns: the next position will have no place."""
        config, run = self._config, self.held
        index = Signal(range(config.acc_half), reset_less=True)
        full = Signal(reset_less=True)  # all places of the half are taken
        brim = Signal(reset_less=True)  # of the places only the last one is not taken
        next_overflow = Signal()
        fresh = Signal(init=1, reset_less=True)  # the run has had no position
        m.d.comb += next_overflow.eq(go & ~step_end & next_keep & (full | (keep & brim)))
        with m.If(go):
            with m.If(step_end):
                m.d.sync += [index.eq(0), full.eq(0), brim.eq(config.acc_half == 1)]
            with m.Elif(keep):
                m.d.sync += [index.eq(index + 1), full.eq(brim), brim.eq(index == config.acc_half - 2)]
            m.d.sync += [fresh.eq(0), self.position.overflow.eq(next_overflow)]
        position, upcoming = self.position, self.upcoming
        m.d.comb += [
            upcoming.block_start.eq(Mux(go, block_end, position.block_start)),
            upcoming.follows.eq(self.busy & Mux(go, row_end & (run.run.follow != Follow.NOBODY), position.follows)),
            upcoming.takes_weights.eq(
                Mux(go, step_end & ((run.run.mode != Mode.POOL) | fresh), position.takes_weights)
            ),
        ]
        m.d.sync += [position[name].eq(upcoming[name]) for name in ("block_start", "follows", "takes_weights")]
        with m.If(idle):
            m.d.sync += fresh.eq(1)
        m.d.comb += self.position.index.eq(index)
        return next_overflow

    def _elaborate_coordinates(
        self, m: Module, go: Value, row_end: Value, step_end: Value, block_end: Value, first_step: Value,
        one_step: Value, *, new_column: Value, new_row: Value, right: Value, down: Value, passing: Value,
    ) -> None:  # fmt: skip
        """Where in the image. Levels of the loops are entered with the same values as the position itself.

        At a step's end ``new_column`` and ``new_row`` say that the next step begins another kernel column or row, else
        a chunk; at a block's end, where ``new_row`` is 1, too, ``right`` and ``down`` say where the next one lies, else
        that a tile begins. The next blocks' beginnings are seen in passing during a block's first kernel step;
        ``passing``: that of the block to the right is the next position. ``one_step``: there is no other kernel step.
        """
        run = self.held
        x, step_x, kernel_x, block_x, begin_x = (
            Signal(signed(26), name=name, reset_less=True) for name in ("x", "step_x", "kernel_x", "block_x", "begin_x")
        )
        next_x, next_step_x, next_block_x, along, further = (
            Signal(signed(26), name=name) for name in ("next_x", "next_step_x", "next_block_x", "along_x", "further_x")
        )
        y, step_y, begin_y = (Signal(signed(18), name=name, reset_less=True) for name in ("y", "step_y", "begin_y"))
        next_y, below = (Signal(signed(18), name=name) for name in ("next_y", "below_y"))
        # A block begins at what has only just been seen. Below only one of a single kernel step does.
        at_along, at_below = Signal(), Signal(reset_less=True)
        m.d.sync += at_below.eq(self.busy & ~right & down & one_step)
        m.d.comb += [
            along.eq(x + run.step.position),
            below.eq(y + run.step.row),
            further.eq(Mux(new_column, kernel_x + run.kernel_x.bytes, step_x + run.weights.rows)),
            # Each from as little as it needs: a block's end is a kernel row's, which is a step's, which is a row's.
            at_along.eq(right & passing),
            next_block_x.eq(Mux(at_along, along, begin_x)),
            next_step_x.eq(Mux(new_row, Mux(block_end, next_block_x, block_x), further)),
            next_x.eq(
                Mux(~row_end | (block_end & at_along), along,
                    Mux(step_end, Mux(new_row, Mux(block_end, begin_x, block_x), further), step_x))
            ),
            next_y.eq(
                Mux(~step_end | (block_end & at_below), below,
                    Mux(block_end, begin_y, Mux(new_row, step_y + run.kernel_y.rows, step_y)))
            ),
        ]  # fmt: skip
        with m.If(go):
            m.d.sync += x.eq(next_x)
            with m.If(row_end):
                m.d.sync += y.eq(next_y)
            with m.If(step_end):
                m.d.sync += [step_x.eq(next_step_x), step_y.eq(next_y)]
            with m.If(step_end & new_column):
                m.d.sync += kernel_x.eq(next_step_x)
            with m.If(block_end):
                m.d.sync += block_x.eq(next_block_x)
        # Where the next block begins: to the right it is seen in passing, down in the first kernel step. A block to the
        # right begins in the same row.
        with m.If(~right):
            m.d.sync += begin_x.eq(run.origin.x)
        with m.Elif(passing):
            m.d.sync += begin_x.eq(along)
        with m.If(~right & ~down):
            m.d.sync += begin_y.eq(run.origin.y)
        with m.Elif(~right & first_step):
            m.d.sync += begin_y.eq(below)
        with m.If(~self.busy):
            m.d.sync += [begin_x.eq(self.setup.origin.x), begin_y.eq(self.setup.origin.y)]
        m.d.comb += [self.position.x.eq(x), self.position.row_y.eq(y)]
