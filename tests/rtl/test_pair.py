"""Elements that share a multiplier: every product, in both forms, the array with them, and which elements they are."""

import dataclasses
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

import tensaw.harness
from tensaw.regress.configs import random_config
from tensaw.rtl.array.allotment import LANE_MULTIPLIERS, OTHER_MULTIPLIERS, Allotment
from tensaw.rtl.array.pair import BIAS, ProcessingPair
from tensaw.rtl.export import platform_verilog
from tensaw.rtl.shared import ExportPlatform, Placed
from tensaw.rtl.technology import TECHNOLOGIES, Technology
from tensaw.spec.config import PRESETS
from tensaw.verify.blocks import bench_config, block_named
from tensaw.verify.simulate import run_bench

CELLS = Path(tensaw.harness.__file__ or "").parent / "board/cells_ecp5.v"
WIDTH, ROWS = 20, 12

# All activations with all of one weight, and edges of the other: for each pair of weights a load, a swap, 256
# activations. The sums that come in stand for those of the rows above.
BENCH = f"""
module bench;
  reg clk = 0, load = 0, swap = 0;
  reg signed [7:0] x = 0, w0 = 0, w1 = 0;
  wire [7:0] biased = w0 + {BIAS};
  wire [LOW:0] low; wire signed [UPPER:0] upper; wire signed [{WIDTH - 1}:0] both;
  reg signed [15:0] first[0:2], second[0:2];
  integer i, j, k, n, wrong = 0, seen = 0;
  reg [7:0] edges[0:3];
  pair dut(.clk(clk), .rst(1'b0), .x(x), .swap(swap), .weights({{w1, biased}}), .load(load), .low_in(LOW_IN),
    .upper_in(UPPER_IN), .both_in(BOTH_IN), .low_out(low), .upper_out(upper), .both_out(both));
  wire signed [{WIDTH - 1}:0] above0 = (UPPER_IN <<< 10) + LOW_IN, above1 = BOTH_IN - UPPER_IN;
  wire signed [{WIDTH - 1}:0] sum0 = (upper <<< 10) + $signed({{1'b0, low}}), sum1 = both - upper;
  task tick; begin
    #1 clk = 1; #1 clk = 0;
  end endtask
  initial begin
    edges[0] = -128; edges[1] = -1; edges[2] = 127; edges[3] = 8'h5a;
    for (k = 0; k < 2; k = k + 1) for (i = 0; i < 4; i = i + 1) for (j = 0; j < 256; j = j + 1) begin
      {{w0, w1}} = k ? {{edges[i], j[7:0]}} : {{j[7:0], edges[i]}};
      load = 1; tick; load = 0; swap = 1; tick; swap = 0;
      for (n = 0; n < 259; n = n + 1) begin
        x = n;
        first[2] = first[1]; first[1] = first[0]; first[0] = x * w0;
        second[2] = second[1]; second[1] = second[0]; second[0] = x * w1;
        if (n >= 2) begin
          tick;
          // BIAS times the activation is what the correction takes off.
          seen = seen + 1;
          if (sum0 !== above0 + first[2] + {BIAS} * $signed(x - 8'd2)
              || sum1 !== above1 + second[2]) wrong = wrong + 1;
        end else tick;
      end
    end
    $display("%0d of %0d wrong", wrong, seen);
  end
endmodule
"""


def cells(registers: bool) -> Technology:
    """A technology in which columns share multipliers, with an ECP5's cells or without."""
    return dataclasses.replace(
        TECHNOLOGIES["generic"], paired_products=True, multiplier_registers=registers, carry_cells=registers
    )


@pytest.mark.skipif(not shutil.which("iverilog"), reason="Icarus Verilog is not installed")
@pytest.mark.parametrize("registers", [False, True])
def test_products_of_both_columns(registers: bool, tmp_path: Path) -> None:
    arguments = (WIDTH, ROWS)
    pair = ProcessingPair(*arguments)
    platform = ExportPlatform(blocks={"pair": Placed(pair, arguments)}, technology=cells(registers))
    text = platform_verilog("pair", platform, "alone")
    code = re.sub(r"//.*", "", text)
    assert code.count("MULT18X18D #(") == registers and code.count(" * ") == (not registers)
    assert (code.count("CCU2C #(") == 6) is registers
    bench = BENCH.replace("LOW:", f"{len(pair.low_out) - 1}:").replace("UPPER:", f"{len(pair.upper_out) - 1}:")
    for name, value in (("LOW_IN", "14'sd700"), ("UPPER_IN", "-11'sd300"), ("BOTH_IN", "-20'sd70000")):
        bench = bench.replace(name, value)
    (tmp_path / "bench.v").write_text(bench + text + (CELLS.read_text() if registers else ""))
    subprocess.run(["iverilog", "-g2005-sv", "-o", "bench", "bench.v"], cwd=tmp_path, check=True)
    said = subprocess.run(["vvp", "./bench"], cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    assert said == f"0 of {2 * 4 * 256 * 257} wrong\n"


@pytest.mark.skipif(not shutil.which("iverilog"), reason="Icarus Verilog is not installed")
@pytest.mark.parametrize(
    ("name", "multipliers", "registers", "pairs"),
    [("r8c16b8", 121, True, 8), ("r12c5b8", 50, False, 4), ("r12c5b8", 58, True, 2)],
)
def test_the_bench_of_the_array_sees_no_difference(
    name: str, multipliers: int, registers: bool, pairs: int, tmp_path: Path
) -> None:
    block, config = block_named("systolic_array"), bench_config(name)
    elsewhere = config.requant_lanes * LANE_MULTIPLIERS + OTHER_MULTIPLIERS
    technology = dataclasses.replace(cells(registers), multipliers=multipliers + elsewhere)
    arguments = block.arguments(config)
    blocks = {block.module: Placed(block.load()(*arguments), arguments)}
    text = platform_verilog(block.module, ExportPlatform(blocks=blocks, technology=technology), "alone")
    assert len(re.findall(r"^  tensaw_processing_pair pair_", text, re.MULTILINE)) == pairs
    path = tmp_path / "block.v"
    path.write_text(text + (CELLS.read_text() if registers else ""))
    run = run_bench(block, name, "icarus", 0, verilog=path, all_failures=True)
    assert not run.trouble and run.tests and all(test.passed for test in run.tests), run.command
    # Without the correction the bench fails.
    path.write_text(text.replace("correction <= ", "correction <= 1 + ") + (CELLS.read_text() if registers else ""))
    assert "1 + " in path.read_text()
    run = run_bench(block, name, "icarus", 0, verilog=path)
    assert not all(test.passed for test in run.tests)


@pytest.mark.parametrize("seed", range(200))
def test_no_more_multipliers_than_there_are(seed: int) -> None:
    rng = np.random.default_rng(seed)
    config = random_config(rng)
    elsewhere = config.requant_lanes * LANE_MULTIPLIERS + OTHER_MULTIPLIERS
    elements = config.rows * config.columns
    available = int(rng.integers(0, elements + 5))
    technology = dataclasses.replace(cells(False), multipliers=available + elsewhere)
    allotment = Allotment(config, ExportPlatform(technology=technology))
    paired = allotment.paired
    assert not paired or config.groups * config.taps <= paired.start and paired.stop == config.rows - 1
    pairs, hard, logic = 0, 0, 0
    for row in range(config.rows):
        for start in range(0, config.columns, config.column_group):
            group = range(start, min(start + config.column_group, config.columns))
            couples = len(group) // 2 if row in paired else 0
            pairs += couples
            own = [allotment.has_multiplier(row, column) for column in group[2 * couples :]]
            hard, logic = hard + sum(own), logic + len(own) - sum(own)
    assert 2 * pairs + hard + logic == elements and pairs + hard <= available
    # None is left while an element has to do without.
    assert not logic or pairs + hard == available
    assert available < elements or not pairs


def test_which_rows_of_an_ecp5() -> None:
    """117 multipliers less than elements: 12 rows of 8 pairs free 96, and 21 elements go without."""
    config = PRESETS["base"].replace(requant_lanes=4, depthwise_rows=1)
    technology = dataclasses.replace(cells(True), multipliers=156)
    allotment = Allotment(config, ExportPlatform(technology=technology))
    assert allotment.paired == range(3, 15)
    single = [(row, column) for row in (0, 1, 2, 15) for column in range(16)]
    assert sum(not allotment.has_multiplier(*place) for place in single) == 21
    few = dataclasses.replace(technology, multipliers=17 + 250)
    assert Allotment(config, ExportPlatform(technology=few)).paired == range(14, 15)
    unpaired = dataclasses.replace(technology, paired_products=False)
    assert not Allotment(config, ExportPlatform(technology=unpaired)).paired
