"""OrangeCrab r0.2 with an ECP5-85F. Its memory is block RAM: the DDR3 chip would need a controller of another kind."""

from __future__ import annotations

from tensaw.boards.board import BlockRam, Board

BOARD = Board(
    name="orangecrab-85f",
    title="OrangeCrab r0.2, LFE5U-85F",
    family="ecp5",
    part="LFE5U-85F-8MG285C",
    nextpnr=("--85k", "--package", "CSFBGA285", "--speed", "8"),
    pack=("--compress", "--freq", "38.8"),
    clock_port="clk48",
    oscillator=48_000_000,
    clocks=((64, 96_000_000), (256, 72_000_000)),
    baud=3_000_000,
    requant_lanes=4,
    depthwise_rows=((64, 2), (256, 1)),
    memory=BlockRam(128 << 10),
    lights=3,
    lights_low=True,
    resources={"LUT": 83_640, "FF": 83_640, "DSP": 156, "block RAM": 208},
    constraints="orangecrab-85f.lpf",
    configuration="small",
    program="dfu-util -a 0 -D {bitstream}",
    platform="amaranth_boards.orangecrab_r0_2:OrangeCrabR0_2_85FPlatform",
    platform_pins={"clk48": "clk", "led": "rgb_led.r rgb_led.g rgb_led.b", "uart_rx": "io:0", "uart_tx": "io:1"},
    remarks=(
        "The USB socket is wired to the FPGA, not to a serial chip: the link uses pins 0 (in) and 1 (out) of the "
        "header, for a USB serial adapter of 3.3 V.",
        "dfu-util wants the suffix that `dfu-suffix -v 1209 -p 5af0 -a FILE` adds.",
    ),
)
