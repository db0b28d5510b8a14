"""Feeder: decides in each cycle whether the array can take the next position, and fetches its bytes."""

from __future__ import annotations

import itertools
from typing import Any

from amaranth import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from tensaw.rtl.array.accumulators import accumulate_layout
from tensaw.rtl.array.align import Aligner, slot_layout
from tensaw.rtl.array.legality import illegal_run
from tensaw.rtl.array.loops import Loops
from tensaw.rtl.checks import check
from tensaw.rtl.control.command import Action, run_layout
from tensaw.rtl.interfaces import ARRAY_READ_LATENCY, ArrayReadSignature, ErrorSignature, ProgressSignature
from tensaw.rtl.shared import place
from tensaw.spec.config import NpuConfig
from tensaw.spec.isa import Follow, Mode, Unit
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
    WAIT_LOAD = 7


class Feeder(wiring.Component):
    """Takes runs, one after the other, and gives the array their positions.

    Parameters
    ----------
    config : NpuConfig

    Members
    -------
    run : In(stream of run_layout(ARRAY))
        Its payload must have been there for a cycle when it becomes valid. Taken when it starts: tokens are there and
        the previous run has given its last position. A TABLE is taken when it has been carried out.
    take_mask : Out(4), take_ready : In(1), take : Out(1)
        Tokens wanted by the run on offer; whether those wanted in the cycle before were all there then, see
        TokenSignature; they are taken.
    give_mask : Out(4), give : Out(1)
        Tokens given at the end of the run.
    table_go : Out(1), table_done : In(1)
        A TABLE has its tokens; it has been carried out.
    filled : In(1), swap : Out(1)
        See WeightLoader.
    open : Out(1), open_half : Out(1), half_busy : In(2)
        See Accumulators.
    progress : In(ProgressSignature), loaded : In(ProgressSignature)
        Of the output stage and of the load DMA, for runs that follow them.
    memory : Out(ArrayReadSignature)
        To the scratchpad.
    lanes, columns, seconds, pairs, by_column, array_swap
        To the array, :attr:`LATENCY` cycles after the position was issued (``swap``, ``open``).
    control : Out(accumulate_layout)
        Together with them.
    state : Out(FeederState), tag : Out(16)
        What happens in this cycle, in the run of that tag. WAIT_TOKENS also while ``take_ready``, which comes too
        late to be looked at here.
    busy : Out(1)
        A run is under way, from a register.
    halt : In(1)
        Start nothing any more.
    error : Out(ErrorSignature)
        ILLEGAL_VALUE, held until reset.

    Timing
    ------
    One position a cycle, across steps, blocks and tiles; two cycles lost from a run's last position to the next
    run's first. A half of the accumulators is seen free a cycle later, ``halt`` too. A following run loses a cycle in
    each row while it is close behind the run it follows: where the next position, a row or a kernel step further down,
    could need a row that is not there yet. At a reset, ``array_swap`` and what else is on its way to the array still
    arrive, but no ``control.valid``.

    Corner cases
    ------------
    Weights of a POOL run (the loader's ones) are taken once, at its first position.
    """

    LATENCY = 4 + ARRAY_READ_LATENCY

    run: Any
    take_mask: Signal
    take_ready: Signal
    take: Signal
    give_mask: Signal
    give: Signal
    table_go: Signal
    table_done: Signal
    filled: Signal
    swap: Signal
    open: Signal
    open_half: Signal
    half_busy: Signal
    progress: Any
    loaded: Any
    memory: Any
    lanes: Any
    columns: Any
    seconds: Any
    pairs: Signal
    by_column: Signal
    array_swap: Signal
    control: Any
    state: Any
    tag: Signal
    busy: Signal
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
                "filled": In(1),
                "swap": Out(1),
                "open": Out(1),
                "open_half": Out(1),
                "half_busy": In(2),
                "progress": In(ProgressSignature()),
                "loaded": In(ProgressSignature()),
                "memory": Out(ArrayReadSignature(config)),
                "lanes": Out(data.ArrayLayout(signed(8), config.rows)),
                "columns": Out(data.ArrayLayout(data.ArrayLayout(signed(8), config.columns), config.groups)),
                "seconds": Out(data.ArrayLayout(data.ArrayLayout(signed(8), config.columns), config.groups)),
                "pairs": Out(1),
                "by_column": Out(config.groups),
                "array_swap": Out(1),
                "control": Out(accumulate_layout(config)),
                "state": Out(FeederState),
                "tag": Out(16),
                "busy": Out(1),
                "halt": In(1),
                "error": Out(ErrorSignature()),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        loops = place(m, platform, "loops", Loops, self._config)
        issue = Signal()
        self._start_runs(m, platform, loops, issue)
        self._decide(m, loops, issue)
        self._fetch(m, platform, loops, issue)
        return m

    def _start_runs(self, m: Module, platform: Any, loops: Loops, issue: Signal) -> None:
        """Tokens and legality; then the loops take the run."""
        offer = self.run.payload
        # Of what was on offer in the cycle before, which is still the same.
        is_table, wait_mask, offer_tag = (
            Signal(bits, name=name, reset_less=True)
            for name, bits in (("is_table", 1), ("wait_mask", 4), ("offer_tag", 16))
        )
        offers_table = offer.action == Action.TABLE
        m.d.sync += [
            is_table.eq(offers_table),
            wait_mask.eq(Mux(offers_table, offer.table.wait, offer.run.wait)),
            offer_tag.eq(Mux(offers_table, offer.table.tag, offer.run.tag)),
        ]
        failed, table_running = Signal(), Signal()
        # Registered: what is on offer is a RUN that must be refused, one that need not be, a TABLE.
        illegal, legal, table = Signal(), Signal(), Signal()
        offered = self.run.valid & ~self.run.ready & ~failed & ~self.halt
        refused = Signal(reset_less=True)
        m.d.sync += [
            refused.eq(illegal_run(self._config, offer)),
            illegal.eq(offered & ~is_table & refused),
            legal.eq(offered & ~is_table & ~refused),
            table.eq(offered & is_table),
        ]
        start, table_start = Signal(), Signal()
        # ``legal`` and ``table`` say of the cycle before that something was on offer, ``take_ready`` that its tokens
        # were there; they stay until they are taken.
        m.d.comb += [
            start.eq(legal & ~loops.busy & self.take_ready),
            table_start.eq(table & ~loops.busy & ~table_running & self.take_ready),
            loops.setup.eq(offer),
            loops.start.eq(start),
            self.take_mask.eq(wait_mask),
            self.take.eq(start | table_start),
            self.table_go.eq(table_start),
            self.run.ready.eq(start | (table_running & self.table_done)),
        ]
        with m.If(table_start):
            m.d.sync += table_running.eq(1)
        with m.If(self.table_done):
            m.d.sync += table_running.eq(0)

        m.d.comb += self.busy.eq(loops.busy)
        overflow = loops.busy & loops.position.overflow
        tag, error_tag = Signal(16), Signal(16, name="error_tag", reset_less=True)
        m.d.comb += tag.eq(Mux(loops.busy, loops.held.run.tag, offer_tag))
        with m.If(overflow | (illegal & ~loops.busy)):
            m.d.sync += failed.eq(1)
            with m.If(~failed):
                m.d.sync += error_tag.eq(tag)
        m.d.comb += [
            self.error.valid.eq(failed),
            self.error.code.eq(ErrorCode.ILLEGAL_VALUE),
            self.error.tag.eq(error_tag),
            self.tag.eq(tag),
        ]

        # The last position's bytes are asked for three cycles after it was issued; only then may others overwrite them,
        # who cannot be quicker than the reading.
        finished = _after(m, issue & loops.position.run_end, 3, "finished", reset_less=False)
        finished_mask = _after(m, loops.held.run.signal, 3, "finished_mask")
        m.d.comb += [
            self.give.eq(finished | (table_running & self.table_done)),
            self.give_mask.eq(Mux(finished, finished_mask, offer.table.signal)),
        ]

        state = self.state
        m.d.comb += state.eq(FeederState.OVERHEAD)
        with m.If(~loops.busy):
            with m.If(~self.run.valid):
                m.d.comb += state.eq(FeederState.IDLE)
            with m.Elif(table_running):
                m.d.comb += state.eq(FeederState.WAIT_WEIGHTS)
            with m.Else():
                m.d.comb += state.eq(FeederState.WAIT_TOKENS)

    def _decide(self, m: Module, loops: Loops, issue: Signal) -> None:
        """May this position be given now?"""
        run, position = loops.held, loops.position
        # What a run follows is done, or the row that a position waits for is written: registered twice. The position's
        # own row needs a cycle in which the position stays, unless what any next position may need is written.
        behind = Signal(signed(8))
        # Rows from a position's own to the lowest that it needs.
        reach, reach_held = Signal(9), Signal(9, name="reach_held", reset_less=True)
        lead = Signal(10, reset_less=True)  # and to the lowest that the next position can need
        loading = Signal(reset_less=True)  # of the run: from what was on offer when it was taken
        with m.If(~loops.busy):
            m.d.sync += loading.eq(self.run.payload.run.follow == Follow.LOAD)
        completed, last_tile, written_rows = Signal(8), Signal(), Signal(16)
        m.d.comb += [
            completed.eq(Mux(loading, self.loaded.completed, self.progress.completed)),
            last_tile.eq(Mux(loading, self.loaded.last_tile, self.progress.last_tile)),
            written_rows.eq(Mux(loading, self.loaded.rows, self.progress.rows)),
            behind.eq(completed - run.run.follow_run - 1),
        ]
        rows = run.kernel_y.group_rows
        by_channel = (run.run.mode == Mode.DEPTHWISE) | (run.run.mode == Mode.PAIRS)
        with m.If(by_channel if self._config.groups > 1 else 0):
            m.d.comb += reach.eq(Mux(run.run.groups == 3, rows << 1, Mux(run.run.groups == 2, rows, 0)))
        over, in_work, complete = (Signal(name=name, reset_less=True) for name in ("over", "in_work", "complete"))
        reached, ahead = (Signal(signed(18), name=name, reset_less=True) for name in ("reached", "ahead"))
        m.d.sync += [
            reach_held.eq(reach),
            over.eq(behind >= 0),
            in_work.eq((completed == run.run.follow_run) & last_tile),
            complete.eq(written_rows >= run.window.height),
            reached.eq(written_rows - reach),
            lead.eq(reach_held + Mux(run.step.row > run.kernel_y.rows, run.step.row, run.kernel_y.rows)),
            ahead.eq(written_rows - lead),
        ]
        # What a position waits for is registered with it; a half that becomes free is seen a cycle later.
        upcoming = loops.upcoming
        written = (position.row_y + reach_held < 0) | (in_work & (complete | (reached > position.row_y)))
        all_next = in_work & (complete | (ahead > position.row_y))
        row_there = loops.active & (over | Mux(loops.advance, all_next, written))
        filled = Signal()  # the next step's weights are in the array
        next_filled = Signal()
        no_half, no_row, no_weights = (
            Signal(name=name, reset_less=True) for name in ("no_half", "no_row", "no_weights")
        )
        go = Signal()  # a position is there and waits for nothing, or a run has just been started
        next_no_half, next_no_row, next_no_weights = Signal(), Signal(), Signal()
        m.d.comb += [
            next_filled.eq(self.filled | (filled & ~self.swap)),
            next_no_half.eq(upcoming.block_start & self.half_busy.bit_select(upcoming.half, 1)),
            next_no_row.eq(upcoming.follows & ~row_there),
            next_no_weights.eq(upcoming.takes_weights & ~next_filled),
        ]
        m.d.sync += [
            filled.eq(next_filled),
            no_half.eq(next_no_half),
            no_row.eq(next_no_row),
            no_weights.eq(next_no_weights),
            go.eq(loops.start | (upcoming.active & ~next_no_half & ~next_no_row & ~next_no_weights & ~self.halt)),
        ]
        m.d.comb += [
            loops.advance.eq(go),
            issue.eq(go & loops.active),
            self.swap.eq(issue & position.takes_weights),
            self.open.eq(issue & position.block_start),
            self.open_half.eq(position.half),
        ]
        with m.If(loops.active):
            with m.If(no_row):
                m.d.comb += self.state.eq(Mux(loading, FeederState.WAIT_LOAD, FeederState.WAIT_FOLLOW))
            with m.Elif(no_half):  # before weights: those of a tile wait, too, while the output stage is behind
                m.d.comb += self.state.eq(FeederState.WAIT_ACCUMULATORS)
            with m.Elif(no_weights):
                m.d.comb += self.state.eq(FeederState.WAIT_WEIGHTS)
            with m.Elif(issue & position.keep):
                m.d.comb += self.state.eq(FeederState.BUSY)

    def _fetch(self, m: Module, platform: Any, loops: Loops, issue: Signal) -> None:
        """Stages: row times pitch; base address; addresses and lanes; ARRAY_READ_LATENCY; alignment."""
        config = self._config
        run, position = loops.held, loops.position
        address, width = config.address_bits, max(config.rows, config.columns)
        size_bits = exact_log2(config.word_bytes)
        lane_bits = (width - 1).bit_length()
        pairs, pool = run.run.mode == Mode.PAIRS, run.run.mode == Mode.POOL
        depthwise = (run.run.mode == Mode.DEPTHWISE) | pairs
        between = run.step.position[1:]  # bytes from a position's first pixel to its second
        # Of the run: first byte of a second pixel that does not exist, less `between`.
        second_end = Signal(signed(26), reset_less=True)
        m.d.sync += second_end.eq(run.window.row_bytes - between)

        # Stage 1. The run's fields still belong to this position here and in stage 2, no further.
        valid1 = Signal(reset_less=True)
        product1, along1 = (Signal(address, name=name, reset_less=True) for name in ("product1", "along1"))
        x1, y1 = Signal(signed(26), reset_less=True), Signal(signed(18), reset_less=True)
        # Bytes and rows from here to the window's end.
        right1, under1 = Signal(signed(27), reset_less=True), Signal(signed(19), reset_less=True)
        second_x1, second_right1 = Signal(signed(27), reset_less=True), Signal(signed(28), reset_less=True)
        row_number = Signal(address)  # modulo what addresses are counted by, as an unsigned factor
        m.d.comb += row_number.eq(position.row_y)
        m.d.sync += [
            valid1.eq(issue),
            product1.eq(row_number * run.input.pitch[:address]),
            along1.eq(position.base + position.x),
            second_x1.eq(position.x + between),
            second_right1.eq(second_end - position.x),
            x1.eq(position.x),
            y1.eq(position.row_y),
            right1.eq(run.window.row_bytes - position.x),
            under1.eq(run.window.height - position.row_y),
        ]

        # Stage 2. Of lanes only the low bits count where the others do not decide already.
        base, along, second_along = (
            Signal(address, name=name, reset_less=True) for name in ("base", "along", "second_along")
        )
        pairs2 = Signal(reset_less=True)
        # A run of more groups than the array has is refused: what would serve their slots stays away.
        rows = [Signal(address, name=f"group{group}_row", reset_less=True) for group in range(config.groups)]
        passed = Signal(lane_bits, reset_less=True)  # lanes left of the window, less one
        left, far_left = Signal(reset_less=True), Signal(reset_less=True)
        there = Signal(lane_bits, reset_less=True)  # lanes before the window's end
        near_end, beyond = Signal(reset_less=True), Signal(reset_less=True)
        wanted = Signal(range(width + 1), reset_less=True)
        enable2 = Signal(3, reset_less=True)
        several = run.run.groups[1], run.run.groups.all()  # there is a second group, a third one
        rows_wanted, by_row = Signal(range(config.rows + 1), reset_less=True), Signal(reset_less=True)
        by_column = Cat(
            (depthwise & (run.run.groups > group)) | (pool if group == 0 else 0) for group in range(config.groups)
        )
        registered = Signal(slot_layout(config), name="registered_slot", reset_less=True)
        m.d.sync += [
            base.eq(product1 + along1),
            along.eq(along1),
            second_along.eq(along1 + between),
            pairs2.eq(pairs),
            passed.eq(~x1[:lane_bits]),
            left.eq(x1 < 0),
            far_left.eq(~x1[lane_bits:].all()),
            there.eq(right1[:lane_bits]),
            near_end.eq(right1[lane_bits:] == 0),
            beyond.eq(right1 < 0),
            wanted.eq(Mux(pool, config.columns, run.weights.rows)),
            enable2.eq(Cat(valid1, *(valid1 & depthwise & wants for wants in several[: config.groups - 1]))),
            rows_wanted.eq(run.weights.rows),
            by_row.eq(~(depthwise | pool)),
            registered.pair.eq(~depthwise),
            registered.second.eq(pairs),
            registered.second_exists.eq((second_x1 >= 0) & (second_right1 > 0)),
            registered.groups.eq(by_column),
            registered.pad.eq(run.tiles.pad_value),
        ]
        for group in range(config.groups):
            down, further = run.kernel_y.group_rows * group, run.kernel_y.group_pitch[:address] * group
            y, under = Signal(signed(20), name=f"group{group}_y"), Signal(signed(20), name=f"group{group}_under")
            m.d.comb += [y.eq(y1 + down), under.eq(under1 - down)]
            m.d.sync += [registered.row_valid[group].eq((y >= 0) & (under > 0)), rows[group].eq(product1 + further)]

        # Stage 3.
        slot = Signal(slot_layout(config), reset_less=True)
        slots = 3 + config.groups
        enable = Signal(slots, reset_less=True)
        addresses = [Signal(address, name=f"address{number}", reset_less=True) for number in range(slots)]
        by_rows = ~registered.pair
        exists = [
            (~left | (~far_left & (passed < lane if lane else 0)))
            & ~beyond
            & (~near_end | (there > lane if lane + 1 < 1 << lane_bits else 0))
            for lane in range(width)
        ]
        crosses = (base[:size_bits] + wanted) > config.word_bytes
        second_slot: Value = base + config.word_bytes
        if config.groups > 1:
            second_slot = Mux(by_rows, rows[1], base) + Mux(by_rows, along, config.word_bytes)
        m.d.sync += [
            slot.eq(registered),
            slot.rows.eq(Cat(by_row & (rows_wanted > row) for row in range(config.rows))),
            # A pixel of a pair exists as a whole or not at all.
            slot.exists.eq(Cat(Mux(pairs2, exists[0], lane) for lane in exists)),
            addresses[0].eq(base),
            addresses[1].eq(second_slot),
            *([addresses[2].eq(rows[2] + along)] if config.groups > 2 else []),
            *(addresses[3 + group].eq(rows[group] + second_along) for group in range(config.groups)),
            enable.eq(
                Cat(
                    enable2[0],
                    Mux(by_rows, enable2[1], enable2[0] & crosses),
                    enable2[2],
                    *(enable2[group] & pairs2 for group in range(config.groups)),
                )
            ),
        ]
        for number in range(slots):
            m.d.comb += self.memory.address[number].eq(addresses[number] >> size_bits)
        m.d.comb += self.memory.enable.eq(enable)
        banks = [address[size_bits:][: exact_log2(config.banks)] for address in addresses]
        for one, other in itertools.combinations(range(slots), 2):
            apart = ~(enable[one] & enable[other]) | (banks[one] != banks[other])
            check(m, platform, apart, f"banks_{one}_{other}", "two words of one position lie in the same bank")

        # The scratchpad's stages, and the last.
        aligner = place(m, platform, "aligner", Aligner, config)
        offsets = Cat(Mux(slot.second, 0, number[:size_bits])[:size_bits] for number in addresses[:3])
        delayed = slot_layout(config)(_after(m, slot.as_value(), ARRAY_READ_LATENCY - 1, "slot"))
        m.d.comb += [
            aligner.words.eq(self.memory.data),
            aligner.slot.eq(delayed),
            aligner.slot.offset.as_value().eq(_after(m, offsets, ARRAY_READ_LATENCY - 1, "offsets")),
            self.lanes.eq(aligner.lanes),
            self.columns.eq(aligner.columns),
            self.seconds.eq(aligner.seconds),
        ]

        control = Signal(accumulate_layout(config))
        kept = _after(m, control.valid, self.LATENCY, "kept", reset_less=False)
        m.d.comb += [
            control.valid.eq(issue & position.keep),
            control.half.eq(position.half),
            control.index.eq(position.index),
            control.first.eq(position.first),
            control.last.eq(position.last),
            control.final.eq(position.final),
            control.maximum.eq(run.run.maximum),
        ]
        m.d.comb += [
            self.control.as_value().eq(Cat(kept, _after(m, control.as_value()[1:], self.LATENCY, "control"))),
            self.by_column.eq(_after(m, Mux(issue, by_column, 0), self.LATENCY, "by_column")),
            self.pairs.eq(_after(m, pairs, self.LATENCY, "pairs")),
            self.array_swap.eq(_after(m, self.swap, self.LATENCY, "swap")),
        ]


def _after(m: Module, value: Value, cycles: int, name: str, reset_less: bool = True) -> Value:
    for cycle in range(cycles):
        register = Signal.like(Value.cast(value), name=f"{name}_d{cycle + 1}", reset_less=reset_less)
        m.d.sync += register.eq(value)
        value = register
    return value
