"""Wires without a name that are read once become part of the expression that reads them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping

from tensaw.rtl.verilog.expressions import (
    Concat,
    Constant,
    Expression,
    Name,
    is_closed,
    is_ring,
    is_signed,
    map_operands,
    parse,
    show,
    simplify_concats,
    width_of,
)

__all__ = ["inline_wires"]

_DECLARED = re.compile(
    r"^  (?:(?:input|output|inout) )?(?:(?:wire|reg) )?(?:signed )?(?:\[(\d+):(\d+)\] )?(\\\S+ |\w+)(?: = \S+)? ?;$"
)
_ANONYMOUS = re.compile(r"_\d+$")
_NAME = re.compile(r"\\\S+|(?<![.\w'$])[A-Za-z_$][\w$]*")

_ASSIGN = re.compile(r"^(  assign )(.*?)( = )(.*)(;)$")
_SET = re.compile(r"^( +)([^=;]*?)( <?= )(.*)(;)$")
_CONDITION = re.compile(r"^( +(?:end else )?if \()(.*)(\) begin(?: end)?)$")
_CONNECTION = re.compile(r"^(    \.(?:\\\S+|\w+) ?\()(.*)(\),?)$")
_LONGEST = 96
"""Characters of an expression that takes in others."""


def inline_wires(module: str) -> str:
    """The module with the wires ``_1``, ``_2``, ... that are read once, or that only rename, in the place of their
    reading; those that are left are numbered anew.

    A wire goes only where its expression has the same value: where the context is as wide as the wire is, or where a
    wider one adds nothing but zeros.
    """
    return _Inliner(module).text()


def _without_copies(lines: list[str]) -> list[str]:
    """Lines with one wire for all wires of the same width and expression."""
    while True:
        widths = {match[3].strip(): (match[1], match[2]) for line in lines if (match := _DECLARED.match(line))}
        first: dict[tuple[str, object], str] = {}
        copies: dict[str, str] = {}
        for line in lines:
            match = _ASSIGN.match(line)
            if match and _ANONYMOUS.match(match[2]):
                kept = first.setdefault((match[4], widths.get(match[2])), match[2])
                if kept != match[2]:
                    copies[match[2]] = kept
        if not copies:
            return lines
        lines = [line for line in lines if not ((match := _ASSIGN.match(line)) and match[2] in copies)]
        lines = [line for line in lines if not ((match := _DECLARED.match(line)) and match[3].strip() in copies)]
        lines = [_renamed(line, copies) for line in lines]


class _Inliner:
    def __init__(self, module: str) -> None:
        self.lines = _without_copies(module.splitlines())
        self.widths: dict[str, int] = {}
        for line in self.lines:
            if (match := _DECLARED.match(line)) and line.startswith(("  input", "  output", "  wire", "  reg")):
                self.widths[match[3].strip()] = int(match[1]) - int(match[2]) + 1 if match[1] else 1
        self.values: dict[str, Expression] = {}
        self.uses: Counter[str] = Counter()
        self.done: dict[str, Expression] = {}
        for line in self.lines:
            declaration = line.startswith(("  wire ", "  reg ", "  input ", "  output ", "module "))
            if not declaration:
                self.uses.update(_NAME.findall(line))
            match = _ASSIGN.match(line)
            if match and _ANONYMOUS.match(match[2]):
                self.values[match[2]] = simplify_concats(parse(match[4]))
                self.uses[match[2]] -= 1

    def text(self) -> str:
        """The new module."""
        lines = [self.line(line) for line in self.lines]
        while True:
            uses: Counter[str] = Counter()
            for line in lines:
                if not line.startswith("  wire "):
                    match = _ASSIGN.match(line)
                    uses.update(_NAME.findall(match[4] if match and match[2] in self.values else line))
            kept = [line for line in lines if not self.gone(line, uses)]
            if len(kept) == len(lines):
                return "\n".join(_renumbered(lines)) + "\n"
            lines = kept

    def gone(self, line: str, uses: Counter[str]) -> bool:
        """Whether the line declares or drives a wire that nothing reads any more."""
        match = _ASSIGN.match(line)
        if match:
            return match[2] in self.values and not uses[match[2]]
        declared = _DECLARED.match(line) if line.startswith("  wire ") else None
        return bool(declared) and declared[3].strip() in self.values and not uses[declared[3].strip()]

    def line(self, line: str) -> str:
        """A line with its expression written anew; unchanged if it has none."""
        if line.startswith(("module ", "  wire ", "  reg ", "  input ", "  output ", "  (*")):
            return line
        for pattern in (_ASSIGN, _SET):
            if match := pattern.match(line):
                try:
                    context = width_of(parse(match[2]), self.widths)
                except (KeyError, ValueError):
                    return line
                return f"{match[1]}{match[2]}{match[3]}{self.written(match[4], context, True)}{match[5]}"
        for pattern in (_CONDITION, _CONNECTION):
            if match := pattern.match(line):
                return f"{match[1]}{self.written(match[2], 0, False)}{match[3]}"
        return line

    def written(self, text: str, context: int, root: bool) -> str:
        """An expression with what it reads put in. ``context``: bits of its target; 0 if it stands for itself."""
        try:
            node = parse(text)
            return show(self.put_in(simplify_concats(node), max(context, width_of(node, self.widths)), root))
        except (KeyError, ValueError):
            return text

    def put_in(self, node: Expression, context: int, root: bool) -> Expression:
        if isinstance(node, Name):
            return self.replaced(node, context, root)
        new = map_operands(node, context, self.widths, self.put_in)
        return new if len(show(new)) <= _LONGEST else self.shortened(node, context)

    def shortened(self, node: Expression, context: int) -> Expression:
        """As :meth:`put_in`, but only with names for names."""

        def rename(operand: Expression, width: int, root: bool) -> Expression:
            if isinstance(operand, Name):
                new = self.replaced(operand, width, root)
                return new if _is_atom(new) else operand
            return map_operands(operand, width, self.widths, rename)

        return map_operands(node, context, self.widths, rename)

    def replaced(self, node: Name, context: int, root: bool) -> Expression:
        """What a name stands for if it may be written in its place, else the name."""
        name = node.name
        if name not in self.values:
            return node
        value = self.value(name)
        if not (self.uses[name] == 1 or _is_atom(value)) or len(show(value)) > _LONGEST:
            return node
        try:
            own = width_of(value, self.widths)
        except (KeyError, ValueError):
            return node
        if node.select:
            if isinstance(value, Name) and not value.select and own == self.widths[name]:
                return Name(value.name, node.select)
            # The low bits of a sum that was kept with its carry.
            same = node.select == f"{own - 1}:0" and is_ring(value) and context == own
            return value if same and own <= self.widths[name] else node
        if own != self.widths[name]:
            return node
        if is_signed(value):
            return value if root and context == own else node
        return value if context == own or is_closed(value) else node

    def value(self, name: str) -> Expression:
        """The expression of a wire with what it reads put in."""
        if name not in self.done:
            node = self.values[name]
            self.done[name] = node  # a wire that depends on itself stays as it is
            try:
                context = max(self.widths[name], width_of(node, self.widths))
                self.done[name] = self.put_in(node, context, True)
            except (KeyError, ValueError):
                pass
        return self.done[name]


def _is_atom(node: Expression) -> bool:
    """A signal, a part of one, a constant, or one of them with a few bits before it."""
    if isinstance(node, Concat):
        return len(node.members) <= 2 and all(isinstance(member, Name | Constant) for member in node.members)
    return isinstance(node, Name | Constant)


def _renamed(line: str, names: Mapping[str, str]) -> str:
    return _NAME.sub(lambda match: names.get(match[0], match[0]), line)


def _renumbered(lines: list[str]) -> list[str]:
    """Lines with ``_1``, ``_2``, ... in the order of their appearance outside declarations."""
    numbers: dict[str, str] = {}
    for line in lines:
        if not line.startswith(("  wire ", "  reg ")):
            for name in _NAME.findall(line):
                if _ANONYMOUS.match(name):
                    numbers.setdefault(name, f"_{len(numbers) + 1}")
    return [_renamed(line, numbers) for line in lines]
