"""Softmax: rows of int8 with a lane's multiplier, against the golden operator's steps."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from itertools import chain, islice

import numpy as np
from common.bench import Bench, testcase
from common.commands import Registers, payload_of, registers_of
from common.coverage import Cover
from common.pauses import STYLES, make_pace
from common.scoreboard import Scoreboard
from common.streams import Sink, Source

from tensaw.compiler.ir import Rounding
from tensaw.compiler.ir import Softmax as SoftmaxOp
from tensaw.model.requantise import high_multiply, multiply, wrap32
from tensaw.model.softmax import exponent_sum, exponent_table, reciprocal, scale_outputs
from tensaw.spec.isa import Unit

COVER = Cover("softmax")
cover_width = COVER.point("width", ("1", "2", "some", "more than 255"))
cover_rows = COVER.point("rows", ("1", "more"))
cover_bits = COVER.point("bits of the sum", tuple(range(9)) + ("more than 8",))
cover_entry = COVER.point("table entry", ("0", "largest", "between"))
cover_large = COVER.point("large run", ("tall", "wide"))
cover_stall = COVER.cross("stall", ("enable", "addresses", "data"), STYLES)

PLAIN = SoftmaxOp("", "", (), "", multiplier=1515870810, shift=23, diff_min=-248)


class SoftmaxBench(Bench):
    """Plays operand fetch and lane 0."""

    def prepare(self) -> None:
        self.modulus = 1 << self.config.address_bits
        self.written = Scoreboard("outputs")
        self.fetched = Scoreboard("addresses")
        self.operations = Scoreboard("operations of the lane")
        self.memory = self.rng.integers(-128, 128, 1 << 14).astype(np.int8)
        self.table = exponent_table(PLAIN)

    def begin(self, enable: str = "never", addresses: str = "never", data: str = "never") -> None:
        rng, ports = self.rng, self.ports
        self.queue: deque[int] = deque()
        self.enable = make_pace(rng, enable)
        self.source = Source(self, ports.data, make_pace(rng, data))
        Sink(self, ports.addresses, make_pace(rng, addresses), self.fetch)
        self.start_soon(self.lane())
        for part, style in (("enable", enable), ("addresses", addresses), ("data", data)):
            cover_stall((part, style))

    def fetch(self, address: int) -> None:
        """The element is the lowest byte; the others are whatever follows."""
        self.fetched.check(address)
        lanes = self.config.requant_lanes
        at = (address + np.arange(lanes)) % len(self.memory)
        self.source.send(int.from_bytes(self.memory[at].tobytes(), "little"))

    async def lane(self) -> None:
        ports, latency = self.ports, self.constants["result_latency"] + 1
        pipe: deque[int | None] = deque([None] * latency)
        while True:
            enable = self.enable()
            ports.enable.set(int(enable))
            result = pipe[0]
            if result is None:
                self.randomise(ports.result)
            else:
                ports.result.set(result)
            await self.edge
            if not enable:
                continue
            pipe.popleft()
            direct = ports.direct.get()
            outcome = None
            if direct["valid"]:
                operation = direct["value"], direct["multiplier"], direct["shift"]
                vanished = direct["write"] and not direct["value"]  # whatever the shift is
                self.operations.check(operation[: 2 if vanished else 3])
                outcome = int(multiply(direct["value"], direct["multiplier"], direct["shift"], Rounding.DOUBLE))
                if direct["write"]:
                    beat = ports.beat.get()
                    byte = int(np.clip(outcome - 128, -128, 127))
                    flags = {name: beat[name] for name in ("count", "row_done", "run_done", "last_tile")}
                    self.written.check((beat["address"], byte, flags))
            else:
                assert not direct["write"]
            pipe.append(outcome)

    async def load_table(self, table: np.ndarray) -> None:
        self.table = table
        for address, word in enumerate(table.astype(np.int64).tolist()):
            self.ports.table.set({"exponent": 1, "address": address, "word": word & 0xFFFFFFFF})
            await self.clocks()
        self.ports.table.set({})

    def addresses(self, run: Registers) -> Iterator[int]:
        """Each row three times."""
        for row in range(run["OUT"]["height"]):
            for _ in range(3):
                for column in range(run["OUT"]["width"]):
                    yield (run["OPERAND"]["base"] + row * run["OPERAND"]["pitch"] + column) % self.modulus

    def expect(self, run: Registers, rows: int | None = None) -> None:
        """All that a run does, or the outputs and operations of its first rows."""
        height, width = run["OUT"]["height"], run["OUT"]["width"]
        self.fetched.expect(*islice(self.addresses(run), None if rows is None else 3 * rows * width))
        for row in range(height if rows is None else rows):
            at = run["OPERAND"]["base"] + row * run["OPERAND"]["pitch"] + np.arange(width)
            values = self.memory[at % self.modulus % len(self.memory)].astype(np.int64)
            exponentials = self.table.astype(np.int64)[values.max() - values][None]
            total = exponent_sum(exponentials)
            mantissa, bits = reciprocal(total)
            outputs = scale_outputs(exponentials, mantissa, bits)[0]
            self.operations.expect(*newton(int(total[0]), int(bits[0])))
            cover_bits(int(bits[0]) if bits[0] <= 8 else "more than 8")
            for column, byte in enumerate(outputs.tolist()):
                entry = int(exponentials[0, column])
                operation = entry if bits[0] <= 8 else 0, int(mantissa[0]), -23 - int(bits[0])
                self.operations.expect(operation if operation[0] else operation[:2])
                cover_entry("0" if not entry else "largest" if entry == (1 << 31) - 1 else "between")
                last = column == width - 1
                flags = {"count": 1, "row_done": int(last), "run_done": int(last and row == height - 1), "last_tile": 1}
                address = run["TARGET"]["base"] + row * run["TARGET"]["pitch"] + column
                self.written.expect((address % self.modulus, byte, flags))
        cover_width({1: "1", 2: "2"}.get(width, "some" if width < 256 else "more than 255"))
        cover_rows(("1", "more")[height > 1])

    def registers(self, height: int, width: int) -> Registers:
        """A run of this size, anywhere."""
        return registers_of(Unit.OUTPUT, {
            "TARGET": {"base": self.integers(0, (1 << 24) - 1), "pitch": self.integers(0, (1 << 24) - 1)},
            "OUT": {"height": height, "width": width},
            "OPERAND": {"base": self.integers(0, (1 << 24) - 1), "pitch": self.integers(0, (1 << 24) - 1)},
            "RUN": {"tag": 0, "wait": 0, "signal": 0, "kind": 1, "table": self.integers(0, 1)},
        })  # fmt: skip

    async def start_run(self, run: Registers) -> None:
        ports = self.ports
        assert not ports.busy.get()
        ports.run.set(payload_of(Unit.OUTPUT, run))
        ports.start.set(1)
        await self.clocks()
        ports.start.set(0)
        await self.clocks()
        assert ports.busy.get()

    async def run(self, height: int, width: int) -> None:
        ports = self.ports
        run = self.registers(height, width)
        self.expect(run)
        await self.start_run(run)
        await self.until(lambda: not ports.busy.get(), 60_000, "the end of the run")
        await self.clocks(3)
        for board in (self.written, self.fetched, self.operations):
            board.finish()
        assert self.source.idle, "elements fetched and not used"
        self.randomise(ports.run)


def newton(total: int, bits: int) -> Iterator[tuple[int, int, int]]:
    """Value, multiplier and shift of the products of gemmlowp's division for a sum in Q12.19."""
    half, y = total << (12 - bits) >> 1, 1515870810  # 48/17, Q2.29
    yield half, -1010580540, 0
    y = int(wrap32(y + high_multiply(half, -1010580540)))
    for _ in range(3):
        yield half, y, 0
        error = (1 << 29) - int(high_multiply(half, y))
        yield y, error, 0
        y = int(wrap32(y + (int(high_multiply(y, error)) << 2)))


@testcase(SoftmaxBench)
async def random_rows(bench: SoftmaxBench) -> None:
    """Rows of several lengths, whatever pauses."""
    await bench.load_table(exponent_table(PLAIN))
    for style in STYLES:
        for part in range(3):
            styles = ["never", "never", "never"]
            styles[part] = style
            bench.begin(*styles)
            await bench.run(bench.integers(1, 3), bench.choose(1, 2, bench.integers(3, 12)))
            await bench.restart()  # keeps the tables


@testcase(SoftmaxBench)
async def any_table(bench: SoftmaxBench) -> None:
    """Tables may hold anything, if only the first entry is one."""
    for _ in range(bench.count(3)):
        table = bench.rng.integers(0, 1 << 31, 256)
        table[0] = (1 << 31) - 1
        await bench.load_table(table)
        bench.begin("rarely", "never", "never")
        bench.memory[:] = bench.rng.integers(-128, 128, len(bench.memory))
        for width in (1, bench.integers(2, 5), bench.integers(6, 90)):
            await bench.run(1, width)
        await bench.restart()


@testcase(SoftmaxBench)
async def all_shifts(bench: SoftmaxBench) -> None:
    """Sums from 1 to beyond 256: every shift, and the point where outputs vanish."""
    slow = SoftmaxOp("", "", (), "", multiplier=1 << 30, shift=22, diff_min=-200)
    await bench.load_table(exponent_table(slow))
    bench.begin("never", "never", "never")
    for width in (1, 2, 3, 5, 9, 20, 40, 70, 150, 300, 530):
        bench.memory[:] = bench.integers(-100, 100) + bench.rng.integers(0, 2, len(bench.memory))
        await bench.run(1, width)


@testcase(SoftmaxBench)
async def far_apart(bench: SoftmaxBench) -> None:
    """Values whose exponential is 0, and the largest differences."""
    await bench.load_table(exponent_table(PLAIN))
    bench.begin("rarely", "rarely", "rarely")
    for _ in range(bench.count(4)):
        bench.memory[:] = bench.rng.choice([-128, 127, 0, 120], len(bench.memory))
        await bench.run(2, bench.integers(2, 9))


@testcase(SoftmaxBench)
async def rounds_each_term(bench: SoftmaxBench) -> None:
    """So many terms of half a unit of the sum that rounding them up one by one shows in the output."""
    table = np.full(256, 1 << 11, np.int64)
    table[0] = (1 << 31) - 1
    await bench.load_table(table)
    bench.begin()
    width = 3200
    bench.memory[:] = bench.rng.integers(-128, 100, len(bench.memory))
    bench.memory[::width] = 100  # one in each row, wherever it begins
    await bench.run(1, width)


@testcase(SoftmaxBench)
async def large_runs(bench: SoftmaxBench) -> None:
    """Of runs of any height the first rows, after which it goes on; of rows of any length the first addresses."""
    await bench.load_table(exponent_table(PLAIN))
    for tall, bit in chain(((True, bit) for bit in range(1, 16)), ((False, bit) for bit in range(3, 12))):
        bench.begin()
        size = (1 << bit) + bench.integers(1, 2)
        if tall:
            run = bench.registers(size, bench.integers(1, 2))
            rows = min(size, 2)
            bench.expect(run, rows)
            bench.fetched.expect(*islice(bench.addresses(run), bench.fetched.left, 2000))
            await bench.start_run(run)
            await bench.until(lambda: not bench.written.left, 600, "the first rows")
        else:
            run = bench.registers(1, size)
            bench.fetched.expect(*islice(bench.addresses(run), 2000))
            await bench.start_run(run)
            await bench.clocks(20)
        await bench.clocks(3)
        assert bench.ports.busy.get()
        cover_large("tall" if tall else "wide")
        await bench.restart()


@testcase(SoftmaxBench)
async def reset_in_a_run(bench: SoftmaxBench) -> None:
    """A reset ends a run; the next one is right, with the table that was loaded before."""
    await bench.load_table(exponent_table(PLAIN))
    for delay in (5, 30, 60, 110):
        bench.begin()
        run = bench.registers(2, 9)
        bench.expect(run)
        await bench.start_run(run)
        await bench.clocks(delay)
        await bench.restart()
        assert not bench.ports.busy.get()
        bench.begin()
        await bench.run(1, 5)
        await bench.restart()
