"""The walk over an output: the address, count and flags of every lane beat."""

from __future__ import annotations

from itertools import islice

from cocotb.triggers import ClockCycles
from common.bench import Bench, testcase
from common.coverage import Cover
from common.output_jobs import walk_beats
from common.pauses import STYLES, make_pace

COVER = Cover("output_walk")
cover_beats = COVER.point("beats of a vector", ("1", "more, last full", "more, last cut"))
cover_blocks = COVER.cross("blocks", ("1 row", "several rows"), ("1 column", "several columns"))
cover_cut = COVER.point("cut block", ("neither", "rows", "columns", "both"))
cover_tiles = COVER.cross("tiles", ("1", "more"), ("last full", "last smaller"))
cover_wrap = COVER.point("address", ("wraps", "pitch 0", "plain"))
cover_large = COVER.point("large walk", ("finished", "goes on"))
cover_stall = COVER.point("stall", STYLES)

MASK = (1 << 24) - 1


class WalkBench(Bench):
    """Starts walks and compares each beat, in every cycle in which it stands."""

    def shape(self) -> dict[str, int]:
        tile = self.integers(1, self.config.columns)
        height, width = self.integers(1, 5), self.integers(1, 5)
        return {
            "base": self.choose(self.integers(0, MASK), MASK - 20), "pitch": self.choose(0, self.integers(0, 999)),
            "pixel_pitch": self.choose(0, self.integers(0, 99)), "tile_step": self.integers(0, 127), "tile": tile,
            "last": self.choose(tile, self.integers(1, tile)), "tiles": self.choose(1, 2, 3), "height": height,
            "width": width, "block_height": self.integers(1, height + 1), "block_width": self.integers(1, width + 1),
        }  # fmt: skip

    def sample(self, shape: dict[str, int]) -> None:
        lanes = self.config.requant_lanes
        for channels in (shape["tile"], shape["last"]):
            name = "1" if channels <= lanes else "more, last cut" if channels % lanes else "more, last full"
            cover_beats(name)
        many = [shape[name] > shape[f"block_{name}"] for name in ("height", "width")]
        cover_blocks((("1 row", "several rows")[many[0]], ("1 column", "several columns")[many[1]]))
        cut = [many[i] and shape[name] % shape[f"block_{name}"] != 0 for i, name in enumerate(("height", "width"))]
        cover_cut(("neither", "rows", "columns", "both")[cut[0] + 2 * cut[1]])
        smaller = shape["last"] < shape["tile"]
        cover_tiles((("1", "more")[shape["tiles"] > 1], ("last full", "last smaller")[smaller]))
        end = shape["base"] + shape["height"] * shape["pitch"]
        cover_wrap(
            "wraps"
            if end >> self.config.address_bits != shape["base"] >> self.config.address_bits
            else "pitch 0"
            if not shape["pitch"]
            else "plain"
        )

    async def walk(self, shape: dict[str, int], style: str) -> None:
        ports, pace = self.ports, make_pace(self.rng, style)
        self.sample(shape)
        cover_stall(style)
        assert not ports.valid.get()
        ports.shape.set(shape)
        ports.start.set(1)
        ports.next.set(0)
        await self.clocks()
        ports.start.set(0)
        for beat in walk_beats(self.config, shape):
            go = False
            while not go:
                go = pace()
                ports.next.set(int(go))
                await self.clocks()
                assert ports.valid.get()
                found = ports.beat.get()
                assert found == beat, f"{found} instead of {beat} in {shape}"
        ports.next.set(self.integers(0, 1))
        await self.clocks()
        assert not ports.valid.get(), "a beat after the last one"


@testcase(WalkBench)
async def random_walks(bench: WalkBench) -> None:
    """All shapes, all paces, one walk right behind the other or later."""
    for number in range(bench.count(60)):
        await bench.walk(bench.shape(), STYLES[number % len(STYLES)])
        await bench.clocks(bench.integers(0, 2))


@testcase(WalkBench)
async def large_walks(bench: WalkBench) -> None:
    """The first beats of walks with pitches, sizes and counts of all magnitudes: blocks, rows, columns and tiles that
    end, where they are few, and go on, where they are many."""
    ports = bench.ports
    names = ("tiles", "height", "width", "block_height", "block_width")
    for turn in range(bench.count(150)):
        sizes = {name: bench.integers(1, 3) for name in names}
        many = names[turn // 15 % 5]  # another one of them, and another power of two, in each turn
        most = 0xFFF if many == "tiles" else 0xFFFF
        sizes[many] = min((1 << 1 + turn % 15) + bench.integers(1, 3), most)
        if many.startswith("block"):
            sizes[many.removeprefix("block_")] = bench.choose(0xFFFF, min(2 * sizes[many], 0xFFFF))
        tile = bench.integers(1, bench.config.columns)
        shape = {
            "base": bench.integers(0, MASK), "pitch": bench.integers(0, MASK), "pixel_pitch": bench.integers(0, 0xFFFF),
            "tile_step": bench.integers(0, 127), "tile": tile, "last": bench.integers(1, tile), **sizes,
        }  # fmt: skip
        ports.shape.set(shape)
        ports.start.set(1)
        await bench.clocks()
        ports.start.set(0)
        ports.next.set(1)
        beats = list(islice(walk_beats(bench.config, shape), 41))
        for beat in beats[:40]:
            await bench.clocks()
            assert ports.valid.get()
            found = ports.beat.get()
            assert found == beat, f"{found} instead of {beat} in {shape}"
        await bench.clocks()
        assert ports.valid.get() == (len(beats) > 40)
        cover_large(("finished", "goes on")[len(beats) > 40])
        await bench.restart()


@testcase(WalkBench)
async def far_walks(bench: WalkBench) -> None:
    """Beats far from the start of long walks, to the right and down."""
    ports = bench.ports
    for size in (
        {"width": 4400, "block_width": 257, "height": 2, "block_height": 2},
        {"height": 3000, "block_height": 257},
    ):
        shape = bench.shape() | {"height": 1, "width": 1, "block_height": 1, "block_width": 1, "tile": 1, "last": 1}
        shape |= {"tiles": 1, "pitch": bench.integers(0, MASK), "pixel_pitch": bench.integers(0, 0xFFFF), **size}
        ports.shape.set(shape)
        ports.start.set(1)
        await bench.clocks()
        ports.start.set(0)
        ports.next.set(1)
        await bench.clocks()
        at, skip = 0, 0
        for number, beat in enumerate(walk_beats(bench.config, shape)):
            if number < at + skip:
                continue
            if skip:
                await ClockCycles(bench.dut.clk, skip)
            at, skip = number, bench.integers(1, 60)
            assert ports.valid.get() and ports.beat.get() == beat, f"{ports.beat.get()} instead of {beat} in {shape}"
        await bench.restart()


@testcase(WalkBench)
async def reset_in_a_walk(bench: WalkBench) -> None:
    """A reset ends a walk."""
    bench.ports.shape.set(bench.shape() | {"height": 4, "width": 4})
    bench.ports.start.set(1)
    await bench.clocks(3)
    await bench.restart()
    assert not bench.ports.valid.get()
    await bench.walk(bench.shape(), "never")
