"""The formal proofs of queues, streams, bus ports, tokens and run control."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tensaw.regress.jobs import Job, Part, Result
from tensaw.spec.errors import InputError
from tensaw.verify.proofs import ProofResult, choose, find_tools, run_proof

__all__ = ["PART"]

_NAME = "proofs"


def _jobs(amount: int, seed: int, options: Mapping[str, Any]) -> Iterator[Job]:
    """The first ``amount`` proofs of the catalogue. Raises InputError, and ToolError without the tools."""
    if amount < 1:
        raise InputError(f"The number of proofs must be 1 or more, not {amount}.")
    find_tools()
    for proof in choose([])[:amount]:
        yield Job(_NAME, proof.name, {"proof": proof.name})


def _run(job: Job) -> list[Result]:
    (proof,) = choose([job.arguments["proof"]])
    return [_result(run_proof(proof))]


def _result(proof: ProofResult) -> Result:
    broken = ", ".join(proof.failed) or "no property"
    unreached = f"; not reached: {', '.join(proof.unreached)}" if proof.unreached else ""
    text = f"{proof.status}; broken: {broken}{unreached} {proof.text}".strip()
    held = proof.status == "pass"
    facts = {
        "properties": proof.properties, "covers": proof.covers,
        "by_induction": int(held and proof.method == "induction"), "proof": proof.to_dict(),
    }  # fmt: skip
    command = f"python -m tensaw.verify.prove {proof.name}"
    return Result(
        _NAME, proof.name, "pass" if held else "fail", "" if held else text, command, round(proof.seconds, 3), facts
    )


PART = Part(_NAME, "formal proofs", _jobs, _run)
