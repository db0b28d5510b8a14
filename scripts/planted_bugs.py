"""Plant the bugs of ``tb/planted_bugs.toml``, one at a time, and see which test of a bench notices and how soon.

Works on a copy of ``hw/``, so that the sources stay as they are. Exit code 0 if every bug was noticed. With ``--table``
the result is a Markdown table.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def plant(bug: dict[str, str], place: Path) -> None:
    """The hardware's sources with this bug."""
    shutil.copytree(ROOT / "hw" / "tensaw", place / "tensaw", ignore=shutil.ignore_patterns("__pycache__"))
    path = place / "tensaw" / "rtl" / bug["file"]
    text = path.read_text("utf-8")
    if text.count(bug["old"]) != 1:
        raise SystemExit(f"{bug['file']} has {text.count(bug['old'])} times what is to be replaced: {bug['old']}")
    path.write_text(text.replace(bug["old"], bug["new"]), "utf-8")


def hunt(bug: dict[str, str]) -> tuple[str, str]:
    """The first test that notices the bug, and its cycles and seconds; empty if none does."""
    with tempfile.TemporaryDirectory(prefix="tensaw-bug-") as place:
        plant(bug, Path(place))
        command = [sys.executable, "-m", "tensaw.verify.bench", bug["bench"], "--config", "nano"]
        environment = {**os.environ, "PYTHONPATH": place}
        result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment)
    found = re.search(r"^FAIL  .*?: (\w+) \((\d+ cycles, [\d.]+ s)\)", result.stdout, re.MULTILINE)
    return (found[1], found[2]) if found else ("", "")


def main(arguments: list[str]) -> int:
    bugs = tomllib.loads((ROOT / "tb" / "planted_bugs.toml").read_text("utf-8"))["bug"]
    table = "--table" in arguments
    missed = 0
    if table:
        print("| planted bug | noticed by | after |\n|---|---|---|")
    for bug in bugs:
        test, after = hunt(bug)
        missed += not test
        if table:
            print(f"| {bug['text']} | `{bug['bench']}`: `{test}` | {after} |", flush=True)
        else:
            print(f"{bug['bench']}: {test or 'NOT NOTICED'} ({after}): {bug['text']}", flush=True)
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
