"""``--device``: a board instead of a simulator."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tensaw.cli import options, terminal
from tensaw.spec.errors import InputError

if TYPE_CHECKING:
    from tensaw.runtime.link import HostLink
    from tensaw.spec.config import NpuConfig

__all__ = ["BOARD", "add_baud", "add_device", "choose_backend", "config_for", "connected"]

BOARD = "board"
"""What ``--sim`` holds when ``--device`` is given."""


def add_device(parser: argparse.ArgumentParser) -> None:
    """``--device`` and ``--baud``, for commands with options.add_simulation; :func:`choose_backend` comes first."""
    group = parser.add_argument_group("board")
    group.add_argument(
        "--device",
        metavar="PORT",
        help="run on the board at this serial port, such as /dev/ttyUSB0, not in a simulator",
    )
    add_baud(group)
    parser.set_defaults(config=None)


def add_baud(group: argparse._ActionsContainer) -> None:
    """``--baud`` of a board that is there."""
    group.add_argument(
        "--baud", type=int, metavar="N", help="bits a second of the serial port; default: where the board answers"
    )


def choose_backend(arguments: argparse.Namespace) -> None:
    """Make ``--sim`` and ``--device`` one. Raises InputError where they contradict each other."""
    if arguments.device is None:
        if arguments.baud is not None:
            raise InputError("--baud is the rate of a board's serial port: give the port with --device.")
        arguments.config = arguments.config or options.DEFAULT_CONFIG
        return
    for option, given in (
        ("--waves", arguments.waves is not None),
        ("--wave-cycles", arguments.wave_cycles is not None),
        ("--stalls", arguments.stalls is not None),
        ("--sim", arguments.sim != "verilator"),
    ):
        if given:
            raise InputError(f"{option} is for simulations; a board at --device has none. Give one of them.")
    arguments.sim = BOARD


@contextmanager
def connected(arguments: argparse.Namespace) -> Iterator[HostLink | None]:
    """The link to the board at ``--device``, open for so long; None without it. Raises DeviceError."""
    if arguments.device is None:
        yield None
        return
    from tensaw.runtime.link import connect

    with terminal.progress(f"Connecting to {arguments.device}"):
        link = connect(arguments.device, arguments.baud)
    try:
        yield link
    finally:
        link.close()


def config_for(arguments: argparse.Namespace, link: HostLink | None) -> NpuConfig:
    """The configuration of the options; where they say none, that of the board. Raises ConfigError."""
    if link is not None and arguments.config is None:
        if not arguments.set and arguments.bus_bytes is None:
            return link.identity.config
        arguments.config = options.DEFAULT_CONFIG
    return options.config_from(arguments)
