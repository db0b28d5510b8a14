"""``tensaw board``: which boards there are, what one at a port is, whether it works, and one in a simulator."""

from __future__ import annotations

import argparse
from typing import Any

from tensaw.cli import board_sim, device, files, options, terminal
from tensaw.cli.board_options import add_board
from tensaw.cli.frame import FINE, WRONG_RESULT

SUMMARY = "boards: list them, ask and test one at a serial port, measure it, or simulate one down to its pins"
EXAMPLE = """tensaw board list
tensaw board test --device /dev/ttyUSB0
tensaw board sim ulx3s-85f --config small"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    one = actions.add_parser("list", help="the boards that tensaw knows", allow_abbrev=False)
    options.add_json(one)
    one = actions.add_parser("info", help="what the board at a port says of itself", allow_abbrev=False)
    _add_device(one)
    one = actions.add_parser(
        "test", help="find out what works, step by step, up to the first thing that does not", allow_abbrev=False
    )
    _add_device(one)
    one.add_argument(
        "--memory", type=int, metavar="BYTES",
        help="march over so much of the memory; default: as much as takes some 20 seconds",
    )  # fmt: skip
    one.add_argument("--model", metavar="FILE", help="network of the last step; default: a small one of tensaw's own")
    one = actions.add_parser("bench", help="measure the link, by the board's own clock", allow_abbrev=False)
    _add_device(one)
    one.add_argument(
        "--bytes", type=int, default=1 << 16, metavar="N", help="bytes to write and to read; default: 65536"
    )
    one = actions.add_parser(
        "sim", help="a board in Verilator, from the pins of its serial port to those of its memory", allow_abbrev=False
    )
    add_board(one, positional=True)
    options.add_config(one)
    one.set_defaults(config=None)
    board_sim.add_arguments(one)


def _add_device(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", metavar="PORT", required=True, help="serial port, such as /dev/ttyUSB0")
    device.add_baud(parser)
    options.add_json(parser)


def execute(arguments: argparse.Namespace) -> int:
    actions = {"list": _list, "info": _info, "test": _test, "bench": _bench, "sim": board_sim.execute}
    return actions[arguments.action](arguments)


def _list(arguments: argparse.Namespace) -> int:
    from tensaw.boards.definitions import BOARDS
    from tensaw.boards.pages import TRIED, describe_memory

    rows: list[dict[str, Any]] = [
        {
            "name": board.name,
            "title": board.title,
            "configuration": board.configuration.removesuffix(".toml"),
            "memory": describe_memory(board),
            "baud": board.baud,
            "tried": TRIED[board.name],
        }
        for board in BOARDS.values()
    ]
    files.require_writable(options.json_file(arguments))
    columns = ("name", "title", "configuration", "memory", "tried")
    terminal.print_table(
        terminal.output(arguments), ("board", "", "configuration", "memory", "what has been tried"),
        [tuple(row[column] for column in columns) for row in rows],
    )  # fmt: skip
    terminal.emit_json(arguments, {"action": "list", "boards": rows})
    return FINE


def _info(arguments: argparse.Namespace) -> int:
    files.require_writable(options.json_file(arguments))
    with device.connected(arguments) as link:
        assert link is not None
        identity = link.identity
        cycles, damaged, dropped = link.counters()
    values = {
        **identity.summary(), "buffer_bytes": identity.buffer_bytes, "payload_bytes": identity.payload_bytes,
        "damaged_frames": damaged, "frames_without_room": dropped,
    }  # fmt: skip
    terminal.print_table(
        terminal.output(arguments),
        ("", identity.board),
        [(name.replace("_", " "), value) for name, value in values.items()],
    )
    terminal.emit_json(arguments, {"action": "info", "cycles": cycles, **values, "config": identity.config.to_dict()})
    return FINE


def _test(arguments: argparse.Namespace) -> int:
    from pathlib import Path

    from tensaw.bringup import run_steps
    from tensaw.cli import calls

    files.require_writable(options.json_file(arguments))
    graph = calls.load_network(Path(arguments.model)) if arguments.model else None
    console = terminal.output(arguments)
    results = []
    with device.connected(arguments) as link, terminal.progress("Testing") as step:
        assert link is not None
        for result in run_steps(link, arguments.memory, graph, step.update):
            results.append(result)
            mark = "ok    " if result.finding is None else "FAILED"
            console.print(f"{mark} {result.name}: {result.text}", markup=False)
        identity = link.identity
    finding = results[-1].finding
    if finding is not None:
        console.print(f"What it means: {finding.meaning}", markup=False)
        console.print(f"What to check: {finding.check}", markup=False)
    else:
        console.print(f"{identity.board} works: all {len(results)} steps passed.", markup=False)
    terminal.emit_json(
        arguments,
        {
            "action": "test",
            "device": identity.summary(),
            "passed": finding is None,
            "steps": [result.to_dict() for result in results],
        },
    )
    return FINE if finding is None else WRONG_RESULT


def _bench(arguments: argparse.Namespace) -> int:
    from tensaw.bringup import measure
    from tensaw.spec.errors import InputError

    files.require_writable(options.json_file(arguments))
    if arguments.bytes < 1024:
        raise InputError(f"--bytes must be at least 1024, not {arguments.bytes}.")
    with device.connected(arguments) as link, terminal.progress("Measuring"):
        assert link is not None
        found = measure(link, arguments.bytes)
        identity = link.identity
    terminal.print_table(
        terminal.output(arguments), ("by the board's clock", "bytes/s", "of the line's rate"),
        [
            ("line", round(found.line), "100.0%"),
            ("write", round(found.write), f"{found.write / found.line:.1%}"),
            ("read", round(found.read), f"{found.read / found.line:.1%}"),
        ],
    )  # fmt: skip
    terminal.output(arguments).print(
        f"One register read takes {found.register * 1e6:.0f} µs; {found.resent} requests were sent again.", markup=False
    )
    terminal.emit_json(arguments, {"action": "bench", "device": identity.summary(), **found.to_dict()})
    return FINE
