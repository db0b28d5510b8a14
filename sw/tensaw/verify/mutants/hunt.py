"""Hunting a mutant: with random networks and faults on the whole NPU first, then with the benches of its blocks."""

from __future__ import annotations

import re
import tempfile
import tomllib
from collections.abc import Sequence
from pathlib import Path

from tensaw.harness.cache import cached, digest
from tensaw.regress.cases import Case
from tensaw.spec.config import PRESETS
from tensaw.verify.blocks import BLOCKS, FAST, Block
from tensaw.verify.faults.cases import FaultCase
from tensaw.verify.mutants.equivalent import ineffective, proved_equivalent, unobservable
from tensaw.verify.mutants.make import Mutant
from tensaw.verify.mutants.whole import TOP, WholeNpu, mutants_of
from tensaw.verify.simulate import bench_directory, run_bench

__all__ = ["CASES", "EXCUSES", "FAULTS", "Hunt", "SEED", "blocks_with"]

CASES, FAULTS = 40, 40
"""Random networks and faults that each mutant has to face, the first of :data:`SEED`."""
SEED = 2026
_LONGEST = 10_000
"""Cycles of a case: longer ones notice what shorter ones do."""
_PORTS = "both_ports"
"""The part of the whole's bench that the whole's mutants face."""
EXCUSES = "equivalent_mutants.toml"
"""In ``tb/``: mutants that change nothing, each with the reason."""

_MODULE = re.compile(r"^module (\w+).*?^endmodule", re.MULTILINE | re.DOTALL)


def blocks_with(verilog: str, module: str) -> list[Block]:
    """The blocks with a bench whose hierarchy holds the module, the smallest first."""
    bodies = {match[1]: match[0] for match in _MODULE.finditer(verilog)}
    children = {
        name: {kind for kind in re.findall(r"^  (\w+) \\?\S+ ?\($", body, re.MULTILINE) if kind in bodies}
        for name, body in bodies.items()
    }

    def all_of(name: str) -> set[str]:
        found = {name}
        for child in children.get(name, ()):
            found |= all_of(child)
        return found

    holders = [(len(held), block) for block in BLOCKS.values() if module in (held := all_of(block.module))]
    return [block for _, block in sorted(holders, key=lambda item: item[0])]


class Hunt:
    """Mutants of the configuration :data:`tensaw.verify.blocks.FAST`, and what can notice them."""

    def __init__(self, count: int, seed: int) -> None:
        """Make ``count`` mutants and build what they share. Raises ToolError."""
        config = PRESETS[FAST]
        self._set = mutants_of(config, count, seed)
        self.mutants = self._set.mutants
        cases = [Case(SEED, index, (config.name,)) for index in range(CASES)]
        faults = [FaultCase(SEED, index, (config.name,)) for index in range(FAULTS)]
        self._whole = WholeNpu(config, self._set, cases, faults, _LONGEST)
        self._folder = tempfile.TemporaryDirectory(prefix="tensaw-hunt-")
        self._files: dict[str, Path] = {}
        self._excuses = _read_excuses(bench_directory() / EXCUSES)

    def noticed_by(self, mutant: Mutant) -> str:
        """What notices a mutant, as a sentence; empty if nothing does."""
        if noticed := self._whole.killed_by(mutant.number):
            return noticed
        for block in blocks_with(self._set.text, mutant.module):
            if block.module == TOP and mutant.module != TOP:
                continue  # its bench does slowly what has just been done; only the ports have more to show
            run = run_bench(
                block, FAST, "icarus", verilog=self._file(block), all_failures=False,
                tests=_PORTS if block.module == TOP else "", plusargs=(f"+mutant={mutant.number}",), limit=60,
            )  # fmt: skip
            if not run.passed:
                return f"bench of {block.name}: {run.failure.splitlines()[0]}"
        return ""

    def excuses(self, mutants: Sequence[Mutant]) -> dict[int, str]:
        """Why mutants that nothing notices change nothing, by number, where it can be proved or is known."""
        found = {
            mutant.number: reason
            for mutant in mutants
            for pattern, reason in self._excuses
            if re.fullmatch(pattern, str(mutant)) or re.fullmatch(pattern, mutant.controlled)
        }
        rest = [mutant for mutant in mutants if mutant.number not in found]
        unseen = unobservable(self._set, TOP) & {mutant.number for mutant in rest} if rest else set()
        found |= dict.fromkeys(unseen, "Proved: nothing leads from what it changes to an output of the NPU.")
        same = ineffective(self._set, TOP) & {mutant.number for mutant in rest} - unseen if rest else set()
        found |= dict.fromkeys(same, "Proved: it gives a bit the value that this always has.")
        rest = [mutant for mutant in rest if mutant.number not in found]
        proved = proved_equivalent(self._set, TOP, rest) if rest else set()
        return found | dict.fromkeys(proved, "Proved: it changes nothing.")

    def _file(self, block: Block) -> Path:
        """The Verilog with all mutants for a simulation of the block."""
        if block.module not in self._files:
            text = self._set.verilog(block.module)
            key = digest({"text": text})
            entry = cached("mutants-of-block", key, lambda place: _write(place, text))
            self._files[block.module] = entry / "mutants.v"
        return self._files[block.module]


def _write(place: Path, text: str) -> None:
    (place / "mutants.v").write_text(text)


def _read_excuses(path: Path) -> list[tuple[str, str]]:
    """Patterns of mutants' descriptions, and reasons."""
    if not path.is_file():
        return []
    entries = tomllib.loads(path.read_text("utf-8")).get("equivalent", [])
    return [(entry["mutant"], entry["reason"]) for entry in entries]
