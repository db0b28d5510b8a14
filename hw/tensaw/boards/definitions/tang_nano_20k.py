"""Sipeed Tang Nano 20K with a Gowin GW2AR-18, whose package holds 8 MiB of SDRAM."""

from __future__ import annotations

from tensaw.boards.board import BlockRam, Board
from tensaw.boards.sdram.chip import SdramChip

CHIP = SdramChip("8 MiB SDRAM in the package, 32 bits", data_bits=32, row_bits=11, column_bits=8)

BOARD = Board(
    name="tang-nano-20k",
    title="Sipeed Tang Nano 20K, GW2AR-18",
    family="gowin",
    part="GW2AR-LV18QN88C8/I7",
    nextpnr=("--device", "GW2AR-LV18QN88C8/I7", "--vopt", "family=GW2A-18C"),
    pack=("-d", "GW2A-18C"),
    clock_port="clk27",
    oscillator=27_000_000,
    clocks=((4096, 54_000_000),),
    baud=2_000_000,
    memory=BlockRam(40_960),
    core="serial",
    resting=CHIP,
    lights=6,
    lights_low=True,
    resources={"LUT": 20_736, "FF": 15_552, "DSP": 24, "block RAM": 46},
    constraints="tang-nano-20k.cst",
    configuration="tang-nano-20k.toml",
    program="openFPGALoader -b tangnano20k {bitstream}",
    pin_source="Sipeed's schematic 3921 for the board; Apicula's sdram.md for the SDRAM in the package",
    remarks=(
        "The SDRAM in the package is not used: it is not selected, its clock stands still, its clock enable is low.",
    ),
)
