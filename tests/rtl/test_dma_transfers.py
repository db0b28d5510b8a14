"""LoadDma and StoreDma with the bus managers, a memory, and a scratchpad of bytes."""

import numpy as np
import pytest
from amaranth import Module
from amaranth.lib import wiring
from amaranth.sim import Simulator

from tensaw.rtl.bus.read_manager import ReadManager
from tensaw.rtl.bus.write_manager import WriteManager
from tensaw.rtl.dma.load import LoadDma
from tensaw.rtl.dma.store import StoreDma
from tensaw.rtl.interfaces import READ_LATENCY
from tensaw.spec.config import NpuConfig
from tensaw.spec.isa import encode

BASE, SIZE = 0x1000, 0x6000


def small(rows=4, bus=8, **more):
    return NpuConfig(rows=rows, columns=4, requant_lanes=1, bus_bytes=bus, scratchpad_bytes=4096, **more)


class Scratchpad:
    """The ports of the scratchpad: grants by chance, two cycles of read latency."""

    def __init__(self, config, seed, refuse):
        self.config, self.refuse = config, refuse
        self.rng = np.random.default_rng(seed)
        self.content = self.rng.integers(0, 256, config.scratchpad_bytes, dtype=np.uint8)

    async def serve_write(self, ctx, port):
        while True:
            ready = self.rng.random() >= self.refuse
            ctx.set(port.ready, ready)
            _, _, valid, address, data, mask = await ctx.tick().sample(port.valid, port.address, port.data, port.mask)
            if valid and ready:
                written = mask >> address % self.config.word_bytes
                assert 0 < written < 1 << self.config.word_bytes
                for i in (i for i in range(self.config.word_bytes) if written >> i & 1):
                    self.content[(address + i) % (1 << 24)] = data >> (8 * i) & 255

    async def serve_read(self, ctx, port):
        word = self.config.word_bytes
        waiting: list[int | None] = [None] * (READ_LATENCY - 1)
        while True:
            ready = self.rng.random() >= self.refuse
            ctx.set(port.ready, ready)
            _, _, valid, address = await ctx.tick().sample(port.valid, port.address)
            due = waiting.pop(0)
            waiting.append(None)
            if valid and ready:
                index = (address + np.arange(word)) % (1 << 24) % self.content.size
                waiting[-1] = int.from_bytes(self.content[index].tobytes(), "little")
            ctx.set(port.data, int(self.rng.integers(1 << 32)) if due is None else due)


def build(config, kind):
    m = Module()
    m.submodules.dma = dma = LoadDma(config) if kind == "LOAD" else StoreDma(config)
    m.submodules.manager = manager = ReadManager(config) if kind == "LOAD" else WriteManager(config)
    if kind == "LOAD":
        wiring.connect(m, dma.read, manager.load)
    else:
        wiring.connect(m, dma.write, manager.store)
    return m, dma, manager


def simulator_of(m, dma, memory, pad, kind):
    simulator = Simulator(m)
    simulator.add_clock(1e-6)

    async def port(ctx):
        await (pad.serve_write(ctx, dma.write) if kind == "LOAD" else pad.serve_read(ctx, dma.read))

    simulator.add_testbench(memory.serve_reads if kind == "LOAD" else memory.serve_writes, background=True)
    simulator.add_testbench(port, background=True)
    return simulator


def open_regions(ctx, manager):
    ctx.set(manager.regions[1], {"base": BASE, "size": SIZE, "read": 1, "write": 1})


def words_of_run(kind, run):
    return [
        encode(f"{kind}.MEMORY", region=1, offset=run["offset"]),
        encode(f"{kind}.SCRATCHPAD", address=run["address"]),
        encode(f"{kind}.ROWS", bytes=run["bytes"], count=run["rows"]),
        encode(f"{kind}.ROW_PITCH", memory=run["row_memory"], scratchpad=run["row_pad"]),
        encode(f"{kind}.PLANES", count=run["planes"]),
        encode(f"{kind}.PLANE_PITCH", memory=run["plane_memory"], scratchpad=run["plane_pad"]),
        encode(f"{kind}.RUN", **run["run"]),
    ]


def random_run(rng, index, fill_allowed):
    """A run whose rows overlap neither in memory nor in the scratchpad."""
    bytes_ = int(rng.integers(1, [4, 30, 200][rng.integers(3)]))
    rows, planes = int(rng.integers(1, 5)), int(rng.integers(1, 4))
    run = {"bytes": bytes_, "rows": rows, "planes": planes, "run": {"tag": index + 1, "wait": 1, "signal": 0b1000}}
    for name, limit in (("memory", SIZE), ("pad", 4096)):
        run[f"row_{name}"] = bytes_ + int(rng.integers(0, 20))
        run[f"plane_{name}"] = run[f"row_{name}"] * rows + int(rng.integers(0, 20))
        extent = run[f"plane_{name}"] * planes
        start = int(rng.integers(0, limit - extent))
        if name == "memory" and rng.integers(2):
            start = max(0, (start | 4095) - int(rng.integers(0, 300)))
            start = min(start, limit - extent)
        run["offset" if name == "memory" else "address"] = start
    if fill_allowed and rng.integers(3) == 0:
        run["run"] |= {"fill": 1, "value": int(rng.integers(256))}
    return run


def apply(kind, run, memory, pad):
    for plane in range(run["planes"]):
        for row in range(run["rows"]):
            there = BASE + run["offset"] + plane * run["plane_memory"] + row * run["row_memory"]
            here = run["address"] + plane * run["plane_pad"] + row * run["row_pad"]
            if kind == "STORE":
                memory[there : there + run["bytes"]] = pad[here : here + run["bytes"]]
            elif run["run"].get("fill"):
                pad[here : here + run["bytes"]] = run["run"]["value"]
            else:
                pad[here : here + run["bytes"]] = memory[there : there + run["bytes"]]


async def send(ctx, dma, words):
    for word in words:
        ctx.set(dma.words.payload, word)
        ctx.set(dma.words.valid, 1)
        await ctx.tick().until(dma.words.ready)
        ctx.set(dma.words.valid, 0)


@pytest.mark.parametrize("kind", ["LOAD", "STORE"])
@pytest.mark.parametrize("rows, bus, stall, refuse", [(4, 8, 0.2, 0.3), (4, 16, 0.3, 0.2), (32, 8, 0.0, 0.5)])
def test_random_runs(axi_memory, kind, rows, bus, stall, refuse):
    config = small(rows, bus)
    m, dma, manager = build(config, kind)
    seed = rows + bus
    memory = axi_memory(manager.axi, config, 0x8000, seed=seed, latency=6, stall=stall)
    pad = Scratchpad(config, seed + 1, refuse)
    rng = np.random.default_rng(seed + 2)
    runs = [random_run(rng, index, kind == "LOAD") for index in range(10)]

    async def sending(ctx):
        open_regions(ctx, manager)
        for run in runs:
            await send(ctx, dma, words_of_run(kind, run))

    async def checking(ctx):
        for index, run in enumerate(runs):
            image, pad_image = memory.content.copy(), pad.content.copy()
            apply(kind, run, image, pad_image)
            ctx.set(dma.tokens.take_ready, 0)
            await ctx.tick().repeat(3)
            ctx.set(dma.tokens.take_ready, 1)
            await ctx.tick().until(dma.tokens.take)
            ctx.set(dma.tokens.take_ready, 0)
            assert ctx.get(dma.busy) and ctx.get(dma.tag) == index + 1
            (given,) = await ctx.tick().sample(dma.tokens.give_mask).until(dma.tokens.give)
            assert given == 0b1000
            assert np.array_equal(memory.content, image)
            assert np.array_equal(pad.content, pad_image)
            assert not ctx.get(dma.error.valid)
        await ctx.tick()
        assert not ctx.get(dma.busy)

    simulator = simulator_of(m, dma, memory, pad, kind)
    simulator.add_testbench(sending)
    simulator.add_testbench(checking)
    simulator.run()


@pytest.mark.parametrize("kind", ["LOAD", "STORE"])
@pytest.mark.parametrize("rows, bus, stall, refuse", [(4, 8, 0.2, 0.3), (4, 16, 0.0, 0.0), (32, 8, 0.1, 0.5)])
def test_random_runs_without_a_pause(axi_memory, kind, rows, bus, stall, refuse):
    config = small(rows, bus)
    m, dma, manager = build(config, kind)
    memory = axi_memory(manager.axi, config, 0x8000, seed=rows, latency=6, stall=stall)
    pad = Scratchpad(config, bus, refuse)
    rng = np.random.default_rng(rows + bus)
    runs = [random_run(rng, index, kind == "LOAD") for index in range(30)]
    for index, run in enumerate(runs):
        run["run"]["signal"] = 1 + index % 15
    image, pad_image = memory.content.copy(), pad.content.copy()
    for run in runs:
        apply(kind, run, image, pad_image)

    async def sending(ctx):
        open_regions(ctx, manager)
        ctx.set(dma.tokens.take_ready, 1)
        for run in runs:
            await send(ctx, dma, words_of_run(kind, run))

    async def checking(ctx):
        for index in range(len(runs)):
            (mask,) = await ctx.tick().sample(dma.tokens.give_mask).until(dma.tokens.give)
            assert mask == 1 + index % 15
        await ctx.tick()
        assert not ctx.get(dma.busy) and not ctx.get(dma.error.valid)
        assert np.array_equal(memory.content, image) and np.array_equal(pad.content, pad_image)

    simulator = simulator_of(m, dma, memory, pad, kind)
    simulator.add_testbench(sending)
    simulator.add_testbench(checking)
    simulator.run()


def test_loads_follow_each_other_without_a_gap(axi_memory):
    """Tokens come in the order of the runs, each when its own bytes are written; the bus does not rest between them."""
    config = small()
    m, dma, manager = build(config, "LOAD")
    memory = axi_memory(manager.axi, config, 0x8000, latency=32)
    pad = Scratchpad(config, 1, 0.0)
    runs = [
        {
            "bytes": 512, "rows": 1, "planes": 1, "row_memory": 0, "row_pad": 0, "plane_memory": 0, "plane_pad": 0,
            "offset": 1024 * index, "address": 512 * index, "run": {"tag": index + 1, "signal": 1 << index % 4},
        }
        for index in range(8)
    ]  # fmt: skip
    image = pad.content.copy()

    async def sending(ctx):
        open_regions(ctx, manager)
        ctx.set(dma.tokens.take_ready, 1)
        for run in runs:
            await send(ctx, dma, words_of_run("LOAD", run))

    async def checking(ctx):
        for index, run in enumerate(runs):
            mask, tag = await ctx.tick().sample(dma.tokens.give_mask, dma.tag).until(dma.tokens.give)
            # Of the oldest run that is under way.
            assert (mask, tag) == (1 << index % 4, min(index + 2, len(runs)))
            apply("LOAD", run, memory.content, image)
            assert ctx.get(dma.progress.completed) == index + 1
            assert np.array_equal(pad.content[: 512 * (index + 1)], image[: 512 * (index + 1)])
        await ctx.tick()
        assert not ctx.get(dma.busy) and not ctx.get(dma.error.valid)

    simulator = simulator_of(m, dma, memory, pad, "LOAD")
    simulator.add_testbench(sending)
    simulator.add_testbench(checking)
    simulator.run()
    times = memory.beat_times
    assert times[-1] - times[0] + 1 == len(times) == 512


@pytest.mark.parametrize("refuse", [0.0, 0.4])
def test_progress_counts_written_lines(axi_memory, refuse):
    """Each plane's bytes are there when its lines are counted; the next run begins at 0."""
    config = small()
    m, dma, manager = build(config, "LOAD")
    memory = axi_memory(manager.axi, config, 0x8000, latency=8)
    pad = Scratchpad(config, 1, refuse)
    runs = [
        {
            "bytes": 20, "rows": 3, "planes": 5, "row_memory": 30, "row_pad": 20, "plane_memory": 100, "plane_pad": 60,
            "offset": 500 * index, "address": 300 * index + 5, "run": {"tag": index + 1, "lines": 2 + index},
        }
        for index in range(3)
    ]  # fmt: skip
    seen = []

    async def sending(ctx):
        open_regions(ctx, manager)
        ctx.set(dma.tokens.take_ready, 1)
        for run in runs:
            await send(ctx, dma, words_of_run("LOAD", run))

    async def watching(ctx):
        while not seen or seen[-1][0] < len(runs):
            await ctx.tick()
            progress = ctx.get(dma.progress.completed), ctx.get(dma.progress.rows)
            assert ctx.get(dma.progress.last_tile)
            if seen and progress == seen[-1]:
                continue
            seen.append(progress)
            number, lines = progress
            image = pad.content.copy()
            for run in runs[:number]:
                apply("LOAD", run, memory.content, image)
            if lines:
                apply("LOAD", {**runs[number], "planes": lines // (2 + number)}, memory.content, image)
            assert np.array_equal(image, pad.content), progress

    simulator = simulator_of(m, dma, memory, pad, "LOAD")
    simulator.add_testbench(sending)
    simulator.add_testbench(watching)
    simulator.run()
    # The last plane ends the run.
    assert seen == [(n, k * (2 + n)) for n in range(3) for k in range(5)] + [(3, 0)]


@pytest.mark.parametrize("bad", ["SLVERR", "OUTSIDE_REGION"])
def test_an_error_names_the_run_that_it_is_about(axi_memory, bad):
    """The second of three short loads fails, while the first and the third are under way, too."""
    config = small()
    m, dma, manager = build(config, "LOAD")
    memory = axi_memory(manager.axi, config, 0x8000, latency=32, bad={2: 2})
    offset, code = {"SLVERR": (0x1000, 1), "OUTSIDE_REGION": (SIZE, 7)}[bad]
    pad = Scratchpad(config, 1, 0.0)
    run = {
        "bytes": 8, "rows": 1, "planes": 1, "row_memory": 0, "row_pad": 0, "plane_memory": 0, "plane_pad": 0,
        "offset": 0, "address": 0,
    }  # fmt: skip

    async def bench(ctx):
        open_regions(ctx, manager)
        ctx.set(dma.tokens.take_ready, 1)
        for tag, where in ((1, 0), (2, offset), (3, 0)):
            await send(ctx, dma, words_of_run("LOAD", {**run, "offset": where, "run": {"tag": tag}}))
        error = dma.error
        while not ctx.get(error.valid):
            await ctx.tick()
        assert (ctx.get(error.code), ctx.get(error.tag)) == (code, 2)

    simulator = simulator_of(m, dma, memory, pad, "LOAD")
    simulator.add_testbench(bench)
    simulator.run()


@pytest.mark.parametrize("kind", ["LOAD", "STORE"])
@pytest.mark.parametrize("rows, row_bytes", [(32, 64), (1, 2048)])
def test_one_beat_a_cycle(axi_memory, kind, rows, row_bytes):
    config = small()
    m, dma, manager = build(config, kind)
    memory = axi_memory(manager.axi, config, 0x8000, latency=32)
    pad = Scratchpad(config, 1, 0.0)
    run = {
        "bytes": row_bytes, "rows": rows, "planes": 1, "row_memory": row_bytes + 64, "row_pad": row_bytes,
        "plane_memory": 0, "plane_pad": 0, "offset": 0, "address": 0, "run": {"tag": 1},
    }  # fmt: skip

    async def bench(ctx):
        open_regions(ctx, manager)
        ctx.set(dma.tokens.take_ready, 1)
        await send(ctx, dma, words_of_run(kind, run))
        await ctx.tick().until(dma.busy)
        await ctx.tick().until(~dma.busy)
        assert not ctx.get(dma.error.valid)

    simulator = simulator_of(m, dma, memory, pad, kind)
    simulator.add_testbench(bench)
    simulator.run()
    times = memory.beat_times
    assert len(times) == 256
    assert times[-1] - times[0] + 1 <= 256 * 1.02 + 2


def test_fill_is_a_word_a_cycle(axi_memory):
    config = small(rows=32)
    m, dma, manager = build(config, "LOAD")
    memory = axi_memory(manager.axi, config, 0x8000)
    pad = Scratchpad(config, 1, 0.0)
    run = {
        "bytes": 1000, "rows": 4, "planes": 1, "row_memory": 0, "row_pad": 1000, "plane_memory": 0, "plane_pad": 0,
        "offset": 0xFFFFFFFF, "address": 7, "run": {"tag": 1, "fill": 1, "value": 0x80},
    }  # fmt: skip

    async def bench(ctx):
        ctx.set(dma.tokens.take_ready, 1)
        await send(ctx, dma, words_of_run("LOAD", run))
        await ctx.tick().until(dma.busy)
        cycles = 0
        while ctx.get(dma.busy):
            await ctx.tick()
            cycles += 1
        assert cycles <= 4 * 32 + 8
        assert (pad.content[7:4007] == 0x80).all() and (pad.content[:7] != 0x80).any()

    simulator = simulator_of(m, dma, memory, pad, "LOAD")
    simulator.add_testbench(bench)
    simulator.run()
    assert not memory.reads


@pytest.mark.parametrize("kind", ["LOAD", "STORE"])
@pytest.mark.parametrize(
    "changes, code",
    [
        ({"bytes": 0}, 6),
        ({"rows": 0}, 6),
        ({"planes": 0}, 6),
        ({"address": 4089}, 6),
        ({"rows": 2, "row_pad": 0xFFFFFF}, 6),
        ({"planes": 3, "plane_pad": 0xFFFFF0}, 6),
        ({"offset": SIZE - 7}, 7),
        ({"offset": 0xFFFFFFF0, "rows": 3, "row_memory": 16}, 7),
        ({"rows": 40, "row_memory": 0xFFFFFFF}, 7),
        ({"offset": 0x1000}, "SLVERR"),
        ({"offset": 0x2000}, "DECERR"),
    ],
)
def test_errors(axi_memory, kind, changes, code):
    config = small()
    m, dma, manager = build(config, kind)
    memory = axi_memory(manager.axi, config, 0x8000, bad={2: 2, 3: 3})
    pad = Scratchpad(config, 1, 0.0)
    run = {
        "bytes": 8, "rows": 1, "planes": 1, "row_memory": 0, "row_pad": 0, "plane_memory": 0, "plane_pad": 0,
        "offset": 0, "address": 0, "run": {"tag": 0x321}, **changes,
    }  # fmt: skip
    if isinstance(code, str):
        code = {"SLVERR": 1, "DECERR": 2}[code] + (2 if kind == "STORE" else 0)

    async def bench(ctx):
        open_regions(ctx, manager)
        ctx.set(dma.tokens.take_ready, 1)
        await send(ctx, dma, words_of_run(kind, run))
        error = dma.error
        assert tuple(await ctx.tick().sample(error.code, error.tag).until(error.valid)) == (code, 0x321)

    simulator = simulator_of(m, dma, memory, pad, kind)
    simulator.add_testbench(bench)
    simulator.run()
