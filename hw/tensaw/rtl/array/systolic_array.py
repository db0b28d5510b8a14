"""The array: rows of inputs by columns of outputs, weights stationary, partial sums moving down."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from amaranth import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from tensaw.rtl.array.allotment import Allotment
from tensaw.rtl.array.multiplier import has_registers
from tensaw.rtl.array.pair import PairSums, ProcessingPair, bias, correction
from tensaw.rtl.array.pe import ProcessingElement
from tensaw.rtl.shared import place
from tensaw.spec.config import NpuConfig

__all__ = ["SystolicArray", "psum_width"]


def psum_width(config: NpuConfig) -> int:
    """Bits that hold the sum of ``rows`` products of two int8."""
    return 16 + (config.rows - 1).bit_length()


class _Delays:
    """Delayed copies of a signal, one register a cycle, shared between all who ask. They are reset only where asked
    for: data of cycles without a position goes to no accumulator."""

    def __init__(self, m: Module, source: Value, name: str, reset: bool = False) -> None:
        self._m, self._taps, self._name, self._reset = m, [source], name, reset

    def after(self, cycles: int) -> Value:
        while len(self._taps) <= cycles:
            register = Signal.like(self._taps[-1], name=f"{self._name}_d{len(self._taps)}", reset_less=not self._reset)
            self._m.d.sync += register.eq(self._taps[-1])
            self._taps.append(register)
        return self._taps[cycles]


class SystolicArray(wiring.Component):
    """``rows`` × ``columns`` processing elements.

    Partial sums move down one row a cycle. Activations are shared by ``column_group`` columns and registered from group
    to group: 1 makes the array systolic in both directions, ``columns`` makes it a broadcast.

    Parameters
    ----------
    config : NpuConfig

    Members
    -------
    lanes : In(rows × signed 8)
        Activation of each row (CONV); 0 in rows that take no part and in those of groups that take ``columns``.
    columns : In(groups × columns × signed 8)
        Activations of each column, for each kernel row (DEPTHWISE, POOL); group g feeds array rows
        taps·g .. taps·g + taps-1. 0 for groups that take no part.
    seconds : In(groups × columns × signed 8), pairs : In(1)
        PAIRS: the second pixels of a position. Of the three rows of a group the first sees ``columns``, the second
        ``seconds``, the third the next position's ``columns``. ``seconds`` are 0 for groups that take no part, and all
        where ``pairs`` is 0.
    by_column : In(groups)
        Bit g: the rows of group g take ``columns`` instead of ``lanes``. Of a group's rows all but the first see the
        columns of later positions: this bit, which is the position's own, keeps those of the next run away from groups
        that take no part, whose weights are what an earlier run left.
    swap : In(1)
        From this position on the loaded weights are used.
    weight_row : In(columns × signed 8), weight_select : In(rows)
        A weight row and, one bit each, the rows that take it. A row loaded in cycle t serves positions given in
        cycle t+1 and later; rows may be loaded from the cycle of a swap on, row r at least r cycles after it.
    sums : Out(columns × signed psum_width)
        Sum of a position, :attr:`latency` cycles after it was given, all columns together.

    Timing
    ------
    One position a cycle, never stalls. Latency rows + 2 + (column groups - 1).

    Elaboration
    -----------
    Where the platform's technology has fewer multipliers than are wanted, neighbouring columns share them in as many
    rows as it takes, if they are wide enough for that, and elements of the last rows for which that does not suffice
    multiply in logic. Nothing else depends on it.
    """

    lanes: data.View
    columns: data.View
    seconds: data.View
    pairs: Signal
    by_column: Signal
    swap: Signal
    weight_row: data.View
    weight_select: Signal
    sums: data.View

    def __init__(self, config: NpuConfig) -> None:
        self._config = config
        columns, rows = config.columns, config.rows
        super().__init__(
            {
                "lanes": In(data.ArrayLayout(signed(8), rows)),
                "columns": In(data.ArrayLayout(data.ArrayLayout(signed(8), columns), config.groups)),
                "seconds": In(data.ArrayLayout(data.ArrayLayout(signed(8), columns), config.groups)),
                "pairs": In(1),
                "by_column": In(config.groups),
                "swap": In(1),
                "weight_row": In(data.ArrayLayout(signed(8), columns)),
                "weight_select": In(rows),
                "sums": Out(data.ArrayLayout(signed(psum_width(config)), columns)),
            }
        )

    @staticmethod
    def latency(config: NpuConfig) -> int:
        """Cycles from a position to its sums."""
        return config.rows + 2 + SystolicArray._stages(config) - 1

    @staticmethod
    def _stages(config: NpuConfig) -> int:
        return -(-config.columns // config.column_group)

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        config, stages = self._config, self._stages(self._config)
        allotment = Allotment(config, platform)
        coming = _Coming(
            swap=_Delays(m, self.swap, "swap"),
            select=_Delays(m, self.weight_select, "weight_select", reset=True),
            lanes=[_Delays(m, self.lanes[row], f"lane{row}") for row in range(config.rows)],
            single=[
                _Delays(m, self.by_column[group] & ~self.pairs, f"single{group}") for group in range(config.groups)
            ],
            paired=[_Delays(m, self.by_column[group] & self.pairs, f"paired{group}") for group in range(config.groups)],
            correction=None,
        )
        if allotment.paired:
            lanes = [self.lanes[row] for row in allotment.paired]
            coming.correction = _Delays(m, correction(m, lanes, psum_width(config)), "correction")
        for stage in range(stages):
            first = stage * config.column_group
            last = min(first + config.column_group, config.columns)
            for column, total in enumerate(self._stage(m, platform, coming, allotment, stage, first, last), first):
                aligned = _Delays(m, total, f"sum{column}").after(stages - 1 - stage)
                m.d.comb += self.sums[column].eq(aligned)
        return m

    def _stage(
        self, m: Module, platform: Any, coming: _Coming, allotment: Allotment, stage: int, first: int, last: int
    ) -> list[Value]:
        """The elements of a group of columns, ``first`` to ``last - 1``; returns the sums of the last row."""
        config, width = self._config, psum_width(self._config)
        weights = _slice_delays(m, self.weight_row, first, last, stage, f"weight_stage{stage}")
        # By group, what its rows see; then what the second and third see in PAIRS mode.
        vectors, second, third = [], [], []
        for group in range(config.groups):
            cycles, name = stage + group * config.taps, f"stage{stage}"
            vectors.append(_slice_delays(m, self.columns[group], first, last, cycles, f"column{group}_{name}"))
            second.append(_slice_delays(m, self.seconds[group], first, last, cycles + 1, f"second{group}_{name}"))
            later = Signal(8 * (last - first), name=f"third{group}_{name}", reset_less=True)
            with m.If(coming.paired[group].after(cycles + 1)):
                m.d.sync += later.eq(Cat(*vectors[group]))
            with m.Else():
                m.d.sync += later.eq(0)
            third.append(_bytes(later, last - first))
        above: list[Value] = [Signal(signed(width), name=f"zero{column}") for column in range(first, last)]
        # Even columns, when neighbours share multipliers somewhere below.
        evens = range(0, last - first - 1, 2) if allotment.paired else range(0)
        sums: dict[int, PairSums] = {}
        biased = {}
        for even in evens:
            assert coming.correction is not None
            above[even] = coming.correction.after(stage)
            biased[even] = Signal(8, name=f"biased_weight{first + even}")
            m.d.comb += biased[even].eq(bias(weights[even]))
        for row in range(config.rows):
            group, tap = divmod(row, config.taps)
            lane, select = coming.lanes[row].after(row + stage), coming.select.after(stage)[row]
            shared = evens if row in allotment.paired else range(0)
            for even in shared:
                if row == allotment.paired.start:
                    sums[even] = PairSums(m, f"sums{first + even}", len(allotment.paired), above[even], above[even + 1])
                pair = place(
                    m, platform, f"pair_{row}_{first + even}", ProcessingPair, width, len(allotment.paired),
                    module="tensaw_processing_pair",
                )  # fmt: skip
                m.d.comb += [
                    pair.x.eq(lane),
                    pair.swap.eq(coming.swap.after(row + stage - 1)),
                    pair.weights[0].eq(biased[even]),
                    pair.weights[1].eq(weights[even + 1]),
                    pair.load.eq(select),
                ]
                sums[even].enter(pair)
                if row + 1 == allotment.paired.stop:
                    above[even], above[even + 1] = sums[even].leave()
            for offset in range(2 * len(shared), last - first):
                column = first + offset
                hard = allotment.has_multiplier(row, column)
                # Where a multiplier holds the weight it wants the swap a cycle early, which rows but the first can
                # have: their next weight has been there for a cycle at least.
                ahead = hard and row > 0 and has_registers(platform)
                module = "tensaw_processing_element" + "_logic" * (not hard) + "_ahead" * ahead
                pe = place(m, platform, f"pe_{row}_{column}", ProcessingElement, width, not hard, ahead, module=module)
                x = lane
                # What takes no part is 0; only later positions' columns have to be kept away.
                if group < config.groups:
                    vector = vectors[group][offset]
                    x |= Mux(coming.single[group].after(row + stage), vector, 0) if tap else vector
                    if tap and config.taps == 3:
                        x |= (second if tap == 1 else third)[group][offset]
                m.d.comb += [
                    pe.x.eq(x),
                    pe.swap.eq(coming.swap.after(row + stage - ahead)),
                    pe.weight.eq(weights[offset]),
                    pe.load.eq(select),
                    pe.psum_in.eq(above[offset]),
                ]
                above[offset] = pe.psum_out
        return above


@dataclass
class _Coming:
    """What comes to the array, by the cycles since: ``lanes`` by row, ``single`` and ``paired`` (which columns a
    group's rows see) by group; ``correction`` of the sums of pairs, where there are any."""

    swap: _Delays
    select: _Delays
    lanes: list[_Delays]
    single: list[_Delays]
    paired: list[_Delays]
    correction: _Delays | None


def _slice_delays(m: Module, source: data.View, first: int, last: int, cycles: int, name: str) -> list[Value]:
    """Elements first..last-1 of an array of bytes, delayed by some cycles as one register."""
    packed = Cat(*(source[index] for index in range(first, last)))
    register: Value = packed
    for cycle in range(cycles):
        following = Signal(8 * (last - first), name=f"{name}_d{cycle + 1}", reset_less=True)
        m.d.sync += following.eq(register)
        register = following
    return _bytes(register, last - first)


def _bytes(packed: Value, count: int) -> list[Value]:
    return [packed[8 * offset : 8 * offset + 8].as_signed() for offset in range(count)]
