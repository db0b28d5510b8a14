"""The whole NPU over its two AXI ports: random programs against the instruction-level golden model, in every byte of
memory; faults of the memory and of programs; a correct run afterwards."""

from __future__ import annotations

import numpy as np
from cocotbext.axi import AxiResp
from common.axi import AxiMemory, Registers, watch_channel
from common.bench import Bench, testcase
from common.coverage import Cover
from common.pauses import STYLES, make_pace
from common.programs import RoundProgram, random_program

from tensaw.model.machine import Machine, Region
from tensaw.spec.isa import Mode, Unit
from tensaw.spec.registers import ErrorCode

COVER = Cover("npu")
cover_mode = COVER.point("mode", tuple(mode.name for mode in Mode))
cover_stall = COVER.cross("stall", ("ar", "r", "aw", "w", "b"), STYLES)
cover_fault = COVER.point("fault", (
    "READ_SLVERR", "READ_DECERR", "WRITE_SLVERR", "WRITE_DECERR", "region closed", "region too small", "illegal word",
    "no end", "stopped", "reset",
))  # fmt: skip

BASE = 0x1000
BUSY, DONE, ERROR = 1, 2, 4


class NpuBench(Bench):
    """Software on the register port, a memory on the other. Regions lie apart; what is between them must stay."""

    def begin(self) -> None:
        self.memory = AxiMemory(self, "m_axi", 1 << 16, BASE)
        self.axi = Registers(self, "s_axi")
        for channel in ("b", "r"):
            watch_channel(self, "s_axi", channel)

    def pause(self, styles: dict[str, str]) -> None:
        channels = ("ar", "r", "aw", "w", "b")
        self.memory.set_paces({name: make_pace(self.rng, styles.get(name, "never")) for name in channels})
        for name in channels:
            cover_stall((name, styles.get(name, "never")))

    def place(self, program: RoundProgram) -> None:
        """Program, weights and inputs into memory; the golden memory beside it."""
        memory = self.memory
        memory.content[:] = self.bytes(memory.size)
        memory.fail.clear()
        gap = 16 * self.integers(1, 9)
        sizes = [len(program.constants), len(program.inputs), program.output_bytes]
        starts = []
        place = gap
        for size in sizes:
            starts.append(place)
            place += -(-size // 16) * 16 + gap
        memory.content[starts[0] : starts[0] + sizes[0]] = program.constants
        memory.content[starts[1] : starts[1] + sizes[1]] = program.inputs
        self.program, self.starts, self.sizes = program, starts, sizes
        self.golden = memory.content.copy()

    def compute(self) -> None:
        """What the golden model makes of the program."""
        machine = Machine(self.config)
        for index in range(3):
            window = self.golden[self.starts[index] : self.starts[index] + self.sizes[index]]
            machine.memory[index] = Region(window, read=index < 2, write=index == 2)
        words = self.program.constants[self.program.offset :].copy().view("<u8")
        machine.execute(int(word) for word in words)

    async def open(self) -> None:
        """Windows and program to the registers."""
        for index in range(3):
            await self.axi.write(f"REGION{index}_BASE_LO", BASE + self.starts[index])
            await self.axi.write(f"REGION{index}_SIZE", self.sizes[index])
            await self.axi.write(f"REGION{index}_ACCESS", 1 if index < 2 else 2)
        await self.axi.write("PROGRAM_OFFSET", self.program.offset)
        await self.axi.write("PROGRAM_BYTES", self.program.length)
        await self.axi.write("INTERRUPT_ENABLE", 1)

    async def interrupt(self, limit: int = 60_000) -> int:
        """Wait for it, after a start has taken back that of the last run; returns STATUS."""
        await self.until(lambda: not self.ports.irq.get(), 20, "the old interrupt to go")
        await self.until(lambda: bool(self.ports.irq.get()), limit, "the interrupt")
        status = await self.axi.read("STATUS")
        assert not status & BUSY
        return status

    def compare(self) -> None:
        wrong = np.flatnonzero(self.memory.content != self.golden)
        assert not len(wrong), f"{len(wrong)} bytes of memory differ, the first at {BASE + int(wrong[0]):#x}"

    async def run(self, rounds: int) -> None:
        """A program from start to interrupt; every byte of memory compared."""
        self.place(random_program(self, rounds))
        self.compute()
        await self.open()
        reads, writes = len(self.memory.reads), len(self.memory.writes)
        await self.axi.write("CONTROL", 1)
        assert await self.interrupt() == DONE, f"error {await self.axi.read('ERROR'):#x}"
        self.compare()
        beat = self.config.bus_bytes
        for name, bursts in (("READ", self.memory.reads[reads:]), ("WRITTEN", self.memory.writes[writes:])):
            assert await self.axi.read(f"BYTES_{name}_LO") == beat * sum(beats for _, beats in bursts)
        for mode in self.program.modes:
            cover_mode(mode.name)


@testcase(NpuBench)
async def both_ports(bench: NpuBench) -> None:
    """A run, and what of the ports a run does not need: answers, strobes, all bits of settings."""
    bench.begin()
    bench.pause({})
    hole = 4 * bench.integers(0x100, 0x3FF)
    assert await bench.axi.write_address(hole, 0) == AxiResp.SLVERR and await bench.axi.read_address(hole) == 0
    words = {"PROGRAM_OFFSET": 0xFFFFFFFF, "PROGRAM_BYTES": 0xFFFFFFFF, "REGION3_SIZE": 0xFFFFFFFF}
    words |= {"REGION3_BASE_LO": 0xFFFFFFF0, "REGION1_ACCESS": 3}
    for value in (bench.integers(0, 0xFFFFFFFF), 0):
        for name, mask in words.items():
            before = await bench.axi.read(name)
            byte = bench.integers(0, 3)
            await bench.axi.write_bytes(name, byte, bytes([value >> 8 * byte & 255]))
            wanted = (before & ~(255 << 8 * byte) | value & 255 << 8 * byte) & mask
            assert await bench.axi.read(name) == wanted, f"{name} after byte {byte}"
            for word in (value, value ^ 0xFFFFFFFF):
                await bench.axi.write(name, word)
                assert await bench.axi.read(name) == word & mask, name
    await bench.run(1)


@testcase(NpuBench)
async def random_programs(bench: NpuBench) -> None:
    """Random rounds of all modes, with each channel of the memory pausing in each way."""
    bench.begin()
    for style in STYLES:
        bench.pause({name: style for name in ("ar", "r", "aw", "w", "b")})
        await bench.run(3 if style == "never" else 2 if style == "bursts" else 1)


@testcase(NpuBench)
async def faults_of_the_memory(bench: NpuBench) -> None:
    """An error response at any beat stops the run with its cause; nothing is written outside; the next run is right."""
    bench.begin()
    for code in ("READ_SLVERR", "READ_DECERR", "WRITE_SLVERR", "WRITE_DECERR"):
        for _ in range(bench.count(1)):
            bench.place(random_program(bench, 2))
            bench.compute()
            await bench.open()
            beat = bench.config.bus_bytes
            index = bench.integers(0, 1) if code.startswith("READ") else 2
            start, size = BASE + bench.starts[index], bench.sizes[index] if index < 2 else 256
            resp = AxiResp.SLVERR if code.endswith("SLVERR") else AxiResp.DECERR
            first = start // beat * beat
            place = first + beat * bench.integers(0, size // beat - 1)
            failing = [place] if index < 2 else range(first, first + 512, beat)
            bench.memory.fail |= {address: resp for address in failing}
            await bench.axi.write("CONTROL", 1)
            assert await bench.interrupt() == ERROR, code
            error = await bench.axi.read("ERROR")
            assert ErrorCode(error & 255).name == code, f"{ErrorCode(error & 255).name} instead of {code}"
            units = (0, Unit.WEIGHT, Unit.LOAD) if index < 2 else (Unit.STORE,)
            assert error >> 8 & 15 in units
            address = await bench.axi.read("ERROR_ADDRESS_LO")
            burst = beat * bench.config.burst_beats
            assert any(address <= one < address + burst for one in failing), f"address {address:#x}"
            changed = np.flatnonzero(bench.memory.content != bench.golden)
            inside = (changed >= bench.starts[2]) & (changed < bench.starts[2] + bench.sizes[2])
            assert inside.all(), "bytes outside the windows were written"
            cover_fault(code)
            await bench.run(1)


@testcase(NpuBench)
async def faults_of_the_program(bench: NpuBench) -> None:
    """Closed and small windows, illegal words, no end, a stop: the cause in ERROR, and then a correct run."""
    bench.begin()
    for what in ("region closed", "region too small", "illegal word", "no end", "stopped"):
        bench.place(random_program(bench, 2))
        await bench.open()
        code = ErrorCode.OUTSIDE_REGION
        program = bench.program
        at = bench.starts[0] + program.offset
        if what == "region closed":
            await bench.axi.write(f"REGION{bench.integers(1, 2)}_ACCESS", 0)
        elif what == "region too small":
            await bench.axi.write("REGION1_SIZE", len(program.inputs) - 1)
        elif what == "illegal word":
            code = ErrorCode.ILLEGAL_COMMAND
            bench.memory.content[at : at + 8] = np.frombuffer(
                (bench.integers(7, 15) << 60).to_bytes(8, "little"), np.uint8
            )
        elif what == "no end":
            code = ErrorCode.NO_END
            await bench.axi.write("PROGRAM_BYTES", 16 * bench.integers(1, program.length // 16 - 1))
        else:
            code = ErrorCode.STOPPED
        before = bench.memory.content.copy()
        await bench.axi.write("CONTROL", 1)
        if what == "stopped":
            await bench.clocks(bench.integers(5, 400))
            await bench.axi.write("CONTROL", 2)
        status = await bench.interrupt()
        error = ErrorCode(await bench.axi.read("ERROR") & 255)
        assert status == ERROR and error == code, f"{what}: status {status}, {error.name}"
        changed = np.flatnonzero(bench.memory.content != before)
        assert ((changed >= bench.starts[2]) & (changed < bench.starts[2] + bench.sizes[2])).all(), what
        cover_fault(what)
        await bench.run(1)


@testcase(NpuBench)
async def reset_at_any_time(bench: NpuBench) -> None:
    """A reset of everything, bus included, in the middle of a run; the next run is right."""
    for _ in range(bench.count(2)):
        bench.begin()
        bench.place(random_program(bench, 2))
        await bench.open()
        await bench.axi.write("CONTROL", 1)
        await bench.clocks(bench.integers(1, 700))
        for part in (bench.memory.read_if, bench.memory.write_if, bench.axi.master.write_if, bench.axi.master.read_if):
            assert part is not None
            part.assert_reset(True)
        await bench.restart(4)
        assert not bench.ports.irq.get()
        bench.begin()
        await bench.run(1)
        for part in (bench.memory.read_if, bench.memory.write_if, bench.axi.master.write_if, bench.axi.master.read_if):
            assert part is not None
            part.assert_reset(True)
        await bench.restart(4)
        cover_fault("reset")
