"""The weight loader: rows from the ring into the array and on to the output stage, one step ahead of the feeder."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from common.array_runs import modes_of, random_run, stream_rows
from common.bench import Bench, testcase
from common.commands import Registers, payload_of
from common.coverage import Cover
from common.long_runs import LOOPS, edge_number, long_run
from common.pauses import STYLES, make_pace
from common.scoreboard import Scoreboard
from common.streams import Sink, Source
from common.weights import Ring, plan_stream, tile_weights

from tensaw.spec.isa import Mode, TableKind, Unit

COVER = Cover("weight_loader")
cover_run = COVER.cross("mode and parameters", tuple(mode.name for mode in Mode), (
    "none", "bias", "scale", "bias and scale"
))  # fmt: skip
cover_free = COVER.cross("rows", ("kept", "freed"), ("one block", "several blocks"), ("no pad", "pad"))
cover_stall = COVER.cross("stall", ("ring", "side", "feeder"), STYLES)
cover_table = COVER.point("table", tuple(kind.name for kind in TableKind))
cover_steps = COVER.point("rows of a step", ("1", "some", "all"))

BIAS, MULTIPLIER, SHIFT, LOOKUP, EXPONENT = range(5)


class LoaderBench(Bench):
    """Plays ring, feeder, array and output stage. Sends runs, compares every row that goes anywhere.

    The array's two weight registers of each row are modelled with the rules of SystolicArray: a row counts for a swap
    if it was given before the swap reached the array, and not before the swap ahead of it had passed that row.
    """

    async def restart(self, cycles: int = 0) -> None:
        """With a reset in which what is on its way to the array arrives."""
        await super().restart(cycles or self.constants["feeder_latency"])

    def prepare(self) -> None:
        self.side = Scoreboard("rows for the output stage")
        self.reads = Scoreboard("rows read")
        self.steps = Scoreboard("weights of steps")
        self.tables = 0
        self.first = 0
        self.done = 0

    def begin(self, rows: np.ndarray, ring: str, side: str, feeder: str) -> None:
        """Start the neighbours; ``rows`` is the whole stream."""
        self.rows = rows
        self.ring = Ring(self, rows, make_pace(self.rng, ring))
        Sink(self, self.ports.side, make_pace(self.rng, side), self.side.check)
        self.feeder = make_pace(self.rng, feeder)
        self.source = Source(self, self.ports.run, make_pace(self.rng, "rarely"))
        self.start_soon(self.feed())
        for part, style in (("ring", ring), ("side", side), ("feeder", feeder)):
            cover_stall((part, style))

    # What is expected ----------------------------------------------------------------------------------------------

    def expect(self, run: Registers, first: int, most: int | None = None) -> None:
        """What becomes of the rows of a run that begins with row ``first``; or of those before row ``most``."""
        config, mode = self.config, run["RUN"]["mode"]
        blocks = -(-run["OUT"]["height"] // run["BLOCK"]["height"]) * -(-run["OUT"]["width"] // run["BLOCK"]["width"])
        bias, scale = run["WEIGHTS"]["bias"], run["WEIGHTS"]["scale"]
        if mode == Mode.POOL:
            # One row of ones; the other rows of its group are zero, those beyond keep what they hold.
            unit = {row: np.full(config.columns, int(row == 0)) for row in range(config.taps)}
            self.steps.expect(unit)
        for kind, index, last, numbers in self.groups(run, first, blocks):
            if most is not None and self.reads.left + len(numbers) > most:
                break
            self.reads.expect(*numbers)
            if kind is None:
                content = self.rows[numbers.start : numbers.stop, : config.columns].view(np.int8)
                self.steps.expect(dict(enumerate(content.astype(np.int64))))
            else:
                row = int.from_bytes(self.rows[numbers.start].tobytes(), "little")
                self.side.expect({"kind": kind, "index": index, "last": last, "row": row})
        names = ("none", "bias", "scale", "bias and scale")
        cover_run((Mode(mode).name, names[bias + 2 * scale]))
        cover_free((
            ("kept", "freed")[run["WEIGHTS"]["free"]], ("one block", "several blocks")[blocks > 1],
            ("no pad", "pad")[run["WEIGHTS"]["pad"] > 0],
        ))  # fmt: skip
        cover_steps({1: "1", config.rows: "all"}.get(run["WEIGHTS"]["rows"], "some"))

    @staticmethod
    def groups(run: Registers, first: int, blocks: int) -> Iterator[tuple[int | None, int, int, range]]:
        """Rows that belong together: a row for the output stage, with its kind, index and whether it is a tile's last
        one, or the rows of a step."""
        parameters, step_rows = stream_rows(run)
        steps = run["KERNEL_Y"]["steps"] * run["KERNEL_X"]["steps"] * run["KERNEL_X"]["chunks"]
        bias, scale = run["WEIGHTS"]["bias"], run["WEIGHTS"]["scale"]
        kinds = [(BIAS, i) for i in range(4)] * bias + ([(MULTIPLIER, i) for i in range(4)] + [(SHIFT, 0)]) * scale
        for tile in range(run["TILES"]["count"]):
            begin = first + tile * (parameters + step_rows)
            for number, (kind, index) in enumerate(kinds):
                last = int(number == len(kinds) - 1)
                yield kind, index, last, range(begin + number, begin + number + 1)
            if run["RUN"]["mode"] == Mode.POOL:
                continue
            for _ in range(blocks):
                for step in range(steps):
                    yield None, 0, 0, tile_weights(run, first, tile, step)

    # Neighbours ----------------------------------------------------------------------------------------------------

    async def feed(self) -> None:
        """Swaps when weights are ready and the feeder feels like it, and the array's registers behind."""
        ports, latency = self.ports, self.constants["feeder_latency"]
        loaded: dict[int, tuple[int, np.ndarray]] = {}
        swaps: list[int] = []
        last_swap = -1000
        ready = False
        while True:
            # The feeder may swap in the cycle behind ``filled``.
            swap = ready and self.steps.left > len(swaps) and self.feeder()
            ports.swap.set(int(swap))
            await self.edge
            now = self.cycle - 1
            assert not (ready and not swap and ports.filled.get()), "told twice"
            ready = bool(ready and not swap or ports.filled.get())
            select = ports.weight_select.get()
            if swaps and swaps[0] + latency == now:
                last_swap = swaps.pop(0) + latency
                self.take_step({number: row for number, (_, row) in loaded.items()})
                loaded = {}
            if select:
                assert select & (select - 1) == 0, "two rows at once"
                number = select.bit_length() - 1
                assert number not in loaded, f"row {number} loaded twice before a swap"
                assert now >= last_swap + number, f"row {number} overtakes the swap"
                loaded[number] = now, ports.weight_row.get()
            if swap:
                swaps.append(now)
            self.reads_check()

    def take_step(self, found: dict[int, np.ndarray]) -> None:
        self.steps.check({number: found[number] for number in sorted(found)})

    def reads_check(self) -> None:
        while self.reads.count < len(self.ring.order):
            self.reads.check(self.ring.order[self.reads.count])

    async def settled(self) -> None:
        boards = self.side, self.reads, self.steps
        await self.until(lambda: self.source.idle and not any(board.left for board in boards), 80_000, "all rows")
        await self.clocks(30)
        for board in boards:
            board.finish()
        self.ports.swap.set(0)


def stream(bench: LoaderBench, rows: int) -> np.ndarray:
    return bench.rng.integers(0, 256, (rows + 8, bench.config.weight_row_bytes), np.uint8)


def runs_of(bench: LoaderBench, count: int) -> list[Registers]:
    runs = []
    for number in range(count):
        mode = modes_of(bench.config)[number % len(modes_of(bench.config))]
        runs.append(random_run(bench, mode, height=bench.integers(1, 3), width=bench.integers(1, 3)))
    runs[-1]["WEIGHTS"]["free"] = 1
    return runs


async def go(bench: LoaderBench, runs: list[Registers], ring: str, side: str, feeder: str) -> None:
    starts, freed, most = plan_stream(runs)
    bench.begin(stream(bench, most), ring, side, feeder)
    for run, first in zip(runs, starts, strict=True):
        bench.expect(run, first)
        bench.source.send(payload_of(Unit.ARRAY, run))
    await bench.settled()
    # Rows that only pad are freed when they have arrived.
    await bench.until(lambda: bench.ring.freed >= freed, 10_000, "all rows to be freed")
    await bench.clocks(5)
    assert bench.ring.freed == freed, f"{bench.ring.freed} rows freed instead of {freed}"


@testcase(LoaderBench)
async def random_runs(bench: LoaderBench) -> None:
    """All modes, rows kept and freed, whatever arrives late or is taken late."""
    for style in STYLES:
        for place in range(3):
            styles = ["never", "never", "never"]
            styles[place] = style
            await go(bench, runs_of(bench, bench.count(4)), *styles)
            await bench.restart()


@testcase(LoaderBench)
async def long_runs(bench: LoaderBench) -> None:
    """The first rows of runs with loops of any length."""
    modes = [mode for mode in modes_of(bench.config) if mode != Mode.POOL]
    cases = [(loop, bit) for loop, bits in LOOPS.items() for bit in range(bits) if loop != "decimation"]
    cases += [(loop, bit) for loop in ("block rows", "block columns") for bit in range(LOOPS[loop])]
    for loop, bit in cases * bench.count(1):
        mode = Mode.CONV if loop == "chunks" else bench.choose(*modes, *[Mode.POOL] * (loop == "tiles"))
        run = long_run(bench, mode, loop, bit)
        run["WEIGHTS"] |= {"rows": bench.integers(1, 2), "free": bench.integers(0, 1), "pad": 0}
        run["WEIGHTS"]["bias"] |= int(mode == Mode.POOL)
        if loop.startswith("block"):  # some blocks, tile after tile
            side = "height" if loop == "block rows" else "width"
            blocks = bench.integers(1, 6)
            run["BLOCK"][side] = edge_number(bench, 16, bit=bit)
            run["OUT"][side] = min(blocks * run["BLOCK"][side] + bench.integers(-1, 1) or 1, (1 << 16) - 1)
            run["KERNEL_Y"]["steps"] = run["KERNEL_X"]["steps"] = run["KERNEL_X"]["chunks"] = 1
        if loop != "tiles":
            run["TILES"]["count"] = bench.integers(1, 4)
        most, spare = 40, 10  # rows are read ahead of what they are for
        bench.begin(stream(bench, 4 * most), "never", "never", "never")
        bench.expect(run, 0, most)
        whole = bench.reads.left <= most - spare
        bench.source.send(payload_of(Unit.ARRAY, run))
        await bench.until(lambda rest=0 if whole else spare: bench.reads.left <= rest, 1000, "the first rows")
        if whole:
            await bench.settled()
        await bench.restart()


@testcase(LoaderBench)
async def whole_loops(bench: LoaderBench) -> None:
    """One loop of up to about 130 rounds, twice over where it is not the outermost, to its end."""
    for loop in ("tiles", "rows", "columns", "y", "x", "chunks"):
        for bit in range(7):
            rounds = bench.choose(1 << bit, 2 + (1 << bit), 1 + (2 << bit))
            run = random_run(bench, Mode.CONV, height=1, width=1, block_height=1, block_width=1, tiles=1)
            run["OUT"]["height"] = rounds if loop == "rows" else 1
            run["OUT"]["width"] = rounds if loop == "columns" else 1
            run["TILES"]["count"] = rounds if loop == "tiles" else 2
            run["KERNEL_Y"]["steps"] = rounds if loop == "y" else 1
            run["KERNEL_X"] |= {"steps": rounds if loop == "x" else 1, "chunks": rounds if loop == "chunks" else 1}
            run["WEIGHTS"] |= {"rows": 1, "bias": 0, "scale": 0, "free": bench.integers(0, 1), "pad": 0}
            await go(bench, [run], "never", "never", "never")
            await bench.restart()


@testcase(LoaderBench)
async def many_rows(bench: LoaderBench) -> None:
    """A run that keeps more rows than a byte can count; each is read again in the next block."""
    run = random_run(bench, Mode.CONV, height=1, width=2, block_height=1, block_width=1, tiles=1)
    most = min(bench.integers(100, 120), bench.config.weight_rows // 10)  # as many as the ring may hold
    run["KERNEL_Y"]["steps"], run["KERNEL_X"]["steps"], run["KERNEL_X"]["chunks"] = 5, 2, most
    run["WEIGHTS"] |= {"rows": 1, "free": 0}
    await go(bench, [run], "never", "never", "never")


@testcase(LoaderBench)
async def pads(bench: LoaderBench) -> None:
    """Rows behind a run are freed when they have arrived, however many."""
    for _ in range(bench.count(1)):
        for bit in range(8):
            for others in (0, bench.integers(0, 255)):
                run = random_run(bench, Mode.POOL, height=1, width=1, tiles=1)
                run["WEIGHTS"] |= {"bias": 0, "scale": 0, "free": 1, "pad": 1 << bit | others}
                bench.feeder = make_pace(bench.rng, "never")
                await go(bench, [run], "never", "never", "never")
                await bench.restart()


@testcase(LoaderBench)
async def everything_stalls(bench: LoaderBench) -> None:
    """Many runs in a row with stalls on all sides."""
    for _ in range(bench.count(2)):
        await go(bench, runs_of(bench, 9), *(bench.choose(*STYLES[1:]) for _ in range(3)))
        await bench.restart()


@testcase(LoaderBench)
async def tables(bench: LoaderBench) -> None:
    """Tables pass to the output stage once their tokens are there, and always free their rows."""
    width = bench.config.weight_row_bytes
    kinds = [TableKind.LOOKUP, TableKind.EXPONENT, TableKind.EXPONENT, TableKind.LOOKUP]
    count = 256 // width
    rows = stream(bench, len(kinds) * count)
    bench.begin(rows, bench.choose(*STYLES), bench.choose(*STYLES), "never")
    first = 0
    ports = bench.ports
    for kind in kinds:
        part = bench.integers(0, 3)
        start = part * count if kind == TableKind.EXPONENT else 0
        for index in range(count):
            row = int.from_bytes(rows[first + index].tobytes(), "little")
            code = EXPONENT if kind == TableKind.EXPONENT else LOOKUP
            bench.side.expect({"kind": code, "index": start + index, "last": int(index == count - 1), "row": row})
            bench.reads.expect(first + index)
        first += count
        bench.source.send(payload_of(Unit.ARRAY, {"TABLE": {"kind": kind, "part": part}}, "TABLE"))
        await bench.until(lambda: bench.source.idle, 100, "the TABLE")
        taken = bench.side.count
        await bench.clocks(bench.integers(5, 20))
        assert bench.side.count == taken, "rows of a table before its tokens"
        ports.table_go.set(1)
        await bench.clocks()
        ports.table_go.set(0)
        await bench.until(lambda: bool(ports.table_done.get()), 9000, "table_done")
        await bench.clocks()
        assert not bench.side.left and not ports.table_done.get(), "table_done is one cycle, with the last row"
        cover_table(kind.name)
    await bench.settled()
    assert bench.ring.freed == first


@testcase(LoaderBench)
async def a_row_a_cycle(bench: LoaderBench) -> None:
    """Steps follow each other without a gap if the feeder swaps in time."""
    config = bench.config
    run = random_run(bench, Mode.CONV, height=2, width=1, block_height=1, block_width=1, tiles=2)
    run["WEIGHTS"] |= {"rows": config.rows, "bias": 0, "scale": 0, "free": 1, "pad": 0}
    run["KERNEL_Y"]["steps"], run["KERNEL_X"]["steps"] = 3, 3
    total = 2 * 2 * 9 * run["KERNEL_X"]["chunks"] * config.rows
    bench.begin(stream(bench, total), "never", "never", "never")
    bench.ring.arrived = total
    bench.expect(run, 0)
    bench.source.send(payload_of(Unit.ARRAY, run))
    start = bench.cycle
    await bench.settled()
    assert bench.cycle - start <= total + 60, f"{bench.cycle - start} cycles for {total} rows"


@testcase(LoaderBench)
async def begins_at_once(bench: LoaderBench) -> None:
    """A run's first row is read in the cycle after the run was taken, wherever the run before it ended."""
    before = random_run(bench, Mode.CONV, height=1, width=1, tiles=1)
    before["WEIGHTS"] |= {"bias": 0, "scale": 0, "free": 0}
    after = random_run(bench, Mode.CONV, height=1, width=1, tiles=1)
    after["WEIGHTS"] |= {"bias": 1, "free": 1, "pad": 0}
    after["KERNEL_Y"]["steps"] = after["KERNEL_X"]["steps"] = after["KERNEL_X"]["chunks"] = 1
    before["KERNEL_X"]["chunks"] = 20
    rows = sum(stream_rows(before))
    bench.begin(stream(bench, rows), "never", "never", "never")
    bench.ring._rows = bench.ring._rows[:rows]  # as many as the first run has read
    bench.rows = bench.ring._rows
    for run in (before, after):
        bench.expect(run, 0)
        bench.source.send(payload_of(Unit.ARRAY, run))
    await bench.until(lambda: bench.source.idle, 2000, "the second run")
    read = len(bench.ring.order)
    await bench.clocks(1)
    assert len(bench.ring.order) > read, "the first row is late"
    await bench.settled()


@testcase(LoaderBench)
async def waits_for_rows(bench: LoaderBench) -> None:
    """``waiting`` is shown while rows are wanted that have not arrived, and only then."""
    run = random_run(bench, Mode.CONV, height=1, width=1, tiles=1)
    run["WEIGHTS"] |= {"free": 1, "pad": 0, "bias": bench.integers(0, 1)}
    _, _, most = plan_stream([run])
    bench.begin(stream(bench, most), "never", "never", "never")
    bench.ring.hold = True
    bench.expect(run, 0)
    assert not bench.ports.waiting.get()
    bench.source.send(payload_of(Unit.ARRAY, run))
    await bench.until(lambda: bench.source.idle, 100, "the run")
    await bench.clocks(5)
    assert bench.ports.waiting.get() and not bench.ring.order
    bench.ring.hold = False
    await bench.settled()
    assert not bench.ports.waiting.get()


@testcase(LoaderBench)
async def reset_in_the_middle(bench: LoaderBench) -> None:
    """Rows that were on their way at a reset do not reach the output stage, nor the array when it has passed."""
    for number in range(bench.count(8)):
        runs = runs_of(bench, 3)
        _, _, most = plan_stream(runs)
        bench.begin(stream(bench, most), "never", "often", "rarely")
        for run, first in zip(runs, plan_stream(runs)[0], strict=True):
            bench.expect(run, first)
            bench.source.send(payload_of(Unit.ARRAY, run))
        await bench.clocks(6 + number + bench.integers(0, 40))
        await bench.restart()
        await go(bench, runs_of(bench, 1), "often", "never", "never")
        await bench.restart()
