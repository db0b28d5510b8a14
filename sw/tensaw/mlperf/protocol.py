"""MLPerf Tiny's serial protocol, the device's side.

Commands end in ``%``; answers are lines that end in CR LF, the last one ``m-ready``. The words are those of the
benchmark's API (``internally_implemented.cpp``, protocol of "ULPMark for tinyML Firmware V0.0.1").
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

import numpy as np
import numpy.typing as npt

from tensaw.mlperf.benchmarks import Benchmark
from tensaw.spec.errors import TensawError
from tensaw.spec.program import Binding

__all__ = ["Engine", "DeviceUnderTest", "FIRMWARE", "READY", "TERMINATOR"]

TERMINATOR = b"%"
READY = "m-ready"
FIRMWARE = "ULPMark for tinyML Firmware V0.0.1"
_MOST_INPUT = 96 * 96 * 3
_LONGEST_COMMAND = 80
_HELP = (
    FIRMWARE, "",
    "help         : Print this information",
    "name         : Print the name of the device",
    "profile      : Print protocol and benchmark",
    "timestamp    : Print the device's time",
    "db SUBCMD    : Manipulate a generic byte buffer",
    "  load N     : Allocate N bytes and set load counter",
    "  db HH[HH]* : Load 8-bit hex byte(s) until N bytes",
    "  print      : Print the buffer as hex",
    "infer N [W=10]: Load input, execute N inferences after W warmup loops",
    "results      : Return the result fp32 vector",
)  # fmt: skip


class Engine(Protocol):
    """What computes: a simulation, or a board."""

    def infer(self, value: npt.NDArray[np.int8], times: int) -> tuple[npt.NDArray[np.int8], float]:
        """Compute the same input so often; the output, and the seconds that it takes the device. Raises TensawError."""
        ...


class DeviceUnderTest:
    """Answers commands. Its clock runs while it infers, and only then.

    ``tell`` is given a line for people about each inference command.
    """

    def __init__(
        self,
        engine: Engine,
        benchmark: Benchmark,
        name: str,
        given: Binding,
        wanted: Binding,
        tell: Callable[[str], None] = lambda text: None,
    ) -> None:
        self._engine = engine
        self._benchmark = benchmark
        self._name = name
        self._given, self._wanted = given, wanted
        self._tell = tell
        self._command = bytearray()
        self._buffer = np.zeros(0, np.uint8)
        self._filled = 0
        self._seconds = 0.0
        self._results: list[float] = []

    def receive(self, data: bytes) -> Iterator[str]:
        """Take bytes from the line; what to answer, piece by piece as it comes up."""
        for byte in data:
            if byte == TERMINATOR[0]:
                words = self._command.decode("ascii", "replace").split()
                self._command.clear()
                for line in self.answer(words):
                    yield _text([line])
                yield _text([READY])
            elif byte not in b"\r\n\0" and len(self._command) < _LONGEST_COMMAND:
                self._command.append(byte)

    def answer(self, words: list[str]) -> Iterator[str]:
        """The lines of the answer to a command, without the last one."""
        command, *rest = words or [""]
        handlers: dict[str, Callable[[list[str]], Iterator[str]]] = {
            "name": lambda _: iter([f"m-name-dut-[{self._name}]"]),
            "profile": lambda _: iter([f"m-profile-[{FIRMWARE}]", f"m-model-[{self._benchmark.name}]"]),
            "timestamp": lambda _: iter([self._timestamp()]),
            "help": lambda _: iter(_HELP),
            "db": self._db,
            "infer": self._infer,
            "results": lambda _: iter([self._result_line()]),
        }
        if command in handlers:
            yield from handlers[command](rest)
        else:
            yield f"e-[Unknown command: {command}]"

    def _timestamp(self) -> str:
        return f"m-lap-us-{round(self._seconds * 1e6)}"

    def _result_line(self) -> str:
        return f"m-results-[{','.join(f'{value:0.3f}' for value in self._results)}]"

    # The buffer ----------------------------------------------------------------------------------------------------

    def _db(self, words: list[str]) -> Iterator[str]:
        if not words:
            yield "e-[Command 'db' requires a subcommand]"
        elif words[0] == "load":
            yield from self._allocate(words[1:])
        elif words[0] == "print":
            for start in range(0, len(self._buffer), 8):
                yield "m-buffer-" + "-".join(f"{value:02x}" for value in self._buffer[start : start + 8])
        else:
            yield from self._fill(words[0])

    def _allocate(self, words: list[str]) -> Iterator[str]:
        if not words:
            yield "e-[Command 'db load' requires the # of bytes]"
        elif not words[0].isdecimal() or int(words[0]) == 0:
            yield "e-[Command 'db load' must be >0 bytes]"
        elif int(words[0]) > _MOST_INPUT:
            yield f"e-[Supplied buffer size {words[0]} exceeds maximum of {_MOST_INPUT}]"
        else:
            self._buffer = np.zeros(int(words[0]), np.uint8)
            self._filled = 0
            yield f"m-[Expecting {len(self._buffer)} bytes]"

    def _fill(self, digits: str) -> Iterator[str]:
        try:
            if len(digits) % 2:
                yield "e-[Insufficent number of hex digits]"
                return
            values = np.frombuffer(bytes.fromhex(digits), np.uint8)
        except ValueError:
            yield f"e-[Invalid hex digit in '{digits}']"
            return
        room = len(self._buffer) - self._filled
        values = values[:room]
        self._buffer[self._filled : self._filled + len(values)] = values
        self._filled += len(values)
        if len(values) and self._filled == len(self._buffer):
            yield "m-load-done"

    # Inference -----------------------------------------------------------------------------------------------------

    def _infer(self, words: list[str]) -> Iterator[str]:
        times, warmups = [*words, "1", "10"][:2] if len(words) != 1 else (words[0], "10")
        if not times.isdecimal() or int(times) == 0:
            yield "e-[Inference iterations must be >0]"
        elif not warmups.isdecimal():
            yield "e-[Inference warmup must be >=0]"
        elif self._filled != self._benchmark.size:
            yield f"e-[Input db has {self._filled} bytes, expected {self._benchmark.size}]"
        else:
            yield from self._run(int(times), int(warmups))

    def _run(self, times: int, warmups: int) -> Iterator[str]:
        sent = self._buffer
        value = self._benchmark.load(sent, self._given).reshape(self._benchmark.shape)
        yield f"m-warmup-start-{warmups}"
        try:
            if warmups:
                self._seconds += self._engine.infer(value, warmups)[1]
            yield "m-warmup-done"
            yield f"m-infer-start-{times}"
            yield self._timestamp()
            output, seconds = self._engine.infer(value, times)
        except TensawError as error:
            yield f"e-[{' '.join(str(error).split())}]"
            return
        self._seconds += seconds
        floats = (output.astype(np.float32) - np.float32(self._wanted.zero_point)) * np.float32(self._wanted.scale)
        self._results = self._benchmark.results(floats, sent)
        yield self._timestamp()
        yield "m-infer-done"
        yield self._result_line()
        self._tell(f"{times} inferences after {warmups}, {seconds / times * 1e6:,.1f} us each")


def _text(lines: list[str]) -> str:
    return "".join(f"{line}\r\n" for line in lines)
