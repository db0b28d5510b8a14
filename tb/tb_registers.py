"""The register file through its AXI4-Lite port: what each register holds, and what a run does to it."""

from __future__ import annotations

from common.axi import Registers, watch_channel
from common.bench import Bench, testcase
from common.counting import set_counters
from common.coverage import Cover
from common.pauses import STYLES, make_pace

from tensaw.spec.isa import Unit
from tensaw.spec.registers import (
    ADDRESS_BITS,
    COUNTERS,
    IDENTITY,
    REGISTERS,
    VERSION,
    Access,
    ErrorCode,
    Register,
)

COVER = Cover("registers")
WRITABLE = tuple(item.name for item in REGISTERS if item.access is Access.READ_WRITE)
cover_setting = COVER.cross(
    "setting", WRITABLE, ("all ones", "0", "single bytes", "locked in a run"),
    without=lambda name, how: name == "INTERRUPT_ENABLE" and how == "locked in a run",
)  # fmt: skip
cover_read = COVER.point("read", tuple(item.name for item in REGISTERS if item.access is not Access.WRITE_ONE))
cover_unmapped = COVER.point("no register", ("read", "write"))
cover_status = COVER.point("status", ("busy", "done", "error", "done cleared", "error cleared", "cleared by a start"))
cover_irq = COVER.cross("interrupt", ("done", "error"), ("enabled", "not enabled", "enabled afterwards"))
cover_error = COVER.point("error from", ("fetch", *(unit.name for unit in Unit), "tokens"))

BUSY, DONE, ERROR = 1, 2, 4
SLVERR = 2


class RegistersBench(Bench):
    """Software on one side, the core on the other."""

    def prepare(self) -> None:
        self.axi = Registers(self, "axi_", [make_pace(self.rng, self.choose(*STYLES[:3])) for _ in range(5)])
        for channel in ("b", "r"):
            watch_channel(self, "axi_", channel)
        self.ports.bus_idle.set(1)

    def mask(self, item: Register) -> int:
        """Bits of a register that keep what is written."""
        width = self.config.address_width
        if item.name.endswith("BASE_LO"):
            return 0xFFFFFFF0 & (1 << width) - 1
        if item.name.endswith("BASE_HI"):
            return (1 << max(0, width - 32)) - 1
        if item.name.endswith("ACCESS"):
            return 3
        return 1 if item.name == "INTERRUPT_ENABLE" else 0xFFFFFFFF

    async def start_run(self) -> None:
        await self.axi.write("CONTROL", 1)
        for _ in range(30):
            if not self.ports.halt.get():
                break
            await self.clocks()
        assert not self.ports.halt.get() and not self.ports.core_reset.get()

    def check_shown(self, settings: dict[str, int]) -> None:
        """The core sees these settings."""
        ports = self.ports
        assert ports.program_offset.get() == settings["PROGRAM_OFFSET"]
        assert ports.program_bytes.get() == settings["PROGRAM_BYTES"]
        for index, region in enumerate(ports.regions.get()):
            low, high, size, access = (
                settings[f"REGION{index}_{part}"] for part in ("BASE_LO", "BASE_HI", "SIZE", "ACCESS")
            )
            assert region == {"base": low | high << 32, "size": size, "read": access & 1, "write": access >> 1}

    async def status(self) -> int:
        return await self.axi.read("STATUS")


@testcase(RegistersBench)
async def settings(bench: RegistersBench) -> None:
    """Every setting keeps what is written, byte by byte, in the bits that it has, and shows it to the core."""
    shadow = {}
    writable = [item for item in REGISTERS if item.access is Access.READ_WRITE]
    for item in writable:
        mask = bench.mask(item)
        for value, name in ((0xFFFFFFFF, "all ones"), (0, "0")):
            await bench.axi.write(item.name, value)
            assert await bench.axi.read(item.name) == value & mask, item.name
            cover_setting((item.name, name))
        value = 0
        for byte in bench.rng.permutation(4).tolist():
            content = bench.integers(0, 255)
            await bench.axi.write_bytes(item.name, byte, bytes([content]))
            value |= content << 8 * byte
            assert await bench.axi.read(item.name) == value & mask, f"{item.name} after byte {byte}"
        cover_setting((item.name, "single bytes"))
        shadow[item.name] = value & mask
    for name, value in shadow.items():
        assert await bench.axi.read(name) == value, f"{name} was changed by others"
    bench.check_shown(shadow)
    for item in writable:
        shadow[item.name] ^= bench.mask(item)
        await bench.axi.write(item.name, shadow[item.name])
    bench.check_shown(shadow)


@testcase(RegistersBench)
async def what_cannot_be_written(bench: RegistersBench) -> None:
    """Constants are right and stay; where no register is, reads give 0 and writes SLVERR."""
    config = bench.config
    constants = {
        "IDENTITY": IDENTITY, "VERSION": VERSION, "CONFIG": config.digest,
        "SHAPE": config.rows | config.columns << 8 | config.bus_bytes << 16 | config.requant_lanes << 24,
        "SCRATCHPAD_BYTES": config.scratchpad_bytes, "WEIGHT_BYTES": config.weight_bytes,
        "ACC_ENTRIES": config.acc_entries,
    }  # fmt: skip
    for item in REGISTERS:
        if item.access is not Access.WRITE_ONE:
            value = await bench.axi.read(item.name)
            assert value == constants.get(item.name, 0), item.name
            cover_read(item.name)
        if item.access is Access.READ:
            await bench.axi.write(item.name, bench.integers(0, (1 << 32) - 1))
            assert await bench.axi.read(item.name) == constants.get(item.name, 0), item.name
    known = {item.offset for item in REGISTERS}
    holes = [address for address in range(0, 0x200, 4) if address not in known]
    for address in (*bench.rng.permutation(holes)[:8].tolist(), 0x200, 0x800, 0xFFC, 4 * bench.integers(0x80, 0x3FF)):
        assert await bench.axi.read_address(address) == 0
        cover_unmapped("read")
        assert await bench.axi.write_address(address, 0xFFFFFFFF) == SLVERR, f"write at {address:#x}"
        cover_unmapped("write")
    for name, value in constants.items():
        assert await bench.axi.read(name) == value


@testcase(RegistersBench)
async def good_run(bench: RegistersBench) -> None:
    """A start, settings that are locked meanwhile, done, the interrupt, and its acknowledgement."""
    ports = bench.ports
    for enable in ("enabled", "not enabled", "enabled afterwards"):
        await bench.axi.write("INTERRUPT_ENABLE", int(enable == "enabled"))
        values = {}
        for name in WRITABLE:
            if name != "INTERRUPT_ENABLE":
                await bench.axi.write(name, bench.integers(0, (1 << 32) - 1))
                values[name] = await bench.axi.read(name)
        await bench.start_run()
        assert await bench.status() == BUSY
        cover_status("busy")
        for name in values:
            await bench.axi.write(name, bench.integers(0, (1 << 32) - 1))
            cover_setting((name, "locked in a run"))
        await bench.axi.write("CONTROL", 1)
        assert not ports.core_reset.get() and await bench.status() == BUSY, "a start in a run is ignored"
        ports.done.set(1)
        await bench.clocks(4)
        assert ports.halt.get() and ports.irq.get() == (enable == "enabled")
        assert await bench.status() == DONE
        cover_status("done")
        if enable == "enabled afterwards":
            await bench.axi.write("INTERRUPT_ENABLE", 1)
            await bench.clocks(2)
            assert ports.irq.get()
        cover_irq(("done", enable))
        for name, value in values.items():
            assert await bench.axi.read(name) == value, f"{name} changed during a run"
        await bench.axi.write("STATUS", ERROR | BUSY)
        assert await bench.status() == DONE
        await bench.axi.write("STATUS", DONE)
        await bench.clocks(2)
        assert await bench.status() == 0 and not ports.irq.get()
        cover_status("done cleared")
        ports.done.set(0)


@testcase(RegistersBench)
async def failing_runs(bench: RegistersBench) -> None:
    """The first error with its unit, tag and address; the run ends when the bus is idle; a start clears it."""
    ports = bench.ports
    sources = {"fetch_error": 0, **{f"{unit.name.lower()}_error": int(unit) for unit in Unit}, "token_error": 6}
    # Each source twice, so that each bit is seen both ways.
    first = {
        name: (bench.integers(1, 254), bench.integers(0, 0xFFFF), int.from_bytes(bench.rng.bytes(8), "little"))
        for name in sources
    }
    for number, (name, unit) in enumerate((*sources.items(), *sources.items())):
        enable = ("enabled", "not enabled", "enabled afterwards")[number % 3]
        code, tag, address = first[name]
        if number >= len(sources):
            code, tag, address = code ^ 0xFF, tag ^ 0xFFFF, address ^ (1 << 64) - 1
        await bench.axi.write("INTERRUPT_ENABLE", int(enable == "enabled"))
        await bench.start_run()
        ports.bus_idle.set(0)
        port = getattr(ports, name)
        for member, value in ((port.code, code), (port.tag, tag), (port.address, address), (port.valid, 1)):
            member.set(value)
        await bench.clocks()
        port.valid.set(0)
        await bench.clocks(3)
        assert ports.halt.get()
        await bench.clocks(20)
        assert await bench.status() == BUSY, "not over while the bus works"
        ports.bus_idle.set(1)
        await bench.clocks(4)
        assert await bench.status() == ERROR and ports.irq.get() == (enable == "enabled")
        cover_status("error")
        if enable == "enabled afterwards":
            await bench.axi.write("INTERRUPT_ENABLE", 1)
            await bench.clocks(2)
            assert ports.irq.get()
        cover_irq(("error", enable))
        assert await bench.axi.read("ERROR") == code | unit << 8 | tag << 16
        assert await bench.axi.read("ERROR_ADDRESS_LO") == address & 0xFFFFFFFF
        assert await bench.axi.read("ERROR_ADDRESS_HI") == address >> 32
        cover_error("fetch" if unit == 0 else "tokens" if name == "token_error" else Unit(unit).name)
        if (number + number // len(sources)) % 2:
            await bench.axi.write("STATUS", DONE)
            assert await bench.status() == ERROR
            await bench.axi.write("STATUS", ERROR)
            assert await bench.status() == 0
            cover_status("error cleared")
        await bench.start_run()
        assert await bench.status() == BUSY and await bench.axi.read("ERROR") == 0
        assert await bench.axi.read("ERROR_ADDRESS_LO") == 0 and not ports.irq.get()
        assert await bench.axi.read("ERROR_ADDRESS_HI") == 0
        cover_status("cleared by a start")
        await bench.axi.write("CONTROL", 2)
        await bench.clocks(20)
        assert await bench.status() == ERROR and await bench.axi.read("ERROR") == ErrorCode.STOPPED


@testcase(RegistersBench)
async def counters_and_stalls(bench: RegistersBench) -> None:
    """Counters count during a run, stand afterwards, and are cleared by the next; STALL registers show the units."""
    ports = bench.ports
    await bench.start_run()
    for number, (name, _) in enumerate(COUNTERS[1:], 1):
        ports.events.set({name.lower(): 1})
        await bench.clocks(number)
    ports.events.set({})
    ports.done.set(1)
    await bench.clocks(4)
    ports.done.set(0)
    ports.events.set({name.lower(): 1 for name, _ in COUNTERS[1:]})
    cycles = await bench.axi.read("CYCLES_LO")
    assert cycles >= sum(range(len(COUNTERS)))
    for number, (name, _) in enumerate(COUNTERS[1:], 1):
        step = bench.config.bus_bytes if name.startswith("BYTES") else 1
        assert await bench.axi.read(f"{name}_LO") == number * step, name
        assert await bench.axi.read(f"{name}_HI") == 0
    assert await bench.axi.read("CYCLES_LO") == cycles, "nothing counts outside a run"
    ports.events.set({})
    await bench.start_run()
    for name, _ in COUNTERS[1:]:
        assert await bench.axi.read(f"{name}_LO") == 0
    units = ("WEIGHT", "LOAD", "ARRAY", "OUTPUT", "STORE")
    widths = {"state": 4, "wait": 4, "queued": 8, "tag": 16}
    stalls = [{name: bench.integers(0, (1 << width) - 1) for name, width in widths.items()} for _ in units]
    for invert in (0, 1):  # each bit is seen both ways
        if invert:
            stalls = [{name: value ^ (1 << widths[name]) - 1 for name, value in stall.items()} for stall in stalls]
        ports.stalls.set(stalls)
        await bench.clocks()
        for name, stall in zip(units, stalls, strict=True):
            wanted = stall["state"] | stall["wait"] << 4 | stall["queued"] << 8 | stall["tag"] << 16
            assert await bench.axi.read(f"STALL_{name}") == wanted


@testcase(RegistersBench)
async def every_bit_of_an_address(bench: RegistersBench) -> None:
    """No register, whatever it holds, shows or takes anything at an address that differs from its own in one bit."""
    ports = bench.ports
    await bench.start_run()
    error = ports.load_error
    for member, value in ((error.code, 255), (error.tag, 0xFFFF), (error.address, (1 << 64) - 1), (error.valid, 1)):
        member.set(value)
    await bench.clocks(20)
    error.valid.set(0)
    ports.stalls.set([{"state": 15, "wait": 15, "queued": 255, "tag": 0xFFFF}] * 5)
    await bench.axi.write("CONTROL", 2)
    await bench.clocks(20)
    await set_counters(bench, bench.dut.counters, [(1 << 60) - 1] * len(COUNTERS))
    values = {}
    for item in REGISTERS:
        if item.access is Access.READ_WRITE:
            await bench.axi.write(item.name, 0xFFFFFFFF)
        if item.access is not Access.WRITE_ONE:
            values[item.name] = await bench.axi.read(item.name)
            writable = item.access is Access.READ_WRITE
            assert values[item.name] or (writable and not bench.mask(item)), (
                f"{item.name} is 0, and cannot be seen elsewhere"
            )
    own = {item.offset for item in REGISTERS}
    near = sorted({offset ^ 1 << bit for offset in own for bit in range(2, ADDRESS_BITS)} - own)
    for address in near:
        assert await bench.axi.read_address(address) == 0, f"read at {address:#x}"
        assert await bench.axi.write_address(address, 0) == SLVERR, f"write at {address:#x}"
    for name, value in values.items():
        assert await bench.axi.read(name) == value, name


@testcase(RegistersBench)
async def large_counts(bench: RegistersBench) -> None:
    """All bits of the counters, which are put there, as no simulation counts so far."""
    steps = [bench.config.bus_bytes if name.startswith("BYTES") else 1 for name, _ in COUNTERS]
    values = [int.from_bytes(bench.rng.bytes(8), "little") for _ in COUNTERS]
    for _ in range(2):
        await set_counters(bench, bench.dut.counters, values)
        for (name, _), value, step in zip(COUNTERS, values, steps, strict=True):
            low, high = await bench.axi.read(f"{name}_LO"), await bench.axi.read(f"{name}_HI")
            assert low | high << 32 == value // step * step, name
        values = [value ^ (1 << 64) - 1 for value in values]
