"""Writes the tables of ``docs/*.md`` from the spec, between markers; prose around them is written by hand.

A table stands between ``<!-- generated: NAME -->`` and ``<!-- end -->``. ``python -m tensaw.spec.documentation DOCS``
rewrites the tables of the pages in the folder DOCS; with ``--check`` it only says which are out of date.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from tensaw.spec.config import FIELD_TEXTS, PRESETS, NpuConfig, field_range
from tensaw.spec.errors import InputError
from tensaw.spec.isa import Unit, words_of
from tensaw.spec.limits import LIMITS, RELATIONS
from tensaw.spec.link import MARCH_TEXTS, OP_TEXTS, STATUS_TEXTS, MarchFlag
from tensaw.spec.registers import COUNTERS, ERROR_TEXTS, REGISTERS

__all__ = ["PAGES", "SECTIONS", "update"]

PAGES = ("isa.md", "registers.md", "configuration.md", "link.md")

_MARKED = re.compile(r"(<!-- generated: ([\w.]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def _table(head: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """A Markdown table; pipes in cells are escaped."""

    def line(cells: Iterable[object]) -> str:
        return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |\n"

    head = list(head)
    return line(head) + "|" + "---|" * len(head) + "\n" + "".join(line(row) for row in rows)


def _unit(unit: Unit) -> str:
    """Words of one unit: code, name, and a row for each field with its place in the word."""
    rows: list[tuple[object, ...]] = []
    for word in words_of(unit):
        rows.append((word.code, f"**{word.name}**", "", "", "", word.text))
        position = 0
        for field in word.fields:
            bits = f"{position + field.width - 1}..{position}" if field.width > 1 else str(position)
            low, high = field.range
            rows.append(("", "", f"`{field.name}`", bits, f"{low} to {high}", field.text))
            position += field.width
    return _table(("code", "word", "field", "bits", "values", "meaning"), rows)


def _limits(checked: bool) -> str:
    rows: list[tuple[object, ...]] = []
    for limit in (limit for limit in LIMITS if limit.checked == checked):
        when = ""
        if limit.when is not None:
            register, field, values = limit.when
            when = f"{register}.{field} " + " or ".join(getattr(value, "name", str(value)) for value in values)
        rows.append((limit.unit.name, f"{limit.register}.{limit.field}", limit.rule, when))
    return _table(("unit", "field", "must be", "where"), rows)


def _relations(checked: bool) -> str:
    chosen = (relation for relation in RELATIONS if relation.checked == checked)
    return "".join(f"- {relation.unit.name}: {relation.rule}.\n" for relation in chosen)


def _registers() -> str:
    rows: list[tuple[object, ...]] = []
    for register in REGISTERS:
        rows.append((f"0x{register.offset:03x}", f"**{register.name}**", "", register.access.value, register.text))
        for bit in register.bits:
            bits = f"{bit.low + bit.width - 1}..{bit.low}" if bit.width > 1 else str(bit.low)
            rows.append(("", f"`{bit.name}`", bits, "", bit.text))
    return _table(("offset", "register, field", "bits", "access", "meaning"), rows)


def _errors() -> str:
    return _table(("code", "name", "cause"), ((int(code), code.name, text) for code, text in ERROR_TEXTS.items()))


def _counters() -> str:
    return _table(("counter", "counts"), COUNTERS)


def _fields() -> str:
    default = NpuConfig()
    return _table(
        ("field", "from", "to", "default", "meaning"),
        ((f"`{name}`", *field_range(name), getattr(default, name), text) for name, text in FIELD_TEXTS.items()),
    )


def _presets() -> str:
    return _table(
        ("field", *PRESETS),
        ((f"`{name}`", *(getattr(config, name) for config in PRESETS.values())) for name in FIELD_TEXTS),
    )


_DERIVED = (
    "word_bytes",
    "weight_row_bytes",
    "weight_rows",
    "kept_rows",
    "acc_half",
    "taps",
    "groups",
    "macs_per_cycle",
)


def _derived() -> str:
    """Sizes that follow from the fields, with the first paragraph of the property's own text."""
    return _table(
        ("size", "meaning", *PRESETS),
        (
            (
                f"`{name}`",
                " ".join((getattr(NpuConfig, name).__doc__ or "").split()).replace("``", "`"),
                *(getattr(config, name) for config in PRESETS.values()),
            )
            for name in _DERIVED
        ),
    )


def _operations() -> str:
    return _table(
        ("OP", "name", "ADDRESS", "COUNT", "what is done"),
        ((int(op), op.name, *texts) for op, texts in OP_TEXTS.items()),
    )


def _march() -> str:
    return _table(
        ("bit", "name", "meaning"),
        ((flag.bit_length() - 1, flag.name, MARCH_TEXTS[flag]) for flag in MarchFlag),
    )


SECTIONS: dict[str, Callable[[], str]] = {
    **{f"words.{unit.name}": lambda unit=unit: _unit(unit) for unit in Unit},
    "limits": lambda: _limits(True) + "\n" + _relations(True),
    "limits.unchecked": lambda: _limits(False) + "\n" + _relations(False),
    "registers": _registers,
    "errors": _errors,
    "counters": _counters,
    "link.operations": _operations,
    "link.status": lambda: _table(
        ("STATUS", "name", "meaning"), ((int(code), code.name, text) for code, text in STATUS_TEXTS.items())
    ),
    "link.march": _march,
    "configuration.fields": _fields,
    "configuration.presets": _presets,
    "configuration.derived": _derived,
}


def update(text: str) -> str:
    """A page's text with every marked table made anew. Raises InputError for an unknown marker."""

    def replace(match: re.Match[str]) -> str:
        section = SECTIONS.get(match[2])
        if section is None:
            raise InputError(f"There is no generated table {match[2]!r}; the tables are {', '.join(SECTIONS)}.")
        return f"{match[1]}\n{section()}\n{match[3]}"

    return _MARKED.sub(replace, text)


def main(arguments: list[str]) -> int:
    """The command; returns its exit code."""
    check = "--check" in arguments
    folders = [Path(argument) for argument in arguments if argument != "--check"]
    stale = 0
    for path in (folder / page for folder in folders for page in PAGES):
        text = path.read_text("utf-8")
        fresh = update(text)
        if fresh != text:
            stale += 1
            sys.stdout.write(f"{path} {'is out of date' if check else 'rewritten'}\n")
            if not check:
                path.write_text(fresh, "utf-8")
    return int(check and stale > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
