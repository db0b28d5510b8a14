"""Counting cells by family, lower bounds of memory, names of blocks."""

from __future__ import annotations

import pytest

from tensaw.boards.definitions import BOARDS
from tensaw.fpga.fit import Usage, estimate_memory, netlist_usage, refuse_overflow
from tensaw.fpga.report import BuildReport, Clock, block_name, critical_path, placed_usage, read_clocks
from tensaw.spec.config import PRESETS, load_config
from tensaw.spec.errors import InputError


def test_cells_of_an_ecp5() -> None:
    cells = {"LUT4": 100, "CCU2C": 10, "TRELLIS_DPR16X4": 2, "TRELLIS_FF": 50, "MULT18X18D": 3, "DP16KD": 4, "PFUMX": 9}
    assert netlist_usage(BOARDS["ulx3s-85f"], cells) == {
        "LUT": Usage(128, 83_640), "FF": Usage(50, 83_640), "DSP": Usage(3, 156), "block RAM": Usage(4, 208),
    }  # fmt: skip


def test_cells_of_an_ice40() -> None:
    """A logic cell holds a LUT and a flip-flop: whichever there are more of counts."""
    cells = {"SB_LUT4": 100, "SB_DFF": 80, "SB_DFFESR": 40, "SB_RAM40_4K": 3, "SB_RAM40_4KNR": 1, "SB_SPRAM256KA": 4}
    assert netlist_usage(BOARDS["icebreaker"], cells) == {
        "LC": Usage(120, 5_280), "DSP": Usage(0, 8), "block RAM": Usage(4, 30), "SPRAM": Usage(4, 4),
    }  # fmt: skip


def test_cells_of_a_gowin() -> None:
    """A macro holds four 9×9 or two 18×18 multipliers, and is taken whole; a distributed RAM takes a tile."""
    cells = {
        "LUT2": 1,
        "LUT4": 5,
        "ALU": 4,
        "RAM16SDP4": 1,
        "DFFE": 7,
        "MULT9X9": 5,
        "MULT18X18": 1,
        "SDPB": 2,
        "pROM": 1,
    }
    usage = netlist_usage(BOARDS["tang-nano-20k"], cells)
    assert (usage["LUT"].used, usage["FF"].used, usage["DSP"].used, usage["block RAM"].used) == (18, 13, 2, 3)


def test_memory_is_counted_before_synthesis() -> None:
    for board in BOARDS.values():
        usage = estimate_memory(board, load_config(board.configuration_source()))
        assert 0 < usage.used <= usage.available, board.name
    assert estimate_memory(BOARDS["ulx3s-85f"], PRESETS["large"]).used > 208
    # The serial core: 18 or 4 blocks of program, 4 or 2 of registers; on the Tang Nano 32 + 40 KiB in blocks of 2.
    assert estimate_memory(BOARDS["icebreaker"], PRESETS["nano"]) == Usage(22, 30)
    nano = BOARDS["tang-nano-20k"]
    assert estimate_memory(nano, load_config(nano.configuration_source())) == Usage(42, 46)
    assert estimate_memory(nano, PRESETS["nano"]) == Usage(58, 46)


def test_one_of_something_is_not_several() -> None:
    with pytest.raises(InputError, match="it needs 1 block RAM of 0, 2 LCs of 1|it needs 1 block RAM of 0, 2 LC of 1"):
        refuse_overflow(BOARDS["icebreaker"], PRESETS["nano"], {"block RAM": Usage(1, 0), "LC": Usage(2, 1)})


@pytest.mark.parametrize(
    ("cell", "block"),
    [
        ("core.npu.array.feeder.x_LUT4_Z", "npu.array.feeder"),
        ("core.link.y", "link"),
        ("\\core.memory.beats.z", "memory.beats"),
        ("$auto$123", "top"),
        ("pll", "top"),
    ],
)
def test_names_of_blocks(cell: str, block: str) -> None:
    assert block_name(cell) == block


def test_reports_without_paths_and_with_several_clocks() -> None:
    report = {
        "fmax": {"$glbnet$clk": {"achieved": 80.0, "constraint": 107.0}, "slow": {"achieved": 50, "constraint": 12}},
        "critical_paths": [{"from": "<async>", "to": "posedge clk", "path": []}],
        "utilization": {"LUT4": {"used": 3, "available": 9}},
    }
    assert critical_path(report) == []
    clocks = read_clocks(report, 100e6, 107e6)
    assert [(clock.name, clock.wanted) for clock in clocks] == [("clk", 100e6), ("slow", 12e6)]
    assert [clock.met for clock in clocks] == [False, True]
    result = BuildReport(1, placed_usage(BOARDS["tang-nano-20k"], report, {"DSP": Usage(1, 2)}), clocks, [])
    assert result.resources == {"DSP": Usage(1, 2), "LUT": Usage(3, 9)} and not result.met
    assert result.worst == pytest.approx(0.8) and Clock("x", 1.0, 1.0).met
