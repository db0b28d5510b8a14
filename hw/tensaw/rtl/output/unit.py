"""The OUTPUT unit: accumulators to int8 in the scratchpad."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out, connect, flipped
from amaranth.utils import exact_log2

from tensaw.rtl.bus.skid_buffer import SkidBuffer
from tensaw.rtl.checks import check, check_held
from tensaw.rtl.control.command import CommandPort, run_layout
from tensaw.rtl.control.state import UnitState
from tensaw.rtl.control.tokens import TokenSignature
from tensaw.rtl.interfaces import (
    PEERS,
    ErrorSignature,
    ProgressSignature,
    ReadPortSignature,
    SideKind,
    WritePortSignature,
    side_row_layout,
    vector_layout,
)
from tensaw.rtl.output.fetch import OperandFetch
from tensaw.rtl.output.lanes import Lanes
from tensaw.rtl.output.limits import broken_output_rules
from tensaw.rtl.output.parameters import ParameterStore, beats_of, parameter_places
from tensaw.rtl.output.softmax import Softmax
from tensaw.rtl.output.tables import TableLoader
from tensaw.rtl.output.walk import Walk, beat_layout
from tensaw.rtl.shared import place
from tensaw.spec.config import NpuConfig
from tensaw.spec.isa import Operation, OutputKind, Unit
from tensaw.spec.registers import ErrorCode

__all__ = ["OutputUnit"]

_BEATS_UNDER_WAY = 16
"""More than the lanes ever hold; a power of two, whose bit alone says that there are as many."""


class OutputUnit(wiring.Component):
    """Command port, loops, channel parameters, lanes, tables, softmax, and the book-keeping of what is written.

    Parameters
    ----------
    config : NpuConfig

    Members
    -------
    words : In(stream of 64)
        Commands of Unit.OUTPUT.
    tokens : Out(TokenSignature)
        Tokens of Peer.OUTPUT. Given when the run's last byte can be read.
    side : In(stream of side_row_layout)
        Channel parameters, used while one of two sets is free, and tables, used at any time: the program orders a
        table's loading and its use by tokens. A row is taken, into a register, when the one before it has been used. A
        run with QUANT.bias or QUANT.scale uses up one set for each tile.
    vectors : In(stream of vector_layout)
        One accumulator vector for each position of a DRAIN run.
    read : Out(ReadPortSignature(requant_lanes)), write : Out(WritePortSignature)
        Scratchpad.
    progress : Out(ProgressSignature)
        SOFTMAX runs count too, their rows as rows of the last tile.
    busy : Out(1), active : Out(1)
        Something is to be done or on its way; a run has been started and not finished (counter OUTPUT_BUSY).
    tag : Out(16), state : Out(UnitState)
        For the STALL register. WEIGHTS: waits for channel parameters; RESULTS: for accumulators.
    halt : In(1)
        Starts no further run, from the cycle after the next on.
    error : Out(ErrorSignature)
        ILLEGAL_COMMAND, or ILLEGAL_VALUE for what tensaw.spec.limits refuses; held until reset, no run starts after it.

    Timing
    ------
    Without a second operand one beat of ``requant_lanes`` channels a cycle, over vectors, blocks and tiles without
    gaps; a run follows the last one after four idle cycles if its words and tokens are there. With one, a beat in four
    cycles. 11 cycles from a beat's vector to its write (28), 2 more until it can be read. A run that reads the
    scratchpad starts when all earlier writes can be read, and the next one when its last beat is in its last step.

    Corner cases
    ------------
    Within a run operands are read ahead: a byte that one position reads must not be written by an earlier position of
    the same run, but a position may overwrite its own operand. Addresses wrap modulo 2**address_bits.
    Multipliers and shifts outside their ranges give undefined bytes.
    """

    words: Any
    tokens: Any
    side: Any
    vectors: Any
    read: Any
    write: Any
    progress: Any
    busy: Signal
    active: Signal
    tag: Signal
    state: Any
    halt: Signal
    error: Any

    def __init__(self, config: NpuConfig) -> None:
        self._config = config
        super().__init__(
            {
                "words": In(stream.Signature(64)),
                "tokens": Out(TokenSignature()),
                "side": In(stream.Signature(side_row_layout(config))),
                "vectors": In(stream.Signature(vector_layout(config))),
                "read": Out(ReadPortSignature(config.requant_lanes)),
                "write": Out(WritePortSignature(config)),
                "progress": Out(ProgressSignature()),
                "busy": Out(1),
                "active": Out(1),
                "tag": Out(16),
                "state": Out(UnitState),
                "halt": In(1),
                "error": Out(ErrorSignature()),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        config = self._config
        port = place(m, platform, "port", CommandPort, config, Unit.OUTPUT, module="tensaw_output_command_port")
        walk = place(m, platform, "target_walk", Walk, config, module="tensaw_output_walk")
        operand_walk = place(m, platform, "operand_walk", Walk, config, module="tensaw_output_walk")
        fetch = place(m, platform, "fetch", OperandFetch, config)
        parameters = place(m, platform, "parameters", ParameterStore, config)
        m.submodules.tables = tables = TableLoader(config)
        lanes = place(m, platform, "lanes", Lanes, config, module="tensaw_requantise_lanes")
        softmax = place(m, platform, "softmax", Softmax, config)
        connect(m, flipped(self.words), port.words)
        connect(m, flipped(self.read), fetch.read)

        # Side rows go through a register to the parameters or to the tables.
        row = Signal(side_row_layout(config), reset_less=True)
        places = Signal(len(parameters.rows.payload.places), reset_less=True)
        is_parameter, is_table = Signal(), Signal()
        kind = self.side.payload.kind
        table_comes = (kind == SideKind.LOOKUP) | (kind == SideKind.EXPONENT)
        with m.If(self.side.ready):
            m.d.sync += [
                row.eq(self.side.payload),
                places.eq(parameter_places(self.side.payload)),
                is_parameter.eq(self.side.valid & ~table_comes),
                is_table.eq(self.side.valid & table_comes),
            ]
        m.d.comb += [
            parameters.rows.payload.places.eq(places),
            parameters.rows.payload.last.eq(row.last),
            parameters.rows.payload.row.eq(row.row),
            parameters.rows.valid.eq(is_parameter),
            tables.rows.payload.eq(row),
            tables.rows.valid.eq(is_table),
            self.side.ready.eq(Mux(is_parameter, parameters.rows.ready, ~is_table | tables.rows.ready)),
            lanes.table.eq(tables.write),
            softmax.table.eq(tables.write),
        ]

        # Beats pass a buffer, so that little hangs on whether one is given to the lanes.
        m.submodules.beats = beats = SkidBuffer(self._beat_layout())
        walk_beat = walk.beat
        m.d.comb += [
            *(beats.i.payload[name].eq(walk_beat[name]) for name in beats.i.payload.shape().members if name != "end"),
            beats.i.payload.end.eq(self._end(walk_beat.address, walk_beat.count)),
            beats.i.valid.eq(walk.valid),
            walk.next.eq(beats.i.ready),
        ]

        enable = Signal(init=1)  # of the lanes
        stalled = Signal()  # they are not enabled: a register of its own for all others
        unfinished = Signal(range(_BEATS_UNDER_WAY + 1))  # runs started and not finished: each has a beat at least
        active = Signal()  # there are some
        run = Signal(run_layout(Unit.OUTPUT), reset_less=True)
        tag = Signal(16, reset_less=True)  # of the latest run
        there = Signal()  # the run on offer has its tokens
        starting = self._elaborate_start(
            m, run, tag, stalled, unfinished[-1], active, there, walk, beats, operand_walk, softmax, lanes, port
        )
        issue = self._elaborate_issue(m, run, stalled, beats.o, parameters, fetch, lanes, softmax, starting)
        m.d.comb += [
            lanes.enable.eq(enable),
            softmax.enable.eq(~stalled),
            softmax.run.eq(run),
            softmax.result.eq(lanes.result),
        ]
        m.d.comb += lanes.direct.eq(softmax.direct)

        # Operands: of the walk or of softmax, never at once.
        m.d.comb += [
            fetch.addresses.valid.eq(operand_walk.valid | softmax.addresses.valid),
            fetch.addresses.payload.eq(Mux(operand_walk.valid, operand_walk.beat.address, softmax.addresses.payload)),
            operand_walk.next.eq(fetch.addresses.ready),
            softmax.addresses.ready.eq(fetch.addresses.ready & ~operand_walk.valid),
            softmax.data.payload.eq(fetch.data.payload),
            softmax.data.valid.eq(fetch.data.valid),
        ]

        finished = self._elaborate_writes(m, platform, run, enable, stalled, issue, beats.o.payload, softmax, lanes)
        m.d.sync += [
            unfinished.eq(unfinished + starting - finished),
            active.eq(starting | (active & ~(finished & (unfinished == 1)))),
        ]
        self._elaborate_status(m, run, tag, active, there, beats.o.valid, parameters, port)
        return m

    def _beat_layout(self) -> data.StructLayout:
        """Of a beat, what is needed with it and behind it: ``beat_layout`` with ``end``, how far it reaches from the
        first byte of the word that it begins in, instead of ``count``."""
        members = {name: field.shape for name, field in beat_layout(self._config) if name != "count"}
        return data.StructLayout({**members, "end": range(self._config.word_bytes + self._config.requant_lanes)})

    def _end(self, address: Value, count: Value) -> Value:
        return address[: exact_log2(self._config.word_bytes)] + count

    def _elaborate_start(
        self, m: Module, run: data.View, tag: Signal, stalled: Signal, full: Value, active: Signal,
        there: Signal, walk: Walk, beats: SkidBuffer, operand_walk: Walk, softmax: Softmax, lanes: Lanes,
        port: CommandPort,
    ) -> Signal:  # fmt: skip
        """Takes runs, checks them, starts loops or softmax. Returns: a run was taken in the last cycle."""
        starting = Signal()
        failed = Signal()
        offered = port.run.payload
        # Reading the scratchpad: after all earlier writes.
        drains, softmaxes = offered.run.kind == OutputKind.DRAIN, offered.run.kind == OutputKind.SOFTMAX
        combines = offered.operand_step.operation != Operation.NONE
        free = ~stalled & ~starting & ~walk.valid & ~beats.o.valid & ~softmax.busy & lanes.drained & ~full
        # Registered: another run may begin, and it still may in the cycle after; one has been on offer for a cycle, so
        # that what is told of tokens is about it.
        may, asked = Signal(), Signal()
        take = self.tokens.take
        m.d.sync += [
            may.eq(free & ~take & ~((softmaxes | combines) & active)),
            asked.eq(port.run.valid & ~failed & ~self.halt),
        ]
        # Of what was on offer in the cycle before, which is still the same: what the run begins, which rules it breaks.
        drains_next, combines_next, softmaxes_next = Signal(), Signal(), Signal()
        rules = broken_output_rules(self._config, offered)
        broken = Signal(len(rules))
        m.d.sync += [
            broken.eq(rules),
            drains_next.eq(drains),
            combines_next.eq(drains & combines),
            softmaxes_next.eq(softmaxes),
        ]
        illegal, drain, combine, normalise = Signal(), Signal(), Signal(), Signal()
        m.d.comb += [
            there.eq(asked & self.tokens.take_ready),
            self.tokens.take_mask.eq(offered.run.wait),
            take.eq(may & there),
            port.run.ready.eq(take),
            walk.start.eq(drain),
            operand_walk.start.eq(combine),
            softmax.start.eq(normalise),
        ]
        legal = take & ~broken.any()
        m.d.sync += [
            starting.eq(take),
            illegal.eq(broken.any()),
            drain.eq(legal & drains_next),
            combine.eq(legal & combines_next),
            normalise.eq(legal & softmaxes_next),
        ]
        # The registers are those of the run on offer before it is taken.
        with m.If(may):
            m.d.sync += run.eq(offered)
        with m.If(take):
            m.d.sync += tag.eq(offered.run.tag)
        with m.If(starting & illegal):
            m.d.sync += failed.eq(1)

        for shape, base, pitch, pixel_pitch, tile_step in (
            (walk.shape, run.target.base, run.target.pitch, run.channels.pixel_pitch, run.channels.tile),
            (operand_walk.shape, run.operand.base, run.operand.pitch, run.operand_step.pixel_pitch,
             run.operand_step.tile_step),
        ):  # fmt: skip
            m.d.comb += [
                shape.base.eq(base),
                shape.pitch.eq(pitch),
                shape.pixel_pitch.eq(pixel_pitch),
                shape.tile_step.eq(tile_step),
                shape.tile.eq(run.channels.tile),
                shape.last.eq(run.channels.last),
                shape.tiles.eq(run.channels.tiles),
                shape.height.eq(run.out.height),
                shape.width.eq(run.out.width),
                shape.block_height.eq(run.block.height),
                shape.block_width.eq(run.block.width),
            ]
        m.d.sync += self.error.valid.eq(port.error.valid | failed)
        m.d.comb += [
            self.error.code.eq(Mux(port.error.valid, port.error.code, ErrorCode.ILLEGAL_VALUE)),
            self.error.tag.eq(Mux(port.error.valid, port.error.tag, tag)),
            self.error.address.eq(port.error.address),
        ]
        return starting

    def _elaborate_issue(
        self, m: Module, run: data.View, stalled: Signal, beats: Any, parameters: ParameterStore, fetch: OperandFetch,
        lanes: Lanes, softmax: Softmax, starting: Signal,
    ) -> Signal:  # fmt: skip
        """Gives a beat to the lanes in each cycle in which all that it needs is there."""
        count = self._config.requant_lanes
        issue = Signal()
        # Known a cycle after the run was taken: before its first beat.
        combine = Signal()
        streamed = Signal()
        m.d.sync += [
            combine.eq(run.operand_step.operation != Operation.NONE),
            streamed.eq(run.quant.bias | run.quant.scale),
        ]
        # The lanes hold a beat's operand from its slot on: it can leave a cycle later.
        taken = Signal()
        m.d.sync += taken.eq(issue & combine)
        m.d.comb += [
            fetch.data.ready.eq(softmax.data.ready | taken),
            issue.eq(
                ~stalled & beats.valid & self.vectors.valid
                & (parameters.filled | ~streamed)
                & ((lanes.slot & fetch.data.valid) | ~combine)
            ),
            beats.ready.eq(issue),
            self.vectors.ready.eq(issue & beats.payload.vector_done),
            parameters.enable.eq(~stalled),  # a beat's, held while the lanes stand; others do not matter
            parameters.beat.eq(beats.payload.index),
            parameters.release.eq(issue & streamed & beats.payload.tile_done),
            lanes.run.eq(run),
            lanes.issue.eq(issue),
            lanes.operand.eq(fetch.data.payload),
            lanes.bias.eq(parameters.bias),
            lanes.multiplier.eq(parameters.multiplier),
            lanes.shift.eq(parameters.shift),
        ]  # fmt: skip
        number = beats_of(self._config)
        vector = Value.cast(self.vectors.payload)
        if number * count > self._config.columns:
            vector = Cat(vector, Const(0, 32 * (number * count - self._config.columns)))
        m.d.comb += Value.cast(lanes.accumulators).eq(
            vector.word_select(beats.payload.index, 32 * count) if number > 1 else vector
        )
        return issue

    def _elaborate_writes(
        self, m: Module, platform: Any, run: data.View, enable: Signal, stalled: Signal, issue: Signal, beat: Any,
        softmax: Softmax, lanes: Lanes,
    ) -> Signal:  # fmt: skip
        """Joins bytes and addresses, writes, and counts what can be read. Returns: a run has just been finished."""
        size = self._config.word_bytes
        place_bits = exact_log2(size)
        layout = self._beat_layout().members
        flags = ("address", "row_done", "run_done", "last_tile", "end")
        kept = data.StructLayout({**{name: layout[name] for name in flags}, "signal": PEERS})
        # Nobody looks at how many there are: the lanes tell when one ends, and hold fewer than there are places.
        m.submodules.under_way = under_way = Memory(shape=kept, depth=_BEATS_UNDER_WAY, init=[])
        entry, oldest = under_way.write_port(), under_way.read_port(domain="comb")
        pushed, ahead = Signal(kept), Signal(range(_BEATS_UNDER_WAY))
        direct = softmax.direct.valid & softmax.direct.write
        following = Signal()  # the next write takes the place of this one
        written_beat = softmax.beat
        for name in flags:
            own = self._end(written_beat.address, written_beat.count) if name == "end" else written_beat[name]
            m.d.comb += pushed[name].eq(Mux(direct, own, beat[name]))
        m.d.comb += [
            pushed.signal.eq(run.run.signal),
            entry.data.eq(pushed),
            entry.en.eq(issue | (~stalled & direct)),
            ahead.eq(entry.addr - oldest.addr),
        ]
        m.d.sync += [entry.addr.eq(entry.addr + entry.en), oldest.addr.eq(oldest.addr + following)]
        full = ahead == _BEATS_UNDER_WAY - 1
        check(m, platform, ~(entry.en & full), "under_way", "the lanes hold more beats than expected")
        check(m, platform, ~following | (ahead != 0), "ends", "the lanes end a beat that never began")

        # The lanes go on without being told in the same cycle whether a write is taken: bytes that are not move to
        # `spare`, and the lanes stand until it is empty again.
        come, waiting, refused = Signal(), Signal(), Signal()  # the lanes' bytes are a beat's; there is a write
        spare = Signal(8 * self._config.requant_lanes, reset_less=True)
        written = Signal(kept, reset_less=True)
        mask, across = Signal(2 * size - 1, reset_less=True), Signal(reset_less=True)
        coming = oldest.data
        begin, end = coming.address[:place_bits], coming.end
        m.d.comb += [
            waiting.eq(come | stalled),
            refused.eq(waiting & ~self.write.ready),
            following.eq(~refused & Mux(stalled, come, lanes.finishing)),
            self.write.valid.eq(waiting),
            self.write.address.eq(written.address),
            self.write.data.eq(Mux(stalled, spare, lanes.bytes)),
            self.write.mask.eq(mask),
            self.write.across.eq(across),
        ]
        check_held(
            m, platform, "write", waiting, self.write.ready,
            Cat(written.address, mask, self.write.data[: len(spare)]),
        )  # fmt: skip
        m.d.sync += [enable.eq(~refused), stalled.eq(refused)]
        with m.If(~stalled):
            m.d.sync += [come.eq(lanes.finishing), spare.eq(lanes.bytes)]
        with m.If(following):
            m.d.sync += [
                written.eq(oldest.data),
                mask.eq(
                    Cat(
                        ((begin <= byte) if byte < size - 1 else 1) & (end > byte)
                        for byte in range(size + self._config.requant_lanes - 1)
                    )
                ),
                across.eq(end > size),
            ]

        # A write taken in cycle t can be read in t+2: noted in t+1, shown in t+2.
        noted = Signal(kept, reset_less=True)
        finished = Signal()
        fresh = Signal()
        m.d.sync += [fresh.eq(self.write.valid & self.write.ready), noted.eq(written)]
        with m.If(fresh):
            m.d.sync += [
                self.progress.last_tile.eq(noted.last_tile),
                self.progress.rows.eq(self.progress.rows + noted.row_done),
            ]
        m.d.comb += [
            finished.eq(fresh & noted.run_done),
            self.tokens.give.eq(finished),
            self.tokens.give_mask.eq(noted.signal),
        ]
        with m.If(finished):
            m.d.sync += [
                self.progress.completed.eq(self.progress.completed + 1),
                self.progress.last_tile.eq(0),
                self.progress.rows.eq(0),
            ]
        return finished

    def _elaborate_status(
        self, m: Module, run: data.View, tag: Signal, active: Signal, there: Signal, waits: Signal,
        parameters: ParameterStore, port: CommandPort,
    ) -> None:  # fmt: skip
        streamed = run.quant.bias | run.quant.scale
        m.d.comb += [
            self.active.eq(active),
            self.busy.eq(port.run.valid | active),
            self.tag.eq(Mux(active, tag, port.tag)),
        ]
        with m.If(waits & streamed & ~parameters.filled):
            m.d.comb += self.state.eq(UnitState.WEIGHTS)
        with m.Elif(waits & ~self.vectors.valid):
            m.d.comb += self.state.eq(UnitState.RESULTS)
        with m.Elif(active):
            m.d.comb += self.state.eq(UnitState.RUNNING)
        with m.Elif(port.run.valid):
            m.d.comb += self.state.eq(Mux(there, UnitState.RUNNING, UnitState.TOKENS))
