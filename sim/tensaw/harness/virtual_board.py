"""The virtual board: a board's top in Verilator, its serial pins behind a pseudo-terminal, an SDRAM chip on its pins.

What hosts do with it they do with a real board. Faults can be injected on the line, in the SDRAM and in the array.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tensaw.boards.board import Board, Sdram
from tensaw.boards.export import TOP
from tensaw.harness.cache import cache_directory, cached, digest
from tensaw.harness.verilate import LIBRARY_OPTIMISE, Model, Tools, verilate
from tensaw.spec.errors import InputError, ToolError
from tensaw.spec.link import FAST_RATES

__all__ = ["BoardStatus", "Faults", "VirtualBoard", "arm_pe", "build_virtual_board", "fastest_baud",
    "refuse_virtual",
]  # fmt: skip

_SOURCES = Path(__file__).parent / "board"
_OPTIMISE = ("OPT_FAST=-O2", "OPT_SLOW=-O0", LIBRARY_OPTIMISE)
_TIMES = (
    "init", "refresh", "trcd", "trp", "tras", "tras_longest", "trc", "trfc", "trrd", "twr", "access", "hold", "setup",
    "input_hold", "fastest",
)  # fmt: skip
_NUMBERS = ("tmrd_cycles", "cas", "data_bits", "row_bits", "column_bits", "bank_bits")


@dataclass(frozen=True)
class Faults:
    """``drop`` and ``flip``: probability that a byte of the line, in either direction, is lost, or that one of its bits
    is inverted. ``stuck``: bits of the SDRAM as (byte address, bit, value read). ``element``: (bit, value) stuck in the
    partial sum of the processing element that :func:`arm_pe` chose."""

    drop: float = 0.0
    flip: float = 0.0
    stuck: tuple[tuple[int, int, int], ...] = ()
    element: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        for name in ("drop", "flip"):
            if not 0 <= getattr(self, name) <= 0.5:
                raise InputError(f"The fault {name} must be a probability of 0 to 0.5, not {getattr(self, name)}.")
        for byte, bit, value in self.stuck:
            if byte < 0 or not 0 <= bit <= 7 or value not in (0, 1):
                raise InputError(
                    f"The stuck bit {byte:#x}:{bit}:{value} must be a byte address, a bit 0 to 7, and 0 or 1."
                )
        if self.element is not None and (not 0 <= self.element[0] < 64 or self.element[1] not in (0, 1)):
            raise InputError(
                f"The stuck processing element's {self.element[0]}:{self.element[1]} must be a bit of its sum, and 0 "
                "or 1."
            )


@dataclass(frozen=True)
class BoardStatus:
    """Clock cycles simulated, seconds that this took, and the lights (bit i: light i's pin)."""

    cycles: int
    seconds: float
    lights: int


def fastest_baud(clock: int) -> int:
    """The fastest of :data:`FAST_RATES` that a clock of so many hertz can carry: a simulated line need not be slow."""
    return next((rate for rate in FAST_RATES if 6 * rate <= clock), FAST_RATES[-1])


def refuse_virtual(board: Board) -> Path:
    """The models of the board's primitives. Raises InputError for a family that has none."""
    cells = _SOURCES / f"cells_{board.family}.v"
    if not cells.is_file():
        raise InputError(
            f"There is no virtual {board.name}: the primitives of its family ({board.family}) have no models here. "
            "Choose ulx3s-85f, orangecrab-85f, icebreaker or tang-nano-20k."
        )
    return cells


def build_virtual_board(verilog: str, board: Board) -> Path:
    """The simulator of a board's top, from the cache or built now. Raises ToolError, InputError for a family whose
    primitives have no models."""
    cells = refuse_virtual(board)
    tools = Tools.find()
    sources = {path.name: path.read_text() for path in sorted(_SOURCES.iterdir()) if path.suffix in (".cpp", ".h")}
    defines = [f"-DCLOCK_PORT={board.clock_port}"]
    defines += ["-DSDRAM"] if isinstance(board.memory, Sdram) else []
    defines += ["-DTWO_WAY_PADS"] if board.family == "ice40" else []
    key = digest({
        **sources,
        "verilog": verilog,
        "cells": cells.read_text(),
        "build": " ".join((*_OPTIMISE, *defines)),
        "tools": tools.identity(),
    })  # fmt: skip
    log = cache_directory() / "virtual-board" / f"{key}.log"

    def build(directory: Path) -> None:
        log.unlink(missing_ok=True)
        (directory / "cpp").mkdir()
        for name, text in sources.items():
            (directory / "cpp" / name).write_text(text)
        (directory / f"{TOP}.v").write_text(verilog)
        shutil.copyfile(cells, directory / "cells.v")
        model = Model(
            "the virtual board", "Vboard", TOP, ["../cpp/main.cpp", f"{TOP}.v", "cells.v"], ["--pins-inout-enables"],
            ["-I../cpp", *defines], _OPTIMISE,
        )  # fmt: skip
        verilate(directory, log, tools, model)

    return cached("virtual-board", key, build) / "simulator"


def arm_pe(verilog: str, row: int, column: int) -> str:
    """Verilog in which bits of the partial sum of one processing element can be stuck, see VirtualBoard.

    Raises InputError if there is no such element, or one that shares its multiplier with a neighbour.
    """
    instance = re.search(rf"^  (\w+) pe_{row}_{column}\(", verilog, re.MULTILINE)
    if instance is None:
        if re.search(rf"^  \w+ pair_{row}_(?:{column}|{column - 1})\(", verilog, re.MULTILINE):
            raise InputError(
                f"The processing element in row {row}, column {column}, shares a multiplier with its neighbour and has "
                "no partial sum of its own that could be stuck: choose one of the first rows or of the last."
            )
        raise InputError(f"There is no processing element in row {row}, column {column} of this array.")
    module = instance[1]
    body = re.search(rf"^module {module} \(\n(.*?)^\);", verilog, re.MULTILINE | re.DOTALL)
    width = re.search(r"output (?:reg )?(\[\d+:0\]) psum_out", body[1]) if body else None
    if body is None or width is None:
        raise InputError("The processing elements of this array have no partial sum that could be stuck.")
    ports = re.findall(r"^  (input|output)(?: reg)?( \[\d+:0\])? (\w+)", body[1], re.MULTILINE)
    declared = ",\n".join(f"  {direction}{size} {name}" for direction, size, name in ports)
    connected = ", ".join(f".{name}({'good' if name == 'psum_out' else name})" for _, _, name in ports)
    masks = "".join(
        f'  reg {width[1]} {name};\n  initial if (!$value$plusargs("{name}=%h", {name})) {name} = 0;\n'
        for name in ("pe_ones", "pe_zeros")
    )
    armed = (
        f"module {module}_armed (\n{declared}\n);\n  wire {width[1]} good;\n{masks}  {module} inner({connected});\n"
        f"  assign psum_out = (good | pe_ones) & ~pe_zeros;\nendmodule\n"
    )
    changed = verilog[: instance.start()] + f"  {module}_armed pe_{row}_{column}(" + verilog[instance.end() :]
    return changed.replace(f"module {module} (", f"{armed}\nmodule {module} (", 1)


class VirtualBoard:
    """A running virtual board. A context manager: leaving it ends the process.

    ``port`` is the name of its pseudo-terminal; it changes with every :meth:`plug`.
    """

    def __init__(
        self,
        program: Path,
        board: Board,
        *,
        faults: Faults | None = None,
        seed: int = 1,
        round_trip: float | None = None,
    ) -> None:
        """Start what :func:`build_virtual_board` made for ``board``. ``round_trip`` in nanoseconds lies between the
        limits of the board's pads; default: in their middle. Raises ToolError."""
        faults = faults or Faults()
        settings: dict[str, int] = {
            "oscillator": board.oscillator,
            "baud": board.baud,
            "seed": seed,
            "drop": round(faults.drop * (2**32 - 1)),
            "flip": round(faults.flip * (2**32 - 1)),
        }
        if isinstance(board.memory, Sdram):
            chip, pads = board.memory.chip, board.memory.pads
            middle = (pads.round_trip_least + pads.round_trip_most) / 2
            settings |= {name: round(1000 * getattr(chip, name)) for name in _TIMES}
            settings |= {name: getattr(chip, name) for name in _NUMBERS}
            settings["round_trip"] = round(1000 * (middle if round_trip is None else round_trip))
        self.port = ""
        command = [str(program), *(f"{name}={value}" for name, value in settings.items())]
        if faults.element is not None:
            bit, value = faults.element
            command.append(f"+pe_{'ones' if value else 'zeros'}={1 << bit:x}")
        try:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1, start_new_session=True
            )
        except OSError as error:
            raise ToolError(f"The virtual board could not be started: {error.strerror or error}.") from None
        try:
            self._expect("port")
            for byte, bit, value in faults.stuck:
                self._say(f"stick {byte} {bit} {value}")
        except BaseException:
            self.close()
            raise

    def unplug(self) -> None:
        """Pull the cable: the pseudo-terminal goes away."""
        self._say("unplug")
        self.status()

    def plug(self) -> str:
        """Connect the board again; returns the name of the new pseudo-terminal."""
        self._say("plug")
        self._expect("port")
        return self.port

    def spoil_line(self, drop: float, flip: float) -> None:
        """Change the faults of the line."""
        Faults(drop, flip)
        self._say(f"drop {round(drop * (2**32 - 1))}")
        self._say(f"flip {round(flip * (2**32 - 1))}")
        self.status()

    def stick(self, byte: int, bit: int, value: int) -> None:
        """Have a bit of the SDRAM always read as ``value`` from now on."""
        Faults(stuck=((byte, bit, value),))
        self._say(f"stick {byte} {bit} {value}")
        self.status()

    def status(self) -> BoardStatus:
        """How far it is."""
        self._say("status")
        _, cycles, seconds, lights = self._expect("status")
        return BoardStatus(int(cycles), float(seconds), int(lights))

    def wait(self) -> None:
        """Until the board ends by itself, which it does only for a violation. Raises ToolError."""
        self._expect("nothing")

    def close(self) -> None:
        """End it; harmless if done before."""
        with contextlib.suppress(OSError, ValueError):
            self._say("quit")
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(2)
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()

    def __enter__(self) -> VirtualBoard:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def _say(self, text: str) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(text + "\n")
            self._process.stdin.flush()

    def _expect(self, kind: str) -> Sequence[str]:
        """The words of the next line of this kind."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            words = line.split()
            if words[:1] == ["port"]:
                self.port = words[1]
                deadline = time.monotonic() + 5
                while not os.path.exists(self.port) and time.monotonic() < deadline:
                    time.sleep(0.01)
            if words[:1] == ["violation"]:
                text = " ".join(words[1:])
                raise ToolError(
                    f"The virtual board's SDRAM was not treated as its data sheet demands: {text}. This is a fault "
                    "of the memory controller or of the board's clocks."
                )
            if words[:1] == [kind]:
                return words
        raise ToolError(f"The virtual board ended by itself with code {self._process.wait()}.")
