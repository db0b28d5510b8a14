"""``tensaw mlperf-dut``: an NPU as a device under test for MLPerf Tiny's own runner."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tensaw.cli import options, terminal
from tensaw.cli.frame import FINE

SUMMARY = "answer MLPerf Tiny's benchmark runner on a pseudo-terminal, with a network on the NPU"
EXAMPLE = """tensaw mlperf-dut ic_resnet8_int8.tflite --sim verilator --clock 100
tensaw mlperf-dut kws_dscnn_int8.tflite --config small --link ./dut"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    options.add_model(parser)
    parser.description = (
        f"{parser.description} The runner's device file needs an entry of type dut whose port is the pseudo-terminal; "
        "any baud rate will do. Times are the NPU's cycles divided by --clock: those of a simulation are an "
        "expectation, no MLPerf result."
    )
    parser.add_argument(
        "--clock", type=float, default=100.0, metavar="MHZ", help="clock of the NPU, for the times; default: 100"
    )
    parser.add_argument(
        "--benchmark", metavar="NAME", help="ic01, kws01, vww01 or ad01; default: the one whose input the network has"
    )
    parser.add_argument("--link", type=Path, metavar="PATH", help="make this symbolic link to the pseudo-terminal")
    parser.add_argument(
        "--quiet-seconds", type=float, metavar="S", help="end when nothing has come for so long; default: never"
    )
    options.add_config(parser)
    options.add_compiler(parser)
    options.add_simulation(parser)


def execute(arguments: argparse.Namespace) -> int:
    from tensaw.cli.simulation import opened, prepare
    from tensaw.mlperf.benchmarks import benchmark_of
    from tensaw.mlperf.engine import SessionEngine
    from tensaw.mlperf.protocol import DeviceUnderTest
    from tensaw.mlperf.serve import PseudoTerminal, serve

    _, program = prepare(arguments)
    benchmark = benchmark_of(program, arguments.benchmark)
    config = program.config
    name = f"tensaw {config.name} {config.rows}x{config.columns}, simulated in {arguments.sim}"
    console = terminal.output(arguments)
    with opened(arguments, program, 1) as (session, step), PseudoTerminal(arguments.link) as port:
        step.update("Waiting for commands", completed=1)
        engine = SessionEngine(session, arguments.clock * 1e6, simulated=True)
        device = DeviceUnderTest(
            engine, benchmark, name, program.inputs[0], program.outputs[0],
            lambda text: console.print(f"{text} ({engine.cycles:,} cycles, simulated, at {arguments.clock:g} MHz)"),
        )  # fmt: skip
        console.print(f"{benchmark.name} on {name}: {arguments.link or port.name}", markup=False)
        if arguments.sim == "golden":
            console.print("The golden model has no cycles: all times are 0.")
        sys.stdout.flush()
        serve(device, port, arguments.quiet_seconds)
    return FINE
