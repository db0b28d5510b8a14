"""Feeder: decides in each cycle whether the array can take the next position, and fetches its bytes."""

from __future__ import annotations

from typing import Any

from amaranth import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from tensaw.rtl.array.accumulators import accumulate_layout
from tensaw.rtl.array.align import Aligner, slot_layout
from tensaw.rtl.array.loops import Loops
from tensaw.rtl.array.products import AddressProducts
from tensaw.rtl.checks import check
from tensaw.rtl.control.command import Action, run_layout
from tensaw.rtl.interfaces import ArrayReadSignature, ErrorSignature, ProgressSignature
from tensaw.rtl.shared import place
from tensaw.spec.config import BANKS, NpuConfig
from tensaw.spec.isa import Mode, Unit
from tensaw.spec.registers import ErrorCode

__all__ = ["Feeder", "FeederState"]


class FeederState(enum.Enum, shape=3):  # type: ignore[call-arg]
    """What the feeder did in a cycle; also the ``trace_array_state`` output."""

    IDLE = 0
    BUSY = 1
    WAIT_WEIGHTS = 2
    WAIT_TOKENS = 3
    WAIT_FOLLOW = 4
    WAIT_ACCUMULATORS = 5
    OVERHEAD = 6


class Feeder(wiring.Component):
    """Takes runs, one after the other, and gives the array their positions.

    Parameters
    ----------
    config : NpuConfig

    Members
    -------
    run : In(stream of run_layout(ARRAY))
        Taken when it starts: tokens are there and the previous run has given its last position. A TABLE is taken when
        it has been carried out.
    take_mask : Out(4), take_ready : In(1), take : Out(1)
        Tokens wanted by the run on offer; whether all are there; they are taken.
    give_mask : Out(4), give : Out(1)
        Tokens given at the end of the run.
    table_go : Out(1), table_done : In(1)
        A TABLE has its tokens; it has been carried out.
    tile_ready : In(1), swap : Out(1)
        See WeightLoader.
    open : Out(1), open_half : Out(1), half_busy : In(2)
        See Accumulators.
    progress : In(ProgressSignature)
        Of the output stage, for runs that follow it.
    memory : Out(ArrayReadSignature)
        To the scratchpad.
    lanes, columns, by_column, array_swap
        To the array, :attr:`LATENCY` cycles after the position was issued (``swap``, ``open``).
    control : Out(accumulate_layout)
        Together with them.
    state : Out(FeederState), tag : Out(16)
        What happens in this cycle, in the run of that tag.
    halt : In(1)
        Start nothing any more.
    error : Out(ErrorSignature)
        ILLEGAL_VALUE, held until reset.

    Timing
    ------
    One position a cycle, across steps, blocks and tiles; one cycle lost from a run's last position to the next run's
    first. A following run loses a cycle in each row while it is close behind the run it follows.

    Corner cases
    ------------
    Weights of a POOL run (the loader's ones) are taken once, at its first position.
    """

    LATENCY = 5

    run: Any
    take_mask: Signal
    take_ready: Signal
    take: Signal
    give_mask: Signal
    give: Signal
    table_go: Signal
    table_done: Signal
    tile_ready: Signal
    swap: Signal
    open: Signal
    open_half: Signal
    half_busy: Signal
    progress: Any
    memory: Any
    lanes: Any
    columns: Any
    by_column: Signal
    array_swap: Signal
    control: Any
    state: Any
    tag: Signal
    halt: Signal
    error: Any

    def __init__(self, config: NpuConfig) -> None:
        self._config = config
        super().__init__(
            {
                "run": In(stream.Signature(run_layout(Unit.ARRAY))),
                "take_mask": Out(4),
                "take_ready": In(1),
                "take": Out(1),
                "give_mask": Out(4),
                "give": Out(1),
                "table_go": Out(1),
                "table_done": In(1),
                "tile_ready": In(1),
                "swap": Out(1),
                "open": Out(1),
                "open_half": Out(1),
                "half_busy": In(2),
                "progress": In(ProgressSignature()),
                "memory": Out(ArrayReadSignature(config)),
                "lanes": Out(data.ArrayLayout(signed(8), config.rows)),
                "columns": Out(data.ArrayLayout(data.ArrayLayout(signed(8), config.columns), config.groups)),
                "by_column": Out(config.groups),
                "array_swap": Out(1),
                "control": Out(accumulate_layout(config)),
                "state": Out(FeederState),
                "tag": Out(16),
                "halt": In(1),
                "error": Out(ErrorSignature()),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        loops = place(m, platform, "loops", Loops, self._config)
        issue, held_weights = Signal(), Signal()
        self._start_runs(m, platform, loops, issue)
        self._decide(m, loops, issue, held_weights)
        self._fetch(m, platform, loops, issue, held_weights)
        return m

    def _start_runs(self, m: Module, platform: Any, loops: Loops, issue: Signal) -> None:
        """Tokens, legality, the products that addresses need; then the loops take the run."""
        offer = self.run.payload
        products = place(m, platform, "products", AddressProducts)
        prepared = Signal()
        is_table = offer.action == Action.TABLE
        # `products.done` still belongs to the previous run in the cycle in which the next is first seen.
        m.d.comb += [
            products.pitch.eq(offer.input.pitch),
            products.row.eq(offer.step.row),
            products.kernel_rows.eq(offer.kernel_y.rows),
            products.y.eq(offer.origin.y),
            products.start.eq(self.run.valid & ~prepared),
            loops.setup.eq(offer),
            loops.row_pitch.eq(products.row_pitch),
            loops.kernel_pitch.eq(products.kernel_pitch),
            loops.origin.eq(products.origin),
        ]
        m.d.sync += prepared.eq(self.run.valid & ~self.run.ready)

        illegal, failed, table_running = Signal(), Signal(), Signal()
        m.d.comb += illegal.eq(self._illegal(offer) & ~is_table)
        can_start = self.run.valid & ~loops.active & ~failed & ~self.halt
        start, table_start = Signal(), Signal()
        m.d.comb += [
            start.eq(can_start & ~is_table & prepared & products.done & self.take_ready & ~illegal),
            table_start.eq(can_start & is_table & ~table_running & self.take_ready),
            loops.start.eq(start),
            self.take_mask.eq(Mux(is_table, offer.table.wait, offer.run.wait)),
            self.take.eq(start | table_start),
            self.table_go.eq(table_start),
            self.run.ready.eq(start | (table_running & self.table_done)),
        ]
        with m.If(table_start):
            m.d.sync += table_running.eq(1)
        with m.If(self.table_done):
            m.d.sync += table_running.eq(0)

        overflow = loops.active & loops.position.overflow
        tag = Signal(16)
        m.d.comb += tag.eq(Mux(loops.active, loops.held.run.tag, Mux(is_table, offer.table.tag, offer.run.tag)))
        with m.If(overflow | (can_start & illegal)):
            m.d.sync += failed.eq(1)
            with m.If(~failed):
                m.d.sync += self.error.tag.eq(tag)
        m.d.comb += [self.error.valid.eq(failed), self.error.code.eq(ErrorCode.ILLEGAL_VALUE), self.tag.eq(tag)]

        # The last position's bytes are read two cycles after it was issued; only then may others overwrite them.
        finished = _after(m, issue & loops.position.run_end, 2, "finished")
        finished_mask = _after(m, loops.held.run.signal, 1, "finished_mask")
        m.d.comb += [
            self.give.eq(finished | (table_running & self.table_done)),
            self.give_mask.eq(Mux(finished, _after(m, finished_mask, 1, "finished_mask2"), offer.table.signal)),
        ]

        state = self.state
        m.d.comb += state.eq(FeederState.OVERHEAD)
        with m.If(~loops.active):
            with m.If(~self.run.valid):
                m.d.comb += state.eq(FeederState.IDLE)
            with m.Elif(~self.take_ready & ~table_running):
                m.d.comb += state.eq(FeederState.WAIT_TOKENS)
            with m.Elif(table_running):
                m.d.comb += state.eq(FeederState.WAIT_WEIGHTS)

    def _illegal(self, run: Any) -> Value:
        """Whether the hardware cannot carry out this RUN. (Too large a block shows while it runs.)"""
        config = self._config
        zero = [
            run.kernel_y.steps,
            run.kernel_x.steps,
            run.kernel_x.chunks,
            run.out.height,
            run.out.width,
            run.block.height,
            run.block.width,
            run.tiles.count,
            run.step.decimation,
        ]
        result: Value = Mux(run.run.mode == 3, 1, 0)
        for field in zero:
            result |= field == 0
        word_bits = config.word_bytes.bit_length() - 1
        depthwise = run.run.mode == Mode.DEPTHWISE
        groups = run.run.groups
        spread = (run.kernel_y.group_pitch[:word_bits] == 0) & run.kernel_y.group_pitch[word_bits]
        result |= depthwise & ((groups == 0) | (groups > config.groups) | ((groups > 1) & ~spread))
        result |= (run.run.mode != Mode.POOL) & ((run.weights.rows == 0) | (run.weights.rows > config.rows))
        return result

    def _decide(self, m: Module, loops: Loops, issue: Signal, hold: Signal) -> None:
        """May this position be given now?"""
        run, position = loops.held, loops.position
        # A POOL run keeps its ones: it takes weights at its first position only.
        first_of_run = Signal()
        with m.If(loops.start):
            m.d.sync += first_of_run.eq(1)
        with m.Elif(issue):
            m.d.sync += first_of_run.eq(0)
        m.d.comb += hold.eq((run.run.mode == Mode.POOL) & ~first_of_run)

        # Both tests are registered: the first serves whole runs, the second needs a cycle with an unchanged position.
        done, row_there, settled = Signal(), Signal(), Signal()
        behind = Signal(signed(8))
        m.d.comb += behind.eq(self.progress.completed - run.run.follow_run - 1)
        rows = run.kernel_y.group_rows
        reach = Mux(run.run.groups == 3, rows << 1, Mux(run.run.groups == 2, rows, 0))
        lowest = Signal(signed(20))
        m.d.comb += lowest.eq(position.row_y + Mux(run.run.mode == Mode.DEPTHWISE, reach, 0))
        m.d.sync += [
            done.eq(~loops.start & (behind >= 0)),
            row_there.eq(
                (lowest < 0)
                | (behind == -1)
                & self.progress.last_tile
                & ((self.progress.rows > lowest) | (self.progress.rows >= run.window.height))
            ),
            settled.eq(loops.active & ~issue),
        ]
        no_weights, no_half, no_row = Signal(), Signal(), Signal()
        m.d.comb += [
            no_weights.eq(position.step_start & ~hold & ~self.tile_ready),
            no_half.eq(position.block_start & self.half_busy.bit_select(position.half, 1)),
            no_row.eq(position.row_start & run.run.follow & ~done & ~(row_there & settled)),
            issue.eq(loops.active & ~no_weights & ~no_half & ~no_row & ~position.overflow & ~self.halt),
            loops.advance.eq(issue),
            self.swap.eq(issue & position.step_start & ~hold),
            self.open.eq(issue & position.block_start),
            self.open_half.eq(position.half),
        ]
        with m.If(loops.active):
            with m.If(no_row):
                m.d.comb += self.state.eq(FeederState.WAIT_FOLLOW)
            with m.Elif(no_weights):
                m.d.comb += self.state.eq(FeederState.WAIT_WEIGHTS)
            with m.Elif(no_half):
                m.d.comb += self.state.eq(FeederState.WAIT_ACCUMULATORS)
            with m.Elif(issue & position.keep):
                m.d.comb += self.state.eq(FeederState.BUSY)

    def _fetch(self, m: Module, platform: Any, loops: Loops, issue: Signal, hold: Signal) -> None:
        """Five stages: row and byte addresses; group addresses and padding; two for the scratchpad; alignment."""
        config = self._config
        run, position = loops.held, loops.position
        width = max(config.rows, config.columns)
        size_bits = config.word_bytes.bit_length() - 1

        # Stage 1. The run's fields still belong to this position here and in stage 2, no further.
        valid1 = Signal()
        base, rows1 = Signal(24), [Signal(24, name=f"group{group}_row") for group in range(1, 3)]
        x1, y1 = Signal(signed(26)), Signal(signed(18))
        pitch = run.kernel_y.group_pitch
        m.d.sync += [
            valid1.eq(issue),
            x1.eq(position.x),
            y1.eq(position.row_y),
            base.eq(position.row_address + position.x),
            rows1[0].eq(position.row_address + pitch),
            rows1[1].eq(position.row_address + (pitch << 1)),
        ]

        # Stage 2.
        slot, registered = Signal(slot_layout(config)), Signal(slot_layout(config), name="registered_slot")
        enable = Signal(3)
        addresses = [Signal(24, name=f"address{number}") for number in range(3)]
        depthwise, pool = run.run.mode == Mode.DEPTHWISE, run.run.mode == Mode.POOL
        next_word = base + config.word_bytes
        m.d.sync += [
            addresses[0].eq(base),
            addresses[1].eq(Mux(depthwise, rows1[0] + x1, next_word)),
            addresses[2].eq(rows1[1] + x1),
            registered.low.eq(_clamp(-x1, width)),
            registered.high.eq(_clamp(run.window.row_bytes - x1, width)),
            registered.lanes.eq(run.weights.rows),
            registered.by_column.eq(depthwise | pool),
            registered.pair.eq(~depthwise),
            registered.groups.eq(Mux(depthwise, run.run.groups, 1)),
            registered.pad.eq(run.tiles.pad_value),
        ]
        for group in range(3):
            y = Signal(signed(20), name=f"group{group}_y")
            m.d.comb += y.eq(y1 + (run.kernel_y.group_rows * group))
            m.d.sync += registered.row_valid[group].eq((y >= 0) & (y < run.window.height))
        wanted = Mux(pool, config.columns, run.weights.rows)
        crosses = (base[:size_bits] + wanted) > config.word_bytes
        m.d.sync += [
            enable[0].eq(valid1),
            enable[1].eq(valid1 & Mux(depthwise, run.run.groups >= 2, crosses)),
            enable[2].eq(valid1 & depthwise & (run.run.groups == 3)),
        ]
        m.d.comb += slot.eq(registered)
        for number in range(3):
            m.d.comb += [
                self.memory.address[number].eq(addresses[number] >> size_bits),
                slot.offset[number].eq(addresses[number][:size_bits]),
            ]
        m.d.comb += self.memory.enable.eq(enable)
        banks = [address[size_bits:][: exact_log2(BANKS)] for address in addresses]
        for one, other in ((0, 1), (0, 2), (1, 2)):
            apart = ~(enable[one] & enable[other]) | (banks[one] != banks[other])
            check(m, platform, apart, f"banks_{one}_{other}", "two words of one position lie in the same bank")

        # Stages 3 to 5.
        aligner = place(m, platform, "aligner", Aligner, config)
        m.d.comb += [
            aligner.words.eq(self.memory.data),
            aligner.slot.eq(slot_layout(config)(_after(m, slot.as_value(), 2, "slot"))),
            self.lanes.eq(aligner.lanes),
            self.columns.eq(aligner.columns),
        ]

        control = Signal(accumulate_layout(config))
        m.d.comb += [
            control.valid.eq(issue & position.keep),
            control.half.eq(position.half),
            control.index.eq(position.index),
            control.first.eq(position.first),
            control.last.eq(position.last),
            control.final.eq(position.final),
            control.maximum.eq(run.run.maximum),
        ]
        by_column = Cat(
            issue & ((depthwise & (run.run.groups > group)) | (pool if group == 0 else 0))
            for group in range(config.groups)
        )
        m.d.comb += [
            self.control.as_value().eq(_after(m, control.as_value(), self.LATENCY, "control")),
            self.by_column.eq(_after(m, by_column, self.LATENCY, "by_column")),
            self.array_swap.eq(_after(m, self.swap, self.LATENCY, "swap")),
        ]


def _clamp(value: Value, high: int) -> Value:
    return Mux(value < 0, 0, Mux(value > high, high, value))


def _after(m: Module, value: Value, cycles: int, name: str) -> Value:
    for cycle in range(cycles):
        register = Signal.like(Value.cast(value), name=f"{name}_d{cycle + 1}")
        m.d.sync += register.eq(value)
        value = register
    return value
