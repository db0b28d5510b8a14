"""Reading one damaged file the way the command line does, and everything that must not happen then."""

from __future__ import annotations

import contextlib
import io
import os
import resource
import signal
import sys
import tempfile
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from tensaw.cli.disasm import listing
from tensaw.cli.main import main
from tensaw.compiler.frontends.onnx import load_onnx, survey_onnx
from tensaw.compiler.frontends.tflite import load_tflite, survey_tflite
from tensaw.compiler.frontends.verdict import OperatorVerdict
from tensaw.compiler.pipeline import CompileOptions, compile_graph
from tensaw.spec.config import PRESETS, NpuConfig, load_config
from tensaw.spec.errors import TensawError
from tensaw.spec.program import Program
from tensaw.verify.fuzz.damage import DamagedFile
from tensaw.verify.fuzz.seeds import seeds

__all__ = ["MEMORY", "SECONDS", "Attempt", "attempt", "guarded"]

SECONDS = 10.0
"""That a file may take."""
MEMORY = 512 << 20
"""Bytes that reading a file may add to the process."""


@dataclass(frozen=True)
class Attempt:
    """``read``: the file was accepted; ``refused``: an ordinary error, its ``text``; ``bad``: something that must not
    happen, described in ``text``."""

    outcome: Literal["read", "refused", "bad"]
    text: str = ""
    seconds: float = 0.0


class _TooLong(BaseException):
    """Not an Exception: nothing on the way may take it for one of its own."""


def attempt(case: DamagedFile) -> Attempt:
    """Read the file in this process, within :data:`SECONDS` and :data:`MEMORY`; one in so many by a command."""
    if case.by_command:
        return _attempt_command(case)
    data = case.content
    return guarded(lambda: _READERS[case.kind](data, f"damaged.{case.kind}"))


def guarded(read: Callable[[], object]) -> Attempt:
    """Call ``read`` and see how it ends."""
    start, peak = time.perf_counter(), _peak()
    outcome: Literal["read", "refused", "bad"] = "read"
    text = ""
    try:
        with warnings.catch_warnings(), _limited_memory(), _limited_time():
            warnings.simplefilter("error")  # they would be shown to the user
            read()
    except TensawError as error:
        outcome, text = "refused", str(error)
    except _TooLong:
        outcome, text = "bad", f"it took more than {SECONDS:.0f} s: {_where()}"
    except MemoryError:
        outcome, text = "bad", f"it wanted more than {MEMORY >> 20} MB of memory: {_where()}"
    except Exception as error:
        outcome, text = "bad", f"{type(error).__name__}: {error}: {_where()}"
    if outcome == "refused" and (trouble := _trouble(text)):
        outcome, text = "bad", f"{trouble}: {text[:500]!r}"
    if outcome != "bad" and _peak() - peak > MEMORY:
        outcome, text = "bad", f"it took {_peak() - peak >> 20} MB of memory"
    return Attempt(outcome, text, time.perf_counter() - start)


def _trouble(text: str) -> str:
    """What is wrong with the text of an error, which is to be one paragraph that can be printed."""
    if not text.endswith((".", ".)", "?")) or len(text) < 20:
        return "the error is no sentence"
    if not text.isprintable():
        return "the error is not one printable paragraph"
    if len(text) > 5000:
        return "the error is endless"
    return ""


def _where() -> str:
    """The innermost places of the exception under way."""
    frames = [frame for frame in traceback.extract_tb(sys.exc_info()[2]) if frame.filename != __file__]
    own = [frame for frame in frames if f"{os.sep}tensaw{os.sep}" in frame.filename] or frames
    return " < ".join(f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in reversed(own[-4:]))


# Readers --------------------------------------------------------------------------------------------------------------


def _read_tflite(data: bytes, name: str) -> None:
    _read_model(survey_tflite, load_tflite, data, name)


def _read_onnx(data: bytes, name: str) -> None:
    _read_model(survey_onnx, load_onnx, data, name)


def _read_model(survey: Callable[..., Any], load: Callable[..., Any], data: bytes, name: str) -> None:
    """Both ways to read a model, whatever the first says; what is accepted has to compile, or be refused."""
    verdicts: list[OperatorVerdict] = []
    with contextlib.suppress(TensawError):
        verdicts = survey(data, name)
    for verdict in verdicts:
        if (text := f"{verdict.reason} {verdict.fix}".strip()) and not text.isprintable():
            raise ValueError(f"a verdict cannot be printed: {text[:200]!r}")
    compile_graph(load(data, name), PRESETS["nano"], CompileOptions())


def _read_toml(data: bytes, name: str) -> None:
    with tempfile.TemporaryDirectory(prefix="tensaw-fuzz-") as folder:
        (Path(folder) / name).write_bytes(data)
        config = load_config(Path(folder) / name)
    assert NpuConfig.from_dict(config.to_dict()) == config


def _read_program(data: bytes, name: str) -> None:
    for _ in listing(Program.from_bytes(data, name)):
        pass


_READERS: dict[str, Callable[[bytes, str], None]] = {
    "tflite": _read_tflite, "onnx": _read_onnx, "toml": _read_toml, "program": _read_program,
}  # fmt: skip


def _attempt_command(case: DamagedFile) -> Attempt:
    """The same through the command line, which is to leave a whole file or none."""
    with tempfile.TemporaryDirectory(prefix="tensaw-fuzz-") as place:
        folder = Path(place)
        given, out = folder / f"damaged.{case.kind}", folder / "out" / "out.bin"
        given.write_bytes(case.content)
        (folder / "good.tflite").write_bytes(seeds("tflite")[0])
        out.parent.mkdir()
        arguments = {
            "toml": ["compile", str(folder / "good.tflite"), "--config", str(given), "-o", str(out)],
            "program": ["disasm", str(given), "-o", str(out)],
        }.get(case.kind, ["compile", str(given), "--config", "nano", "-o", str(out)])
        errors = io.StringIO()
        codes: list[int] = []

        def run() -> None:
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(errors):
                codes.append(main(arguments))

        done = guarded(run)
        if done.outcome == "bad":
            return done
        code, told = codes[0], errors.getvalue()
        left = [path.name for path in out.parent.iterdir()]
        if code not in (0, 2) or (code == 2) != told.startswith("tensaw: "):
            return replace(done, outcome="bad", text=f"exit code {code} with {told[:300]!r}")
        if left != (["out.bin"] if code == 0 else []):
            return replace(done, outcome="bad", text=f"exit code {code} left {left}")
        return replace(done, outcome="refused" if code else "read", text=" ".join(told.split()))


# Limits ---------------------------------------------------------------------------------------------------------------


def _peak() -> int:
    """Bytes that this process has had at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << (0 if sys.platform == "darwin" else 10)


@contextlib.contextmanager
def _limited_memory() -> Iterator[None]:
    """No more than :data:`MEMORY` on top of what the process has; where the system does not say, no limit."""
    try:
        now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    except (OSError, ValueError):
        yield
        return
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (now + MEMORY, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


@contextlib.contextmanager
def _limited_time() -> Iterator[None]:
    """Raise _TooLong after :data:`SECONDS`; in a thread that gets no signals, nothing watches."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: object) -> None:
        raise _TooLong

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
