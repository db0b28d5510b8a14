"""``python -m tensaw.verify.mutants``: what one mutant is, and what notices it; ``tensaw regress`` does many."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from tensaw.spec.errors import TensawError
from tensaw.verify.mutants.hunt import Hunt

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """0 if it is noticed, 1 if not, 2 for arguments or tools that do not do."""
    parser = argparse.ArgumentParser(prog="python -m tensaw.verify.mutants", description=__doc__)
    parser.add_argument("--count", type=int, default=1000, metavar="N", help="mutants to draw (1000)")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="of drawing them (0)")
    parser.add_argument("--number", type=int, required=True, metavar="K", help="the one to hunt, from 1")
    arguments = parser.parse_args(argv)
    try:
        hunt = Hunt(arguments.count, arguments.seed)
        if not 1 <= arguments.number <= len(hunt.mutants):
            parser.error(f"--number must be between 1 and {len(hunt.mutants)}, not {arguments.number}")
        mutant = hunt.mutants[arguments.number - 1]
        noticed = hunt.noticed_by(mutant)
    except TensawError as error:
        print(error, file=sys.stderr)
        return 2
    print(f"{mutant}, line {mutant.line}")
    print(noticed or hunt.excuses([mutant]).get(mutant.number) or "Nothing notices it.")
    return 0 if noticed else 1


if __name__ == "__main__":
    sys.exit(main())
