"""The loops of the output stage against nested Python loops, and its parameter store against the rows it was fed."""

import numpy as np
import pytest
from amaranth.sim import Simulator

from tensaw.rtl.interfaces import SideKind
from tensaw.rtl.output.parameters import ParameterStore, beats_of
from tensaw.rtl.output.walk import Walk
from tensaw.spec.config import NpuConfig


def config_of(columns, lanes):
    return NpuConfig(rows=4, columns=columns, requant_lanes=lanes, weight_bytes=8192, acc_entries=8)


def beats(shape, config):
    """(address, count, index, vector_done, row_done, tile_done, run_done, last_tile) of each beat."""
    s, lanes = shape, config.requant_lanes
    for n in range(s["tiles"]):
        last_tile = n == s["tiles"] - 1
        channels = s["last"] if last_tile else s["tile"]
        for by in range(0, s["height"], s["block_height"]):
            for bx in range(0, s["width"], s["block_width"]):
                for y in range(by, min(by + s["block_height"], s["height"])):
                    for x in range(bx, min(bx + s["block_width"], s["width"])):
                        for first in range(0, channels, lanes):
                            at = s["base"] + n * s["tile_step"] + y * s["pitch"] + x * s["pixel_pitch"] + first
                            done = first + lanes >= channels
                            row = done and x == s["width"] - 1
                            tile = row and y == s["height"] - 1
                            yield (
                                at % (1 << config.address_bits), min(lanes, channels - first), first // lanes, done,
                                row and last_tile, tile, tile and last_tile, last_tile,
                            )  # fmt: skip


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("columns", "lanes"), [(5, 2), (12, 12), (7, 1)])
def test_beats_in_the_order_of_the_array(columns, lanes, seed):
    rng = np.random.default_rng([seed, columns])
    config = config_of(columns, lanes)
    walk = Walk(config)
    fields = ("address", "count", "index", "vector_done", "row_done", "tile_done", "run_done", "last_tile")

    async def bench(ctx):
        for _ in range(6):
            tile = int(rng.integers(1, columns + 1))
            shape = {
                "base": int(rng.integers(1 << 24)), "pitch": int(rng.integers(1 << 24)),
                "pixel_pitch": int(rng.integers(1 << 16)), "tile_step": int(rng.integers(128)), "tile": tile,
                "last": int(rng.integers(1, tile + 1)), "tiles": int(rng.integers(1, 4)),
                "height": int(rng.integers(1, 6)), "width": int(rng.integers(1, 6)),
                "block_height": int(rng.integers(1, 7)), "block_width": int(rng.integers(1, 7)),
            }  # fmt: skip
            ctx.set(walk.shape, shape)
            ctx.set(walk.start, 1)
            await ctx.tick()
            ctx.set(walk.start, 0)
            for expected in beats(shape, config):
                while rng.random() < 0.2:
                    ctx.set(walk.next, 0)
                    await ctx.tick()
                ctx.set(walk.next, 1)
                assert ctx.get(walk.valid)
                assert tuple(ctx.get(walk.beat)[field] for field in fields) == expected, shape
                await ctx.tick()
            assert not ctx.get(walk.valid)
            ctx.set(walk.next, 0)

    simulator = Simulator(walk)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


@pytest.mark.parametrize(("columns", "lanes"), [(16, 16), (16, 4), (12, 12), (12, 5), (7, 1), (2, 2), (33, 32)])
def test_parameters_of_two_tiles(columns, lanes):
    rng = np.random.default_rng([columns, lanes])
    config = config_of(columns, lanes)
    store = ParameterStore(config)
    width = config.weight_row_bytes
    tiles = []
    for _ in range(5):
        bias, multiplier = rng.integers(-(1 << 31), 1 << 31, (2, width))
        tiles.append((bias, multiplier, rng.integers(-31, 31, width)))
    taken = []

    async def feed(ctx):
        for bias, multiplier, shift in tiles:
            rows = [
                (kind, index, values[index * width // 4 :][: width // 4].astype("<i4").tobytes())
                for kind, values in ((SideKind.BIAS, bias), (SideKind.MULTIPLIER, multiplier))
                for index in range(4)
            ]
            rows.append((SideKind.SHIFT, 0, shift.astype(np.int8).tobytes()))
            for number, (kind, index, row) in enumerate(rows):
                place = 1 << 4 * SideKind(kind).value + index
                payload = {"places": place, "last": number == 8, "row": int.from_bytes(row, "little")}
                ctx.set(store.rows.payload, payload)
                ctx.set(store.rows.valid, 1)
                cycles = 1
                while not ctx.get(store.rows.ready):
                    await ctx.tick()
                    cycles += 1
                await ctx.tick()
                taken.append(cycles)
                ctx.set(store.rows.valid, 0)

    async def read(ctx):
        for number, (bias, multiplier, shift) in enumerate(tiles):
            while not ctx.get(store.filled) or rng.random() < 0.9:
                await ctx.tick()
            for beat in range(beats_of(config)):
                ctx.set(store.beat, beat)
                ctx.set(store.enable, 1)
                ctx.set(store.release, beat == beats_of(config) - 1)
                await ctx.tick()
                ctx.set(store.enable, 0)
                ctx.set(store.release, 0)
                for channel in range(beat * lanes, min((beat + 1) * lanes, columns)):
                    lane = channel - beat * lanes
                    got = [int(ctx.get(port[lane])) for port in (store.bias, store.multiplier, store.shift)]
                    assert got == [bias[channel], multiplier[channel], shift[channel]], (number, channel)

    simulator = Simulator(store)
    simulator.add_clock(1e-6)
    simulator.add_testbench(feed)
    simulator.add_testbench(read)
    simulator.run()
    if lanes == columns == 16:
        assert taken[:9] == [1] * 9, "a row a cycle"
