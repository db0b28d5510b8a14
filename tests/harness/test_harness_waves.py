"""Waveforms: both formats, both simulators, and windows of cycles."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tensaw.harness import Simulator, Waves
from tensaw.spec.errors import InputError
from tensaw.spec.registers import region_register, register

MEMORY, BASE = 64 << 10, 0x10000000


def record(build, simulator: str, waves: Waves) -> int:
    """Two runs of the stand-in, the first one recorded; its cycles."""
    with Simulator(build(simulator, waves), MEMORY, BASE, waves=waves) as device:
        cycles = 0
        for _ in range(2):
            for name, value in (("INTERRUPT_ENABLE", 1), ("PROGRAM_BYTES", 16), ("STATUS", 6)):
                device.write_register(register(name).offset, value)
            for index, address in ((1, BASE), (2, BASE + 4096)):
                for part, value in (("BASE_LO", address), ("BASE_HI", 0), ("SIZE", 256)):
                    device.write_register(region_register(index, part).offset, value)
            device.mark()
            device.write_register(register("CONTROL").offset, 1)
            cycles = device.wait(watchdog=1000).cycles
    return cycles


def vcd_times(path: Path) -> list[int]:
    return [int(line[1:]) for line in path.read_text().splitlines() if line.startswith("#")]


def fst_times(path: Path) -> tuple[int, int]:
    """First and last time in the header block of an FST file: type 0, length 329, two 64-bit numbers."""
    content = path.read_bytes()
    assert content[:9] == b"\0" + (329).to_bytes(8, "big")
    return int.from_bytes(content[9:17], "big"), int.from_bytes(content[17:25], "big")


def test_verilator_vcd_of_a_window_counts_from_the_start(build, tmp_path):
    path = tmp_path / "with blanks" / "run.vcd"
    path.parent.mkdir()
    cycles = record(build, "verilator", Waves(path, 20, 60))
    assert cycles > 100
    assert (vcd_times(path)[0], vcd_times(path)[-1]) == (200, 605)
    assert "m_axi_araddr" in path.read_text()


def test_verilator_fst_of_a_whole_run(build, tmp_path):
    path = tmp_path / "run.fst"
    cycles = record(build, "verilator", Waves(path))
    assert fst_times(path) == (0, 10 * (cycles - 1) + 5)


def test_icarus_vcd(build, tmp_path):
    path = tmp_path / "run.vcd"
    cycles = record(build, "icarus", Waves(path))
    times = vcd_times(path)
    # Picoseconds since power-up, ten to twelve nanoseconds a cycle.
    assert 0.9 * cycles < (times[-1] - times[0]) / 10_000 <= 1.1 * cycles
    assert re.search(r"\$var reg\s+64 \S+ cycle", path.read_text())


def test_icarus_fst_of_a_window(build, tmp_path):
    path = tmp_path / "run.fst"
    record(build, "icarus", Waves(path, 20, 60))
    first, last = fst_times(path)
    assert first < last


@pytest.mark.parametrize(
    "path, first, last, text",
    [
        ("x.wav", 0, 1, "The waveform file 'x.wav' must end in .vcd or .fst, which gives its format."),
        ("x.vcd", 5, 1, "The waveform's cycles must go up, not from 5 to 1."),
        (
            "/nowhere/x.fst", 0, 1,
            "The waveform file '/nowhere/x.fst' cannot be written: its folder does not exist or may not be written to.",
        ),
    ],
)  # fmt: skip
def test_bad_requests_are_refused(path, first, last, text):
    with pytest.raises(InputError) as error:
        Waves(Path(path), first, last)
    assert str(error.value) == text
