"""iCEBreaker with an iCE40UP5K."""

from __future__ import annotations

from tensaw.boards.board import Board, SinglePort

BOARD = Board(
    name="icebreaker",
    title="1BitSquared iCEBreaker, iCE40UP5K",
    family="ice40",
    part="iCE40UP5K-SG48I",
    nextpnr=("--up5k", "--package", "sg48"),
    pack=(),
    clock_port="clk12",
    oscillator=12_000_000,
    clocks=((4096, 18_000_000),),
    baud=2_000_000,
    memory=SinglePort(65_536),
    core="serial",
    lights=2,
    lights_low=True,
    resources={"LC": 5_280, "DSP": 8, "block RAM": 30, "SPRAM": 4},
    constraints="icebreaker.pcf",
    configuration="nano",
    program="iceprog {bitstream}",
    buffer_bytes=512,
    payload_bytes=240,
    platform="amaranth_boards.icebreaker:ICEBreakerPlatform",
    platform_pins={"clk12": "clk12", "led": "led_r led_g", "uart_rx": "uart.rx", "uart_tx": "uart.tx"},
)
