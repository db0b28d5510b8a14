"""The feeder: which position goes into the array when, with which bytes, and what it waits for."""

from __future__ import annotations

from common.array_runs import modes_of, positions, random_run
from common.bench import testcase
from common.commands import Registers, payload_of
from common.coverage import Cover
from common.feeder import (
    BY_CHANNEL,
    IDLE,
    WAIT_ACCUMULATORS,
    WAIT_FOLLOW,
    WAIT_LOAD,
    WAIT_TOKENS,
    WAIT_WEIGHTS,
    FeederNeighbours,
)  # fmt: skip
from common.long_runs import edge_number, first_positions, long_run, loops_of
from common.pauses import STYLES, make_pace

from tensaw.spec.isa import Follow, Mode, TableKind, Unit
from tensaw.spec.limits import refusal
from tensaw.spec.registers import ErrorCode

ILLEGAL = (
    "KERNEL_Y.steps", "KERNEL_X.steps", "KERNEL_X.chunks", "OUT.height", "OUT.width", "BLOCK.height", "BLOCK.width",
    "TILES.count", "STEP.decimation", "STEP.position", "banks of pairs", "RUN.follow", "RUN.groups 0", "RUN.groups 3",
    "WEIGHTS.rows 0", "WEIGHTS.rows high", "KERNEL_Y.group_pitch", "BLOCK too large",
)  # fmt: skip
"""Rules that a run may break."""

COVER = Cover("feeder")
cover_mode = COVER.cross("mode and loader", tuple(mode.name for mode in Mode), STYLES)
cover_groups = COVER.cross("groups", (Mode.DEPTHWISE.name, Mode.PAIRS.name), (1, 2, 3))
cover_padding = COVER.point("padding", ("above", "below", "left", "right", "none"))
cover_waits = COVER.point("waited for", ("tokens", "weights", "accumulators", "followed row", "loaded row"))
cover_follow = COVER.cross("followed run", ("OUTPUT", "LOAD"), ("finished before", "row by row", "not started"))
cover_table = COVER.point("table", tuple(kind.name for kind in TableKind))
cover_illegal = COVER.point("refused", ILLEGAL)
cover_joined = COVER.point("joined row that follows", ("at once", "late"))
cover_halt = COVER.point("halted", ("between runs", "in a run"))


class FeederBench(FeederNeighbours):
    """With the coverage points."""

    def seen_groups(self, mode: Mode, groups: int) -> None:
        cover_groups((mode.name, groups))

    def seen_padding(self, where: str) -> None:
        cover_padding(where)

    def seen_joined(self, when: str) -> None:
        cover_joined(when)


def small_run(bench: FeederBench, mode: Mode) -> Registers:
    return random_run(bench, mode, height=bench.integers(1, 4), width=bench.integers(1, 4), tiles=bench.integers(1, 2))


@testcase(FeederBench)
async def random_runs(bench: FeederBench) -> None:
    """Every mode under every pattern of late weights, with late tokens and full accumulators."""
    kept = 0
    for style in STYLES:
        bench.loader = make_pace(bench.rng, style)
        bench.taker, bench.tokens = bench.pace("never", "mostly"), bench.pace()
        if style == "never":  # an output stage that is behind
            bench.taker = lambda: bench.chance(0.03)
        for mode in modes_of(bench.config):
            cover_mode((mode.name, style))
            for _ in range(bench.count(1)):
                run = small_run(bench, mode)
                kept += sum(position.keep for position in positions(bench.config, run))
                bench.send(run)
        await bench.settled()
    assert bench.busy_cycles == kept, "BUSY is shown for each position kept, and only then"
    assert bench.ports.state.get() == IDLE
    for state, name in ((WAIT_TOKENS, "tokens"), (WAIT_WEIGHTS, "weights"), (WAIT_ACCUMULATORS, "accumulators")):
        cover_waits(name if state in bench.states else None)


@testcase(FeederBench)
async def long_runs(bench: FeederBench) -> None:
    """The bytes of the first positions of runs of any length, at any place of an image of any size."""
    for number in range(bench.count(40)):
        mode = modes_of(bench.config)[number % len(modes_of(bench.config))]
        run = long_run(bench, mode, bench.choose(*loops_of(mode)))
        most = len(list(first_positions(bench.config, run, 30)))
        bench.expect(run, most)
        bench.source.send(payload_of(Unit.ARRAY, run))
        await bench.until(lambda most=most: bench.arrivals.count == most, 1000, "the first positions")
        bench.ports.halt.set(1)
        await bench.restart()


@testcase(FeederBench)
async def no_gap(bench: FeederBench) -> None:
    """With weights, tokens and room always there, a position goes in every cycle, and a run begins right after."""
    runs = [random_run(bench, Mode.CONV, height=4, width=4, block_height=2, block_width=2, tiles=2) for _ in range(3)]
    for run in runs:
        run["STEP"]["row"] = 1
    total = sum(1 for run in runs for _ in positions(bench.config, run))
    for run in runs:
        bench.send(run)
    await bench.until(lambda: bench.issued > 0, 100, "the first position")
    start = bench.cycle
    await bench.until(lambda: bench.issued == total, total + 50, "all positions in a row")
    assert bench.cycle - start <= total + 3 * len(runs)


@testcase(FeederBench)
async def tables(bench: FeederBench) -> None:
    """A TABLE takes tokens, lets the loader go, and gives tokens when it is done; runs around it are whole."""
    bench.tokens = bench.pace("often")
    ports = bench.ports
    for kind in (*TableKind, *TableKind):
        bench.send(small_run(bench, Mode.CONV))
        table = {"TABLE": {"tag": 7, "wait": bench.integers(0, 15), "signal": bench.integers(0, 15), "kind": kind}}
        await bench.until(lambda: bench.source.idle, 9000, "the run to be taken")
        bench.takes.expect(table["TABLE"]["wait"])
        bench.expect_give(table["TABLE"]["signal"])
        bench.source.send(payload_of(Unit.ARRAY, table, "TABLE"))
        await bench.until(lambda: bool(ports.table_go.get()), 9000, "table_go")
        await bench.clocks()
        assert not bench.takes.left
        await bench.clocks(bench.integers(1, 30))
        assert not bench.source.idle and bench.gives.left, "the TABLE is taken when it is done"
        ports.table_done.set(1)
        await bench.clocks()
        ports.table_done.set(0)
        await bench.clocks()
        assert bench.source.idle
        cover_table(kind.name)
    await bench.settled()


async def follow(bench: FeederBench, whom: Follow, completed: int, number: int, rows_written: int) -> None:
    """A run that follows run ``number`` of OUTPUT or LOAD while ``completed`` runs are over; rows come one by one.

    What the other one says changes all the time and means nothing.
    """
    ports = bench.ports
    told, other = (ports.progress, ports.loaded) if whom == Follow.OUTPUT else (ports.loaded, ports.progress)
    run = random_run(bench, bench.choose(*modes_of(bench.config)), height=3, width=3, tiles=1)
    run["RUN"] |= {"follow": whom, "follow_run": number % 256}
    # Now and then the run's rows lie far down in a high image.
    down = bench.choose(0, edge_number(bench, 15) - 1)
    run["ORIGIN"]["y"] = min(run["ORIGIN"]["y"] + down, (1 << 15) - 1)
    height = run["WINDOW"]["height"] = run["WINDOW"]["height"] + down
    progress = {"completed": completed, "rows": down + rows_written, "last": 1}

    def written(y: int) -> bool:
        if (progress["completed"] - number - 1) % 256 < 128:
            return True
        return progress["completed"] % 256 == number % 256 and bool(progress["last"]) and progress["rows"] > y

    expected = list(positions(bench.config, run))
    depth = run["RUN"]["groups"] if run["RUN"]["mode"] in BY_CHANNEL else 1

    def check(_: list[int | None]) -> None:
        """Requests come in the order of the positions, two cycles after they were issued."""
        position = expected[asked[0]]
        asked[0] += 1
        for group in range(depth):
            y = position.y + group * run["KERNEL_Y"]["group_rows"]
            if 0 <= y < height:
                assert written(y), f"row {y} read when {progress} is written"

    asked = [0]
    bench.reads.seen = check
    bench.send(run)
    for _ in range(height - down + 3):
        told.completed.set(progress["completed"] % 256)
        told.rows.set(progress["rows"])
        told.last_tile.set(progress["last"])
        other.completed.set(bench.integers(0, 255))
        other.rows.set(down + bench.integers(0, 9))
        other.last_tile.set(bench.integers(0, 1))
        await bench.clocks(bench.integers(1, 60))
        if (progress["completed"] - number - 1) % 256 < 128:
            continue
        if progress["completed"] % 256 != number % 256:
            left = (number - progress["completed"]) % 256
            step = bench.integers(1, left)
            progress |= {"completed": progress["completed"] + step, "rows": down, "last": bench.integers(0, 1)}
        elif not progress["last"]:
            progress["last"] = 1
        else:
            progress["rows"] += 1
    progress["completed"] = number + 1
    told.completed.set((number + 1) % 256)
    told.rows.set(0)
    told.last_tile.set(0)
    await bench.settled()
    bench.reads.seen = None


@testcase(FeederBench)
async def follows_rows(bench: FeederBench) -> None:
    """No byte of a followed run's row is read before it is written, and waiting ends when it is."""
    for _ in range(bench.count(5)):
        number = bench.integers(0, 255)
        for whom in (Follow.OUTPUT, Follow.LOAD):
            await follow(bench, whom, number + 1 + bench.choose(0, bench.integers(0, 127)), number, 0)
            cover_follow((whom.name, "finished before"))
            await follow(bench, whom, number, number, 0)
            cover_follow((whom.name, "row by row"))
            ahead = bench.choose(bench.integers(1, 3), bench.integers(1, 127))
            await follow(bench, whom, number - ahead, number, bench.integers(0, 5))
            cover_follow((whom.name, "not started"))
    cover_waits("followed row" if WAIT_FOLLOW in bench.states else None)
    cover_waits("loaded row" if WAIT_LOAD in bench.states else None)


def broken(bench: FeederBench, what: str) -> Registers | None:
    """A run that breaks one rule, by much or little; None if this configuration has no such rule."""
    for _ in range(30):
        run = perhaps_broken(bench, what)
        if refusal(bench.config, Unit.ARRAY, run) is not None:
            return run
    return None


def perhaps_broken(bench: FeederBench, what: str) -> Registers:
    mode = Mode.CONV
    if what in ("RUN.groups 0", "RUN.groups 3", "KERNEL_Y.group_pitch"):
        mode = Mode.DEPTHWISE
    elif what in ("STEP.position", "banks of pairs"):
        mode = Mode.PAIRS
    run, word = random_run(bench, mode, height=2, width=2), bench.config.word_bytes
    name, _, field = what.partition(".")
    if what == "STEP.position":
        run["STEP"]["position"] += 1 << bench.integers(0, word.bit_length() - 1)
    elif what == "banks of pairs":
        run["STEP"]["position"] = 2 * word * bench.choose(2, 6, 8, bench.integers(1, 255))
    elif what == "RUN.follow":
        run["RUN"]["follow"] = 3
    elif what == "RUN.groups 0":
        run["RUN"]["groups"] = 0
    elif what == "RUN.groups 3":
        run["RUN"]["groups"] = bench.integers(min(3, bench.config.groups + 1), 3)
    elif what == "WEIGHTS.rows 0":
        run["WEIGHTS"]["rows"] = 0
    elif what == "WEIGHTS.rows high":
        run["WEIGHTS"]["rows"] = bench.config.rows + bench.choose(1, bench.integers(1, 127 - bench.config.rows))
    elif what == "KERNEL_Y.group_pitch":
        run["RUN"]["groups"] = min(2, bench.config.groups)
        odd = bench.integers(0, 1 << 20) * word + (1 << bench.integers(0, word.bit_length() - 2))
        run["KERNEL_Y"]["group_pitch"] = bench.choose(4 * word, 8 * word, 4 * word * bench.integers(1, 1 << 16), odd)
    elif what == "BLOCK too large":
        half = bench.config.acc_half
        run["OUT"] = run["BLOCK"] = {"height": 2, "width": half // 2 + 1}
    else:
        run[name][field] = 0
    return run


@testcase(FeederBench)
async def refuses_illegal_runs(bench: FeederBench) -> None:
    """ILLEGAL_VALUE with the run's tag, held; nothing is given to the array before a reset, then it works again."""
    ports = bench.ports
    for what in (*ILLEGAL, *ILLEGAL):
        run = broken(bench, what)
        if run is None:
            continue
        if what == "BLOCK too large":
            bench.expect(run)  # it shows when the half is full
        issued = bench.issued
        bench.source.send(payload_of(Unit.ARRAY, run))
        await bench.until(lambda: bool(ports.error.valid.get()), 4000, f"the refusal of {what}")
        cover_illegal(what)
        await bench.clocks(40)
        error = ports.error
        assert what == "BLOCK too large" or bench.issued == issued
        assert bench.arrivals.left or what != "BLOCK too large"
        assert (error.code.get(), error.tag.get()) == (ErrorCode.ILLEGAL_VALUE, run["RUN"]["tag"]), what
        await bench.restart()
        bench.send(small_run(bench, Mode.CONV))
        await bench.settled()


@testcase(FeederBench)
async def halts(bench: FeederBench) -> None:
    """While ``halt`` is 1 nothing is issued and no run starts."""
    ports = bench.ports
    for _ in range(bench.count(12)):
        ports.halt.set(1)
        bench.send(random_run(bench, Mode.CONV, height=3, width=3))
        await bench.clocks(40)
        assert bench.takes.left, "a run started while halted"
        cover_halt("between runs")
        ports.halt.set(0)
        await bench.until(lambda: bench.issued > 0, 100, "a position")
        await bench.clocks(bench.integers(1, 8))
        ports.halt.set(1)
        await bench.clocks(bench.constants["latency"] + 2)
        issued = bench.issued
        await bench.clocks(20)
        assert bench.issued == issued, "a position was issued while halted"
        cover_halt("in a run" if bench.arrivals.left else None)
        ports.halt.set(0)
        await bench.settled()
        bench.issued = 0


@testcase(FeederBench)
async def reset_in_a_run(bench: FeederBench) -> None:
    """Nothing of a run, or of a TABLE, that a reset has ended arrives or is given."""
    for table in (False, True, False, False):
        for _ in range(bench.count(3)):
            if table:
                bench.takes.expect(0)
                bench.source.send(payload_of(Unit.ARRAY, {"TABLE": {"signal": 5}}, "TABLE"))
            else:
                bench.send(random_run(bench, bench.choose(*modes_of(bench.config)), height=3, width=3))
                bench.loader = bench.pace("never", "rarely")
            await bench.clocks(bench.integers(16, 40))
            await bench.restart()
            await bench.clocks(bench.constants["latency"] + 1)
            assert bench.ports.state.get() == IDLE and not bench.give_times
            bench.send(small_run(bench, bench.choose(*modes_of(bench.config))))
            await bench.settled()
            await bench.restart()
