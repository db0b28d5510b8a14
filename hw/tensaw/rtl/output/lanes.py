"""The lanes of the output stage, and the schedule by which one multiplier does all steps of a second operand."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, enum, wiring
from amaranth.lib.wiring import In, Out

from tensaw.compiler.ir import Rounding
from tensaw.rtl.control.command import run_layout
from tensaw.rtl.memory.ram import Ram
from tensaw.rtl.output.parameters import SHIFT_BITS
from tensaw.rtl.output.requantise import RESULT_LATENCY, ROUNDING_LATENCY, RequantiseLane
from tensaw.rtl.output.tables import LOOKUP_WORDS, table_write_layout
from tensaw.rtl.shared import place
from tensaw.spec.config import NpuConfig
from tensaw.spec.isa import Operation, OutputKind, Unit

__all__ = ["OPERAND_SHIFT", "Lanes", "direct_layout"]

OPERAND_SHIFT = 20
"""ADD and SUB shift operands left by this much before they scale them."""
_PRODUCT_SHIFTS = 8, 23
"""MUL: shifts of the factors, which sum to 31, so that the high multiplication gives their product itself. The second
one's nine bits are the multiplier's uppermost."""
_GROUPS = 5
"""Groups of four cycles from a beat's first operation to its last."""


class _Step(enum.Enum, shape=2):  # type: ignore[call-arg]
    """What the lanes take: the accumulator to requantise, the result, or an operand to scale (MUL: to multiply)."""

    ACCUMULATOR = 0
    RESULT = 1
    FIRST = 2
    SECOND = 3


def direct_layout() -> data.StructLayout:
    """An operation for lane 0 by softmax: round(value · multiplier · 2^(shift-31)), DOUBLE; ``write`` makes
    ``clamp(result - 128)`` a byte of the output."""
    return data.StructLayout(
        {"valid": 1, "write": 1, "value": signed(32), "multiplier": signed(32), "shift": signed(SHIFT_BITS)}
    )


_SCALE = data.StructLayout({"multiplier": signed(32), "left": 5, "right": 5})
"""A multiplier and its shift, in either direction."""
_LATE = data.StructLayout({"zero_point": signed(8), "low": signed(8), "high": signed(8), "table": 1})
"""What belongs to an operation's last stages."""


def _directions(shift: Value) -> tuple[Value, Value]:
    """Left and right shift by a signed number of bits."""
    return Mux(shift[-1], 0, shift[:5]), Mux(shift[-1], (-shift)[:5], 0)


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
        Softmax's own use of lane 0, in a SOFTMAX run; the result comes 8 cycles after ``direct``.
    table : In(table_write_layout)
    finishing : Out(1)
        ``bytes`` will belong to the next beat in the next enabled cycle.
    bytes : Out(lanes × 8)

    Timing
    ------
    ``bytes`` are there 11 cycles after ``issue`` and ``direct``, with a second operand 28 cycles after ``issue``. One
    beat a cycle, with a second operand one in four.
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
        combine, softmax = Signal(), Signal()  # the run has a second operand, is a SOFTMAX
        combines = (run.run.kind == OutputKind.DRAIN) & (run.operand_step.operation != Operation.NONE)
        m.d.sync += [combine.eq(combines), softmax.eq(run.run.kind == OutputKind.SOFTMAX)]

        # Schedule: what the lanes take in this cycle.
        phase, next_phase = Signal(2), Signal(2)
        # Copies for some lanes each, which synthesis keeps apart for what they begin with.
        steps = [Signal(_Step, name=f"step{copy}", init=copy) for copy in range(min(4, self._lanes))]
        step, next_step = steps[0], Signal(_Step)
        m.d.comb += next_phase.eq(phase + self.enable)
        m.d.sync += [phase.eq(next_phase), *(copy.eq(next_step) for copy in steps)]
        with m.If(combines):
            with m.Switch(next_phase):
                for number, kind in ((2, _Step.SECOND), (1, _Step.FIRST), (0, _Step.RESULT)):
                    with m.Case(number):
                        m.d.comb += next_step.eq(kind)

        # What they have taken.
        groups = Signal(_GROUPS)  # bit g: a beat with a second operand is in its group g of four cycles
        slot = Signal()
        drained = Signal(init=1)  # no group has one
        single = Signal()  # a beat that is one operation, or softmax's byte
        is_result = Signal()
        m.d.comb += [self.slot.eq(slot), self.drained.eq(drained)]
        with m.If(self.enable):
            m.d.sync += [
                slot.eq(phase == 2),
                single.eq(Mux(softmax, self.direct.valid & self.direct.write, self.issue & ~combine)),
                is_result.eq(step == _Step.RESULT),
            ]
            with m.If(self.slot):
                coming = Cat(self.issue & combine, groups[:-1])
                m.d.sync += [groups.eq(coming), drained.eq(~coming.any())]

        lates, translated = self._late(m, softmax, single | (is_result & groups[4]), is_result)
        shared = self._shared(m, step, softmax)
        for index in range(self._lanes):
            step, late = (copies[index * len(copies) // self._lanes] for copies in (steps, lates))
            self._lane(m, platform, index, step, phase, late, translated, shared)
        return m

    def _delayed(self, m: Module, value: Value, cycles: int, name: str, reset_less: bool = True) -> Value:
        for cycle in range(cycles):
            following = Signal.like(value, name=f"{name}{cycle + 1}", reset_less=reset_less)
            with m.If(self.enable):
                m.d.sync += following.eq(value)
            value = following
        return value

    def _late(
        self, m: Module, softmax: Signal, final: Value, is_result: Signal
    ) -> tuple[list[dict[str, Value]], tuple[Signal, Signal]]:
        """What goes along with an operation to its end: what the lanes want then, and whether the byte goes through
        the table in this cycle, or did in the one before."""
        run = self.run
        begin = Signal(_LATE)
        m.d.comb += begin.table.eq(run.run.table & ~softmax)
        for name, direct in (("zero_point", -128), ("low", -128), ("high", 127)):
            m.d.comb += begin[name].eq(Mux(softmax, direct, Mux(is_result, run.quant_out[name], run.quant[name])))
        # Only whether it ends a beat is reset.
        ends = self._delayed(m, final, RESULT_LATENCY, "ends", reset_less=False)
        before = data.View(_LATE, self._delayed(m, begin.as_value(), RESULT_LATENCY - 1, "late"))
        # Copies for half of the lanes each, which synthesis keeps apart for what they begin with.
        copies: list[dict[str, Value]] = []
        for copy in range(min(2, self._lanes)):
            latest = Signal(_LATE.size, name=f"latest{copy}", init=-copy & (1 << _LATE.size) - 1, reset_less=True)
            late = data.View(_LATE, latest)
            bounds = [
                Signal(signed(9), name=f"{name}{copy}", init=-copy, reset_less=True) for name in ("least", "most")
            ]
            with m.If(self.enable):
                m.d.sync += [
                    latest.eq(before.as_value()),
                    bounds[0].eq(before.low - before.zero_point),
                    bounds[1].eq(before.high - before.zero_point),
                ]
            settings = {name: late[name] for name in ("zero_point", "low", "high")}
            copies.append({**settings, "least": bounds[0], "most": bounds[1]})
        table, translate, looks_up = (
            Signal(name=name, reset_less=True) for name in ("table_late", "translate", "looks_up")
        )
        byte_final = Signal()
        with m.If(self.enable):
            m.d.sync += [
                table.eq(before.table),
                translate.eq(table),
                looks_up.eq(translate),
                byte_final.eq(ends),
                self.finishing.eq(byte_final),
            ]
        return copies, (translate, looks_up)

    def _shared(self, m: Module, step: Signal, softmax: Signal) -> dict[str, Value]:
        """Values that are the same in all lanes, of the operation that they have taken."""
        run, setting, direct = self.run, self.run.operand_step, self.direct
        # Settings of the run.
        product, subtract, invert_a, invert_b = Signal(), Signal(), Signal(), Signal()
        subtracts = setting.operation == Operation.SUB
        m.d.sync += [
            product.eq(setting.operation == Operation.MUL),
            subtract.eq(subtracts),
            invert_a.eq(subtracts & setting.reverse),
            invert_b.eq(subtracts & ~setting.reverse),
        ]
        scales = {}
        for name, scale in (("scale", run.scale), ("scale_out", run.scale_out)):
            scales[name] = Signal(_SCALE, name=name)
            left, right = _directions(scale.shift)
            m.d.comb += [scales[name].multiplier.eq(scale.multiplier), scales[name].left.eq(left)]
            m.d.comb += scales[name].right.eq(right)
        for name, scale in (("scale_a", run.scale_a), ("scale_b", run.scale_b)):
            # Both shifts to the left at once. What they take out of 32 bits is multiplied by 0, and so are operands of
            # MUL, whose `factor` makes the multiplier.
            scales[name] = Signal(_SCALE, name=name)
            left, right = _directions(scale.shift)
            nothing = Signal(name=f"{name}_nothing")
            m.d.sync += [
                scales[name].left.eq(Mux(product, _PRODUCT_SHIFTS[0], OPERAND_SHIFT + left)),
                scales[name].right.eq(Mux(product, 0, right)),
                nothing.eq(product | (scale.shift >= 32 - OPERAND_SHIFT)),
            ]
            m.d.comb += scales[name].multiplier.eq(Mux(nothing, 0, scale.multiplier))
        left, right = _directions(direct.shift)

        common = Signal(_SCALE, reset_less=True)
        rounding = Signal(2, reset_less=True)
        constant, carry = Signal(8, reset_less=True), Signal(reset_less=True)
        bias, scaled, result, factor, inverts = (
            Signal(name=name, reset_less=True) for name in ("bias", "scaled", "result", "factor", "inverts")
        )
        with m.If(self.enable):
            m.d.sync += [
                constant.eq(0),
                carry.eq(0),
                bias.eq(0),
                scaled.eq(0),
                result.eq(0),
                factor.eq(0),
                inverts.eq(0),
                rounding.eq(Rounding.DOUBLE),
            ]
            with m.Switch(step):
                with m.Case(_Step.ACCUMULATOR):
                    m.d.sync += common.eq(scales["scale"])
                    with m.If(~softmax):
                        m.d.sync += [bias.eq(run.quant.bias), scaled.eq(run.quant.scale)]
                        m.d.sync += rounding.eq(run.quant.rounding)
                with m.Case(_Step.RESULT):
                    m.d.sync += [common.eq(scales["scale_out"]), result.eq(1), carry.eq(subtract)]
                    m.d.sync += rounding.eq(run.quant_out.rounding)
                # Operands come as value + 128 - 256; the rest of 128 - zero point is the carry.
                with m.Case(_Step.FIRST):
                    m.d.sync += [common.eq(scales["scale_a"]), carry.eq(1), inverts.eq(invert_a)]
                    m.d.sync += constant.eq(Cat(~setting.zero_a[:7], setting.zero_a[7]))
                with m.Case(_Step.SECOND):
                    m.d.sync += [common.eq(scales["scale_b"]), carry.eq(1), inverts.eq(invert_b)]
                    m.d.sync += constant.eq(Cat(~setting.zero_b[:7], setting.zero_b[7]))
            with m.If(softmax):
                m.d.sync += [common.multiplier.eq(direct.multiplier), common.left.eq(left), common.right.eq(right)]
        return {
            "bias": bias,
            "scaled": scaled,
            "result": result,
            "constant": constant,
            "carry": carry,
            "scale": common,
            "rounding": self._delayed(m, rounding, ROUNDING_LATENCY, "rounding"),
            "invert": self._delayed(m, inverts, RESULT_LATENCY - 1, "invert"),
            "factor": (step == _Step.FIRST) & product,
            "softmax": softmax,
        }

    def _lane(
        self,
        m: Module,
        platform: Any,
        index: int,
        step: Signal,
        phase: Signal,
        late: dict[str, Value],
        translated: tuple[Signal, Signal],
        shared: dict[str, Any],
    ) -> None:
        lane: RequantiseLane = place(m, platform, f"lane{index}", RequantiseLane)
        m.submodules[f"lookup{index}"] = lookup = Ram(LOOKUP_WORDS, 32)

        # The second operand, in the group of cycles 0, 4 and 8 of its beat; kept results of two steps.
        operands = [Signal(signed(8), name=f"operand{index}_{group}", reset_less=True) for group in range(3)]
        first_byte = Signal(signed(8), name=f"first_byte{index}", reset_less=True)
        second = Signal(signed(32), name=f"second{index}", reset_less=True)
        value = Signal(signed(32), name=f"value{index}", reset_less=True)
        factor = Signal(signed(9), name=f"factor{index}", reset_less=True)
        accumulator = self.accumulators[index]
        if index == 0:
            accumulator = Mux(shared["softmax"], self.direct.value, accumulator)
        with m.If(self.enable):
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
            # What is taken. Of operands the upper bits are a constant.
            m.d.sync += value.eq(Mux(step == _Step.RESULT, second, accumulator))
            with m.If((step == _Step.FIRST) | (step == _Step.SECOND)):
                operand = Mux(step == _Step.FIRST, first_byte, operands[1])
                m.d.sync += value.eq(Cat(operand[:7], ~operand[7], Const(-1, 24)))
            m.d.sync += factor.eq(0)
            with m.If(shared["factor"]):
                m.d.sync += factor.eq(operands[2] - self.run.operand_step.zero_b)

        scale, scaled = shared["scale"], shared["scaled"]
        left, right = _directions(self.shift[index])
        addend = Mux(shared["bias"], self.bias[index], Mux(shared["result"], lane.result, 0))
        m.d.comb += [
            lane.enable.eq(self.enable),
            lane.value.eq(value),
            lane.addend.eq(addend | shared["constant"]),
            lane.carry.eq(shared["carry"]),
            lane.left.eq(Mux(scaled, left, scale.left)),
            lane.right.eq(Mux(scaled, right, scale.right)),
            lane.multiplier.eq(Mux(scaled, self.multiplier[index], scale.multiplier | (factor << _PRODUCT_SHIFTS[1]))),
            lane.rounding.eq(shared["rounding"]),
            lane.invert.eq(shared["invert"]),
        ]
        m.d.comb += [getattr(lane, name).eq(setting) for name, setting in late.items()]
        if index == 0:
            m.d.comb += self.result.eq(lane.result)

        # Table: the byte addresses it in the cycle in which it is ready. Memories are slow: there is a register behind
        # the half of the word that has its byte. A byte that bypasses the table goes to both bytes of that.
        translate, looks_up = translated
        passed, found, upper = (
            Signal(width, name=f"{name}{index}", reset_less=True)
            for name, width in (("passed", 8), ("found", 16), ("upper", 1))
        )
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
                upper.eq(passed[0]),
                found.eq(Mux(looks_up, lookup.read_data.word_select(passed[1], 16), passed.replicate(2))),
            ]
        m.d.comb += self.bytes[8 * index :][:8].eq(found.word_select(upper, 8))
