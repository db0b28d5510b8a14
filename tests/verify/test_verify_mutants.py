"""Mutants: drawn repeatably, none of them active unless chosen, and noticed where they matter."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from tensaw.regress.cases import Case
from tensaw.regress.configs import CONFIGS
from tensaw.verify.mutants.equivalent import ineffective, proved_equivalent, unobservable
from tensaw.verify.mutants.hunt import EXCUSES
from tensaw.verify.mutants.make import make_mutants
from tensaw.verify.mutants.whole import WholeNpu, mutants_of
from tensaw.verify.simulate import bench_directory

ADDER = """module leaf(input clk, input [3:0] a, input [3:0] b, output reg [3:0] sum);
  always @(posedge clk) sum <= a + b;
endmodule
module top(input clk, input [3:0] a, output [3:0] y);
  leaf first(.clk(clk), .a(a), .b(4'd3), .sum(y));
endmodule
"""

BENCH = """module bench;
  reg clk = 0; reg [3:0] a = 5; wire [3:0] y;
  top dut(.clk(clk), .a(a), .y(y));
  initial begin #1 clk = 1; #1 $display("%d", y); end
endmodule
"""


CHOICE = """module choice(input clk, input rst, input s, input [3:0] a, output reg [3:0] y, output [3:0] z);
  reg [3:0] mem;
  assign z = mem ^ a;
  always @(posedge clk) begin
    case (s)
      1'h1:
          mem[3:1] <= a[2:0];
    endcase
    if (rst) begin
      mem <= 4'h0;
    end
  end
  always @* begin
    if (s) begin
      y = a + 4'd1;
    end else y = a;
  end
endmodule
"""


def test_mutants_say_what_they_are_for() -> None:
    found = make_mutants(CHOICE, "choice", 150, 1)
    said = {str(mutant) for mutant in found.mutants}
    for text in (
        r"choice: inv of bit \d of procmux.[ABSY] in `if \(rst\) begin` for mem",
        r"choice: inv of bit \d of procmux.[ABSY] in `if \(s\) begin` for y",
        r"choice: inv of bit \d of add.[ABY] in `y = a \+ 4'd1;`",
        r"choice: inv of bit \d of xor.[ABY] in `assign z = mem \^ a;`",
    ):
        assert any(re.fullmatch(text, one) for one in said), f"{text}: {sorted(said)}"
    assert all((" under bit " in mutant.controlled) == mutant.mode.startswith("cnot") for mutant in found.mutants)


@pytest.mark.skipif(not shutil.which("iverilog"), reason="Icarus Verilog is not installed")
def test_mutants_are_chosen_when_the_simulation_starts(tmp_path: Path) -> None:
    found = make_mutants(ADDER, "top", 20, 1)
    assert [mutant.number for mutant in found.mutants] == list(range(1, 21))
    assert {mutant.module for mutant in found.mutants} == {"leaf", "top"}
    assert all(mutant.source in ADDER and mutant.source for mutant in found.mutants)
    assert make_mutants(ADDER, "top", 20, 1) == found
    (tmp_path / "all.v").write_text(found.verilog("top") + BENCH)
    subprocess.run(["iverilog", "-g2005", "-s", "bench", "-o", "all.vvp", "all.v"], cwd=tmp_path, check=True)

    def result(*arguments: str) -> str:
        command = ["vvp", "-n", "all.vvp", *arguments]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout.strip()

    assert result() == result("+mutant=0") == "8"
    others = [result(f"+mutant={mutant.number}") for mutant in found.mutants]
    assert sum(other != "8" for other in others) > 5


def test_mutants_that_change_nothing_are_proved() -> None:
    found = make_mutants(ADDER.replace("a + b;", "a + (b | (b & a));"), "top", 100, 1)
    proved = proved_equivalent(found, "top", found.mutants)
    ports = {(m.cell, m.port) for m in found.mutants if m.number in proved}
    # `b | (b & x)` is b, whatever x is.
    nothing = {m.number for m in found.mutants if m.cell == "and" and m.port == "B" and not m.mode.startswith("cnot")}
    assert nothing and nothing <= proved
    # A clock that stands still is no other step of time, but proofs know no time between steps.
    assert any(m.port == "CLK" for m in found.mutants) and not {port for _, port in ports} & {"CLK", "clk"}
    assert not proved & {m.number for m in found.mutants if m.mode == "inv" and m.cell == "add"}


@pytest.mark.skipif(not shutil.which("iverilog"), reason="Icarus Verilog is not installed")
def test_mutants_that_reach_no_output_are_found(tmp_path: Path) -> None:
    # Of the sum only the lower half is an output, so the upper half of all that adds to it cannot matter.
    design = ADDER.replace("output [3:0] y", "output [1:0] y").replace(".sum(y)", ".sum(sum)")
    design = design.replace("  leaf first", "  wire [3:0] sum; assign y = sum[1:0];\n  leaf first")
    found = make_mutants(design, "top", 60, 1)
    unseen = unobservable(found, "top")
    assert 5 < len(unseen) < 50 and unobservable(found, "top") == unseen
    (tmp_path / "all.v").write_text(found.verilog("top") + BENCH.replace("[3:0] y", "[1:0] y"))
    subprocess.run(["iverilog", "-g2005", "-s", "bench", "-o", "all.vvp", "all.v"], cwd=tmp_path, check=True)
    for mutant in found.mutants:
        told = subprocess.run(
            ["vvp", "-n", "all.vvp", f"+mutant={mutant.number}"], cwd=tmp_path, capture_output=True, text=True
        ).stdout.strip()
        assert mutant.number not in unseen or told == "0", mutant
        low = mutant.bit < 2 and mutant.mode == "inv" and mutant.cell == "add"
        assert not (low and mutant.number in unseen), mutant


def test_mutants_that_give_a_bit_the_value_it_has_are_found() -> None:
    # The leaf's b is 3 in this design.
    found = make_mutants(ADDER, "top", 60, 1)
    same = ineffective(found, "top")
    assert ineffective(found, "top") == same
    b = {mutant.number: mutant for mutant in found.mutants if (mutant.cell, mutant.port) == ("add", "B")}
    as_it_is = {number for number, mutant in b.items() if mutant.mode == ("const1" if mutant.bit < 2 else "const0")}
    other = {number for number, mutant in b.items() if mutant.mode == ("const0" if mutant.bit < 2 else "const1")}
    assert as_it_is and other and as_it_is <= same and not other & same
    assert not {mutant.number for mutant in found.mutants if mutant.mode == "inv"} & same


def test_excuses_can_be_read() -> None:
    entries = tomllib.loads((bench_directory() / EXCUSES).read_text("utf-8"))["equivalent"]
    assert len({entry["mutant"] for entry in entries}) == len(entries) > 20
    for entry in entries:
        assert set(entry) == {"mutant", "reason"} and entry["mutant"].startswith("tensaw_")
        assert re.compile(entry["mutant"]) and len(entry["reason"]) > 20


def test_mutants_of_the_npu_are_noticed_by_random_cases() -> None:
    config = CONFIGS["r4c4b8"]
    found = mutants_of(config, 40, 3)
    assert len({mutant.module for mutant in found.mutants}) > 6
    whole = WholeNpu(config, found, [Case(2026, index, (config.name,)) for index in range(4)])
    assert whole.killed_by(0) == ""
    killed = [whole.killed_by(mutant.number) for mutant in found.mutants]
    assert sum(map(bool, killed)) >= 10
    assert all(re.match(r"case 2026-\d: .", text) for text in killed if text)
