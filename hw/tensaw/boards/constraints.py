"""Reading constraints files: which pins and clocks they give, in the form that each family's tools take."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tensaw.boards.board import Board
from tensaw.spec.errors import InputError

__all__ = ["Constraints", "check_constraints", "read_constraints"]

_FORMS: dict[str, dict[str, re.Pattern[str]]] = {
    ".lpf": {
        "pin": re.compile(r'^LOCATE COMP "(?P<port>[^"]+)" SITE "(?P<pin>\w+)";$'),
        "standard": re.compile(r'^IOBUF PORT "(?P<port>[^"]+)" .*IO_TYPE=(?P<standard>\w+)'),
        "clock": re.compile(r'^FREQUENCY PORT "(?P<port>[^"]+)" (?P<megahertz>[\d.]+) MHZ;$'),
        "other": re.compile(r"^(#.*|BLOCK \w+;|)$"),
    },
    ".pcf": {
        "pin": re.compile(r"^set_io (-pullup yes )?(?P<port>\S+) (?P<pin>\w+)$"),
        "clock": re.compile(r"^set_frequency (?P<port>\S+) (?P<megahertz>[\d.]+)$"),
        "other": re.compile(r"^(#.*|)$"),
    },
    ".cst": {
        "pin": re.compile(r'^IO_LOC "(?P<port>[^"]+)" (?P<pin>\w+);$'),
        "standard": re.compile(r'^IO_PORT "(?P<port>[^"]+)" .*IO_TYPE=(?P<standard>\w+)'),
        "other": re.compile(r"^(//.*|)$"),
    },
    ".xdc": {
        "pin": re.compile(
            r"^set_property -dict \{PACKAGE_PIN (?P<pin>\w+) IOSTANDARD (?P<standard>\w+).*\} "
            r"\[get_ports \{(?P<port>[^}]+)\}\]$"
        ),
        "clock": re.compile(r"^create_clock -name \w+ -period (?P<period>[\d.]+) \[get_ports \{(?P<port>[^}]+)\}\]$"),
        "other": re.compile(r"^(#.*|set_false_path .*|set_property \w+ \S+ \[current_design\]|)$"),
    },
}


@dataclass(frozen=True)
class Constraints:
    """``pins`` and ``standards`` by the name of a port's bit, ``clocks`` in hertz by the name of a port."""

    pins: dict[str, str]
    standards: dict[str, str]
    clocks: dict[str, int]


def read_constraints(path: Path) -> Constraints:
    """Read an .lpf, .pcf, .cst or .xdc file. Raises InputError for a line of no known form, or a port given twice."""
    forms = _FORMS[path.suffix]
    pins: dict[str, str] = {}
    standards: dict[str, str] = {}
    clocks: dict[str, int] = {}
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        matches = {kind: match for kind, form in forms.items() if (match := form.match(line.strip()))}
        if not matches:
            raise InputError(f"Line {number} of {path.name} is no constraint of a known form: {line.strip()!r}.")
        if match := matches.get("pin"):
            if match["port"] in pins or match["pin"] in pins.values():
                raise InputError(f"Line {number} of {path.name} gives a port or a pin a second time: {line.strip()!r}.")
            pins[match["port"]] = match["pin"]
        for match in matches.values():
            groups = match.groupdict()
            if "standard" in groups:
                standards[groups["port"]] = groups["standard"]
            if "megahertz" in groups:
                clocks[groups["port"]] = round(float(groups["megahertz"]) * 1e6)
            if "period" in groups:
                clocks[groups["port"]] = round(1e9 / float(groups["period"]))
    return Constraints(pins, standards, clocks)


def check_constraints(board: Board) -> Constraints:
    """Hold a board's constraints file to its ports and its clock; returns what it says.

    Raises InputError for a port without a pin, a pin for a port that does not exist, or another frequency. Gowin's pin
    files hold no clocks.
    """
    constraints = read_constraints(board.constraints_path())
    wanted = {bit for port in board.ports() for bit in port.bits()}
    _refuse(board, "has no pin", sorted(wanted - set(constraints.pins)))
    _refuse(board, "is no port of the board's top", sorted(set(constraints.pins) - wanted))
    if _FORMS[Path(board.constraints).suffix].get("clock"):
        given = constraints.clocks.get(board.clock_port)
        if constraints.clocks != {board.clock_port: board.oscillator}:
            raise InputError(
                f"In {board.constraints} the clock of {board.clock_port!r} is {given} Hz; the board's oscillator has "
                f"{board.oscillator} Hz."
            )
    return constraints


def _refuse(board: Board, text: str, names: Iterable[str]) -> None:
    for name in names:
        raise InputError(f"In {board.constraints} {name!r} {text}.")
