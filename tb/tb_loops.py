"""The loops of an ARRAY run: every position of random runs, in order, however slowly they are taken."""

from __future__ import annotations

from collections.abc import Iterable

from cocotb.triggers import Timer
from common.array_runs import modes_of, positions, random_run
from common.bench import Bench, testcase
from common.commands import Registers, payload_of
from common.coverage import Cover
from common.long_runs import LOOPS, first_positions, long_run, loops_of
from common.pauses import STYLES, make_pace

from tensaw.spec.isa import Mode, Unit

COVER = Cover("loops")
cover_mode = COVER.cross("mode and stall", tuple(mode.name for mode in Mode), STYLES)
cover_blocks = COVER.cross("blocks", ("1 row", "several rows"), ("1 column", "several columns"))
cover_cut = COVER.point("cut block", ("neither", "rows", "columns", "both"))
cover_kernel = COVER.cross("kernel", ("1 y", "more y"), ("1 x", "more x"), ("1 chunk", "more chunks"))
cover_decimation = COVER.point("decimation", (1, 2, 3, 4))
cover_join = COVER.point("join", ("rows", "single rows", "ignored"))
cover_half = COVER.point("half", (0, 1))
cover_long = COVER.point("long loop", tuple(LOOPS))
cover_overflow = COVER.point("overflow", ("by one", "fits exactly"))


def cover_run(run: Registers) -> None:
    out, block = run["OUT"], run["BLOCK"]
    many = [out[name] > block[name] for name in ("height", "width")]
    cover_blocks((("1 row", "several rows")[many[0]], ("1 column", "several columns")[many[1]]))
    cut = [many[i] and out[name] % block[name] != 0 for i, name in enumerate(("height", "width"))]
    cover_cut(("neither", "rows", "columns", "both")[cut[0] + 2 * cut[1]])
    cover_kernel((
        ("1 y", "more y")[run["KERNEL_Y"]["steps"] > 1], ("1 x", "more x")[run["KERNEL_X"]["steps"] > 1],
        ("1 chunk", "more chunks")[run["KERNEL_X"]["chunks"] > 1],
    ))  # fmt: skip
    cover_decimation(run["STEP"]["decimation"])
    if run["STEP"]["join"]:
        depthwise = run["RUN"]["mode"] == Mode.DEPTHWISE and run["STEP"]["decimation"] <= 2
        cover_join(
            "ignored" if not depthwise else "rows" if block["height"] > 1 and out["height"] > 1 else "single rows"
        )


class LoopsBench(Bench):
    """Gives runs, takes positions at a random pace."""

    def prepare(self) -> None:
        self.half = 0
        self.half_period = self.period // 2

    async def start_run(self, run: Registers) -> None:
        ports = self.ports
        ports.setup.set(payload_of(Unit.ARRAY, run))
        ports.start.set(1)
        await self.clocks()
        ports.start.set(0)
        # From now on the run is the block's own.
        self.randomise(ports.setup)
        ports.advance.set(1)
        await self.clocks()
        ports.advance.set(0)

    async def middle(self) -> None:
        """Into the middle of the cycle, where outputs have their values and inputs can follow."""
        await Timer(self.half_period, "step")

    async def take(self, run: Registers, style: str, most: int = 0) -> bool:
        """All positions of a run, or the first ``most``, each looked at in every cycle in which it stands. None is
        late, but for a block that is a single position. Returns whether the run has ended."""
        ports, pace = self.ports, make_pace(self.rng, style)
        mask = (1 << self.config.address_bits) - 1
        block, before = 0, None
        for position in first_positions(self.config, run, most) if most else positions(self.config, run):
            self.half ^= position.block != block
            block = position.block
            base = (position.row_address - position.y * run["INPUT"]["pitch"]) & mask
            wanted = {
                "base": base, "x": position.x, "row_y": position.y, "keep": position.keep, "half": self.half,
                "first": position.first, "last": position.last, "final": position.final,
                "takes_weights": position.step_start and (run["RUN"]["mode"] != Mode.POOL or before is None),
                "block_start": position.block_start, "follows": position.row_start and run["RUN"].get("follow", 0),
                "run_end": position.run_end, "overflow": 0,
            }  # fmt: skip
            if position.keep:
                wanted["index"] = position.index
            alone = position.block_start and position.final and run["STEP"]["decimation"] == 1
            go, late = False, int(alone)
            while not go:
                await self.middle()
                if not ports.active.get() and late:
                    late -= 1
                    ports.advance.set(0)
                    await self.clocks()
                    continue
                assert ports.active.get() and ports.busy.get(), f"not active at {position}"
                found = ports.position.get()
                wrong = {name: found[name] for name in wanted if found[name] != int(wanted[name])}
                assert not wrong, f"{wrong} of {position}"
                go = pace()
                ports.advance.set(int(go))
                await self.clocks()
            cover_half(self.half)
            before = position
        self.half ^= 1
        ports.advance.set(0)
        held, given = ports.held.get(), payload_of(Unit.ARRAY, run)
        assert held == given, f"{held} is held instead of {given}"
        if before is None or not before.run_end:
            return False
        await self.clocks()
        assert not ports.active.get() and not ports.busy.get(), "active after the last position"
        return True

    async def runs(self, runs: Iterable[Registers], *styles: str) -> None:
        for run in runs:
            style = self.choose(*(styles or STYLES))
            cover_mode((Mode(run["RUN"]["mode"]).name, style))
            cover_run(run)
            await self.start_run(run)
            await self.take(run, style)
            await self.clocks(self.integers(0, 3))


@testcase(LoopsBench)
async def random_runs(bench: LoopsBench) -> None:
    """All modes, one run after the other."""
    modes = modes_of(bench.config)
    await bench.runs(random_run(bench, modes[i % len(modes)]) for i in range(bench.count(24)))


@testcase(LoopsBench)
async def joined_rows(bench: LoopsBench) -> None:
    """Rows of DEPTHWISE runs end a position earlier where another one follows in the block; no other run's do."""
    for mode in modes_of(bench.config):
        for number in range(bench.count(4)):
            run = random_run(bench, mode, **({"block_height": 1} if number == 3 else {}))
            run["STEP"]["join"] = 1
            if mode in (Mode.DEPTHWISE, Mode.PAIRS):
                run["STEP"]["decimation"] = 1 + number % 4
            await bench.runs([run])


@testcase(LoopsBench)
async def every_mode_and_stall(bench: LoopsBench) -> None:
    """Small runs under every pattern of stalls."""
    for mode in modes_of(bench.config):
        for style in STYLES:
            run = random_run(bench, mode, height=bench.integers(1, 3), width=bench.integers(1, 3), tiles=1)
            await bench.runs([run], style)


@testcase(LoopsBench)
async def small_blocks(bench: LoopsBench) -> None:
    """Blocks of single rows, single columns and single positions; cut ones at both edges."""
    for height, width in ((1, 1), (1, 3), (2, 1), (2, 2), (3, 2)):
        for mode in modes_of(bench.config):
            await bench.runs([random_run(
                bench, mode, height=5, width=5, block_height=height, block_width=width, tiles=bench.integers(1, 2)
            )], "never", "rarely")  # fmt: skip


@testcase(LoopsBench)
async def long_loops(bench: LoopsBench) -> None:
    """The first positions of runs with a loop of any length, at any place of an image of any size."""
    for _ in range(bench.count(1)):
        for number, mode in enumerate(modes := modes_of(bench.config)):
            for loop, bits in loops_of(mode).items():
                for bit in range(bits):
                    run = long_run(bench, mode, loop, bit)
                    cover_long(loop)
                    await bench.start_run(run)
                    # Loops that are not so long are looked at to their end, blocks to the end of their first rows.
                    whole = bit <= 6 and (bit % len(modes) == number or loop == "chunks")
                    most = 150 if whole else 8 + 3 * run["STEP"]["decimation"]
                    if not await bench.take(run, "never", most):
                        await bench.restart()


@testcase(LoopsBench)
async def whole_loops(bench: LoopsBench) -> None:
    """One loop around two blocks of a position, of up to about 130 rounds, to its end."""
    for loop in ("tiles", "y", "x", "chunks"):
        for bit in range(7):
            for rounds in (2 + (1 << bit), 1 + (2 << bit)):  # registers hold two less
                run = long_run(bench, Mode.CONV, loop, bit)
                run["OUT"], run["BLOCK"] = {"height": 2, "width": 1}, {"height": 1, "width": 1}
                run["TILES"]["count"] = rounds if loop == "tiles" else 1
                run["KERNEL_Y"]["steps"] = rounds if loop == "y" else 1
                run["KERNEL_X"] |= {"steps": rounds if loop == "x" else 1, "chunks": rounds if loop == "chunks" else 1}
                run["ORIGIN"] = {"y": bench.integers(-9, 9), "x": bench.integers(-9, 9)}
                await bench.runs([run], "never")


@testcase(LoopsBench)
async def overflow(bench: LoopsBench) -> None:
    """A block that fills a half exactly is right; at the first position beyond, ``overflow`` says so."""
    half = bench.config.acc_half
    for extra in (0, 1):
        run = random_run(bench, Mode.CONV, height=1, width=half, block_height=1, block_width=half, tiles=1)
        run["KERNEL_Y"]["steps"] = run["KERNEL_X"]["steps"] = run["KERNEL_X"]["chunks"] = 1
        if not extra:
            await bench.runs([run], "never")
            cover_overflow("fits exactly")
            continue
        run["OUT"]["width"] = run["BLOCK"]["width"] = half + 1
        await bench.start_run(run)
        bench.ports.advance.set(1)
        for _ in range(half):
            await bench.clocks()
            assert bench.ports.active.get() and not bench.ports.position.get()["overflow"]
        bench.ports.advance.set(0)
        for _ in range(3):
            await bench.clocks()
            assert bench.ports.position.get()["overflow"] and not bench.ports.active.get()
        cover_overflow("by one")
