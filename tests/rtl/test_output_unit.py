"""The OUTPUT unit against the instruction-level golden model: random runs, and back-pressure on every port."""

import numpy as np
import pytest
from amaranth.hdl import Module, Signal
from amaranth.sim import Simulator

from tensaw.compiler.ir import Softmax
from tensaw.model.machine_array import Accumulated, Parameters
from tensaw.model.machine_output import Tables, block_order, drain, softmax_rows
from tensaw.model.softmax import exponent_table
from tensaw.rtl.control.command import run_layout
from tensaw.rtl.interfaces import READ_LATENCY, SideKind
from tensaw.rtl.output.limits import broken_output_rules
from tensaw.rtl.output.unit import OutputUnit
from tensaw.spec.config import NpuConfig
from tensaw.spec.isa import Operation, OutputKind, Unit, encode, words_of
from tensaw.spec.limits import refusal
from tensaw.spec.registers import ErrorCode

SIZE = 1 << 14


def config_of(columns, lanes):
    return NpuConfig(
        rows=4, columns=columns, requant_lanes=lanes, weight_bytes=8192, acc_entries=64, scratchpad_bytes=SIZE
    )


def table_rows(config, kind, content):
    width = config.weight_row_bytes
    count = len(content) // width
    return [(kind, i, i == count - 1, content[i * width : (i + 1) * width]) for i in range(count)]


class Job:
    """One OUTPUT run: its registers, and what ARRAY would send for it."""

    def __init__(self, **words):
        self.registers = {
            word.name: {field.name: 0 for field in word.fields} | words.get(word.name, {})
            for word in words_of(Unit.OUTPUT)
        }
        self.vectors, self.side = [], []
        self.accumulated: Accumulated | None = None

    @property
    def words(self):
        names = [name for name in self.registers if name != "RUN"] + ["RUN"]
        return [encode(f"OUTPUT.{name}", **self.registers[name]) for name in names]

    def golden(self, config, memory, tables):
        if self.accumulated is None:
            return softmax_rows(config, memory, tables, self.registers)
        return drain(config, memory, tables, self.registers, self.accumulated)


def quant(rng):
    low, high = sorted(int(value) for value in rng.integers(-128, 128, 2))
    if rng.random() < 0.6:
        low, high = -128, 127
    return {"zero_point": int(rng.integers(-128, 128)), "low": low, "high": high, "rounding": int(rng.integers(3))}


def scale(rng, shift):
    return {"multiplier": int(rng.integers(1 << 30, 1 << 31)), "shift": int(rng.integers(shift - 3, shift + 2))}


def drain_job(config, rng, operation=Operation.NONE, table=False, tag=0, **fixed):
    """A DRAIN run of random shape (or ``fixed``: height, width, tiles, tile, last, block, streamed)."""
    columns, width = config.columns, config.weight_row_bytes
    tiles = fixed.get("tiles", int(rng.integers(1, 4)))
    tile = fixed.get("tile", int(rng.integers(1, columns + 1)))
    last = fixed.get("last", int(rng.integers(1, tile + 1)))
    height, wide = fixed.get("height", int(rng.integers(1, 5))), fixed.get("width", int(rng.integers(1, 6)))
    block = fixed.get("block", (int(rng.integers(1, 5)), int(rng.integers(1, 7))))
    bias, scaled = fixed.get("streamed", (int(rng.integers(2)), int(rng.integers(2))))
    pixel = (tiles - 1) * tile + last + int(rng.integers(0, 4))
    pitch = wide * pixel + int(rng.integers(0, 9))
    broadcast = rng.random() < 0.3
    base = int(rng.integers(SIZE // 2 - height * pitch))
    operand = int(rng.integers(SIZE // 2, SIZE - height * pitch)) if rng.random() < 0.7 else base
    job = Job(
        TARGET={"base": base, "pitch": pitch},
        CHANNELS={"pixel_pitch": pixel, "tile": tile, "last": last, "tiles": tiles},
        OUT={"height": height, "width": wide},
        BLOCK={"height": block[0], "width": block[1]},
        QUANT=quant(rng) | {"bias": bias, "scale": scaled},
        SCALE=scale(rng, -9),
        OPERAND={"base": operand, "pitch": pitch},
        OPERAND_STEP={
            "pixel_pitch": 0 if broadcast and operand != base else pixel,
            "tile_step": 0 if broadcast and operand != base else tile,
            "zero_a": int(rng.integers(-128, 128)),
            "zero_b": int(rng.integers(-128, 128)),
            "operation": int(operation),
            "reverse": int(rng.integers(2)),
        },
        SCALE_A=scale(rng, -1),
        SCALE_B=scale(rng, -1),
        SCALE_OUT=scale(rng, -19 if operation != Operation.MUL else -7),
        QUANT_OUT=quant(rng),
        RUN={"tag": tag, "wait": int(rng.integers(16)), "signal": int(rng.integers(16)), "table": int(table)},
    )
    values = rng.integers(-60000, 60000, (tiles, height, wide, columns)).astype(np.int32)
    values[rng.random(values.shape) < 0.02] = np.int32(-(1 << 31))
    parameters = []
    for number in range(tiles):
        biases, multipliers = rng.integers(-9000, 9000, width), rng.integers(1 << 30, 1 << 31, width)
        multipliers[rng.random(width) < 0.1] = 0
        shifts = rng.integers(-12, -6, width)
        rows = []
        if bias:
            rows += [(SideKind.BIAS, i, row) for i, row in enumerate(np.split(biases.astype("<i4"), 4))]
        if scaled:
            rows += [(SideKind.MULTIPLIER, i, row) for i, row in enumerate(np.split(multipliers.astype("<i4"), 4))]
            rows += [(SideKind.SHIFT, 0, shifts.astype(np.int8))]
        job.side += [(kind, i, number == len(rows) - 1, row.tobytes()) for number, (kind, i, row) in enumerate(rows)]
        parameters.append(
            Parameters(
                bias=biases[:columns] if bias else None,
                multiplier=multipliers[:columns] if scaled else None,
                shift=shifts[:columns] if scaled else None,
            )
        )
        order = block_order(height, wide, block)
        job.vectors += list(values[number].reshape(-1, columns)[order])
    job.accumulated = Accumulated(values, block, parameters, bool(bias), bool(scaled))
    return job


def softmax_job(config, rng, height, width, tag=0):
    pitch = width + int(rng.integers(0, 5))
    return Job(
        TARGET={"base": int(rng.integers(SIZE // 2 - height * pitch)), "pitch": pitch},
        OUT={"height": height, "width": width},
        OPERAND={"base": int(rng.integers(SIZE // 2, SIZE - height * pitch)), "pitch": pitch},
        OPERAND_STEP={"operation": int(rng.integers(4))},
        RUN={"tag": tag, "kind": int(OutputKind.SOFTMAX), "signal": int(rng.integers(16))},
    )


class Bench:
    """Runs jobs on an OutputUnit and on the golden model; every port stalls with probability ``stall``."""

    def __init__(self, config, jobs, rng, tables=None, stall=0.0):
        self.config, self.jobs, self.rng, self.stall = config, jobs, rng, stall
        self.memory = rng.integers(0, 256, SIZE).astype(np.uint8)
        self.unit = OutputUnit(config)
        self.tables = tables or Tables()
        self.write_cycles, self.finish_cycles, self.gave = [], [], []
        self.failure = None

        golden = self.memory.copy()
        self.expected = []
        for job in jobs:
            footprint = job.golden(config, golden, self.tables)
            addresses = np.concatenate([part.ravel() for part in footprint.scratchpad_writes])
            rows = np.concatenate([part.ravel() for part in footprint.write_rows])
            self.expected.append((addresses, rows, golden[addresses]))
        self.golden = golden

    def simulate(self, cycles):
        async def testbench(ctx):
            await self.bench(ctx, cycles)

        simulator = Simulator(self.unit)
        simulator.add_clock(1e-6)
        simulator.add_testbench(testbench)
        simulator.run()

    def run(self, cycles):
        self.simulate(cycles)
        np.testing.assert_array_equal(self.memory, self.golden)
        assert self.gave == [job.registers["RUN"]["signal"] for job in self.jobs]
        return self

    def go(self):
        return self.stall == 0 or self.rng.random() >= self.stall

    async def bench(self, ctx, cycles):
        unit, rng, word_bytes = self.unit, self.rng, self.config.word_bytes
        words = [word for job in self.jobs for word in job.words]
        side = []
        for kind, table in ((SideKind.LOOKUP, self.tables.lookup), (SideKind.EXPONENT, self.tables.exponent)):
            if table is not None:
                side += table_rows(self.config, kind, table.astype(table.dtype.newbyteorder("<")).tobytes())
        early = len(side)
        side += [row for job in self.jobs for row in job.side]
        vectors = [vector for job in self.jobs for vector in job.vectors]
        streams = [
            (unit.words, words, int),
            (unit.side, side, lambda row: {
                "kind": row[0], "index": row[1], "last": row[2], "row": int.from_bytes(row[3], "little")
            }),
            (unit.vectors, vectors, lambda vector: [int(value) for value in vector]),
        ]  # fmt: skip
        left = [list(reversed(items)) for _, items, _ in streams]
        offered = [False] * 3
        answers, pending = {}, []
        for cycle in range(cycles):
            for item in [item for item in pending if item[0] <= cycle]:
                self.memory[item[1]] = item[2]
                pending.remove(item)
            self.check_progress(ctx, cycle)
            if len(self.finish_cycles) == len(self.jobs) and not ctx.get(unit.busy) or self.failure:
                break
            tables_loaded = len(left[1]) <= len(side) - early
            for number, (port, _, shape) in enumerate(streams):
                # Words wait for the tables, as tokens would make them.
                if not offered[number] and left[number] and self.go() and (number or tables_loaded):
                    offered[number] = True
                    ctx.set(port.payload, shape(left[number][-1]))
                ctx.set(port.valid, offered[number])
            ctx.set(unit.read.ready, self.go())
            ctx.set(unit.write.ready, self.go())
            ctx.set(unit.tokens.take_ready, self.go())
            ctx.set(unit.read.data, answers.pop(cycle, int(rng.integers(1 << 32))))
            if ctx.get(unit.error.valid):
                self.failure = ctx.get(unit.error.code), ctx.get(unit.error.tag)
            for number, (port, _, _) in enumerate(streams):
                if offered[number] and ctx.get(port.ready):
                    offered[number] = False
                    left[number].pop()
            if ctx.get(unit.read.valid) and ctx.get(unit.read.ready):
                address = (ctx.get(unit.read.address) + np.arange(word_bytes)) % SIZE
                answers[cycle + READ_LATENCY] = int.from_bytes(self.memory[address].tobytes(), "little")
            if ctx.get(unit.write.valid) and ctx.get(unit.write.ready):
                count = ctx.get(unit.write.mask).bit_count()
                block = np.frombuffer(ctx.get(unit.write.data).to_bytes(word_bytes, "little"), np.uint8)[:count]
                pending.append((cycle + 1, (ctx.get(unit.write.address) + np.arange(count)) % SIZE, block))
                self.write_cycles.append(cycle)
            if ctx.get(unit.tokens.give):
                self.gave.append(ctx.get(unit.tokens.give_mask))
            await ctx.tick()
        else:
            raise AssertionError(f"{len(self.finish_cycles)} of {len(self.jobs)} runs finished")
        if not self.failure:
            assert not any(left), "something was not consumed"

    def check_progress(self, ctx, cycle):
        """What ``progress`` says is written can be read in this cycle."""
        completed = ctx.get(self.unit.progress.completed)
        for number in range(len(self.finish_cycles), completed):
            addresses, _, values = self.expected[number]
            np.testing.assert_array_equal(self.memory[addresses], values, err_msg=f"run {number}")
            self.finish_cycles.append(cycle)
        rows = ctx.get(self.unit.progress.rows)
        if rows:
            assert ctx.get(self.unit.progress.last_tile)
            addresses, of_row, values = self.expected[completed]
            assert rows <= of_row.max() + 1
            done = of_row < rows
            np.testing.assert_array_equal(self.memory[addresses[done]], values[done], err_msg=f"row {rows}")


@pytest.mark.parametrize(
    ("columns", "lanes", "stall"), [(4, 4, 0.0), (5, 2, 0.4), (7, 7, 0.4), (12, 5, 0.0), (12, 12, 0.2), (5, 1, 0.4)]
)
def test_random_runs(columns, lanes, stall):
    rng = np.random.default_rng([columns, lanes, int(stall * 10)])
    config = config_of(columns, lanes)
    tables = Tables(lookup=rng.integers(-128, 128, 256).astype(np.int8))
    operations = [Operation.NONE] * 3 + [Operation.ADD, Operation.SUB, Operation.NONE, Operation.MUL, Operation.SUB]
    jobs = [
        drain_job(config, rng, operation, table=rng.random() < 0.3, tag=number)
        for number, operation in enumerate(rng.permutation(operations))
    ]
    Bench(config, jobs, rng, tables, stall).run(20000)


def test_one_beat_a_cycle_over_vectors_blocks_and_tiles():
    config, rng = config_of(8, 8), np.random.default_rng(1)
    jobs = [
        drain_job(config, rng, height=4, width=5, tiles=3, tile=8, last=8, block=(2, 3), streamed=(1, 1))
        for _ in range(2)
    ]
    bench = Bench(config, jobs, rng).run(2000)
    gaps = np.diff(bench.write_cycles)
    positions = 4 * 5 * 3
    assert len(gaps) == 2 * positions - 1
    assert (np.delete(gaps, positions - 1) == 1).all()
    # The words of the second run are read while the first one works.
    assert gaps[positions - 1] <= 5


def test_a_second_operand_takes_four_cycles_a_beat():
    config, rng = config_of(8, 8), np.random.default_rng(2)
    job = drain_job(config, rng, Operation.ADD, height=4, width=5, tiles=1, tile=8, last=8, streamed=(0, 0))
    bench = Bench(config, [job], rng).run(2000)
    assert (np.diff(bench.write_cycles) == 4).all()


def test_softmax_between_drains():
    config, rng = config_of(5, 2), np.random.default_rng(3)
    op = Softmax("", "", (), "", multiplier=1515870810, shift=23, diff_min=-248)
    tables = Tables(exponent=exponent_table(op), parts={0, 1, 2, 3})
    jobs = [drain_job(config, rng, tag=1)]
    jobs += [softmax_job(config, rng, height, width) for height, width in ((3, 2), (2, 10), (1, 1), (1, 61))]
    jobs += [drain_job(config, rng, Operation.MUL), softmax_job(config, rng, 1, 12), drain_job(config, rng)]
    Bench(config, jobs, rng, tables, stall=0.2).run(9000)


@pytest.mark.parametrize(
    ("width", "spread", "multiplier", "shift"),
    [(12, 256, 1 << 30, 21), (300, 4, 1 << 30, 20), (600, 1, 1 << 30, 22)],
)
def test_long_softmax(width, spread, multiplier, shift):
    """Sums from 1 to 1000: all shifts, the point where outputs vanish (bits above 8) included."""
    config, rng = config_of(4, 1), np.random.default_rng(width)
    op = Softmax("", "", (), "", multiplier=multiplier, shift=shift, diff_min=-200)
    job = softmax_job(config, rng, 1, width)
    bench = Bench(config, [job], rng, Tables(exponent=exponent_table(op), parts={0, 1, 2, 3}))
    start = job.registers["OPERAND"]["base"]
    bench.memory[start : start + width] = rng.integers(0, spread, width)
    bench.golden = bench.memory.copy()
    footprint = job.golden(config, bench.golden, bench.tables)
    addresses = footprint.scratchpad_writes[0].ravel()
    bench.expected = [(addresses, np.zeros(width, int), bench.golden[addresses])]
    bench.run(6 * width + 120 + 400)
    assert bench.finish_cycles[0] - 256 < 3 * width + 130


@pytest.mark.parametrize("streamed", [(0, 0), (1, 1)])
def test_an_illegal_value_stops_the_unit(streamed):
    config, rng = config_of(5, 5), np.random.default_rng(3)
    job = drain_job(config, rng, tile=4, tag=77, streamed=streamed)
    bench = Bench(config, [job], rng)
    job.registers["CHANNELS"]["last"] = 5
    bench.simulate(200)
    assert bench.failure == (ErrorCode.ILLEGAL_VALUE, 77) and not bench.write_cycles


def test_refuses_what_the_specification_refuses():
    config, rng = config_of(5, 5), np.random.default_rng(3)
    layout = run_layout(Unit.OUTPUT)
    m = Module()
    run, illegal = Signal(layout), Signal()
    m.d.comb += illegal.eq(broken_output_rules(config, run).any())
    changes = [
        ("OUT", "height", 0), ("OUT", "width", 0), ("CHANNELS", "tiles", 0), ("CHANNELS", "tile", 0),
        ("CHANNELS", "tile", 6), ("CHANNELS", "last", 0), ("CHANNELS", "last", 5), ("BLOCK", "height", 0),
        ("BLOCK", "width", 0), ("QUANT", "rounding", 3), ("QUANT_OUT", "rounding", 3), ("OUT", "width", 4096),
        ("OUT", "width", 4095), ("TARGET", "base", 0), ("OPERAND_STEP", "operation", 0),
    ]  # fmt: skip
    verdicts = set()

    async def testbench(ctx):
        for operation in Operation:
            for softmax in (0, 1):
                for word, field, value in changes:
                    job = drain_job(config, rng, operation, tile=4, last=4, block=(1, 2))
                    job.registers["RUN"]["kind"] = softmax
                    job.registers[word][field] = value
                    expected = refusal(config, Unit.OUTPUT, job.registers) is not None
                    fields = {word.lower(): values for word, values in job.registers.items()}
                    ctx.set(run, {"action": 0, **fields})
                    assert bool(ctx.get(illegal)) == expected, (operation, softmax, word, field)
                    verdicts.add((word, field, expected))

    simulator = Simulator(m)
    simulator.add_testbench(testbench)
    simulator.run()
    assert {change[:2] for change in verdicts if change[2]} >= {change[:2] for change in changes[:12]}
