"""Both simulators run the stand-in: the same bytes, the same cycles, the same complaints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tensaw.harness import MemoryFaults, MemoryTiming, Outcome, Simulator
from tensaw.harness.profile import ArrayState, Event
from tensaw.spec.config import NpuConfig
from tensaw.spec.errors import DeviceError, InputError, ToolError
from tensaw.spec.registers import region_register, register

MEMORY, BASE, COUNT, TARGET = 64 << 10, 0x10000000, 1024, 16384
BURSTS = COUNT // 64
SIMULATORS = ("verilator", "icarus")


def run(simulator: Simulator, mode: int = 16, watchdog: int = 3000, **options: Any) -> Outcome:
    for name, value in (("INTERRUPT_ENABLE", 1), ("PROGRAM_BYTES", mode), ("STATUS", 6)):
        simulator.write_register(register(name).offset, value)
    for index, address in ((1, BASE), (2, BASE + TARGET)):
        for part, value in (("BASE_LO", address), ("BASE_HI", 0), ("SIZE", COUNT)):
            simulator.write_register(region_register(index, part).offset, value)
    simulator.mark()
    simulator.write_register(register("CONTROL").offset, 1)
    return simulator.wait(watchdog=watchdog, **options)


def read(simulator: Simulator, name: str) -> int:
    return simulator.read_register(register(name).offset)


@pytest.fixture(params=SIMULATORS)
def start(request, build):
    """``start(**timing)``: a fresh simulator with seeded memory contents."""
    started = []

    def make(**timing) -> Simulator:
        simulator = Simulator(build(request.param), MEMORY, BASE, timing=MemoryTiming(**timing))
        simulator.memory[:] = np.random.default_rng(1).integers(0, 256, MEMORY, np.uint8)
        started.append(simulator)
        return simulator

    yield make
    for simulator in started:
        simulator.close()


# Each burst of the stand-in: address 1, first beat after the latency, 8 beats, 10 to compute, 8 beats out, the response
# after the latency; reads_and_writes is a whole run: bursts, start and finish.
def cycles_of(read_latency: int, write_latency: int) -> int:
    return BURSTS * (1 + (read_latency - 1) + 8 + 10 + 8 + write_latency) + 1


@pytest.mark.parametrize("read_latency, write_latency", [(32, 8), (1, 1), (7, 100)])
def test_copies_with_the_latencies_asked_for(start, read_latency, write_latency):
    simulator = start(read_latency=read_latency, write_latency=write_latency)
    for _ in range(2):
        simulator.memory[:COUNT] += 1
        outcome = run(simulator)
        assert outcome.kind == "interrupt"
        assert read(simulator, "CYCLES_LO") == cycles_of(read_latency, write_latency)
        assert outcome.cycles == read(simulator, "CYCLES_LO") + 2  # the register write that starts it
        np.testing.assert_array_equal(simulator.memory[TARGET : TARGET + COUNT], ~simulator.memory[:COUNT])
        assert read(simulator, "STATUS") == 2
    assert simulator.cycles_run == 2 * outcome.cycles


def test_profile_has_every_cycle_of_every_unit(start):
    simulator = start()
    run(simulator)
    profile = simulator.profile()
    assert profile.events[:4] == [
        Event("load", 0, 2, 42), Event("array", 1, 42, 47), Event("array", 2, 47, 52), Event("store", 2, 52, 68),
    ]  # fmt: skip
    assert len(profile.events) == 4 * BURSTS
    assert profile.states == {
        (1, ArrayState.WAIT_WEIGHTS): BURSTS, (1, ArrayState.BUSY): 4 * BURSTS, (2, ArrayState.BUSY): 5 * BURSTS,
    }  # fmt: skip


def test_a_hang_is_found_and_its_registers_can_be_read(start):
    simulator = start()
    outcome = run(simulator, mode=32, watchdog=500)
    assert (outcome.kind, outcome.cycles) == ("hang", 503)
    assert read(simulator, "STALL_ARRAY") == 0x0002_0513
    assert simulator.profile().states == {(1, ArrayState.WAIT_TOKENS): 501}


def test_cycle_limit_and_progress(start):
    simulator = start(read_latency=50_000)
    seen = []
    outcome = run(simulator, limit=3000, progress=seen.append)
    assert (outcome.kind, outcome.cycles) == ("limit", 3000)
    assert len(seen) in (0, 2)  # Icarus is so slow that it tells every 1000 cycles
    assert seen == sorted(seen)


VIOLATIONS = {
    48: "read burst at 0x10000ff8 of 8 beats crosses a 4 KiB boundary",
    80: "m_axi_wlast is 0 in beat 8 of a write burst of 8 beats at 0x10004000",
    96: "read burst at 0xfffff000 of 8 beats lies outside the memory",
}


@pytest.mark.parametrize("mode", VIOLATIONS)
def test_protocol_violations_are_named(start, mode):
    outcome = run(start(), mode)
    assert (outcome.kind, outcome.text) == ("violation", VIOLATIONS[mode])


def test_a_changing_payload_is_a_violation_once_the_memory_stalls(start):
    assert run(start(), 64).kind == "interrupt"
    outcome = run(start(stalls=0.5), 64)
    assert (outcome.kind, outcome.text) == ("violation", "the payload of m_axi_arvalid changed before it was taken")


@pytest.mark.parametrize("response, code", [(2, 1), (3, 2)])
def test_errors_are_answered_in_their_range(start, response, code):
    simulator = start(error_range=(BASE + 0x104, BASE + 0x105), error_response=response)
    assert run(simulator).kind == "interrupt"
    assert read(simulator, "STATUS") == 4
    assert read(simulator, "ERROR") == 2 << 8 | code
    assert read(simulator, "ERROR_ADDRESS_LO") == BASE + 0x100
    np.testing.assert_array_equal(simulator.memory[TARGET : TARGET + 0x100], ~simulator.memory[:0x100])


def test_errors_of_writes_leave_the_memory_alone(start):
    simulator = start(error_range=(BASE + TARGET + 8, BASE + TARGET + 16))
    before = np.array(simulator.memory)
    run(simulator)
    assert read(simulator, "ERROR") == 5 << 8 | 3
    np.testing.assert_array_equal(simulator.memory[TARGET + 8 : TARGET + 16], before[TARGET + 8 : TARGET + 16])
    np.testing.assert_array_equal(simulator.memory[TARGET : TARGET + 8], ~before[:8])


@pytest.fixture
def faulty(build):
    """Verilator alone knows these faults."""
    with Simulator(build("verilator"), MEMORY, BASE) as simulator:
        yield simulator


def test_a_beat_can_be_answered_with_an_error_by_its_number(faulty):
    for _ in range(2):  # beats are counted from the start of each run
        faulty.set_faults(MemoryFaults(read_beat=8 * 5 + 1))
        run(faulty)
        assert read(faulty, "ERROR") == 2 << 8 | 1
        assert read(faulty, "ERROR_ADDRESS_LO") == BASE + 64 * 5
    faulty.memory[:] = 7
    faulty.set_faults(MemoryFaults(write_beat=8 * 3 + 2))
    run(faulty)
    assert read(faulty, "ERROR") == 5 << 8 | 3
    changed = np.flatnonzero(faulty.memory != 7)
    skipped = TARGET + 64 * 3 + 8
    assert skipped - 1 in changed and skipped + 8 in changed and skipped not in changed
    faulty.set_faults(MemoryFaults())
    run(faulty)
    assert read(faulty, "STATUS") == 2


@pytest.mark.parametrize("channel", ["AR", "AW", "W", "R", "B"])
def test_a_memory_that_does_not_answer_can_be_left_by_a_reset(faulty, channel):
    faulty.set_faults(MemoryFaults(silent=(channel,), silent_from=300))
    outcome = run(faulty, watchdog=500)
    assert outcome.kind == "hang" and 800 < outcome.cycles < 900
    faulty.set_faults(MemoryFaults())
    faulty.reset(3)
    assert read(faulty, "STATUS") == read(faulty, "INTERRUPT_ENABLE") == 0
    assert run(faulty).kind == "interrupt"
    assert read(faulty, "CYCLES_LO") == cycles_of(32, 8)


def test_a_memory_may_answer_again(faulty):
    faulty.set_faults(MemoryFaults(silent=("R", "B"), silent_from=0))
    assert run(faulty, watchdog=500).kind == "hang"
    faulty.set_faults(MemoryFaults())
    assert faulty.wait().kind == "interrupt"
    np.testing.assert_array_equal(faulty.memory[TARGET : TARGET + COUNT], ~faulty.memory[:COUNT])


@pytest.mark.parametrize("seed", [0, 1, 12345])
def test_stalls_are_the_same_in_both_simulators_and_in_every_run(build, seed):
    found = []
    for kind in SIMULATORS:
        timing = MemoryTiming(stalls=0.3, seed=seed, read_latency=5)
        with Simulator(build(kind), MEMORY, BASE, timing=timing) as simulator:
            simulator.memory[:] = 7
            for _ in range(2):
                outcome = run(simulator)
                found.append((outcome.cycles, simulator.profile(), bytes(simulator.memory)))
    assert found[0][0] > cycles_of(5, 8) + 2
    assert all(item == found[0] for item in found)


def test_a_wide_bus_of_128_bits(standin):
    from tensaw.harness import build_icarus, build_verilator
    from tensaw.spec.config import NpuConfig

    text = standin["tensaw_npu.v"].replace("BUS_BYTES = 8", "BUS_BYTES = 16").replace("WIDTH = 32", "WIDTH = 48")
    files = {"tensaw_npu.v": text}
    config = NpuConfig(bus_bytes=16, address_width=48)
    cycles = []
    for program in (build_verilator(files, config), build_icarus(files, config, MEMORY)):
        with Simulator(program, MEMORY, BASE, 16) as simulator:
            simulator.memory[:] = np.random.default_rng(2).integers(0, 256, MEMORY, np.uint8)
            cycles.append(run(simulator).cycles)
            np.testing.assert_array_equal(simulator.memory[TARGET : TARGET + COUNT], ~simulator.memory[:COUNT])
    assert cycles[0] == cycles[1]


def test_a_dead_simulator_is_a_tool_error(tmp_path: Path):
    broken = tmp_path / "simulator"
    broken.write_text("#!/bin/sh\necho its last words >&2\nexit 3\n")
    broken.chmod(0o755)
    with pytest.raises(ToolError) as error:
        Simulator(broken, MEMORY)
    assert str(error.value) == "The simulator ended by itself (exit code 3). its last words"


@pytest.mark.parametrize("kind", SIMULATORS)
@pytest.mark.parametrize("when", ["run", "register"])
def test_a_failing_check_of_the_hardware_is_told_by_name(standin, kind: str, when: str) -> None:
    """A check of a stand-in that fails in the fourth beat of a burst, or when a register is written."""
    from tensaw.harness import build_icarus, build_verilator
    from tensaw.rtl.checks import check_verilog

    holds = "!(beat == 4)" if when == "run" else "!(write && s_axi_awaddr == 12'h024)"
    instance = f'tensaw_check #(.NAME("few"), .MESSAGE("no more than four")) check_few (clk, rst, {holds});'
    files = {
        "tensaw_npu.v": standin["tensaw_npu.v"].replace("endmodule", f"{instance}\nendmodule"),
        "check.v": check_verilog(),
    }
    config = NpuConfig()
    program = build_icarus(files, config, MEMORY) if kind == "icarus" else build_verilator(files, config)
    with Simulator(program, MEMORY, BASE) as simulator, pytest.raises(DeviceError) as error:
        run(simulator)
    text = str(error.value)
    cycle = " in cycle 39" if kind == "verilator" and when == "run" else ""
    assert text.startswith(f"The simulated hardware broke one of its own rules{cycle}: ")
    assert ".npu.check_few, few: no more than four. This is a fault of the hardware" in text


def test_unknown_register_bits_are_a_tool_error(build):
    with Simulator(build("icarus"), MEMORY) as simulator:
        with pytest.raises(ToolError, match=r"^The simulated register at 0x044 holds unknown bits\.$"):
            read(simulator, "PROGRAM_BYTES")


def test_a_closed_simulator_says_so(build):
    simulator = Simulator(build("verilator"), MEMORY)
    simulator.close()
    simulator.close()
    with pytest.raises(ToolError, match=r"^The simulator has been closed\.$"):
        simulator.read_register(0)


@pytest.mark.parametrize(
    "values, text",
    [
        ({"read_latency": 0}, "read_latency of the simulated memory must be between 1 and 100000, not 0."),
        ({"stalls": 0.95}, "stalls of the simulated memory must be between 0.0 and 0.9, not 0.95."),
        ({"seed": -1}, "seed of the simulated memory must be between 0 and 4294967295, not -1."),
    ],
)
def test_timing_out_of_range_is_refused(values, text):
    with pytest.raises(InputError) as error:
        MemoryTiming(**values)
    assert str(error.value) == text
