"""``python -m tensaw.verify.prove``: prove the hardware's properties; with ``--planted``, see planted bugs found."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from tensaw.cli import terminal
from tensaw.spec.errors import TensawError
from tensaw.verify import proofs

if TYPE_CHECKING:
    from tensaw.formal.bench import Planted, Proof
    from tensaw.verify.proofs import ProofResult

__all__ = ["main"]


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tensaw.verify.prove", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="proofs, or groups of them such as bus; all if none")
    parser.add_argument("--planted", action="store_true", help="put bugs into the hardware, which must be found")
    parser.add_argument("--list", action="store_true", help="say what is proved, and prove nothing")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="proofs at the same time (2)")
    parser.add_argument("--timeout", type=float, default=600, metavar="S", help="most seconds of a proof (600)")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep what the tools write, such as traces")
    parser.add_argument("--json", metavar="OUT", help="write all results to this file")
    parser.set_defaults(command="prove")
    return parser.parse_args(argv)


def _list(chosen: Sequence[Proof]) -> None:
    for proof in chosen:
        bench = proof.bench()
        print(f"{proof.name}: {proof.summary}")
        if proof.bounded:
            print(f"  (the first {proof.depth} cycles: {proof.bounded})")
        for name, text in bench.properties.items():
            print(f"  {name}: {text}")
        for name, text in bench.covers.items():
            print(f"  cover {name}: {text}")


def _all(
    arguments: argparse.Namespace, work: Sequence[tuple[str, Callable[[Path | None], ProofResult]]]
) -> list[ProofResult]:
    """Do the work, some of it at the same time; results in the order of the work."""

    def one(item: tuple[str, Callable[[Path | None], ProofResult]]) -> ProofResult:
        name, function = item
        result = function(arguments.keep / name if arguments.keep else None)
        step.update(completed=step.completed + 1)
        return result

    with terminal.progress("Proving", total=len(work)) as step, ThreadPoolExecutor(max(arguments.jobs, 1)) as pool:
        return list(pool.map(one, work))


def _prove(arguments: argparse.Namespace, chosen: Sequence[Proof]) -> bool:
    start = time.perf_counter()
    work = [
        (proof.name, lambda folder, proof=proof: proofs.run_proof(proof, folder, arguments.timeout)) for proof in chosen
    ]
    results = _all(arguments, work)
    rows = [
        (
            result.name, result.status, f"{result.method}, {result.steps} cycles", result.properties, result.covers,
            f"{result.cpu_seconds:.1f}",
        )
        for result in results
    ]  # fmt: skip
    console = terminal.output(arguments)
    terminal.print_table(console, ("proof", "result", "method", "properties", "covers", "seconds"), rows)
    for result in results:
        if result.status != "pass":
            broken = ", ".join(result.failed) or "no property"
            unreached = f"; not reached: {', '.join(result.unreached)}" if result.unreached else ""
            console.print(f"{result.name}: {result.status}; broken: {broken}{unreached} {result.text}", markup=False)
    passed = sum(result.status == "pass" for result in results)
    seconds = time.perf_counter() - start
    console.print(f"{passed} of {len(results)} proofs hold, in {seconds:.0f} s.")
    terminal.emit_json(arguments, {"seconds": seconds, "proofs": [result.to_dict() for result in results]})
    return passed == len(results)


def _plant(arguments: argparse.Namespace, chosen: Sequence[Proof]) -> bool:
    bugs = [(proof, planted) for proof in chosen for planted in proof.planted]
    work = [
        (f"{proof.name}-{number}", lambda folder, p=proof, b=bug: proofs.run_planted(p, b, folder, arguments.timeout))
        for number, (proof, bug) in enumerate(bugs)
    ]
    arguments.jobs = 1  # modules are imported anew for each bug
    results = _all(arguments, work)
    rows = []
    for (proof, bug), result in zip(bugs, results, strict=True):
        found = ", ".join(result.failed) or ", ".join(f"cover {name}" for name in result.unreached) or result.text
        place = bug.module.removeprefix("tensaw.rtl.")
        rows.append((proof.name, place, _short(bug), result.status, found, f"{result.seconds:.1f}"))
    console = terminal.output(arguments)
    terminal.print_table(console, ("proof", "file", "bug", "result", "found by", "seconds"), rows)
    found = sum(result.status == "fail" for result in results)
    console.print(f"{found} of {len(results)} planted bugs are found.")
    terminal.emit_json(arguments, {"bugs": [
        {"module": bug.module, "old": bug.old, "new": bug.new, **result.to_dict()}
        for (_, bug), result in zip(bugs, results, strict=True)
    ]})  # fmt: skip
    return found == len(results)


def _short(bug: Planted) -> str:
    return f"{' '.join(bug.old.split())} → {' '.join(bug.new.split())}"


def main(argv: Sequence[str] | None = None) -> int:
    """0 if all proofs hold (all planted bugs are found), 1 if not, 2 for arguments or tools that do not do."""
    arguments = _arguments(argv)
    try:
        chosen = proofs.choose(arguments.names)
        if arguments.list:
            _list(chosen)
            return 0
        return int(not (_plant if arguments.planted else _prove)(arguments, chosen))
    except TensawError as error:
        print(error, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
