"""Running a simulator: a process of its own, steered by lines of text over pipes.

A process, so that a crash of the simulated model cannot take the host with it, and Ctrl-C ends it at once. It lives for
many runs: the caller changes the memory and starts the NPU again.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from tensaw.harness.profile import Profile
from tensaw.harness.tools import find_icarus
from tensaw.spec.errors import DeviceError, InputError, ToolError
from tensaw.spec.simulation import CHECK_PREFIX

__all__ = ["CHANNELS", "MemoryFaults", "MemoryTiming", "Outcome", "Simulator", "Waves"]

CHANNELS = ("AR", "AW", "W", "R", "B")
"""Of the memory port."""


@dataclass(frozen=True)
class MemoryTiming:
    """How the simulated memory answers.

    ``read_latency`` and ``write_latency`` in cycles, at least 1: the first beat of a read ``read_latency`` cycles after
    its address was taken, the response of a write ``write_latency`` cycles after its last beat. ``stalls``:
    probability, 0 to 0.9, that a channel is held back in a cycle, drawn from ``seed``. ``error_range``: bus addresses
    from, up to (exclusive) that answer with ``error_response`` (2 SLVERR, 3 DECERR).
    """

    read_latency: int = 32
    write_latency: int = 8
    stalls: float = 0.0
    seed: int = 0
    error_range: tuple[int, int] | None = None
    error_response: int = 2

    def __post_init__(self) -> None:
        for name, low, high in (
            ("read_latency", 1, 100_000), ("write_latency", 1, 100_000), ("stalls", 0.0, 0.9),
            ("seed", 0, 2**32 - 1), ("error_response", 2, 3),
        ):  # fmt: skip
            value = getattr(self, name)
            if not low <= value <= high:
                raise InputError(f"{name} of the simulated memory must be between {low} and {high}, not {value}.")


@dataclass(frozen=True)
class MemoryFaults:
    """What the simulated memory does wrong in a run.

    ``read_beat``, ``write_beat``: number of a beat in the run, from 1, that is answered with the timing's
    ``error_response`` (a write by its burst); 0 for none. ``silent``: those of :data:`CHANNELS` on which nothing more
    happens from cycle ``silent_from`` of the run on: nothing is taken, and what is not yet on offer is not offered.
    """

    read_beat: int = 0
    write_beat: int = 0
    silent: tuple[str, ...] = ()
    silent_from: int = 0


@dataclass(frozen=True)
class Waves:
    """Record waveforms of the first run: all of it, or cycles ``first`` to ``last``, counted from its start.

    The suffix of ``path``, ``.vcd`` or ``.fst``, gives the format.
    """

    path: Path
    first: int = 0
    last: int = 2**62

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", Path(self.path))
        if self.path.suffix not in (".vcd", ".fst"):
            raise InputError(f"The waveform file {str(self.path)!r} must end in .vcd or .fst, which gives its format.")
        if not 0 <= self.first <= self.last:
            raise InputError(f"The waveform's cycles must go up, not from {self.first} to {self.last}.")
        if not os.access(self.path.absolute().parent, os.W_OK):
            raise InputError(
                f"The waveform file {str(self.path)!r} cannot be written: its folder does not exist or may not be "
                "written to."
            )

    @property
    def format(self) -> Literal["vcd", "fst"]:
        return "vcd" if self.path.suffix == ".vcd" else "fst"


@dataclass(frozen=True)
class Outcome:
    """How a wait ended: ``interrupt``; ``limit`` of cycles reached; ``hang``, nothing moved for the watchdog's time; or
    ``violation`` of the AXI protocol, described in ``text``. ``cycles`` since the mark; ``seconds`` of the host. (A
    broken check of the hardware itself raises DeviceError.)"""

    kind: Literal["interrupt", "limit", "hang", "violation"]
    cycles: int
    seconds: float
    text: str = ""


class Simulator:
    """A running simulator. A context manager: leaving it ends the process and removes its files.

    ``memory`` is the simulated memory, uint8, its byte 0 at bus address ``base``; change it between runs.
    """

    def __init__(
        self,
        program: Path,
        memory_bytes: int,
        base: int = 0,
        bus_bytes: int = 8,
        timing: MemoryTiming | None = None,
        waves: Waves | None = None,
        arguments: Sequence[str] = (),
        coverage: Path | None = None,
    ) -> None:
        """Start ``program``: an executable of :func:`build_verilator` or a ``.vvp`` file of :func:`build_icarus`.

        ``memory_bytes`` must be a multiple of ``bus_bytes`` and, for Icarus, that of the build. ``arguments``, such as
        ``+mutant=3``, are what the Verilog finds with ``$value$plusargs``. ``coverage``: a file for what the
        runs have covered, written at the end, if the program was built for it. Raises ToolError.
        """
        self.cycles_run = 0
        self.seconds_run = 0.0
        self._directory = Path(tempfile.mkdtemp(prefix="tensaw-"))
        self._waves, self._coverage = waves, coverage
        self._bus_bytes = bus_bytes
        self._shared = program.suffix != ".vvp"
        self._waiting = False
        self._process: subprocess.Popen[str] | None = None
        try:
            command = [*self._prepare(program, memory_bytes, base, waves), *arguments]
            self._errors = open(self._directory / "stderr", "w")
            self._process = subprocess.Popen(
                command, cwd=self._directory, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors,
                text=True, bufsize=1, start_new_session=True,
            )  # fmt: skip
            self._answer()
            self.set_timing(timing or MemoryTiming())
            if waves is not None:
                self._command(f"waves {waves.first} {waves.last} waves{waves.path.suffix}")
        except BaseException:
            self.close()
            raise

    def _prepare(self, program: Path, memory_bytes: int, base: int, waves: Waves | None) -> list[str]:
        if waves is not None:
            # The simulators take plain names only; the link leads their file to where it is wanted.
            waves.path.unlink(missing_ok=True)
            (self._directory / f"waves{waves.path.suffix}").symlink_to(waves.path.absolute())
        if self._shared:
            path = self._directory / "memory"
            self.memory: npt.NDArray[np.uint8] = np.memmap(path, np.uint8, "w+", shape=(memory_bytes,))
            return [str(program.absolute()), str(path), str(base), str(memory_bytes)]
        self.memory = np.zeros(memory_bytes, np.uint8)
        fst = ["-fst"] if waves is not None and waves.format == "fst" else []
        return [find_icarus()[1], "-n", str(program.absolute()), *fst, f"+base={base}"]

    def set_timing(self, timing: MemoryTiming) -> None:
        """Have the memory of the following runs answer so."""
        low, high = timing.error_range or (0, 0)
        for name, value in (
            ("read_latency", timing.read_latency), ("write_latency", timing.write_latency),
            ("stall", round(timing.stalls * 65536)), ("seed", timing.seed), ("error_low", low), ("error_high", high),
            ("error_response", timing.error_response),
        ):  # fmt: skip
            self._command(f"set {name} {value}")

    def set_faults(self, faults: MemoryFaults) -> None:
        """Have the memory do this from now on. Verilator only."""
        silent = sum(1 << CHANNELS.index(channel) for channel in faults.silent)
        for name, value in (
            ("error_read_beat", faults.read_beat), ("error_write_beat", faults.write_beat), ("silent", silent),
            ("silent_from", faults.silent_from),
        ):  # fmt: skip
            self._command(f"set {name} {value}")

    def reset(self, cycles: int = 8) -> None:
        """Reset the NPU and, with it, the memory port, which forgets what is under way. Verilator only."""
        self._command(f"reset {cycles}")

    # Talking to the process --------------------------------------------------------------------------------------

    def _died(self) -> ToolError:
        assert self._process is not None
        code = self._process.wait()
        self._errors.flush()
        words = (self._directory / "stderr").read_text(errors="replace").strip()
        cause = f"signal {-code}" if code < 0 else f"exit code {code}"
        return ToolError(f"The simulator ended by itself ({cause}). {words[-300:] or 'It said nothing.'}")

    def _line(self) -> str:
        assert self._process is not None and self._process.stdout is not None
        line = self._process.stdout.readline().rstrip("\n")
        if line.startswith(CHECK_PREFIX):
            raise self._broken(line.removeprefix(CHECK_PREFIX))
        if not line:
            raise self._died()
        return line

    def _broken(self, check: str) -> DeviceError:
        """What to say of a check of the hardware that has failed. The simulation ends with it."""
        assert self._process is not None and self._process.stdout is not None
        self._waiting = False
        cycle = ""
        for line in self._process.stdout:  # to the answer of the command; Icarus gives none, it ends at once
            kind, _, rest = line.partition(" ")
            if kind == "check":
                cycle = f" in cycle {int(rest)}"
                self.cycles_run += int(rest)
            if kind in ("check", "ok", "ok\n", "error"):
                break
        return DeviceError(
            f"The simulated hardware broke one of its own rules{cycle}: {check}. This is a fault of the hardware or "
            "of what simulates its surroundings, not of the network: please report it with the command that led to it."
        )

    def _answer(self) -> str:
        while True:
            line = self._line()
            if line.startswith("ok"):
                return line[3:]
            if line.startswith("error"):
                raise ToolError(f"The simulator reports: {line[6:]}.")

    def _send(self, text: str) -> None:
        if self._process is None or self._process.stdin is None:
            raise ToolError("The simulator has been closed.")
        try:
            self._process.stdin.write(text + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._died() from None

    def _command(self, text: str) -> str:
        self._send(text)
        return self._answer()

    # What a driver needs ------------------------------------------------------------------------------------------

    def read_register(self, offset: int) -> int:
        """The 32-bit register at a byte offset. Raises ToolError if the NPU does not answer, or with unknown bits."""
        answer = self._command(f"read {offset}")
        if not answer.isdecimal():
            raise ToolError(f"The simulated register at 0x{offset:03x} holds unknown bits.")
        return int(answer)

    def write_register(self, offset: int, value: int) -> None:
        """Write the 32-bit register at a byte offset. Raises ToolError if the NPU does not answer."""
        self._command(f"write {offset} {value}")

    def watch(self, wrong: npt.NDArray[np.bool_], expected: npt.NDArray[np.uint8]) -> None:
        """In the following runs look for the first write to bytes that are ``wrong`` of anything but their
        ``expected`` values; both as long as the memory. Verilator only. Ask with :meth:`watched`."""
        path = self._directory / "watched"
        np.where(wrong, 256 + expected.astype("<u2"), 0).astype("<u2").tofile(path)
        self._command("watch watched")

    def watched(self) -> int | None:
        """Cycle of the last run in which a watched byte was first written wrongly; None if none was."""
        answer = self._command("watched")
        return None if answer == "never" else int(answer)

    def mark(self, profile: bool = True) -> None:
        """Begin a run: cycle 0 of its outcome, profile and waves is now, and the stall generator starts anew. Call it
        just before the register write that starts the NPU; the memory must be as the run shall find it."""
        if not self._shared:
            self._write_hex()
            self._command("load")
        if profile:
            self._command("profile profile.txt")
        self._command("mark")

    def wait(
        self,
        limit: int = 2**62,
        watchdog: int = 200_000,
        progress: Callable[[int], None] | None = None,
    ) -> Outcome:
        """Simulate until the interrupt; at most to cycle ``limit``, or until nothing has moved for ``watchdog`` cycles.

        ``progress`` is called with the cycle number some times a second. Afterwards ``memory`` holds what was written.
        Raises DeviceError if a check of the hardware fails (tensaw.rtl.checks), as all methods do that simulate.
        """
        start = time.perf_counter()
        self._waiting = True
        self._send(f"wait {limit} {watchdog} {50_000 if self._shared else 1_000}")
        while True:
            kind, _, rest = self._line().partition(" ")
            if kind == "progress":
                if progress is not None:
                    progress(int(rest))
            elif kind == "error":
                raise ToolError(f"The simulator reports: {rest}.")
            else:
                break
        self._waiting = False
        seconds = time.perf_counter() - start
        number, _, text = rest.partition(" ")
        self.cycles_run += int(number)
        self.seconds_run += seconds
        if not self._shared:
            self._command("dump")
            self._read_hex()
        return Outcome("interrupt" if kind == "irq" else kind, int(number), seconds, text)  # type: ignore[arg-type]

    def profile(self) -> Profile:
        """What the trace outputs of the last run recorded (it was marked with ``profile``)."""
        with open(self._directory / "profile.txt") as file:
            return Profile.from_lines(file)

    # The memory of Icarus goes through a file of one bus word a line, most significant byte first ------------------

    def _write_hex(self) -> None:
        words = np.ascontiguousarray(self.memory.reshape(-1, self._bus_bytes)[:, ::-1])
        (self._directory / "memory.hex").write_text(words.tobytes().hex("\n", self._bus_bytes) + "\n")

    def _read_hex(self) -> None:
        lines = (self._directory / "memory.hex").read_text().splitlines()
        digits = "".join(line for line in lines if not line.startswith("//"))
        words = np.frombuffer(bytes.fromhex(digits), np.uint8).reshape(-1, self._bus_bytes)
        self.memory[:] = words[:, ::-1].reshape(-1)

    def close(self) -> None:
        """End the process and remove its files; harmless if done before."""
        self._rescue_coverage()
        process, self._process = self._process, None
        if process is not None:
            assert process.stdin is not None and process.stdout is not None
            with contextlib.suppress(OSError):
                process.stdin.close()  # it ends at the end of its input, and finishes its waveform file
            try:
                process.wait(0 if self._waiting else 10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            process.stdout.close()
            self._rescue_waves()
            self._errors.close()
        self.memory = np.zeros(0, np.uint8)
        shutil.rmtree(self._directory, ignore_errors=True)

    def _rescue_coverage(self) -> None:
        if self._coverage is not None and self._process is not None and not self._waiting:
            with contextlib.suppress(ToolError, DeviceError, OSError):  # of a simulation that has failed
                self._command("coverage coverage.dat")
                shutil.move(self._directory / "coverage.dat", self._coverage)

    def _rescue_waves(self) -> None:
        # Icarus replaces the link by a file of its own when it writes FST.
        if self._waves is not None:
            written = self._directory / f"waves{self._waves.path.suffix}"
            if written.is_file() and not written.is_symlink():
                shutil.move(written, self._waves.path)

    def __enter__(self) -> Simulator:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()
