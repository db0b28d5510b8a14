"""The ARRAY unit: commands in, finished accumulators out."""

from __future__ import annotations

from typing import Any

from amaranth import Cat, Module, Mux, ResetSignal, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from tensaw.rtl.array.accumulators import Accumulators, accumulate_layout
from tensaw.rtl.array.feeder import Feeder, FeederState
from tensaw.rtl.array.systolic_array import SystolicArray
from tensaw.rtl.array.weight_loader import WeightLoader
from tensaw.rtl.control.command import Action, CommandPort
from tensaw.rtl.control.state import UnitState
from tensaw.rtl.control.tokens import TokenSignature
from tensaw.rtl.copies import copied
from tensaw.rtl.interfaces import (
    ArrayReadSignature,
    ErrorSignature,
    ProgressSignature,
    side_row_layout,
    vector_layout,
)
from tensaw.rtl.shared import Block, place
from tensaw.spec.config import NpuConfig
from tensaw.spec.isa import Unit

__all__ = ["ArrayUnit"]


class ArrayUnit(wiring.Component):
    """Command port, weight loader, feeder, array and accumulators.

    Parameters
    ----------
    config : NpuConfig
    ring_latency : int
        Cycles from ``ring_enable`` to ``ring_data``.

    Members
    -------
    words : In(stream of 64)
        Commands of Unit.ARRAY.
    tokens : Out(TokenSignature)
        Tokens of Peer.ARRAY.
    available, ring_enable, ring_row, ring_data, release
        Weight buffer, see WeightLoader.
    memory : Out(ArrayReadSignature)
        Scratchpad.
    progress : In(ProgressSignature), loaded : In(ProgressSignature)
        Of the output stage and of the load DMA.
    side : Out(stream of side_row_layout), vectors : Out(stream of vector_layout)
        To the output stage.
    activity : Out(FeederState), tag : Out(16), state : Out(UnitState), busy : Out(1)
        What the unit did in the cycle before, and for which run; ``state`` in the codes of the STALL registers. From
        registers, but for ``busy``, which is of this cycle.
    halt : In(1), error : Out(ErrorSignature)

    Timing
    ------
    A position's sums reach the accumulators ``Feeder.LATENCY + SystolicArray.latency`` cycles after it was issued and
    can leave 4 cycles later. The blocks inside take a reset a cycle later, so it must last two.
    """

    words: Any
    tokens: Any
    available: Signal
    ring_enable: Signal
    ring_row: Signal
    ring_data: Signal
    release: Signal
    memory: Any
    progress: Any
    loaded: Any
    side: Any
    vectors: Any
    activity: Any
    tag: Signal
    state: Any
    busy: Signal
    halt: Signal
    error: Any

    def __init__(self, config: NpuConfig, ring_latency: int) -> None:
        self._config = config
        self._ring_latency = ring_latency
        super().__init__(
            {
                "words": In(stream.Signature(64)),
                "tokens": Out(TokenSignature()),
                "available": In(24),
                "ring_enable": Out(1),
                "ring_row": Out(24),
                "ring_data": In(8 * config.weight_row_bytes),
                "release": Out(8),
                "memory": Out(ArrayReadSignature(config)),
                "progress": In(ProgressSignature()),
                "loaded": In(ProgressSignature()),
                "side": Out(stream.Signature(side_row_layout(config))),
                "vectors": Out(stream.Signature(vector_layout(config))),
                "activity": Out(FeederState),
                "tag": Out(16),
                "state": Out(UnitState),
                "busy": Out(1),
                "halt": In(1),
                "error": Out(ErrorSignature()),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        config = self._config

        def block(name: str, kind: type[Block], *arguments: Any, module: str | None = None) -> Block:
            reset = copied(m, platform, f"{name}_rst", ResetSignal())
            return place(m, platform, name, kind, *arguments, module=module, reset=reset)

        port = block("port", CommandPort, config, Unit.ARRAY, module="tensaw_array_command_port")
        loader = block("loader", WeightLoader, config, self._ring_latency, Feeder.LATENCY - 1)
        feeder = block("feeder", Feeder, config)
        array = block("array", SystolicArray, config)
        accumulators = block("accumulators", Accumulators, config)

        # The loader takes a run as soon as it can, to fetch weights ahead; the feeder takes it when it starts. A TABLE
        # without tokens is for the loader alone: the feeder may still be at the run before it.
        loading, alone, lonely = Signal(), Signal(), Signal()
        table = port.run.payload.table
        leaves = Signal()
        m.d.comb += [
            loader.run.payload.eq(port.run.payload),
            loader.run.valid.eq(port.run.valid & ~loading),
            feeder.run.payload.eq(port.run.payload),
            feeder.run.valid.eq(port.run.valid & loading & ~alone),
            leaves.eq(loading & alone),
            port.run.ready.eq(leaves | feeder.run.ready),
        ]
        # Known when the loader has taken what was on offer in the cycle before.
        m.d.sync += alone.eq((port.run.payload.action == Action.TABLE) & (table.wait == 0) & (table.signal == 0))
        with m.If(loader.table_done):
            m.d.sync += lonely.eq(0)
        with m.Elif(leaves):
            m.d.sync += lonely.eq(1)
        with m.If(port.run.ready & port.run.valid):
            m.d.sync += loading.eq(0)
        with m.Elif(loader.run.valid & loader.run.ready):
            m.d.sync += loading.eq(1)

        connect(m, flipped(self.words), port.words)
        connect(m, flipped(self.memory), feeder.memory)
        connect(m, flipped(self.progress), feeder.progress)
        connect(m, flipped(self.loaded), feeder.loaded)
        connect(m, flipped(self.side), loader.side)
        connect(m, flipped(self.vectors), accumulators.vectors)
        m.d.comb += [
            self.tokens.take_mask.eq(feeder.take_mask),
            feeder.take_ready.eq(self.tokens.take_ready),
            self.tokens.take.eq(feeder.take),
            self.tokens.give_mask.eq(feeder.give_mask),
            self.tokens.give.eq(feeder.give),
            loader.available.eq(self.available),
            self.ring_enable.eq(loader.ring_enable),
            self.ring_row.eq(loader.ring_row),
            loader.ring_data.eq(self.ring_data),
            self.release.eq(loader.release),
            loader.table_go.eq(feeder.table_go | lonely | leaves),
            feeder.table_done.eq(loader.table_done & ~lonely),
            feeder.filled.eq(loader.filled),
            loader.swap.eq(feeder.swap),
            feeder.half_busy.eq(accumulators.busy),
            accumulators.open.eq(feeder.open),
            accumulators.open_half.eq(feeder.open_half),
            feeder.halt.eq(self.halt),
            array.lanes.eq(feeder.lanes),
            array.columns.eq(feeder.columns),
            array.seconds.eq(feeder.seconds),
            array.pairs.eq(feeder.pairs),
            array.by_column.eq(feeder.by_column),
            array.swap.eq(feeder.array_swap),
            array.weight_row.eq(loader.weight_row),
            array.weight_select.eq(loader.weight_select),
            accumulators.sums.eq(array.sums),
        ]
        valid, control = feeder.control.valid, feeder.control.as_value()[1:]
        for cycle in range(SystolicArray.latency(config) - 2):
            following_valid = Signal(name=f"valid_d{cycle + 1}")
            following = Signal(len(control), name=f"control_d{cycle + 1}", reset_less=True)
            m.d.sync += [following_valid.eq(valid), following.eq(control)]
            valid, control = following_valid, following
        m.d.comb += accumulators.control.eq(accumulate_layout(config)(Cat(valid, control)))

        shown, granted, tag = Signal(FeederState), Signal(reset_less=True), Signal(16, reset_less=True)
        m.d.sync += [
            shown.eq(feeder.state),
            granted.eq(self.tokens.take_ready),
            tag.eq(feeder.tag),
            self.error.valid.eq(port.error.valid | feeder.error.valid),
        ]
        # Tokens are told of a cycle later, and no more behind the take.
        with m.If((shown == FeederState.WAIT_TOKENS) & (granted | self.tokens.take_ready)):
            m.d.comb += self.activity.eq(FeederState.OVERHEAD)
        with m.Else():
            m.d.comb += self.activity.eq(shown)
        m.d.comb += [
            self.tag.eq(tag),
            self.busy.eq(port.run.valid | feeder.busy | lonely),
            self.error.code.eq(Mux(port.error.valid, port.error.code, feeder.error.code)),
            self.error.tag.eq(Mux(port.error.valid, port.error.tag, feeder.error.tag)),
            self.error.address.eq(port.error.address),
        ]
        # As the STALL registers show it.
        states = {
            FeederState.IDLE: UnitState.IDLE,
            FeederState.BUSY: UnitState.RUNNING,
            FeederState.OVERHEAD: UnitState.RUNNING,
            FeederState.WAIT_TOKENS: UnitState.TOKENS,
            FeederState.WAIT_WEIGHTS: UnitState.WEIGHTS,
            FeederState.WAIT_FOLLOW: UnitState.FOLLOW,
            FeederState.WAIT_LOAD: UnitState.FOLLOW,
            FeederState.WAIT_ACCUMULATORS: UnitState.ACCUMULATORS,
        }
        with m.Switch(self.activity):
            for state, code in states.items():
                with m.Case(state):
                    m.d.comb += self.state.eq(code)
        return m
