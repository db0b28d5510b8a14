"""The lanes of the output stage, and the schedule by which one multiplier does all steps of a second operand."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, enum, wiring
from amaranth.lib.wiring import In, Out

from tensaw.compiler.ir import Rounding
from tensaw.rtl.control.command import run_layout
from tensaw.rtl.memory.ram import Ram
from tensaw.rtl.output.parameters import SHIFT_BITS
from tensaw.rtl.output.requantise import RESULT_LATENCY, RequantiseLane
from tensaw.rtl.output.tables import LOOKUP_WORDS, table_write_layout
from tensaw.rtl.shared import place
from tensaw.spec.config import NpuConfig
from tensaw.spec.isa import Operation, Unit

__all__ = ["OPERAND_SHIFT", "Lanes", "direct_layout"]

OPERAND_SHIFT = 20
"""ADD and SUB shift operands left by this much before they scale them."""
_PRODUCT_SHIFTS = 16, 15
"""MUL: shifts of the factors, which sum to 31, so that the high multiplication gives their product itself."""
_GROUPS = 5
"""Groups of four cycles from a beat's first operation to its last."""


class _Step(enum.Enum, shape=2):  # type: ignore[call-arg]
    """What a lane does with a beat: requantise the accumulator, scale an operand (MUL: multiply both), the result."""

    ACCUMULATOR = 0
    FIRST = 1
    SECOND = 2
    RESULT = 3


def direct_layout() -> data.StructLayout:
    """An operation for lane 0 by softmax: round(value · multiplier · 2^(shift-31)), DOUBLE; ``write`` makes
    ``clamp(result - 128)`` a byte of the output."""
    return data.StructLayout(
        {"valid": 1, "write": 1, "value": signed(32), "multiplier": signed(32), "shift": signed(SHIFT_BITS)}
    )


_LATE = data.StructLayout({"zero_point": signed(8), "low": signed(8), "high": signed(8), "table": 1, "final": 1})
"""What belongs to an operation's last stages."""


class Lanes(wiring.Component):
    """``requant_lanes`` times a multiplier pipeline and a copy of the lookup table.

    Without a second operand a beat is one operation. With one it is four, and beats start every fourth cycle, so that
    the operations of several beats share the multiplier in fixed places (cycles from the beat's first operation):

    ======  ========  =====================================================================================
    cycle   modulo 4  operation
    ======  ========  =====================================================================================
    0       0         accumulator to int8 (the byte is there in cycle 8, kept until 10)
    7       3         ADD, SUB: scale the second operand (there in 14, kept until 17)
    10      2         ADD, SUB: scale the first operand, MUL: multiply both (there in 17)
    17      1         add, and requantise to the final int8
    ======  ========  =====================================================================================

    Parameters
    ----------
    config : NpuConfig

    Members
    -------
    enable : In(1)
        Everything advances. All times count enabled cycles.
    run : In(run_layout(OUTPUT))
        The run's registers; may change one cycle after the last ``issue`` (with a second operand: when ``drained``),
        and then stay from a cycle before the first one.
    issue : In(1)
        A beat starts with ``accumulators`` and ``operand``; only with ``enable``, and in a run with a second operand
        only with ``slot``.
    accumulators : In(lanes × signed 32), operand : In(lanes × 8)
    bias, multiplier, shift : In
        Parameters of the beat, one cycle after ``issue``.
    slot : Out(1), drained : Out(1)
        A beat with a second operand can start now; no such beat is in an early stage.
    direct : In(direct_layout), result : Out(signed 32)
        Softmax's own use of lane 0, in cycles without beats; the result comes 7 cycles after ``direct``.
    table : In(table_write_layout)
    finishing : Out(1)
        ``bytes`` will belong to the next beat in the next enabled cycle.
    bytes : Out(lanes × 8)

    Timing
    ------
    ``bytes`` are there 11 cycles after ``issue``, with a second operand 28, after ``direct`` 10. One beat a cycle, with
    a second operand one in four.
    """

    enable: Signal
    run: Any
    issue: Signal
    accumulators: Any
    operand: Signal
    bias: Any
    multiplier: Any
    shift: Any
    slot: Signal
    drained: Signal
    direct: Any
    result: Signal
    table: Any
    finishing: Signal
    bytes: Signal

    def __init__(self, config: NpuConfig) -> None:
        self._lanes = lanes = config.requant_lanes
        super().__init__(
            {
                "enable": In(1),
                "run": In(run_layout(Unit.OUTPUT)),
                "issue": In(1),
                "accumulators": In(data.ArrayLayout(signed(32), lanes)),
                "operand": In(8 * lanes),
                "bias": In(data.ArrayLayout(signed(32), lanes)),
                "multiplier": In(data.ArrayLayout(signed(32), lanes)),
                "shift": In(data.ArrayLayout(signed(SHIFT_BITS), lanes)),
                "slot": Out(1),
                "drained": Out(1),
                "direct": In(direct_layout()),
                "result": Out(signed(32)),
                "table": In(table_write_layout()),
                "finishing": Out(1),
                "bytes": Out(8 * lanes),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        run = self.run
        combine = Signal()  # the run has a second operand
        product = Signal()  # which is multiplied
        m.d.sync += [
            combine.eq(run.operand_step.operation != Operation.NONE),
            product.eq(run.operand_step.operation == Operation.MUL),
        ]

        # Schedule.
        phase = Signal(2)
        groups = Signal(_GROUPS)  # bit g: a beat with a second operand is in its group g of four cycles
        first = Signal()  # a beat's accumulators are in the issue registers
        step, next_step = Signal(_Step), Signal(_Step)
        slot = Signal()
        m.d.comb += [self.slot.eq(slot), self.drained.eq(~groups.any())]
        with m.If(self.enable):
            m.d.sync += [phase.eq(phase + 1), slot.eq(phase == 2), first.eq(self.issue), step.eq(next_step)]
            with m.If(self.slot):
                m.d.sync += groups.eq(Cat(self.issue & combine, groups[:-1]))
        final = Signal()
        with m.If(~self.issue):
            with m.Switch(phase):  # of the cycle before the step
                with m.Case(2):
                    m.d.comb += next_step.eq(_Step.SECOND)
                with m.Case(1):
                    m.d.comb += next_step.eq(_Step.FIRST)
                with m.Case(0):
                    m.d.comb += next_step.eq(_Step.RESULT)
        m.d.comb += final.eq((step == _Step.RESULT) & groups[4])

        # What goes along with an operation to its end.
        late = Signal(_LATE)
        m.d.comb += [
            late.final.eq(Mux(self.direct.valid, self.direct.write, (first & ~combine) | final)),
            late.table.eq(run.run.table & ~self.direct.valid),
        ]
        for name, direct in (("zero_point", -128), ("low", -128), ("high", 127)):
            result = Mux(step == _Step.RESULT, run.quant_out[name], run.quant[name])
            m.d.comb += late[name].eq(Mux(self.direct.valid, direct, result))
        for cycle in range(RESULT_LATENCY):
            following = Signal(_LATE, name=f"late{cycle + 1}")
            with m.If(self.enable):
                m.d.sync += following.eq(late)
            late = following
        translate, translated = Signal(), Signal()  # the byte goes through the table in this cycle, has gone
        byte_final = Signal()
        with m.If(self.enable):
            m.d.sync += [
                translate.eq(late.table),
                translated.eq(translate),
                byte_final.eq(late.final),
                self.finishing.eq(byte_final),
            ]

        shared = self._shared(m, product)
        for index in range(self._lanes):
            self._lane(m, platform, index, step, phase, late, translate, translated, product, shared)
        return m

    def _shared(self, m: Module, product: Value) -> dict[str, Value]:
        """Values that are the same in all lanes: offsets of the operands, and which of them SUB inverts."""
        setting = self.run.operand_step
        offset_a, offset_b = Signal(signed(32)), Signal(signed(32))
        subtract, invert_a, invert_b = Signal(), Signal(), Signal()
        subtracts = setting.operation == Operation.SUB
        m.d.sync += [
            offset_a.eq(-(setting.zero_a << Mux(product, _PRODUCT_SHIFTS[0], OPERAND_SHIFT))),
            offset_b.eq(-(setting.zero_b << OPERAND_SHIFT)),
            subtract.eq(subtracts),
            invert_a.eq(subtracts & setting.reverse),
            invert_b.eq(subtracts & ~setting.reverse),
        ]
        return {
            "offset_a": offset_a,
            "offset_b": offset_b,
            "invert_a": invert_a,
            "invert_b": invert_b,
            "subtract": subtract,
        }

    def _lane(
        self,
        m: Module,
        platform: Any,
        index: int,
        step: Signal,
        phase: Signal,
        late: data.View,
        translate: Signal,
        translated: Signal,
        product: Signal,
        shared: dict[str, Value],
    ) -> None:
        run = self.run
        lane: RequantiseLane = place(m, platform, f"lane{index}", RequantiseLane)
        m.submodules[f"lookup{index}"] = lookup = Ram(LOOKUP_WORDS, 32)

        accumulator = Signal(signed(32), name=f"accumulator{index}", reset_less=True)
        # The second operand, in the group of cycles 0, 4 and 8 of its beat; kept results of two steps.
        operands = [Signal(signed(8), name=f"operand{index}_{group}", reset_less=True) for group in range(3)]
        first_byte = Signal(signed(8), name=f"first_byte{index}", reset_less=True)
        second = Signal(signed(32), name=f"second{index}", reset_less=True)
        with m.If(self.enable):
            with m.If(self.issue):
                m.d.sync += accumulator.eq(self.accumulators[index])
            with m.If(phase == 3):
                m.d.sync += [
                    operands[0].eq(self.operand[8 * index :][:8]),
                    operands[1].eq(operands[0]),
                    operands[2].eq(operands[1]),
                ]
            with m.If(phase == 0):
                m.d.sync += first_byte.eq(lane.byte)
            with m.If(phase == 2):
                m.d.sync += second.eq(lane.result)

        m.d.comb += [
            lane.enable.eq(self.enable),
            lane.rounding.eq(Rounding.DOUBLE),
            lane.zero_point.eq(late.zero_point),
            lane.low.eq(late.low),
            lane.high.eq(late.high),
        ]
        with m.Switch(step):
            with m.Case(_Step.ACCUMULATOR):
                m.d.comb += [
                    lane.value.eq(accumulator),
                    lane.addend.eq(Mux(run.quant.bias, self.bias[index], 0)),
                    lane.multiplier.eq(Mux(run.quant.scale, self.multiplier[index], run.scale.multiplier.as_signed())),
                    lane.shift.eq(Mux(run.quant.scale, self.shift[index], run.scale.shift)),
                    lane.rounding.eq(run.quant.rounding),
                ]
            with m.Case(_Step.FIRST):
                factor = (operands[2] - run.operand_step.zero_b) << _PRODUCT_SHIFTS[1]
                m.d.comb += [
                    lane.value.eq(first_byte << Mux(product, _PRODUCT_SHIFTS[0], OPERAND_SHIFT)),
                    lane.addend.eq(shared["offset_a"]),
                    lane.multiplier.eq(Mux(product, factor, run.scale_a.multiplier.as_signed())),
                    lane.shift.eq(Mux(product, 0, run.scale_a.shift)),
                ]
            with m.Case(_Step.SECOND):
                m.d.comb += [
                    lane.value.eq(operands[1] << OPERAND_SHIFT),
                    lane.addend.eq(shared["offset_b"]),
                    lane.multiplier.eq(run.scale_b.multiplier.as_signed()),
                    lane.shift.eq(run.scale_b.shift),
                ]
            with m.Case(_Step.RESULT):
                m.d.comb += [
                    lane.value.eq(lane.result ^ shared["invert_a"].replicate(32).as_signed()),
                    lane.addend.eq(Mux(product, 0, second ^ shared["invert_b"].replicate(32).as_signed())),
                    lane.carry.eq(shared["subtract"]),
                    lane.multiplier.eq(run.scale_out.multiplier.as_signed()),
                    lane.shift.eq(run.scale_out.shift),
                    lane.rounding.eq(run.quant_out.rounding),
                ]
        if index == 0:
            m.d.comb += self.result.eq(lane.result)
            with m.If(self.direct.valid):
                m.d.comb += [
                    lane.value.eq(self.direct.value),
                    lane.addend.eq(0),
                    lane.carry.eq(0),
                    lane.multiplier.eq(self.direct.multiplier),
                    lane.shift.eq(self.direct.shift),
                    lane.rounding.eq(Rounding.DOUBLE),
                ]

        # Table: the byte addresses it in the cycle in which it is ready; one more for the byte that bypasses it.
        passed = Signal(8, name=f"passed{index}", reset_less=True)
        m.d.comb += [
            lookup.write_enable.eq(self.table.lookup),
            lookup.write_address.eq(self.table.address),
            lookup.write_data.eq(self.table.word),
            lookup.read_enable.eq(self.enable & translate),
            lookup.read_address.eq(lane.byte[2:8]),
        ]
        with m.If(self.enable):
            m.d.sync += [
                passed.eq(lane.byte),
                self.bytes[8 * index :][:8].eq(Mux(translated, lookup.read_data.word_select(passed[:2], 8), passed)),
            ]
