"""``tensaw mlperf-dut``: an NPU as a device under test for MLPerf Tiny's own runner."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tensaw.cli import device, options, terminal
from tensaw.cli.frame import FINE
from tensaw.spec.errors import InputError

SUMMARY = "answer MLPerf Tiny's benchmark runner on a pseudo-terminal, with a network on the NPU"
EXAMPLE = """tensaw mlperf-dut ic_resnet8_int8.tflite --sim verilator --clock 100
tensaw mlperf-dut kws_dscnn_int8.tflite --config small --link ./dut
tensaw mlperf-dut kws_dscnn_int8.tflite --device /dev/ttyUSB0 --link ./dut"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    options.add_model(parser)
    parser.description = (
        f"{parser.description} The runner's device file needs an entry of type dut whose port is the pseudo-terminal; "
        "any baud rate will do. Times are the NPU's cycles divided by its clock: those of a simulation are an "
        "expectation, no MLPerf result."
    )
    parser.add_argument(
        "--clock", type=float, metavar="MHZ", help="clock of a simulated NPU, for the times; default: 100"
    )
    parser.add_argument(
        "--benchmark", metavar="NAME", help="ic01, kws01, vww01 or ad01; default: the one whose input the network has"
    )
    parser.add_argument("--link", type=Path, metavar="PATH", help="make this symbolic link to the pseudo-terminal")
    parser.add_argument(
        "--simulated", action="store_true", help="the board at --device is a virtual one: let the answers say so"
    )
    parser.add_argument(
        "--quiet-seconds", type=float, metavar="S", help="end when nothing has come for so long; default: never"
    )
    options.add_config(parser)
    options.add_compiler(parser)
    options.add_simulation(parser)
    device.add_device(parser)


def execute(arguments: argparse.Namespace) -> int:
    from tensaw.cli.simulation import opened, prepare
    from tensaw.mlperf.benchmarks import benchmark_of
    from tensaw.mlperf.engine import SessionEngine
    from tensaw.mlperf.protocol import DeviceUnderTest
    from tensaw.mlperf.serve import PseudoTerminal, serve
    from tensaw.runtime.arrays import random_inputs

    device.choose_backend(arguments)
    if arguments.simulated and arguments.device is None:
        raise InputError("--simulated is for a virtual board at --device; without --device all is simulated.")
    if arguments.clock is not None and arguments.device is not None:
        raise InputError("--clock is for simulations; a board at --device has its own. Leave it out.")
    console = terminal.output(arguments)
    with device.connected(arguments) as link:
        _, program = prepare(arguments, link=link)
        benchmark = benchmark_of(program, arguments.benchmark)
        config = program.config
        simulated = link is None or arguments.simulated
        clock = link.identity.clock / 1e6 if link else arguments.clock or 100.0
        where = f"on {link.identity.board}" if link else f"simulated in {arguments.sim}"
        if link and simulated:
            where = f"on a simulated {link.identity.board}"
        name = f"tensaw {config.name} {config.rows}x{config.columns}, {where}"
        how = "simulated, " if simulated else ""
        with opened(arguments, program, 1, link) as (session, step), PseudoTerminal(arguments.link) as port:
            if link:
                # The first run on a board also reads memory back, and the runner does not wait for long.
                step.update("First inference")
                session.run(random_inputs(program.inputs, 0))
            step.update("Waiting for commands", completed=1)
            engine = SessionEngine(session, clock * 1e6, simulated)
            dut = DeviceUnderTest(
                engine, benchmark, name, program.inputs[0], program.outputs[0],
                lambda text: console.print(f"{text} ({engine.cycles:,} cycles, {how}at {clock:g} MHz)"),
            )  # fmt: skip
            console.print(f"{benchmark.name} on {name}: {arguments.link or port.name}", markup=False)
            if arguments.sim == "golden":
                console.print("The golden model has no cycles: all times are 0.")
            sys.stdout.flush()
            serve(dut, port, arguments.quiet_seconds)
    return FINE
