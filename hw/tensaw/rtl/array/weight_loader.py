"""Weight loader: takes rows from the weight buffer in program order, into the array or on to the output stage."""

from __future__ import annotations

from typing import Any

from amaranth import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from tensaw.rtl.checks import check
from tensaw.rtl.control.command import Action, run_layout
from tensaw.rtl.interfaces import SideKind, side_row_layout
from tensaw.spec.config import NpuConfig
from tensaw.spec.isa import Mode, TableKind, Unit

__all__ = ["WeightLoader", "BIAS_ROWS", "SCALE_ROWS"]

BIAS_ROWS = 4
"""Weight rows that hold a tile's biases: ``columns`` padded to a row, times four bytes."""
SCALE_ROWS = 5
"""Four rows of multipliers and one of shifts."""
_SIDE_QUEUE = 8
"""Rows between the weight buffer and the output stage's register; a power of two, whose bit alone says that there are
as many."""


class WeightLoader(wiring.Component):
    """Walks the same loops as the feeder, one weight tile ahead of it.

    Parameters
    ----------
    config : NpuConfig
    read_latency : int
        Cycles from ``ring_enable`` to ``ring_data``.
    row_latency : int
        Cycles from reading a row to giving it to the array.

    Members
    -------
    run : In(stream of run_layout(ARRAY))
        A RUN or TABLE; taken when the previous one's rows have all been read.
    table_go : In(1)
        The TABLE that was taken may proceed.
    table_done : Out(1)
        In the cycle before, ``side`` was ready for a row behind its last one (one cycle). From a register, like
        ``run.ready``.
    filled : Out(1)
        From the next cycle on the array holds the weights of the next kernel step, or gets the last of them in that
        cycle (one cycle).
    swap : In(1)
        The feeder starts that step: its weights become the working ones, the next may be loaded. Goes to a register.
    available : In(24)
        Rows readable from the weight buffer's tail, in as many bits as ``weight_rows + 1`` takes.
    ring_enable : Out(1), ring_row : Out(24), ring_data : In(row)
        Read of a row, counted from the tail.
    release : Out(8)
        Rows freed at the tail in this cycle: one that was read in the cycle before, or padding. From a register.
    weight_row : Out(columns × signed 8), weight_select : Out(rows)
        To the array.
    side : Out(stream of side_row_layout)
        Biases, multipliers, shifts and tables. Ready for the next one means that a table's row has been written.
    waiting : Out(1)
        Rows are wanted that have not arrived.

    Timing
    ------
    One row a cycle, from the cycle after a run was taken on, or without parameters two cycles later. A step of n rows
    follows the previous one without a gap if the feeder swaps in time; at best n cycles a step, or two. A row on its
    way to the array at a reset still arrives; the next run's rows are behind it.
    """

    run: stream.Interface
    table_go: Signal
    table_done: Signal
    filled: Signal
    swap: Signal
    available: Signal
    ring_enable: Signal
    ring_row: Signal
    ring_data: Signal
    release: Signal
    weight_row: data.View
    weight_select: Signal
    side: stream.Interface
    waiting: Signal

    def __init__(self, config: NpuConfig, read_latency: int, row_latency: int) -> None:
        self._config = config
        self._read_latency = read_latency
        self._row_latency = row_latency
        super().__init__(
            {
                "run": In(stream.Signature(run_layout(Unit.ARRAY))),
                "table_go": In(1),
                "table_done": Out(1),
                "filled": Out(1),
                "swap": In(1),
                "available": In(24),
                "ring_enable": Out(1),
                "ring_row": Out(24),
                "ring_data": In(8 * config.weight_row_bytes),
                "release": Out(8),
                "weight_row": Out(data.ArrayLayout(signed(8), config.columns)),
                "weight_select": Out(config.rows),
                "side": Out(stream.Signature(side_row_layout(config))),
                "waiting": Out(1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        config = self._config
        run = self.run.payload

        # What this run still needs after it was taken (the offer itself goes on to the feeder).
        keep = {
            "weights": run.weights,
            "kernel_y": run.kernel_y.steps,
            "kernel_x": run.kernel_x,
            "out": run.out,
            "block": run.block,
            "pad": Mux(run.weights.free, run.weights.pad, 0),
            "kind": run.table.kind,
            "part": run.table.part,
        }
        held = {name: Signal.like(value, name=f"held_{name}", reset_less=True) for name, value in keep.items()}
        weights, block, kernel_x = held["weights"], held["block"], held["kernel_x"]
        pool = Signal(reset_less=True)

        reach = range(config.weight_rows + 2)  # a row is read only when it is there
        offset = Signal(reach, reset_less=True)
        """Next row, from the tail, which has not moved yet where the row before is freed in this cycle."""
        step_base = Signal(reach, reset_less=True)
        """First step row of the current tile, from the tail behind all that was freed."""
        freed = Signal()  # a row, in this cycle; ``release`` may also be padding
        ready = Signal(init=1)  # in state IDLE
        table_done = Signal()
        row = Signal(range(max(config.rows, 256 // config.weight_row_bytes, BIAS_ROWS + SCALE_ROWS)), reset_less=True)
        tiles_left = Signal(12, reset_less=True)
        rows_left, columns_left = Signal(16, reset_less=True), Signal(16, reset_less=True)
        y_left, x_left, chunks_left = (Signal(bits, reset_less=True) for bits in (8, 8, 16))
        # The array has all rows of a step that the feeder has not started; it started one in the cycle before.
        full, swapped = Signal(name="full"), Signal(name="swapped")
        free = Signal(init=1, name="free", reset_less=True)  # neither, or it starts one: new in every cycle
        m.d.sync += swapped.eq(self.swap)
        # Known beside the counters: this row, step, block, tile is the last one.
        last_row, last_row_but_one, last_chunk, last_x, last_y = (
            Signal(name=f"last_{name}", reset_less=True) for name in ("row", "row_but_one", "chunk", "x", "y")
        )
        last_rows, last_columns, last_tile = (
            Signal(name=f"last_{name}", reset_less=True) for name in ("rows", "columns", "tile")
        )
        # A cycle later, and no step's last row comes too soon for it: the step ends a kernel row, a block, a row of
        # blocks, a tile.
        ends_row, ends_block, ends_blocks, ends_tile = (
            Signal(name=f"ends_{name}", reset_less=True) for name in ("row", "block", "blocks", "tile")
        )
        m.d.sync += [
            ends_row.eq(last_chunk & last_x),
            ends_block.eq(last_chunk & last_x & last_y),
            ends_blocks.eq(last_chunk & last_x & last_y & last_columns),
            ends_tile.eq(last_chunk & last_x & last_y & last_rows & last_columns),
        ]

        # The row at ``offset`` is there, the one behind it too: registered, so seen a cycle after they came.
        read = Signal()
        present, more = (Signal(name=name, reset_less=True) for name in ("present", "more"))
        left = Signal(len(offset))  # rows from ``offset`` on
        several = left[2:].any()
        next_present, next_more = Signal(), Signal()
        m.d.comb += [
            left.eq(self.available[: len(offset)] - offset),
            next_present.eq(several | Mux(read, left[1], left[:2].any())),
            next_more.eq(several | (left[1] & (left[0] | ~read))),
        ]
        m.d.sync += [present.eq(next_present), more.eq(next_more)]
        stepping = Signal()  # in state STEPS
        step_read = Signal()
        m.d.comb += step_read.eq(stepping & present & free)
        fills = Signal()  # the step's last row is on its way
        # In the cycle before, the row before the last one was read, and the last one was there: it is read now.
        told = Signal(reset_less=True)
        m.d.sync += told.eq(step_read & last_row_but_one & more)

        to_side = Signal()
        to_array = Signal()
        kind = Signal(SideKind)
        index = Signal(9)
        side_last = Signal()
        m.d.comb += [
            self.ring_enable.eq(read),
            self.ring_row.eq(offset),
            self.run.ready.eq(ready),
            self.table_done.eq(table_done),
        ]
        freeing = Signal()  # what is read
        m.d.sync += [freed.eq(freeing), self.release.eq(freeing)]
        following = Signal.like(offset)
        m.d.comb += following.eq(offset)
        with m.If(read ^ freed):  # one adder for both directions
            m.d.comb += following.eq(offset + Cat(1, freed.replicate(len(offset) - 1)))
        m.d.sync += offset.eq(following)

        # Rows that are only to be freed: none, or they have arrived. The run's last row may be in the ring still, until
        # it has been freed.
        no_pad, pad_there = Signal(reset_less=True), Signal(reset_less=True)
        m.d.sync += [no_pad.eq(held["pad"] == 0), pad_there.eq(~freed & (held["pad"] <= self.available))]

        # Rows for the output stage pass through a small queue: each is read only when there is room for it.
        side_room = Signal()

        out, kernel_y = held["out"], held["kernel_y"]

        def start_step() -> None:
            m.d.sync += [last_row.eq(weights.rows == 1), last_row_but_one.eq(weights.rows == 2)]

        def start_chunks() -> None:
            m.d.sync += [chunks_left.eq(kernel_x.chunks), last_chunk.eq(kernel_x.chunks == 1)]

        def start_x() -> None:
            m.d.sync += [x_left.eq(kernel_x.steps), last_x.eq(kernel_x.steps == 1)]

        def start_y() -> None:
            m.d.sync += [y_left.eq(kernel_y), last_y.eq(kernel_y == 1)]

        # Counted a cycle later, before anyone asks: a tile takes two cycles or more. Where rows are freed, the first
        # step row is always the tail's.
        tile_ends, tile_ended = Signal(), Signal(name="tile_ended")
        m.d.sync += tile_ended.eq(tile_ends)
        with m.If(tile_ended):
            m.d.sync += [tiles_left.eq(tiles_left - 1), last_tile.eq(tiles_left == 2)]
            with m.If(~weights.free):
                m.d.sync += step_base.eq(offset)

        with m.FSM():
            with m.State("IDLE"):
                # Whatever is on offer is looked at; only a run that is valid leads on.
                for name, value in keep.items():
                    m.d.sync += held[name].eq(value)
                m.d.sync += [
                    pool.eq(run.run.mode == Mode.POOL),
                    tiles_left.eq(run.tiles.count),
                    last_tile.eq(run.tiles.count == 1),
                    row.eq(Mux((run.run.mode == Mode.POOL) | run.weights.bias, 0, BIAS_ROWS)),
                    step_base.eq(0),
                    offset.eq(0),
                ]
                with m.If(self.run.valid):
                    m.d.sync += ready.eq(0)
                    with m.If(run.action == Action.TABLE):
                        m.d.sync += row.eq(0)
                        m.next = "TABLE-WAIT"
                    with m.Elif(run.run.mode == Mode.POOL):
                        m.next = "UNIT"
                    with m.Elif(run.weights.bias | run.weights.scale):
                        m.next = "PARAMETERS"
                    with m.Else():
                        m.next = "START"

            with m.State("START"):
                m.d.sync += row.eq(0)
                m.next = "READY"

            with m.State("READY"):
                m.d.sync += stepping.eq(1)
                m.next = "STEPS"

            with m.State("UNIT"):
                # POOL: a one in row 0 of every column, zeros in the other rows that see the same bytes.
                with m.If(free):
                    m.d.comb += to_array.eq(1)
                    m.d.sync += row.eq(row + 1)
                    with m.If(row == config.taps - 1):
                        m.d.comb += fills.eq(1)
                        m.d.sync += row.eq(Mux(weights.bias, 0, BIAS_ROWS))
                        with m.If(weights.bias | weights.scale):
                            m.next = "PARAMETERS"
                        with m.Else():
                            m.next = "PAD"

            with m.State("PARAMETERS"):
                with m.If(~weights.free):
                    m.d.sync += step_base.eq(offset + 1)  # what counts is the last row's
                last = Mux(weights.scale, BIAS_ROWS + SCALE_ROWS - 1, BIAS_ROWS - 1)
                m.d.comb += [
                    read.eq(present & side_room),
                    to_side.eq(read),
                    side_last.eq(row == last),
                    index.eq(row & 3),
                    kind.eq(Mux(row == 8, SideKind.SHIFT, Mux(row < BIAS_ROWS, SideKind.BIAS, SideKind.MULTIPLIER))),
                    self.waiting.eq(~present),
                ]
                with m.If(read):
                    m.d.comb += freeing.eq(weights.free)
                    m.d.sync += row.eq(row + 1)
                    with m.If(row == last):
                        with m.If(~pool):
                            m.d.sync += row.eq(0)
                            m.d.sync += stepping.eq(1)
                            m.next = "STEPS"
                        with m.Elif(last_tile):
                            m.next = "PAD"
                        with m.Else():
                            m.d.comb += tile_ends.eq(1)
                            m.d.sync += row.eq(Mux(weights.bias, 0, BIAS_ROWS))

            with m.State("STEPS"):
                with m.If(step_read & last_row & ends_tile):
                    with m.If(last_tile):
                        m.next = "PAD"
                    with m.Elif(weights.bias | weights.scale):
                        m.next = "PARAMETERS"

            with m.State("PAD"):
                with m.If(no_pad | (pad_there & ~freed)):
                    m.d.sync += [self.release.eq(held["pad"]), offset.eq(held["pad"]), ready.eq(1)]
                    m.next = "IDLE"

            with m.State("TABLE-WAIT"):
                with m.If(self.table_go):
                    m.next = "TABLE"

            with m.State("TABLE"):
                exponent = held["kind"] == TableKind.EXPONENT
                rows = 256 // config.weight_row_bytes
                m.d.comb += [
                    read.eq(present & side_room),
                    to_side.eq(read),
                    side_last.eq(row == rows - 1),
                    index.eq(row + Mux(exponent, held["part"] * rows, 0)),
                    kind.eq(Mux(exponent, SideKind.EXPONENT, SideKind.LOOKUP)),
                    self.waiting.eq(~present),
                ]
                with m.If(read):
                    m.d.comb += freeing.eq(1)
                    m.d.sync += row.eq(row + 1)
                    with m.If(side_last):
                        m.next = "TABLE-END"

            with m.State("TABLE-END"):
                with m.If(table_done):
                    m.d.sync += ready.eq(1)
                    m.next = "IDLE"

        # In state STEPS, which ``step_read`` says.
        with m.If(stepping & free):
            m.d.comb += [read.eq(present), to_array.eq(read), self.waiting.eq(~present)]
        with m.If(step_read):
            m.d.comb += freeing.eq(weights.free & last_rows & last_columns)
            m.d.sync += row.eq(row + 1)
            m.d.sync += [last_row.eq(row + 2 == weights.rows), last_row_but_one.eq(row + 3 == weights.rows)]
            with m.If(last_row):
                start_step()
                m.d.sync += row.eq(0)
                m.d.comb += fills.eq(1)
                m.d.sync += [chunks_left.eq(chunks_left - 1), last_chunk.eq(chunks_left == 2)]
            with m.If(last_row & last_chunk):
                start_chunks()
                m.d.sync += [x_left.eq(x_left - 1), last_x.eq(x_left == 2)]
            with m.If(last_row & ends_row):
                start_x()
                m.d.sync += [y_left.eq(y_left - 1), last_y.eq(y_left == 2)]
            with m.If(last_row & ends_block):
                start_y()
                # Next block of positions: the same rows again, which are still there.
                m.d.sync += [offset.eq(step_base), present.eq(1), more.eq(1)]
            with m.If(last_row & ends_tile):
                m.d.comb += tile_ends.eq(1)
                m.d.sync += [offset.eq(following), present.eq(next_present), more.eq(next_more)]
                with m.If(last_tile | weights.bias | weights.scale):
                    m.d.sync += [stepping.eq(0), row.eq(Mux(weights.bias, 0, BIAS_ROWS))]

        # All counters stand at the first step's first row until there is one to be read.
        with m.If(~stepping):
            start_step()
            start_chunks()
            start_x()
            start_y()
        begin_columns, begin_rows = ~stepping | last_columns, ~stepping | last_rows
        with m.If(~stepping | (present & free & last_row & ends_block)):
            m.d.sync += [
                columns_left.eq(Mux(begin_columns, out.width, columns_left - block.width)),
                last_columns.eq(Mux(begin_columns, out.width <= block.width, columns_left <= block.width << 1)),
            ]
        with m.If(~stepping | (present & free & last_row & ends_blocks)):
            m.d.sync += [
                rows_left.eq(Mux(begin_rows, out.height, rows_left - block.height)),
                last_rows.eq(Mux(begin_rows, out.height <= block.height, rows_left <= block.height << 1)),
            ]

        # The step's last row may be read in the cycle in which the feeder already starts the step.
        next_full = (full & ~swapped) | fills
        m.d.sync += [full.eq(next_full), free.eq(~next_full | self.swap)]
        m.d.comb += self.filled.eq((step_read & last_row_but_one & more) | (fills & ~told))

        # Rows to the array, ``row_latency`` cycles after they were read.
        select = Signal(config.rows)
        with m.Switch(row):
            for number in range(config.rows):
                with m.Case(number):
                    m.d.comb += select.eq(Mux(to_array, 1 << number, 0))
        unit = Signal(signed(8))
        m.d.comb += unit.eq(Mux(row == 0, 1, 0))
        select_now = _delay(m, select, self._read_latency, "select_read", reset_less=True)
        # Rows come from a slow memory.
        arrived_row = Signal.like(self.ring_data, name="arrived_row", reset_less=True)
        m.d.sync += arrived_row.eq(self.ring_data)
        unit_now = _delay(m, Cat(unit, pool), self._read_latency + 1, "unit_read", reset_less=True)
        packed = Cat(Mux(unit_now[8], unit_now[:8], arrived_row[8 * i :][:8]) for i in range(config.columns))
        extra = self._row_latency - self._read_latency
        m.d.comb += [
            self.weight_select.eq(_delay(m, select_now, extra, "select", reset_less=True)),
            self.weight_row.as_value().eq(_delay(m, packed, extra - 1, "row", reset_less=True)),
        ]

        # Rows to the output stage.
        layout = side_row_layout(config)
        head = data.StructLayout({"kind": SideKind, "index": 9, "last": 1})
        head_now = Signal(head)
        m.d.comb += [head_now.kind.eq(kind), head_now.index.eq(index), head_now.last.eq(side_last)]
        arrive = _delay(m, to_side, self._read_latency + 1, "side_read")
        arrived = head(_delay(m, head_now.as_value(), self._read_latency + 1, "side_head", reset_less=True))
        m.submodules.queue = queue = fifo.SyncFIFO(width=layout.size, depth=_SIDE_QUEUE)
        promised = Signal(range(_SIDE_QUEUE + 1))  # read, and not yet taken from the queue
        leave = Signal()
        entry = Signal(layout)
        m.d.comb += [
            entry.kind.eq(arrived.kind),
            entry.index.eq(arrived.index),
            entry.last.eq(arrived.last),
            entry.row.eq(arrived_row),
            queue.w_data.eq(entry),
            queue.w_en.eq(arrive),
            self.side.payload.eq(queue.r_data),
            self.side.valid.eq(queue.r_rdy),
            leave.eq(self.side.ready & queue.r_rdy),
            queue.r_en.eq(leave),
            side_room.eq(~promised[-1]),
        ]
        gone = self.side.payload
        table = (gone.kind == SideKind.LOOKUP) | (gone.kind == SideKind.EXPONENT)
        written = Signal()  # a table's last row has left, and is when the next one may leave
        with m.If(self.side.ready):
            m.d.sync += written.eq(leave & gone.last & table)
        m.d.sync += table_done.eq(written & self.side.ready)
        m.d.sync += promised.eq(promised + to_side - leave)
        check(m, platform, ~arrive | queue.w_rdy, "room", "a row was read for which the queue has no room")
        ends = last_chunk & last_x & last_y & last_rows & last_columns
        check(
            m,
            platform,
            ~(step_read & last_row) | (ends_tile == ends),
            "ends",
            "a row comes before its step's end is known",
        )
        check(m, platform, ~(tile_ends & tile_ended), "tile", "a tile ends before the one before has been counted")
        check(m, platform, ~swapped | full, "swap", "a step begins whose weights are not in the array")
        return m


def _delay(m: Module, value: Value, cycles: int, name: str, reset_less: bool = False) -> Value:
    for cycle in range(cycles):
        register = Signal.like(Value.cast(value), name=f"{name}_d{cycle + 1}", reset_less=reset_less)
        m.d.sync += register.eq(value)
        value = register
    return value
