"""Run the bench of one block: ``python -m tensaw.verify.bench BLOCK --seed 7``.

Exit code 0 if all tests of the bench passed, 1 if one failed or the simulator ended without results, 2 for arguments or
tools that do not do. With ``--verilog`` the block is taken from another file, a mutated one for example; the first
failure then ends the run.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from tensaw.spec.errors import TensawError
from tensaw.verify.blocks import BLOCKS, block_named
from tensaw.verify.results import BenchRun, merge, missing
from tensaw.verify.simulate import SIMULATORS, run_bench

__all__ = ["main"]


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tensaw.verify.bench", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("block", metavar="BLOCK", nargs="?", help="without it, list the blocks")
    parser.add_argument("--config", help="preset or test configuration (default: the block's own, one after the other)")
    parser.add_argument("--sim", choices=SIMULATORS, default="icarus", help="simulator (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of all randomness (default: %(default)s)")
    parser.add_argument("--effort", type=int, default=1, metavar="N", help="N times as many random stimuli")
    parser.add_argument("--test", default="", metavar="REGEX", help="only tests whose name matches")
    parser.add_argument("--verilog", type=Path, metavar="FILE", help="take the block from this file")
    parser.add_argument("--waves", type=Path, metavar="DIR", help="write a waveform to this folder")
    parser.add_argument("--limit", type=int, default=600, metavar="SECONDS", help="end the simulator after so long")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write results and coverage")
    parser.add_argument("--coverage", action="store_true", help="name the bins that no run has hit")
    return parser.parse_args(argv)


def _show(run: BenchRun) -> None:
    for test in run.tests:
        print(f"{'pass' if test.passed else 'FAIL'}  {run.block} {run.config} {run.simulator} seed {run.seed}: "
              f"{test.name} ({test.cycles} cycles, {test.seconds:.2f} s)")  # fmt: skip
        if not test.passed:
            print(test.text)
    if run.trouble:
        print(f"FAIL  {run.block} {run.config} {run.simulator} seed {run.seed}: {run.trouble}")
    if not run.passed:
        print(f"repeat with: {run.command}")


def main(argv: Sequence[str] | None = None) -> int:
    """See the module."""
    arguments = _arguments(argv)
    if arguments.block is None:
        for block in BLOCKS.values():
            print(f"{block.name}: {block.module}, on {', '.join(block.configs)}")
        return 0
    runs = []
    try:
        block = block_named(arguments.block)
        for config in [arguments.config] if arguments.config else block.configs:
            runs.append(
                run_bench(
                    block,
                    config,
                    arguments.sim,
                    arguments.seed,
                    effort=arguments.effort,
                    verilog=arguments.verilog,
                    tests=arguments.test,
                    all_failures=arguments.verilog is None,
                    waves=arguments.waves,
                    limit=arguments.limit,
                )  # fmt: skip
            )
            _show(runs[-1])
    except TensawError as error:
        print(error, file=sys.stderr)
        return 2
    if arguments.coverage:
        for text in missing(merge(run.coverage for run in runs)):
            print(f"not covered: {text}")
    if arguments.json is not None:
        arguments.json.write_text(json.dumps([run.to_json() for run in runs], indent=1))
    return int(not all(run.passed for run in runs))


if __name__ == "__main__":
    sys.exit(main())
