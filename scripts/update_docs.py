"""Write the generated tables of the documentation anew: ``python scripts/update_docs.py``; ``--check`` only compares.

The tables of the spec are made by tensaw.spec.documentation; those of the operators come from the front ends' handlers,
each of whose docstrings is its rule; the test plan's from ``tb/testplan.toml``, the boards' from their definitions.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from tensaw.boards import pages
from tensaw.compiler.frontends import onnx, tflite
from tensaw.spec import documentation
from tensaw.verify.plan import load_plan, plan_page

ROOT = Path(__file__).resolve().parent.parent


def operator_table(rules: Mapping[str, str]) -> str:
    """A Markdown table of operators and what is supported of each."""
    rows = "".join(f"| `{kind}` | {rule} |\n" for kind, rule in rules.items())
    return "| operator | what is supported |\n|---|---|\n" + rows


def main(arguments: list[str]) -> int:
    documentation.SECTIONS["operators.tflite"] = lambda: operator_table(tflite.supported_operators())
    documentation.SECTIONS["operators.onnx"] = lambda: operator_table(onnx.supported_operators())
    documentation.SECTIONS.update(pages.SECTIONS)
    documentation.SECTIONS["testplan"] = lambda: plan_page(load_plan(ROOT / "tb" / "testplan.toml"))
    check = "--check" in arguments
    stale = 0
    for path in sorted((ROOT / "docs").glob("*.md")):
        text = path.read_text("utf-8")
        fresh = documentation.update(text)
        if fresh != text:
            stale += 1
            print(f"{path.relative_to(ROOT)} {'is out of date: run `make docs`' if check else 'rewritten'}")
            if not check:
                path.write_text(fresh, "utf-8")
    return int(check and stale > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
