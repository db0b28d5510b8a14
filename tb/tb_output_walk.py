"""The walk over an output: the address, count and flags of every lane beat."""

from __future__ import annotations

from collections.abc import Iterator

from common.bench import Bench, testcase
from common.coverage import Cover
from common.pauses import STYLES, make_pace

COVER = Cover("output_walk")
cover_beats = COVER.point("beats of a vector", ("1", "more, last full", "more, last cut"))
cover_blocks = COVER.cross("blocks", ("1 row", "several rows"), ("1 column", "several columns"))
cover_cut = COVER.point("cut block", ("neither", "rows", "columns", "both"))
cover_tiles = COVER.cross("tiles", ("1", "more"), ("last full", "last smaller"))
cover_wrap = COVER.point("address", ("wraps", "pitch 0", "plain"))
cover_stall = COVER.point("stall", STYLES)

MASK = (1 << 24) - 1


class WalkBench(Bench):
    """Starts walks and compares each beat, in every cycle in which it stands."""

    def beats(self, shape: dict[str, int]) -> Iterator[dict[str, int]]:
        """By the loops: tiles, blocks, positions, lanes."""
        lanes = self.config.requant_lanes
        height, width = shape["height"], shape["width"]
        for tile in range(shape["tiles"]):
            last_tile = tile == shape["tiles"] - 1
            channels = shape["last"] if last_tile else shape["tile"]
            order = [
                (y, x)
                for top in range(0, height, shape["block_height"])
                for left in range(0, width, shape["block_width"])
                for y in range(top, min(top + shape["block_height"], height))
                for x in range(left, min(left + shape["block_width"], width))
            ]
            for y, x in order:
                base = shape["base"] + tile * shape["tile_step"] + y * shape["pitch"] + x * shape["pixel_pitch"]
                for index, first in enumerate(range(0, channels, lanes)):
                    done = first + lanes >= channels
                    tile_done = done and (y, x) == order[-1]
                    yield {
                        "address": (base + first) & MASK, "count": min(lanes, channels - first), "index": index,
                        "vector_done": int(done), "row_done": int(done and x == width - 1 and last_tile),
                        "tile_done": int(tile_done), "run_done": int(tile_done and last_tile),
                        "last_tile": int(last_tile),
                    }  # fmt: skip

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
        cover_wrap("wraps" if end > MASK else "pitch 0" if not shape["pitch"] else "plain")

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
        for beat in self.beats(shape):
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
async def reset_in_a_walk(bench: WalkBench) -> None:
    """A reset ends a walk."""
    bench.ports.shape.set(bench.shape() | {"height": 4, "width": 4})
    bench.ports.start.set(1)
    await bench.clocks(3)
    await bench.restart()
    assert not bench.ports.valid.get()
    await bench.walk(bench.shape(), "never")
