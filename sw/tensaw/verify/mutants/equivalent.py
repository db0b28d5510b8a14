"""Mutants that change nothing, proved: their module has the same outputs and registers, whatever its inputs are.

A mutant in logic that nothing reads, or that ties a bit to the value that it always has, cannot be noticed by any test.
Yosys compares module and mutant (``equiv_make``, ``equiv_simple``, ``equiv_induct``) after removing what has no effect;
modules inside count as black boxes. What is equal only because of how a module is used remains.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tensaw.harness.tools import find_yosys
from tensaw.verify.mutants.make import READ, Mutant, MutantSet, run_yosys

__all__ = ["proved_equivalent"]


def proved_equivalent(given: MutantSet, top: str, mutants: Sequence[Mutant]) -> set[int]:
    """The numbers of those mutants of a set that change nothing. Raises ToolError."""
    script = READ.format(top=top).split("; ")
    # A proof goes from clock edge to clock edge: of mutants that change the clock itself it knows nothing.
    for mutant in (mutant for mutant in mutants if mutant.port not in ("CLK", "clk")):
        gold, gate, both = (f"{name}_{mutant.number}" for name in ("gold", "gate", "both"))
        module = mutant.command.split("-module ")[1].split()[0]
        command = mutant.command.replace(f"-module {module}", f"-module {gate}", 1)
        script += [
            f"copy {module} {gold}", f"copy {module} {gate}", command,
            f"opt_expr {gold} {gate}", f"opt_clean -purge {gold} {gate}",
            f"equiv_make {gold} {gate} {both}",
            f"equiv_simple -ignore-unknown-cells {both}", f"equiv_induct -ignore-unknown-cells {both}",
            f"log mutant {mutant.number}", f"equiv_status {both}", f"delete {gold} {gate} {both}",
        ]  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="tensaw-equivalent-") as place:
        folder = Path(place)
        (folder / "given.v").write_text(given.original)
        run_yosys(find_yosys(), folder, "\n".join(script), "-l", "log.txt")
        log = (folder / "log.txt").read_text()
    parts = re.split(r"^mutant (\d+)$", log, flags=re.MULTILINE)
    return {
        int(number)
        for number, text in zip(parts[1::2], parts[2::2], strict=True)
        if "Equivalence successfully proven!" in text.split("equiv_status", 1)[-1][:4000]
    }
