"""``python -m tensaw.verify.fuzz``: one damaged file, and what becomes of it; ``tensaw regress`` tries many."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from tensaw.verify.fuzz.attempt import attempt
from tensaw.verify.fuzz.damage import DamagedFile

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """0 if the file is read or refused as it should be, 1 if not."""
    parser = argparse.ArgumentParser(prog="python -m tensaw.verify.fuzz", description=__doc__)
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="of the sequence of files (0)")
    parser.add_argument("--index", type=int, required=True, metavar="I", help="the file to try, from 0")
    parser.add_argument("--keep", type=Path, metavar="FILE", help="write the file here")
    arguments = parser.parse_args(argv)
    case = DamagedFile(arguments.seed, arguments.index)
    if arguments.keep is not None:
        arguments.keep.write_bytes(case.content)
    done = attempt(case)
    print(f"{case.kind}, {len(case.content)} bytes: {done.outcome} in {done.seconds:.3f} s")
    print(done.text or "Nothing is said of it.")
    return int(done.outcome == "bad")


if __name__ == "__main__":
    sys.exit(main())
