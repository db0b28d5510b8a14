"""Digilent Arty A7 with an Artix-7 100T, by a project script for Vivado."""

from __future__ import annotations

from tensaw.boards.board import BlockRam, Board

BOARD = Board(
    name="arty-a7-100t",
    title="Digilent Arty A7-100T, XC7A100T",
    family="xilinx7",
    part="xc7a100tcsg324-1",
    nextpnr=(),
    pack=(),
    clock_port="clk100",
    oscillator=100_000_000,
    clocks=((4096, 100_000_000),),
    baud=3_000_000,
    memory=BlockRam(192 << 10),
    lights=4,
    lights_low=False,
    resources={"LUT": 63_400, "FF": 126_800, "DSP": 240, "block RAM": 135},
    constraints="arty-a7-100t.xdc",
    configuration="base",
    program="openFPGALoader -b arty_a7_100t {bitstream}",
    platform="amaranth_boards.arty_a7:ArtyA7_100Platform",
    platform_pins={"clk100": "clk100", "led": "led*", "uart_rx": "uart.rx", "uart_tx": "uart.tx"},
    remarks=("Vivado makes the bitstream; nobody has run it on this project's script yet.",),
)
