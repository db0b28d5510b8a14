"""``tensaw board sim``: the virtual board on a pseudo-terminal, with faults where they are wanted."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from tensaw.cli import terminal
from tensaw.cli.frame import FINE
from tensaw.spec.errors import InputError

if TYPE_CHECKING:
    from tensaw.harness.virtual_board import Faults


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What ``sim`` takes beside board and configuration."""
    parser.add_argument("--link", type=Path, metavar="PATH", help="make this symbolic link to the pseudo-terminal")
    parser.add_argument(
        "--seed", type=int, default=1, metavar="N", help="of the faults and the memory's first contents"
    )
    faults = parser.add_argument_group("faults")
    faults.add_argument("--drop", type=float, default=0.0, metavar="P", help="chance that a byte of the line is lost")
    faults.add_argument("--flip", type=float, default=0.0, metavar="P", help="chance that a byte has a bit inverted")
    faults.add_argument(
        "--stuck-bit", action="append", default=[], metavar="BYTE:BIT:VALUE",
        help="a bit of the SDRAM, by byte address, that always reads as VALUE; may be repeated",
    )  # fmt: skip
    faults.add_argument(
        "--stuck-pe", metavar="ROW:COLUMN:BIT:VALUE",
        help="a processing element with a bit of its partial sum stuck (builds a simulator of its own)",
    )  # fmt: skip


def execute(arguments: argparse.Namespace) -> int:
    from tensaw.boards.export import board_verilog
    from tensaw.cli.board_options import plan_from
    from tensaw.harness.virtual_board import VirtualBoard, arm_pe, build_virtual_board, fastest_baud, refuse_virtual

    element = _numbers(arguments.stuck_pe, 4, "--stuck-pe") if arguments.stuck_pe else None
    faults = _faults(arguments, element)
    if arguments.baud is None:
        arguments.baud = fastest_baud(plan_from(arguments).identity.clock)
    build = plan_from(arguments)
    identity = build.identity
    refuse_virtual(build.board)
    console = terminal.output(arguments)
    with terminal.progress("Writing the Verilog") as step:
        verilog = board_verilog(build)
        if element is not None:
            verilog = arm_pe(verilog, *element[:2])
        step.update("Building the simulator")
        program = build_virtual_board(verilog, build.board)
    with VirtualBoard(program, build.board, faults=faults, seed=arguments.seed) as board:
        with _linked(arguments.link, board.port):
            config = identity.config
            console.print(
                f"{identity.board} with {config.name} ({config.rows}×{config.columns}) on simulated pins, "
                f"{identity.clock / 1e6:g} MHz, {identity.baud:,} baud: {arguments.link or board.port}",
                markup=False, soft_wrap=True,
            )  # fmt: skip
            console.print("It runs until it is interrupted (Ctrl-C).", markup=False)
            sys.stdout.flush()
            try:
                board.wait()
            except KeyboardInterrupt:
                status = board.status()
                rate = status.cycles / max(status.seconds, 1e-9)
                console.print(
                    f"{status.cycles:,} cycles simulated, {rate:,.0f} a second, pauses included.", markup=False
                )
                raise
    return FINE


def _faults(arguments: argparse.Namespace, element: tuple[int, ...] | None) -> Faults:
    from tensaw.harness.virtual_board import Faults

    stuck = tuple(_numbers(text, 3, "--stuck-bit") for text in arguments.stuck_bit)
    return Faults(
        arguments.drop,
        arguments.flip,
        tuple((byte, bit, value) for byte, bit, value in stuck),
        (element[2], element[3]) if element else None,
    )


def _numbers(text: str, count: int, option: str) -> tuple[int, ...]:
    form = {3: "BYTE:BIT:VALUE, such as 0x1234:5:1", 4: "ROW:COLUMN:BIT:VALUE, such as 2:3:0:1"}[count]
    try:
        numbers = tuple(int(part, 0) for part in text.split(":"))
    except ValueError:
        numbers = ()
    if len(numbers) != count:
        raise InputError(f"{option} must be of the form {form}, not {text!r}.")
    return numbers


@contextlib.contextmanager
def _linked(link: Path | None, port: str) -> Iterator[None]:
    """A symbolic link of a fixed name, for so long. Raises InputError."""
    if link is None:
        yield
        return
    try:
        if link.is_symlink():
            link.unlink()
        link.symlink_to(port)
    except OSError as error:
        raise InputError(
            f"The link {str(link)!r} to the pseudo-terminal cannot be made: {error.strerror or error}. Give a path "
            "that does not exist in a folder that you may write to."
        ) from None
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            if os.readlink(link) == port:
                link.unlink()
