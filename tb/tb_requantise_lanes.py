"""The lanes of the output stage: requantisation, second operands, tables, and softmax's use of lane 0."""

from __future__ import annotations

from collections import deque

import numpy as np
from cocotb.triggers import Timer
from common.bench import Bench, testcase
from common.commands import Registers, payload_of, registers_of
from common.coverage import Cover
from common.output_golden import beat_bytes, random_quant, random_scale
from common.pauses import STYLES, Pace, make_pace

from tensaw.compiler.ir import Rounding
from tensaw.model.requantise import multiply, wrap32
from tensaw.spec.isa import Operation, OutputKind, Unit

COVER = Cover("requantise_lanes")
cover_run = COVER.cross("run", tuple(kind.name for kind in Operation), ("no table", "table"), (
    "one scale", "bias", "scale", "bias and scale"
))  # fmt: skip
cover_reverse = COVER.point("SUB", ("first minus second", "second minus first"))
cover_rounding = COVER.cross("roundings of a second operand", (0, 1, 2), (0, 1, 2))
cover_stall = COVER.cross("stall", ("enable", "issue"), STYLES)
cover_next = COVER.point("next run", ("right behind", "drained"))
cover_direct = COVER.point("direct", ("result only", "write"))


class LanesBench(Bench):
    """Issues beats of runs and compares the bytes that ``finishing`` announces."""

    def prepare(self) -> None:
        self.lanes = self.config.requant_lanes
        self.expected: deque[np.ndarray] = deque()
        self.announced = False
        self.table = self.rng.integers(-128, 128, 256).astype(np.int8)
        self.later: dict[str, np.ndarray] | None = None
        self.settle = Timer(2, "ns")
        self.compared = 0
        self.now = 0
        """Enabled cycles so far."""
        self.results: dict[int, int] = {}
        """What lane 0's operations give, by the cycle."""

    async def load_table(self) -> None:
        """A word a cycle, while nothing uses it."""
        for address, word in enumerate(self.table.view("<u4")):
            self.ports.table.set({"lookup": 1, "address": address, "word": int(word)})
            await self.clocks()
        self.ports.table.set({})

    def run(self, operation: Operation, table: bool, bias: bool, scale: bool) -> Registers:
        usual = -7 if operation == Operation.MUL else -19
        return registers_of(Unit.OUTPUT, {
            "QUANT": random_quant(self) | {"bias": int(bias), "scale": int(scale)},
            "SCALE": random_scale(self, self.choose(-9, self.integers(-28, 29))),
            "OPERAND_STEP": {
                "zero_a": self.integers(-128, 127), "zero_b": self.integers(-128, 127), "operation": int(operation),
                "reverse": self.integers(0, 1), "pixel_pitch": 0, "tile_step": 0,
            },
            "SCALE_A": random_scale(self, self.choose(-1, self.integers(-28, 1))),
            "SCALE_B": random_scale(self, self.choose(-1, self.integers(-28, 1))),
            "SCALE_OUT": random_scale(self, self.choose(usual, self.integers(-28, -1))),
            "QUANT_OUT": random_quant(self),
            "RUN": {"tag": 0, "wait": 0, "signal": 0, "kind": 0, "table": int(table)},
        })  # fmt: skip

    def parameters(self) -> dict[str, np.ndarray]:
        rng, lanes = self.rng, self.lanes
        multipliers = rng.integers(1 << 30, 1 << 31, lanes)
        multipliers[rng.random(lanes) < 0.1] = 0
        return {
            "bias": rng.integers(-(1 << 31), 1 << 31, lanes) >> rng.integers(0, 31, lanes),
            "multiplier": multipliers,
            "shift": np.where(rng.random(lanes) < 0.5, rng.integers(-31, 31, lanes), rng.integers(-12, -6, lanes)),
        }

    def inputs(self, run: Registers) -> np.ndarray:
        """Accumulators; most of them such that the byte is one of those in the middle."""
        rng, given = self.rng, self.later
        assert given is not None
        bias = given["bias"] if run["QUANT"]["bias"] else 0
        scale = given if run["QUANT"]["scale"] else run["SCALE"]
        one = 2.0 ** (31 - scale["shift"]) / np.maximum(scale["multiplier"], 1 << 30)
        sums = np.clip(np.rint(one * rng.normal(0, 100, self.lanes)), -(1 << 31), (1 << 31) - 1).astype(np.int64)
        sums = np.where(rng.random(self.lanes) < 0.2, rng.integers(-(1 << 31), 1 << 31, self.lanes), sums)
        return wrap32(sums - bias)

    def foresee(self, run: Registers, accumulator: int, operand: int) -> None:
        """The results of lane 0's operations of a beat that is issued now."""
        assert self.later is not None
        given = {name: int(values[0]) for name, values in self.later.items()}
        quant, step, out = run["QUANT"], run["OPERAND_STEP"], run["QUANT_OUT"]
        operation = Operation(step["operation"])

        def scaled(value: int, scale: dict[str, int], rounding: int) -> int:
            return int(multiply(value, scale["multiplier"], scale["shift"], Rounding(rounding)))

        begin = self.now + 1 + self.constants["result_latency"]
        total = int(wrap32(accumulator + (given["bias"] if quant["bias"] else 0)))
        result = scaled(total, given if quant["scale"] else run["SCALE"], quant["rounding"])
        self.results[begin] = result
        if operation == Operation.NONE:
            return
        first = int(np.clip(result + quant["zero_point"], quant["low"], quant["high"])) - step["zero_a"]
        second = operand - step["zero_b"]
        if operation == Operation.MUL:
            total = self.results[begin + 10] = first * second
        else:
            a = self.results[begin + 10] = scaled(first << 20, run["SCALE_A"], Rounding.DOUBLE)
            b = self.results[begin + 7] = scaled(second << 20, run["SCALE_B"], Rounding.DOUBLE)
            total = a + b if operation == Operation.ADD else b - a if step["reverse"] else a - b
            if operation == Operation.SUB:  # what is subtracted is made negative already, but for 1
                subtracted = begin + (10 if step["reverse"] else 7)
                self.results[subtracted] = -1 - self.results[subtracted]
        self.results[begin + 17] = scaled(int(wrap32(total)), run["SCALE_OUT"], out["rounding"])

    async def cycle_of(self, enable: bool, issue: bool, run: Registers) -> bool:
        """One cycle; whether a beat was issued. ``issue`` waits for the slot of a run with a second operand."""
        ports, rng = self.ports, self.rng
        combine = run["OPERAND_STEP"]["operation"] != Operation.NONE
        ports.enable.set(int(enable))
        # Parameters come one enabled cycle after their beat.
        if self.later is not None and enable:
            for name, values in self.later.items():
                getattr(ports, name).set(list(values))
            self.later = None
        else:
            self.randomise(ports.bias, ports.multiplier, ports.shift)
        operand = rng.integers(-128, 128, self.lanes).astype(np.int8)
        self.randomise(ports.accumulators)
        ports.operand.set_bits(int.from_bytes(operand.tobytes(), "little"))
        if issue and combine:
            await self.settle
            issue = bool(ports.slot.get())
        issue = issue and enable
        ports.issue.set(int(issue))
        if issue:
            self.later = self.parameters()
            accumulators = self.inputs(run)
            ports.accumulators.set(list(accumulators))
            self.expected.append(beat_bytes(run, accumulators, self.later, operand, self.table))
            self.foresee(run, int(accumulators[0]), int(operand[0]))
        await self.clocks()
        if enable:
            wanted = self.results.pop(self.now, None)
            self.now += 1
            assert wanted is None or ports.result.get() == wanted, f"{ports.result.get()} instead of {wanted}"
            if self.announced:
                found = np.frombuffer(ports.bytes.bits().to_bytes(self.lanes, "little"), np.int8)
                assert self.expected, "bytes of no beat"
                wanted = self.expected.popleft()
                assert np.array_equal(found, wanted), f"beat {self.compared}: {found} instead of {wanted}"
                self.compared += 1
            self.announced = bool(ports.finishing.get())
        return issue

    async def beats(self, run: Registers, count: int, enable: Pace, issue: Pace) -> None:
        """A run of so many beats; its registers are someone else's as soon as they may be."""
        ports = self.ports
        ports.run.set(payload_of(Unit.OUTPUT, run))
        combine = run["OPERAND_STEP"]["operation"] != Operation.NONE
        await self.cycle_of(enable(), False, run)  # they are there a cycle before the first beat
        given = 0
        while given < count:
            given += await self.cycle_of(enable(), issue(), run)
        if not combine:
            while self.later is not None:
                await self.cycle_of(enable(), False, run)
            cover_next("right behind")
            return
        for _ in range(2000):
            await self.cycle_of(enable(), False, run)
            if ports.drained.get() and self.later is None:
                break
        assert ports.drained.get()
        cover_next("drained")

    async def flush(self, run: Registers) -> None:
        for _ in range(60):
            await self.cycle_of(True, False, run)
        assert not self.expected, f"{len(self.expected)} beats never finished"


@testcase(LanesBench)
async def every_kind_of_run(bench: LanesBench) -> None:
    """Operations, tables, parameters in all combinations; a run follows the last one as early as is allowed."""
    await bench.load_table()
    run = bench.run(Operation.NONE, False, False, False)
    names = ("one scale", "bias", "scale", "bias and scale")
    for operation in Operation:
        for table in (False, True):
            for kind in range(4):
                style = bench.choose(*STYLES)
                cover_stall(("enable", style))
                run = bench.run(operation, table, bool(kind & 1), bool(kind & 2))
                cover_run((operation.name, ("no table", "table")[table], names[kind]))
                if operation == Operation.SUB:
                    reverse = run["OPERAND_STEP"]["reverse"]
                    cover_reverse(("first minus second", "second minus first")[reverse])
                if operation != Operation.NONE:
                    cover_rounding((run["QUANT"]["rounding"], run["QUANT_OUT"]["rounding"]))
                await bench.beats(run, bench.count(9), make_pace(bench.rng, style), bench.pace("never", "rarely"))
    await bench.flush(run)


@testcase(LanesBench)
async def second_operands(bench: LanesBench) -> None:
    """All pairs of roundings, both orders of SUB, beats in every slot and with slots left out."""
    await bench.load_table()
    run = bench.run(Operation.ADD, False, False, False)
    for style in STYLES:
        for part in ("enable", "issue"):
            cover_stall((part, style))
            for operation in (Operation.ADD, Operation.SUB, Operation.SUB, Operation.MUL):
                run = bench.run(operation, bench.chance(0.3), True, True)
                cover_rounding((run["QUANT"]["rounding"], run["QUANT_OUT"]["rounding"]))
                pace = make_pace(bench.rng, style)
                free = make_pace(bench.rng, "never")
                await bench.beats(run, bench.count(6), *((pace, free) if part == "enable" else (free, pace)))
    await bench.flush(run)


@testcase(LanesBench)
async def one_beat_a_cycle(bench: LanesBench) -> None:
    """A beat in every cycle without a second operand, one in four with one."""
    for operation, period in ((Operation.NONE, 1), (Operation.ADD, 4)):
        run = bench.run(operation, False, True, True)
        bench.ports.run.set(payload_of(Unit.OUTPUT, run))
        await bench.cycle_of(True, False, run)
        given = 0
        for _ in range(80):
            given += await bench.cycle_of(True, True, run)
        assert given >= 80 // period - 1
        await bench.flush(run)


@testcase(LanesBench)
async def direct_use(bench: LanesBench) -> None:
    """softmax's operations: the result after its latency, and, if it is to be written, a byte of the output."""
    ports, rng, latency = bench.ports, bench.rng, bench.constants["result_latency"] + 1
    run = bench.run(bench.choose(*Operation), True, True, True)
    run["RUN"]["kind"] = int(OutputKind.SOFTMAX)
    ports.run.set(payload_of(Unit.OUTPUT, run))
    await bench.clocks()
    pending: list[int | None] = [None] * latency
    pace = bench.pace("rarely", "often")
    for number in range(bench.count(250)):
        enable = pace()
        valid = bench.chance(0.6) and number < bench.count(250) - 60
        ports.enable.set(int(enable))
        value, factor = int(rng.integers(-(1 << 31) + 1, 1 << 31)), int(rng.integers(-(1 << 31) + 1, 1 << 31))
        shift, write = bench.choose((0, 0), (bench.integers(-31, -23), 1))
        ports.direct.set({"valid": valid, "write": write & valid, "value": value, "multiplier": factor, "shift": shift})
        await bench.clocks()
        if not enable:
            continue
        pending.append(int(multiply(value, factor, shift, Rounding.DOUBLE)) if valid else None)
        wanted = pending.pop(0)
        assert wanted is None or ports.result.get() == wanted, f"{ports.result.get()} instead of {wanted}"
        if bench.announced:
            found = np.frombuffer(ports.bytes.bits().to_bytes(bench.lanes, "little"), np.int8)[0]
            assert found == bench.expected.popleft()[0]
        bench.announced = bool(ports.finishing.get())
        if valid and write:
            byte = np.clip(int(multiply(value, factor, shift, Rounding.DOUBLE)) - 128, -128, 127)
            bench.expected.append(np.array([byte]))
        cover_direct(("result only", "write")[write] if valid else None)
    assert not bench.expected


@testcase(LanesBench)
async def reset_in_the_middle(bench: LanesBench) -> None:
    """Beats that are under way at a reset do not finish."""
    for operation in (Operation.NONE, Operation.ADD, Operation.NONE, Operation.MUL):
        run = bench.run(operation, False, True, True)
        bench.ports.run.set(payload_of(Unit.OUTPUT, run))
        await bench.cycle_of(True, False, run)
        for _ in range(bench.integers(5, 40)):
            await bench.cycle_of(True, True, run)
        await bench.restart()
        bench.ports.run.set(payload_of(Unit.OUTPUT, run))
        await bench.flush(run)
        await bench.beats(run, 5, bench.pace("never"), bench.pace("never"))
        await bench.flush(run)
