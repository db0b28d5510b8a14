"""ULX3S with an ECP5-85F, the reference board."""

from __future__ import annotations

from tensaw.boards.board import Board, Sdram
from tensaw.boards.sdram.chip import Pads, SdramChip

CHIP = SdramChip("32 MiB SDRAM, 16 bits: IS42S16160G, MT48LC16M16A2, AS4C16M16SA or W9825G6KH")
"""The slowest times among the chips that this board is made with, speed grade 7 or 75."""

BOARD = Board(
    name="ulx3s-85f",
    title="Radiona ULX3S, LFE5U-85F",
    family="ecp5",
    part="LFE5U-85F-6BG381C",
    nextpnr=("--85k", "--package", "CABGA381", "--speed", "6"),
    pack=("--compress",),
    clock_port="clk25",
    oscillator=25_000_000,
    clocks=((64, 100_000_000), (256, 80_000_000)),
    baud=3_000_000,
    requant_lanes=4,
    depthwise_rows=((64, 2), (256, 1)),
    memory=Sdram(CHIP, Pads(round_trip_least=2.0, round_trip_most=5.0, skew=1.0)),
    lights=8,
    lights_low=False,
    resources={"LUT": 83_640, "FF": 83_640, "DSP": 156, "block RAM": 208},
    constraints="ulx3s-85f.lpf",
    configuration="small",
    program="openFPGALoader -b ulx3s {bitstream}",
    platform="amaranth_boards.ulx3s:ULX3S_85F_Platform",
    platform_pins={
        "clk25": "clk25", "uart_rx": "uart.rx", "uart_tx": "uart.tx", "led": "led*",
        "sdram_clk": "sdram.clk", "sdram_cke": "sdram.clk_en", "sdram_cs_n": "sdram.cs", "sdram_ras_n": "sdram.ras",
        "sdram_cas_n": "sdram.cas", "sdram_we_n": "sdram.we", "sdram_ba": "sdram.ba", "sdram_a": "sdram.a",
        "sdram_dqm": "sdram.dqm", "sdram_dq": "sdram.dq",
    },
)  # fmt: skip
