"""The OUTPUT unit from command words to bytes in the scratchpad, against the instruction-level golden model."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

import numpy as np
from cocotb.triggers import ClockCycles
from common.bench import Bench, testcase
from common.coverage import Cover
from common.output_jobs import EXPONENT, LOOKUP, Job, drain_job, softmax_job, table_rows, walk_beats
from common.pauses import STYLES, make_pace
from common.scratchpad import PadReads, PadWrites
from common.streams import Source
from common.tokens import UnitTokens

from tensaw.compiler.ir import Softmax
from tensaw.model.machine_output import Tables
from tensaw.model.softmax import exponent_table
from tensaw.spec.isa import Operation, OutputKind, Unit, encode
from tensaw.spec.limits import refusal
from tensaw.spec.registers import ErrorCode

IDLE, RUNNING, TOKENS, WEIGHTS, RESULTS = 0, 1, 2, 3, 8

BROKEN = (
    ("OUT", "height", 0), ("OUT", "width", 0), ("CHANNELS", "tiles", 0), ("CHANNELS", "tile", 0),
    ("CHANNELS", "tile", 65), ("CHANNELS", "last", 0), ("CHANNELS", "last", 64), ("BLOCK", "height", 0),
    ("BLOCK", "width", 0), ("QUANT", "rounding", 3), ("QUANT_OUT", "rounding", 3), ("OUT", "width", 4096),
)  # fmt: skip
"""Values that break a rule, at least for some kinds of runs."""

COVER = Cover("output_unit")
cover_after = COVER.cross(
    "run after run", ("NONE", "ADD", "SUB", "MUL", "SOFTMAX"), ("NONE", "second operand", "SOFTMAX")
)
cover_parameters = COVER.cross("parameters", ("none", "bias", "scale", "bias and scale"), ("1 tile", "more tiles"))
cover_stall = COVER.cross("stall", ("words", "side", "vectors", "read", "write"), STYLES)
cover_operand = COVER.point("operand", ("own target", "elsewhere", "broadcast"))
cover_table = COVER.point("table", (0, 1))
cover_refused = COVER.cross("refused", tuple(f"{word}.{field} {value}" for word, field, value in BROKEN),
                            ("DRAIN", "DRAIN with operand", "SOFTMAX"))  # fmt: skip
cover_error = COVER.point("error", ("ILLEGAL_COMMAND", "ILLEGAL_VALUE"))
cover_large = COVER.point("large run", ("finished", "goes on"))
cover_progress = COVER.point("progress", ("rows of the last tile", "runs"))


class OutputBench(Bench):
    """Plays sequencer, tokens, array and scratchpad; every byte of the scratchpad is compared at the end, and whatever
    ``progress`` and tokens promise when they promise it."""

    tables = Tables()

    def prepare(self) -> None:
        self.memory = self.bytes(self.config.scratchpad_bytes)
        self.finished = self.taken = 0
        self.jobs: list[Job] = []
        self.expected: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        self.finish_times: list[int] = []

    def plan(self, jobs: list[Job]) -> None:
        """The golden result of all jobs."""
        self.jobs = jobs
        for job in jobs:
            job.registers["RUN"]["tag"] = self.integers(0, 0xFFFF)
        self.golden = self.memory.copy()
        for job in jobs:
            footprint = job.golden(self, self.golden, self.tables)
            addresses = np.concatenate([part.ravel() for part in footprint.scratchpad_writes])
            rows = np.concatenate([part.ravel() for part in footprint.write_rows])
            self.expected.append((addresses, rows, self.golden[addresses]))

    def begin(self, words: str = "never", side: str = "never", vectors: str = "never", read: str = "never",
              write: str = "never") -> None:  # fmt: skip
        ports, rng = self.ports, self.rng
        self.tokens = UnitTokens(self, ports.tokens, self.pace("never", "often"))
        # In this order, so that a write is seen by reads of the second cycle after it, and by progress likewise.
        PadReads(self, ports.read, self.memory, make_pace(rng, read))
        self.start_soon(self.watch())
        self.writes = PadWrites(self, ports.write, self.memory, make_pace(rng, write), delay=1)
        self.words = Source(self, ports.words, make_pace(rng, words))
        self.side = Source(self, ports.side, make_pace(rng, side))
        self.vectors = Source(self, ports.vectors, make_pace(rng, vectors))
        for part, style in (("words", words), ("side", side), ("vectors", vectors), ("read", read), ("write", write)):
            cover_stall((part, style))

    async def load_tables(self) -> None:
        """Once in a test: a reset keeps them."""
        lookup = self.rng.integers(-128, 128, 256).astype(np.int8)
        exponent = exponent_table(Softmax("", "", (), "", multiplier=1515870810, shift=23, diff_min=-248))
        self.tables = Tables(lookup, exponent, set(range(4)))
        side = Source(self, self.ports.side, self.pace())
        side.send(*table_rows(self, LOOKUP, lookup.tobytes()), *table_rows(self, EXPONENT, exponent.tobytes()))
        await self.until(lambda: side.idle, 9000, "the tables")
        await self.clocks(self.config.weight_row_bytes // 4 + 1)  # the last row's words
        await self.restart()

    def send(self) -> None:
        before = None
        for job in self.jobs:
            run = job.registers["RUN"]
            self.tokens.expect(run["wait"], run["signal"])
            self.words.send(*job.words)
            self.side.send(*job.side)
            self.vectors.send(*job.vectors)
            before = self.sample(job, before)

    def sample(self, job: Job, before: str | None) -> str:
        registers = job.registers
        step, quant = registers["OPERAND_STEP"], registers["QUANT"]
        name = Operation(step["operation"]).name
        if registers["RUN"]["kind"] == OutputKind.SOFTMAX:
            name = kind = "SOFTMAX"
        else:
            kind = "NONE" if name == "NONE" else "second operand"
            names = ("none", "bias", "scale", "bias and scale")
            tiles = ("1 tile", "more tiles")[registers["CHANNELS"]["tiles"] > 1]
            cover_parameters((names[quant["bias"] + 2 * quant["scale"]], tiles))
            cover_table(registers["RUN"]["table"])
            if kind != "NONE":
                own = registers["OPERAND"]["base"] == registers["TARGET"]["base"]
                cover_operand("own target" if own else "elsewhere" if step["pixel_pitch"] else "broadcast")
        if before is not None:
            cover_after((before, kind))
        return name

    async def watch(self) -> None:
        """What is said to be written is there; the tag is that of the latest run, or of the one that waits."""
        ports, progress = self.ports, self.ports.progress
        while True:
            await self.edge
            if self.jobs and ports.busy.get() and not ports.error.valid.get():
                tags = [job.registers["RUN"]["tag"] for job in self.jobs]
                allowed = tags[self.taken - 1 :][:1] if ports.active.get() else tags[max(0, self.taken - 1) :][:2]
                assert ports.tag.get() in allowed, f"tag {ports.tag.get()} instead of {allowed}"
            self.taken += ports.tokens.take.get()
            if self.writes.taken and ports.write.valid.get():
                assert ports.state.get() in (RUNNING, RESULTS, WEIGHTS), "not running, but it writes"
            completed, rows = progress.completed.get(), progress.rows.get()
            while self.finished % 256 != completed:
                addresses, _, values = self.expected[self.finished]
                assert np.array_equal(self.memory[addresses], values), f"run {self.finished} is not wholly written"
                self.finished += 1
                self.finish_times.append(self.cycle - 1)
                cover_progress("runs")
            if rows:
                assert progress.last_tile.get(), "rows of a tile that is not the last"
                addresses, of_row, values = self.expected[self.finished]
                assert rows <= of_row.max() + 1, f"{rows} rows of {of_row.max() + 1}"
                done = of_row < rows
                assert np.array_equal(self.memory[addresses[done]], values[done]), f"row {rows - 1} is not written"
                cover_progress("rows of the last tile")

    async def settled(self, limit: int = 60_000) -> None:
        await self.until(lambda: self.finished == len(self.jobs), limit, "all runs")
        await self.clocks(20)
        ports = self.ports
        assert not ports.busy.get() and not ports.active.get() and not ports.error.valid.get()
        self.tokens.finish()
        for name, source in (("words", self.words), ("side rows", self.side), ("vectors", self.vectors)):
            assert source.idle, f"{name} are left over"
        wrong = np.flatnonzero(self.memory != self.golden)
        assert not len(wrong), f"{len(wrong)} bytes of the scratchpad differ, the first at {wrong[0]}"


def mixture(bench: OutputBench, kinds: Sequence[int] = (0, 0, 1, 2, 3, 4, 4)) -> list[Job]:
    """Runs of these kinds (operations, 4 for SOFTMAX) in random order."""
    jobs = []
    for number, kind in enumerate(bench.rng.permutation(kinds)):
        if kind == 4:
            jobs.append(softmax_job(bench, bench.integers(1, 2), bench.integers(1, 9), number))
        else:
            jobs.append(drain_job(bench, Operation(int(kind)), bench.chance(0.3), number))
    return jobs


@testcase(OutputBench)
async def random_runs(bench: OutputBench) -> None:
    """Runs of all kinds one after another, with each port pausing in each way."""
    await bench.load_tables()
    for style in STYLES:
        for part in ("words", "side", "vectors", "read", "write"):
            bench.plan(mixture(bench, (0, bench.integers(1, 3), bench.integers(0, 4))))
            bench.begin(**{part: style})
            bench.send()
            await bench.settled()
            await bench.restart()


@testcase(OutputBench)
async def everything_stalls(bench: OutputBench) -> None:
    """Many runs with all ports pausing."""
    await bench.load_tables()
    for _ in range(bench.count(1)):
        bench.plan([job for _ in range(4) for job in mixture(bench)])
        bench.begin(*(bench.choose(*STYLES) for _ in range(5)))
        bench.send()
        await bench.settled()
        await bench.restart()


@testcase(OutputBench)
async def speed(bench: OutputBench) -> None:
    """A beat a cycle over vectors, blocks and tiles, one in four with a second operand; runs follow at once."""
    columns = bench.config.columns
    beats = -(-columns // bench.config.requant_lanes)
    fixed = {"height": 4, "width": 5, "tiles": 2, "tile": columns, "last": columns, "block": (2, 3), "streamed": (1, 1)}
    for operation, period in ((Operation.NONE, 1), (Operation.MUL, 4)):
        jobs = [drain_job(bench, operation, **fixed) for _ in range(3)]
        for job in jobs:
            job.registers["OPERAND"] = job.registers["TARGET"].copy()
            job.registers["OPERAND_STEP"] |= {
                "pixel_pitch": job.registers["CHANNELS"]["pixel_pitch"],
                "tile_step": columns,
            }
        bench.plan(jobs)
        bench.begin()
        bench.tokens.pace = lambda: True
        bench.send()
        await bench.settled()
        gaps = np.diff(bench.writes.times)
        inner = np.delete(gaps, [4 * 5 * 2 * beats - 1, 2 * 4 * 5 * 2 * beats - 1])
        assert (inner == period).all(), f"gaps between writes: {np.unique(inner)}"
        if operation == Operation.NONE:
            between = gaps[[4 * 5 * 2 * beats - 1, 2 * 4 * 5 * 2 * beats - 1]]
            assert (between <= 5).all() or bench.config.requant_lanes > 1, f"{between} cycles between runs"
        await bench.restart()


@testcase(OutputBench)
async def large_runs(bench: OutputBench) -> None:
    """The first writes, and reads of the second operand, of runs whose pitches, sizes and counts are anything that is
    legal."""
    ports, columns, number = bench.ports, bench.config.columns, 24
    for _ in range(bench.count(60)):

        def size(bits: int) -> int:
            few = bench.integers(1, 3)
            return bench.choose(1, few, few, min((1 << bench.integers(1, bits - 1)) + few - 1, (1 << bits) - 1))

        operation = bench.choose(*Operation)
        job = drain_job(bench, operation, streamed=(0, 0), tile=bench.integers(1, columns))
        registers = job.registers
        for name in ("TARGET", "OPERAND"):
            registers[name] = {field: bench.integers(0, (1 << 24) - 1) for field in ("base", "pitch")}
        registers["CHANNELS"] |= {"tiles": size(12), "pixel_pitch": bench.integers(0, 0xFFFF)}
        registers["OPERAND_STEP"] |= {"pixel_pitch": bench.integers(0, 0xFFFF), "tile_step": bench.integers(0, 127)}
        for name in ("OUT", "BLOCK"):
            registers[name] = {"height": size(16), "width": size(16)}
        registers["RUN"] |= {"tag": bench.integers(0, 0xFFFF), "wait": 15}
        channels = registers["CHANNELS"]
        common = {
            **{name: channels[name] for name in ("tile", "last", "tiles")}, **registers["OUT"],
            **{f"block_{name}": value for name, value in registers["BLOCK"].items()},
        }  # fmt: skip
        beats = list(islice(walk_beats(bench.config, {
            **common, **registers["TARGET"], "pixel_pitch": channels["pixel_pitch"], "tile_step": channels["tile"],
        }), number + 1))  # fmt: skip
        reads = walk_beats(bench.config, {
            **common, **registers["OPERAND"],
            **{name: registers["OPERAND_STEP"][name] for name in ("pixel_pitch", "tile_step")},
        })  # fmt: skip
        UnitTokens(bench, ports.tokens, make_pace(bench.rng, "never")).expect(15, registers["RUN"]["signal"])
        pad = PadReads(bench, ports.read, bench.memory, make_pace(bench.rng, "never"))
        written: list[tuple[int, int]] = []
        PadWrites(bench, ports.write, bench.memory, lambda written=written: len(written) < number,
                  lambda address, data, written=written: written.append((address, len(data))))  # fmt: skip
        Source(bench, ports.words, make_pace(bench.rng, "never"), job.words)
        Source(bench, ports.vectors, make_pace(bench.rng, "never"), [np.zeros(columns, np.int32)] * (number + 9))
        wanted = [(beat["address"], beat["count"]) for beat in beats[:number]]
        await bench.until(lambda written=written, wanted=wanted: len(written) == len(wanted), 400, "the first writes")
        await bench.clocks(12)
        assert written == wanted, f"{written} instead of {wanted} of {registers}"
        read = [beat["address"] for beat in islice(reads, len(pad.addresses))]
        assert pad.addresses == read and bool(read) == bool(operation), f"{pad.addresses} instead of {read}"
        goes_on = len(beats) > number
        assert ports.active.get() == goes_on == ports.busy.get() and not ports.error.valid.get()
        cover_large(("finished", "goes on")[goes_on])
        await bench.restart()


@testcase(OutputBench)
async def states(bench: OutputBench) -> None:
    """What it waits for, while it waits for nothing else."""
    ports = bench.ports
    for streamed in ((1, 0), (0, 1), (0, 0)):
        job = drain_job(bench, Operation.NONE, streamed=streamed, height=2, width=2)
        bench.plan([job])
        bench.begin()
        bench.tokens.refuse = True
        run = job.registers["RUN"]
        bench.tokens.expect(run["wait"], run["signal"])
        bench.words.send(*job.words)
        seen = [ports.state.get()]
        for part in (None, bench.side, bench.vectors):
            await bench.clocks(90)
            seen.append(ports.state.get())
            if part is None:
                bench.tokens.refuse = False
            else:
                part.send(*(job.side if part is bench.side else job.vectors))
        await bench.settled()
        seen.append(ports.state.get())
        wanted = [IDLE, TOKENS, WEIGHTS if any(streamed) else RESULTS, RESULTS, IDLE]
        assert seen == wanted, f"states {seen} instead of {wanted}"
        await bench.restart()


@testcase(OutputBench)
async def tall_run(bench: OutputBench) -> None:
    """A row a cycle, of a run with as many as the count of rows holds; it is right at the first powers of two."""
    ports = bench.ports
    job = drain_job(bench, streamed=(0, 0), tiles=1, tile=1, last=1, height=1, width=1, block=(1, 1))
    job.registers["OUT"]["height"] = job.registers["BLOCK"]["height"] = 0xFFFF
    job.registers["RUN"]["wait"] = 0
    UnitTokens(bench, ports.tokens, make_pace(bench.rng, "never")).expect(0, job.registers["RUN"]["signal"])
    words = Source(bench, ports.words, make_pace(bench.rng, "never"), job.words)
    ports.vectors.valid.set(1)
    ports.write.ready.set(1)
    await bench.until(lambda: ports.progress.rows.get() == 1, 200, "the first row")
    assert words.idle
    begin = bench.cycle
    for bit in range(1, 13):
        for rows in ((1 << bit) - 1, 1 << bit):
            wait = begin + rows - 1 - bench.cycle
            if wait > 0:
                await ClockCycles(bench.dut.clk, wait)
            assert ports.progress.rows.get() == rows
    assert ports.active.get()


@testcase(OutputBench)
async def many_runs(bench: OutputBench) -> None:
    """The count of runs uses all its bits."""
    one = {"height": 1, "width": 1, "tiles": 1, "block": (1, 1), "streamed": (0, 0)}
    bench.plan([drain_job(bench, **one) for _ in range(135)])
    bench.begin()
    bench.tokens.pace = lambda: True
    bench.send()
    await bench.settled()
    assert bench.ports.progress.completed.get() == 135


@testcase(OutputBench)
async def refuses_illegal_runs(bench: OutputBench) -> None:
    """ILLEGAL_VALUE for exactly what tensaw.spec.limits refuses, with the run's tag, and nothing written."""
    for word, field, value in BROKEN:
        for kind in ("DRAIN", "DRAIN with operand", "SOFTMAX"):
            if kind == "SOFTMAX":
                job = softmax_job(bench, 1, 3)
            else:
                operation = Operation.NONE if kind == "DRAIN" else bench.choose(*list(Operation)[1:])
                tile = bench.config.columns
                job = drain_job(bench, operation, tile=tile, last=tile, tiles=1, height=1, width=1, block=(1, 2))
            job.registers[word][field] = value
            tag = job.registers["RUN"]["tag"] = bench.integers(0, 0xFFFF)
            illegal = refusal(bench.config, Unit.OUTPUT, job.registers) is not None
            bench.begin()
            bench.expected.append((np.zeros(1, int), np.zeros(1, int), bench.memory[:1]))
            bench.tokens.expect(job.registers["RUN"]["wait"], job.registers["RUN"]["signal"])
            before = bench.memory.copy()
            bench.words.send(*job.words)
            await bench.until(lambda: bench.words.idle and bool(bench.tokens.take_times), 60, "the run to start")
            await bench.clocks(20)
            error = bench.ports.error
            where = f"{word}.{field} = {value} in {kind}"
            assert bool(error.valid.get()) == illegal, where
            cover_refused((f"{word}.{field} {value}", kind))
            if illegal:
                assert (error.code.get(), error.tag.get()) == (ErrorCode.ILLEGAL_VALUE, tag), where
                assert np.array_equal(before, bench.memory) and not bench.writes.taken
                cover_error("ILLEGAL_VALUE")
            await bench.restart()


@testcase(OutputBench)
async def illegal_words_and_halt(bench: OutputBench) -> None:
    """A word that OUTPUT does not have is ILLEGAL_COMMAND with the word; while halted no run starts."""
    ports = bench.ports
    for _ in range(bench.count(4)):
        bench.plan([drain_job(bench)])
        bench.begin()
        bench.send()
        await bench.settled()
        word = encode("OUTPUT.RUN") | bench.integers(40, 63) << 54 | int(bench.rng.integers(1 << 54))
        bench.words.send(word)
        await bench.until(lambda: bool(ports.error.valid.get()), 60, "the error")
        found = ports.error.code.get(), ports.error.tag.get(), ports.error.address.get()
        assert found == (ErrorCode.ILLEGAL_COMMAND, 0, word), f"{found}"
        cover_error("ILLEGAL_COMMAND")
        await bench.restart()
    bench.plan([drain_job(bench)])
    bench.begin()
    ports.halt.set(1)
    bench.send()
    await bench.clocks(60)
    assert not bench.tokens.take_times and ports.busy.get()
    ports.halt.set(0)
    await bench.settled()


@testcase(OutputBench)
async def reset_in_a_run(bench: OutputBench) -> None:
    """After a reset at any time nothing of the old runs is written, and new ones are whole."""
    await bench.load_tables()
    for _ in range(bench.count(7)):
        bench.plan(mixture(bench))
        bench.begin()
        bench.send()
        await bench.clocks(bench.integers(10, 160))
        await bench.restart()
        bench.plan([drain_job(bench, Operation.ADD), drain_job(bench)])
        bench.begin()
        bench.send()
        await bench.settled()
        await bench.restart()
