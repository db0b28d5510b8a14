"""The ARRAY unit from command words to finished accumulators."""

from __future__ import annotations

import numpy as np
from common.array_runs import expected_vectors, modes_of, random_run, stream_rows
from common.bench import Bench, testcase
from common.commands import Registers, words_of_run
from common.coverage import Cover
from common.pauses import STYLES, make_pace
from common.scoreboard import Scoreboard
from common.scratchpad import ArrayReads
from common.streams import Sink, Source
from common.tokens import UnitTokens
from common.weights import Ring, plan_stream

from tensaw.spec.isa import Mode, TableKind, Unit, encode
from tensaw.spec.registers import ErrorCode

COVER = Cover("array_unit")
cover_after = COVER.cross("mode after mode", tuple(mode.name for mode in Mode), tuple(mode.name for mode in Mode))
cover_stall = COVER.cross("stall", ("ring", "results"), STYLES)
cover_rows = COVER.cross("weight rows", tuple(mode.name for mode in Mode), ("kept", "freed"))
cover_table = COVER.cross("table", tuple(kind.name for kind in TableKind), ("tokens", "alone"))
cover_groups = COVER.point("groups", (1, 2, 3))
cover_error = COVER.point("error", ("ILLEGAL_COMMAND", "ILLEGAL_VALUE"))

LOOKUP, EXPONENT = 3, 4


class ArrayUnitBench(Bench):
    """Plays sequencer, tokens, weight ring, scratchpad and output stage."""

    def prepare(self) -> None:
        self.memory = self.bytes(self.config.scratchpad_bytes)
        self.vectors = Scoreboard("results")
        self.tables = Scoreboard("rows of tables")
        self.side_rows = 0

    async def restart(self, cycles: int = 2) -> None:
        """With a reset as short as may be."""
        await super().restart(cycles)

    def begin(self, rows: np.ndarray, ring: str, results: str) -> None:
        ports, rng = self.ports, self.rng
        self.ring = Ring(self, rows, make_pace(rng, ring))
        self.tokens = UnitTokens(self, ports.tokens, self.pace("never", "rarely", "often"))
        self.words = Source(self, ports.words, self.pace("never", "rarely"))
        ArrayReads(self, ports.memory, self.memory)
        Sink(self, ports.vectors, make_pace(rng, results), lambda vector: self.vectors.check(vector.tolist()))
        Sink(self, ports.side, self.pace(), self.take_side)
        cover_stall(("ring", ring))
        cover_stall(("results", results))

    def take_side(self, row: dict[str, int]) -> None:
        self.side_rows += 1
        if row["kind"] in (LOOKUP, EXPONENT):
            self.tables.check(row)

    async def go(self, runs: list[Registers], ring: str, results: str) -> None:
        """Carry out the runs and compare everything that comes out."""
        starts, freed, most = plan_stream(runs)
        rows = self.rng.integers(0, 256, (most + 8, self.config.weight_row_bytes), np.uint8)
        self.begin(rows, ring, results)
        wanted_side = 0
        before = None
        for run, first in zip(runs, starts, strict=True):
            self.vectors.expect(*expected_vectors(self.config, run, self.memory.view(np.int8), rows[first:]))
            self.tokens.expect(run["RUN"]["wait"], run["RUN"]["signal"])
            self.words.send(*words_of_run(Unit.ARRAY, run))
            wanted_side += run["TILES"]["count"] * stream_rows(run)[0]
            mode = Mode(run["RUN"]["mode"])
            cover_after((before.name, mode.name) if before is not None else None)
            cover_rows((mode.name, ("kept", "freed")[run["WEIGHTS"]["free"]]))
            cover_groups(run["RUN"]["groups"] or None)
            before = mode
        await self.until(lambda: not self.vectors.left and not self.tokens.left, 200_000, "all results")
        await self.until(lambda: self.side_rows >= wanted_side, 20_000, f"all of {wanted_side} side rows")
        await self.clocks(60)
        self.vectors.finish()
        self.tokens.finish()
        assert self.words.idle and not self.ports.busy.get() and not self.ports.error.valid.get()
        assert self.side_rows == wanted_side, f"{self.side_rows} side rows instead of {wanted_side}"
        assert self.ring.freed == freed, f"{self.ring.freed} weight rows freed instead of {freed}"


def some_run(bench: ArrayUnitBench, mode: Mode) -> Registers:
    return random_run(bench, mode, height=bench.integers(1, 4), width=bench.integers(1, 4), tiles=bench.integers(1, 2))


@testcase(ArrayUnitBench)
async def random_runs(bench: ArrayUnitBench) -> None:
    """Runs of all modes one after another, rows kept for the next run or freed."""
    order = (Mode.CONV, Mode.CONV, Mode.DEPTHWISE, Mode.DEPTHWISE, Mode.POOL, Mode.POOL, Mode.CONV, Mode.POOL,
             Mode.DEPTHWISE, Mode.CONV)  # fmt: skip
    if Mode.PAIRS in modes_of(bench.config):
        order = (Mode.PAIRS, Mode.PAIRS, Mode.DEPTHWISE, Mode.PAIRS, Mode.POOL, Mode.PAIRS, Mode.CONV, Mode.PAIRS,
                 *order)  # fmt: skip
    for style in STYLES:
        runs = [some_run(bench, mode) for mode in (order if style in ("never", "bursts") else order[3:8])]
        runs[-1]["WEIGHTS"]["free"] = 1
        await bench.go(runs, style, bench.choose(*STYLES))
        await bench.restart()


@testcase(ArrayUnitBench)
async def slow_results(bench: ArrayUnitBench) -> None:
    """Results are taken at every pace; nothing is lost while both halves wait."""
    for style in STYLES:
        runs = [some_run(bench, bench.choose(*modes_of(bench.config))) for _ in range(bench.count(3))]
        runs[-1]["WEIGHTS"]["free"] = 1
        await bench.go(runs, "never", style)
        await bench.restart()


@testcase(ArrayUnitBench)
async def tables(bench: ArrayUnitBench) -> None:
    """Tables between runs, with tokens and, for the loader alone, without: every row to the output stage, no other."""
    width = bench.config.weight_row_bytes
    count = 256 // width
    for style in STYLES:
        runs = [some_run(bench, bench.choose(*modes_of(bench.config))) for _ in range(4)]
        for run in runs:
            run["WEIGHTS"]["free"] = 1
        starts, freed, _ = plan_stream(runs)
        rows = bench.rng.integers(0, 256, (freed + 4 * count + 8, width), np.uint8)
        bench.begin(rows, style, "never")
        side = 0
        for number, run in enumerate(runs):
            first = starts[number] + number * count
            bench.vectors.expect(*expected_vectors(bench.config, run, bench.memory.view(np.int8), rows[first:]))
            bench.tokens.expect(run["RUN"]["wait"], run["RUN"]["signal"])
            side += run["TILES"]["count"] * stream_rows(run)[0] + count
            first += run["TILES"]["count"] * sum(stream_rows(run)) + run["WEIGHTS"]["pad"]
            kind, part = bench.choose(*TableKind), bench.integers(0, 3)
            lonely = bench.chance(0.6)
            wait, signal = (0, 0) if lonely else (bench.integers(0, 15), bench.integers(1, 15))
            if not lonely:
                bench.tokens.expect(wait, signal)
            for index in range(count):
                bench.tables.expect({
                    "kind": EXPONENT if kind == TableKind.EXPONENT else LOOKUP,
                    "index": index + part * count * (kind == TableKind.EXPONENT), "last": int(index == count - 1),
                    "row": int.from_bytes(rows[first + index].tobytes(), "little"),
                })  # fmt: skip
            bench.words.send(*words_of_run(Unit.ARRAY, run))
            bench.words.send(encode("ARRAY.TABLE", wait=wait, signal=signal, kind=kind, part=part))
            cover_table((kind.name, ("tokens", "alone")[lonely]))
        await bench.until(lambda: not bench.vectors.left and not bench.tokens.left, 200_000, "all results")
        await bench.until(lambda side=side: bench.side_rows >= side, 20_000, "all side rows")
        await bench.clocks(60)
        assert bench.side_rows == side and not bench.tables.left and bench.words.idle and not bench.ports.busy.get()
        bench.tokens.finish()
        bench.side_rows = 0
        await bench.restart()


@testcase(ArrayUnitBench)
async def reset_in_a_run(bench: ArrayUnitBench) -> None:
    """After a reset at any time the unit works as from the start."""
    for _ in range(bench.count(4)):
        runs = [some_run(bench, bench.choose(*modes_of(bench.config))) for _ in range(2)]
        _, _, most = plan_stream(runs)
        bench.begin(bench.rng.integers(0, 256, (most + 8, bench.config.weight_row_bytes), np.uint8), "rarely", "often")
        for run in runs:
            bench.tokens.expect(run["RUN"]["wait"], run["RUN"]["signal"])
            bench.words.send(*words_of_run(Unit.ARRAY, run))
        bench.vectors.check = lambda item: None  # type: ignore[method-assign]
        await bench.clocks(bench.integers(20, 150))
        await bench.restart()
        run = some_run(bench, bench.choose(*modes_of(bench.config)))
        run["WEIGHTS"]["free"] = 1
        await bench.go([run], "never", "rarely")
        await bench.restart()


@testcase(ArrayUnitBench)
async def errors(bench: ArrayUnitBench) -> None:
    """An unknown word and an illegal run are reported with what the ERROR register wants."""
    ports = bench.ports
    for illegal_word in (True, False):
        bench.begin(np.zeros((8, bench.config.weight_row_bytes), np.uint8), "never", "never")
        run = some_run(bench, Mode.CONV)
        if illegal_word:
            word = encode("ARRAY.WEIGHTS") | 63 << 54
            bench.words.send(word)
        else:
            run["OUT"]["height"] = 0
            bench.words.send(*words_of_run(Unit.ARRAY, run))
        await bench.until(lambda: bool(ports.error.valid.get()), 400, "the error")
        code = ErrorCode(ports.error.code.get())
        assert code == (ErrorCode.ILLEGAL_COMMAND if illegal_word else ErrorCode.ILLEGAL_VALUE)
        assert ports.error.address.get() == word if illegal_word else ports.error.tag.get() == run["RUN"]["tag"]
        cover_error(code.name)
        await bench.restart()
