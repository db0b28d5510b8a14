"""Mutants that change nothing, proved: their module has the same outputs and registers, whatever its inputs are.

A mutant in logic that nothing reads, or that ties a bit to the value that it always has, cannot be noticed by any test.
Yosys compares module and mutant (``equiv_make``, ``equiv_simple``, ``equiv_induct``) after removing what has no effect;
modules inside count as black boxes. Of what is equal only because of how a module is used, the most common kinds are
found in the whole design: what changes a bit from which nothing leads to an output (:func:`unobservable`), and what
gives a bit the value that it always has there (:func:`ineffective`).
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tensaw.harness.cache import cached, digest
from tensaw.harness.tools import find_yosys
from tensaw.verify.mutants.make import READ, Mutant, MutantSet, run_yosys

__all__ = ["ineffective", "proved_equivalent", "unobservable"]

_CHOSEN = "tensaw_chosen_"
_UNSEEN = "o:trace_*"
"""Outputs that only simulators have."""


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


def unobservable(given: MutantSet, top: str) -> frozenset[int]:
    """The numbers of those mutants whose change reaches no output of the whole, whatever happens; kept in the cache.

    Each mutant gets an input of its own that switches it on; the design is flattened and mapped to gates, Yosys removes
    what leads to no output (``opt_clean -purge``; trace outputs do not count), and the inputs that drive nothing any
    more are those of mutants that cannot matter. Raises ToolError.
    """
    # However the bit is changed: to invert it under another bit's control would make that other one matter.
    changes = {
        mutant.number: "-mode inv " + re.sub(r"^mutate -mode \w+|-ctrlbit \d+ ", "", mutant.command)
        for mutant in given.mutants
    }
    return _without_effect(given, top, changes)


def ineffective(given: MutantSet, top: str) -> frozenset[int]:
    """The numbers of those mutants that tie a bit to the value that it always has, or invert it under another bit that
    is constant, and change no output of the whole so; kept in the cache.

    Found like :func:`unobservable`, but with the change that the mutant makes, and one kind of change at a time: a bit
    that others may set to 1 is no constant 0 any more. Raises ToolError.
    """
    found: set[int] = set()
    for modes in (("const0",), ("const1",), ("cnot0", "cnot1")):
        changes = {
            mutant.number: mutant.command.removeprefix("mutate ") for mutant in given.mutants if mutant.mode in modes
        }
        found |= _without_effect(given, top, changes)
    return frozenset(found)


def _without_effect(given: MutantSet, top: str, changes: dict[int, str]) -> frozenset[int]:
    """Those changes (arguments of ``mutate``, by number) that Yosys removes when it simplifies the flattened design."""
    commands = [f"mutate -ctrl {_CHOSEN}{number} 1 1 {change}" for number, change in changes.items()]
    simplify = ["opt -full", "opt_clean -purge"]
    script = [
        *READ.format(top=top).split("; "), *commands, f"select -module {top}", f"delete -output {_UNSEEN}",
        "select -clear", "flatten", *simplify, "techmap", *simplify, "write_json whole.json",
    ]  # fmt: skip

    def build(directory: Path) -> None:
        with tempfile.TemporaryDirectory(prefix="tensaw-unobservable-") as place:
            folder = Path(place)
            (folder / "given.v").write_text(given.original)
            run_yosys(find_yosys(), folder, "\n".join(script))
            whole = json.loads((folder / "whole.json").read_text())["modules"][top]
        used = _read_bits(whole)
        numbers = [number for number in changes if _chooser(whole, number) not in used]
        (directory / "numbers.json").write_text(json.dumps(numbers))

    entry = cached("mutants-unobservable", digest({"given": given.original, "script": "\n".join(script)}), build)
    return frozenset(json.loads((entry / "numbers.json").read_text()))


def _chooser(whole: dict[str, Any], number: int) -> int | None:
    port = whole["ports"].get(f"{_CHOSEN}{number}")
    return None if port is None else port["bits"][0]


def _read_bits(whole: dict[str, Any]) -> set[Any]:
    """Bits that a cell or an output of Yosys' JSON reads."""
    used: set[Any] = set()
    for cell in whole["cells"].values():
        for name, bits in cell["connections"].items():
            if cell["port_directions"][name] == "input":
                used.update(bits)
    for port in whole["ports"].values():
        if port["direction"] == "output":
            used.update(port["bits"])
    return used
