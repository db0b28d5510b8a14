"""The kinds of checks that a regression can do, by their names on the command line."""

from __future__ import annotations

from tensaw.regress.jobs import Part
from tensaw.regress.parts import benches, coverage, faults, fuzz, mutants, proofs, random_cases

__all__ = ["PARTS"]

PARTS: dict[str, Part] = {
    part.name: part
    for part in (
        random_cases.PART,
        faults.PART,
        coverage.PART,
        proofs.PART,
        fuzz.PART,
        benches.PART,
        mutants.PART,
    )
}  # fmt: skip
"""A new part is one module here and one line above."""
