"""``python -m tensaw.verify.faults``: one fault, or some; ``tensaw regress --faults N`` does many."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from tensaw.spec.errors import TensawError
from tensaw.verify.faults.campaign import Faults
from tensaw.verify.faults.cases import FAULT_CONFIGS, FaultCase

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """0 if the NPU stands them, 1 if not, 2 for arguments or tools that do not do."""
    parser = argparse.ArgumentParser(prog="python -m tensaw.verify.faults", description=__doc__)
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="of the sequence of faults (0)")
    parser.add_argument("--index", type=int, required=True, metavar="I", help="of the fault, from 0")
    parser.add_argument("--count", type=int, default=1, metavar="N", help="this and the following ones (1)")
    parser.add_argument("--config", metavar="NAME", help="on this configuration; default: several take turns")
    arguments = parser.parse_args(argv)
    configs = (arguments.config,) if arguments.config else FAULT_CONFIGS
    failures = 0
    try:
        with Faults() as faults:
            for index in range(arguments.index, arguments.index + arguments.count):
                outcome = faults.run(FaultCase(arguments.seed, index, configs))
                failures += outcome.failed
                print(f"{'FAILED ' if outcome.failed else ''}{index}: {outcome.case}: {outcome.text}", flush=True)
    except TensawError as error:
        print(error, file=sys.stderr)
        return 2
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
