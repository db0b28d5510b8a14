"""Ports in the module's head, signals sorted below it, constants without leading zeros."""

from __future__ import annotations

import re

__all__ = ["declare"]

_HEAD = re.compile(r"^module (\\?\S+?) ?\((.*?)\);\n", re.DOTALL)
_PORT = re.compile(r"^  (input|output|inout) (?:(signed) )?(?:(\[\d+:\d+\]) )?(\\\S+ |\w+);$")
_SIGNAL = re.compile(r"^  (wire|reg) (?:(signed) )?(?:(\[\d+:\d+\]) )?(\\\S+ |\w+)( = [^;]+)?;$")
_ZEROS = re.compile(r"\b(\d+)'h0{8,}([0-9a-f]*)\b")
_FIRST = ("clk", "rst")


def declare(module: str) -> str:
    """The module with ANSI ports, clock and reset first, and its signals in the order of their names.

    Attributes of declarations go: what they hold, initial values of wires, is for Yosys alone.
    """
    head = _HEAD.match(module)
    assert head is not None
    order = [name.strip() for name in head[2].split(",") if name.strip()]
    order.sort(key=lambda name: _FIRST.index(name) if name in _FIRST else len(_FIRST))
    ports: dict[str, tuple[str, str]] = {}
    signals: dict[str, tuple[str, str, str]] = {}
    rest: list[str] = []
    for line in module[head.end() :].splitlines():
        if match := _PORT.match(line):
            ports[match[4].strip()] = match[1], f"{match[2] or ''} {match[3] or ''}".strip()
        elif match := _SIGNAL.match(line):
            shape = f"{match[2] or ''} {match[3] or ''}".strip()
            signals[match[4].strip()] = match[1], shape, match[5] or ""
        elif not line.startswith("  (* init"):
            rest.append(line)
    lines = []
    for name in order:
        direction, shape = ports[name]
        kind, _, value = signals.pop(name, ("wire", "", ""))
        lines.append(_joined("  " + direction, kind if kind == "reg" else "", shape, name) + value)
    declared = [
        _joined("  " + kind, shape, name) + f"{value};"
        for name, (kind, shape, value) in sorted(signals.items(), key=lambda item: _natural(item[0]))
    ]
    text = f"module {head[1]} (\n" + ",\n".join(lines) + "\n);\n" + "\n".join([*declared, *rest]) + "\n"
    return _ZEROS.sub(lambda match: f"{match[1]}'h{match[2].lstrip('0') or '0'}", text)


def _joined(*words: str) -> str:
    return " ".join(word for word in words if word) + (" " if words[-1].startswith("\\") else "")


def _natural(name: str) -> tuple[bool, list[tuple[int, str]]]:
    """Sorts ``a2`` before ``a10``, and what has no name last."""
    parts = re.findall(r"\d+|\D+", name)
    return name.startswith("_"), [(int(part), "") if part.isdigit() else (-1, part) for part in parts]
