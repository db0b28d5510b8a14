"""The parameter store: biases, multipliers and shifts of two tiles, one read while the other is filled."""

from __future__ import annotations

from collections import deque

import numpy as np
from common.bench import Bench, testcase
from common.coverage import Cover
from common.pauses import STYLES, make_pace
from common.streams import Source

COVER = Cover("parameter_store")
cover_kinds = COVER.point("kinds of a tile", ("bias", "scale", "bias and scale"))
cover_stall = COVER.cross("stall", ("rows", "reader"), STYLES)
cover_full = COVER.point("sets filled", (0, 1, 2))
cover_beats = COVER.point("beats of a vector", ("1", "more, last full", "more, last cut"))

BIAS, MULTIPLIER, SHIFT = range(3)


class StoreBench(Bench):
    """Sends tiles' rows, reads all of a tile's beats in any order, releases it."""

    def prepare(self) -> None:
        self.tiles: deque[dict[str, np.ndarray | None]] = deque()
        self.last: dict[str, np.ndarray] = {}

    @property
    def beats(self) -> int:
        return -(-self.config.columns // self.config.requant_lanes)

    def send(self, source: Source, bias: bool, scale: bool) -> None:
        width, rng = self.config.weight_row_bytes, self.rng
        tile: dict[str, np.ndarray | None] = {"bias": None, "multiplier": None, "shift": None}
        rows = []
        for name, kind, wanted in (("bias", BIAS, bias), ("multiplier", MULTIPLIER, scale)):
            if wanted:
                tile[name] = values = rng.integers(-(1 << 31), 1 << 31, width)
                rows += [(kind, i, part.astype("<i4").tobytes()) for i, part in enumerate(np.split(values, 4))]
        if scale:
            tile["shift"] = values = rng.integers(-32, 32, width)
            rows.append((SHIFT, 0, values.astype(np.int8).tobytes()))
        source.send(*(
            {"places": 1 << (4 * kind + i), "last": int(number == len(rows) - 1), "row": int.from_bytes(row, "little")}
            for number, (kind, i, row) in enumerate(rows)
        ))  # fmt: skip
        self.tiles.append(tile)
        cover_kinds("bias and scale" if bias and scale else "bias" if bias else "scale")

    async def read_tile(self, style: str) -> None:
        """Read every beat at least once, holding some, then release."""
        ports, pace, lanes = self.ports, make_pace(self.rng, style), self.config.requant_lanes
        for _ in range(500):
            cover_full(0 if not ports.filled.get() else None)
            if ports.filled.get():
                break
            await self.clocks()
        assert ports.filled.get(), "the set is never filled"
        tile = self.tiles.popleft()
        order = [*self.rng.permutation(self.beats), *self.rng.integers(0, self.beats, 3)]
        for number, beat in enumerate(order):
            while not pace():
                ports.enable.set(0)
                self.randomise(ports.beat)
                await self.clocks()
            ports.enable.set(1)
            ports.beat.set(int(beat) % max(2, self.beats))
            final = number == len(order) - 1
            ports.release.set(int(final))
            await self.clocks()
            ports.enable.set(0)
            ports.release.set(0)
            for _ in range(self.integers(1, 3)):  # held while not enabled
                self.randomise(ports.beat)
                await self.clocks()
                self.compare(tile, int(beat), lanes)
        left = self.config.columns % lanes
        cover_beats("1" if self.beats == 1 else "more, last cut" if left else "more, last full")

    def compare(self, tile: dict[str, np.ndarray | None], beat: int, lanes: int) -> None:
        ports = self.ports
        used = min(lanes, self.config.columns - beat * lanes)
        for name in ("bias", "multiplier", "shift"):
            values = tile[name]
            if values is None:
                continue
            bits = getattr(ports, name).text()
            width = len(bits) // lanes
            for lane in range(used):
                text = bits[len(bits) - (lane + 1) * width : len(bits) - lane * width]
                wanted = int(values[beat * lanes + lane]) & ((1 << width) - 1)
                assert text == f"{wanted:0{width}b}", f"{name} of channel {beat * lanes + lane} is {text}"


@testcase(StoreBench)
async def random_tiles(bench: StoreBench) -> None:
    """Tiles of all kinds, rows and reads with pauses, the next tile sent as early as it is taken."""
    for style in STYLES:
        for rows, reader in ((style, "never"), ("never", style)):
            source = Source(bench, bench.ports.rows, make_pace(bench.rng, rows))
            cover_stall(("rows", rows))
            cover_stall(("reader", reader))
            for _ in range(bench.count(3)):
                bench.send(source, *bench.choose((True, False), (False, True), (True, True)))
            while bench.tiles:
                await bench.read_tile(reader)
            await bench.clocks(3)
            assert source.idle and not bench.ports.filled.get()
            await bench.restart()


@testcase(StoreBench)
async def two_sets(bench: StoreBench) -> None:
    """Two tiles are taken and no more, until one is released."""
    source = Source(bench, bench.ports.rows, make_pace(bench.rng, "never"))
    for _ in range(4):
        bench.send(source, True, True)
    await bench.clocks(40 + 40 * bench.beats)
    assert source.taken == 18, f"{source.taken} rows taken"
    cover_full(2)
    await bench.read_tile("never")
    await bench.clocks(40 + 40 * bench.beats)
    assert source.taken == 27
    for _ in range(3):
        await bench.read_tile("rarely")
    cover_full(1)


@testcase(StoreBench)
async def reset_empties_it(bench: StoreBench) -> None:
    """After a reset both sets are empty, the first to be filled is the first to be read."""
    for _ in range(bench.count(6)):
        source = Source(bench, bench.ports.rows, make_pace(bench.rng, "never"))
        for _ in range(3):
            bench.send(source, True, bench.chance(0.5))
        await bench.clocks(bench.integers(1, 30))
        if bench.ports.filled.get() and bench.chance(0.5):
            await bench.read_tile("never")
        await bench.restart()
        assert not bench.ports.filled.get()
        source = Source(bench, bench.ports.rows, make_pace(bench.rng, "never"))
        bench.send(source, True, True)
        bench.send(source, False, True)
        await bench.read_tile("never")
        await bench.read_tile("never")
        await bench.restart()
