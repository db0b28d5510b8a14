"""Verilog expressions of the kind that Yosys writes: parsing, widths, printing.

Sizes follow IEEE 1364-2005, section 5.4: an operand is evaluated at the width of its *context*, which for arithmetic
and bitwise operators is the widest operand or the target, while members of a concatenation, conditions, shift amounts
and operands of reductions stand for themselves.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

__all__ = [
    "Binary", "Choice", "Concat", "Constant", "Expression", "Name", "Signed", "Unary", "is_closed", "is_ring",
    "is_signed", "map_operands", "parse", "show", "simplify_concats", "width_of",
]  # fmt: skip

_TOKEN = re.compile(
    r"\s*(\\\S+|\$signed|[A-Za-z_$][\w$]*|\d+'s?[hdbo][0-9a-fA-FxzXZ?_]+|\d+|===|!==|>>>|<<<|<<|>>|<=|>=|==|!=|&&|\|\||\S)"
)
_RANK = {
    "*": 10, "+": 9, "-": 9, "<<": 8, ">>": 8, "<<<": 8, ">>>": 8, "<": 7, "<=": 7, ">": 7, ">=": 7, "==": 6, "!=": 6,
    "&": 5, "^": 4, "|": 3, "&&": 2, "||": 1,
}  # fmt: skip
_COMPARISONS = {"<", "<=", ">", ">=", "==", "!="}
_LOGICAL = {"&&", "||"}
_SHIFTS = {"<<", ">>", "<<<", ">>>"}
_RING = {"+", "-", "*", "&", "|", "^"}
_FLAT = {"&", "|", "^", "&&", "||"}
"""Operators that group either way with the same result."""


@dataclass(frozen=True)
class Name:
    """A signal, or the part of it in brackets (``select`` without them)."""

    name: str
    select: str = ""


@dataclass(frozen=True)
class Constant:
    """A constant with its size, or a bare number."""

    text: str


@dataclass(frozen=True)
class Concat:
    """``{a, b}``; with ``times``, ``{times{a, b}}``."""

    members: tuple[Expression, ...]
    times: int = 1


@dataclass(frozen=True)
class Signed:
    """``$signed(operand)``."""

    operand: Expression


@dataclass(frozen=True)
class Unary:
    """``operator operand``; ``&``, ``|`` and ``^`` are reductions."""

    operator: str
    operand: Expression


@dataclass(frozen=True)
class Binary:
    """``left operator right``."""

    operator: str
    left: Expression
    right: Expression


@dataclass(frozen=True)
class Choice:
    """``condition ? yes : no``."""

    condition: Expression
    yes: Expression
    no: Expression


Expression: TypeAlias = Name | Constant | Concat | Signed | Unary | Binary | Choice


class _Parser:
    def __init__(self, text: str) -> None:
        self.tokens = _TOKEN.findall(text)
        self.at = 0

    def peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def take(self, wanted: str = "") -> str:
        token = self.peek()
        if not token or (wanted and token != wanted):
            raise ValueError(f"{wanted or 'an operand'} expected, not {token!r}")
        self.at += 1
        return token

    def expression(self) -> Expression:
        condition = self.binary(0)
        if self.peek() != "?":
            return condition
        self.take("?")
        yes = self.expression()
        self.take(":")
        return Choice(condition, yes, self.expression())

    def binary(self, least: int) -> Expression:
        left = self.unary()
        while _RANK.get(self.peek(), 0) > least:
            operator = self.take()
            left = Binary(operator, left, self.binary(_RANK[operator]))
        return left

    def unary(self) -> Expression:
        if self.peek() in ("~", "!", "-", "&", "|", "^"):
            return Unary(self.take(), self.unary())
        return self.primary()

    def primary(self) -> Expression:
        token = self.take()
        if token == "(":
            inside = self.expression()
            self.take(")")
            return inside
        if token == "$signed":
            self.take("(")
            inside = self.expression()
            self.take(")")
            return Signed(inside)
        if token == "{":
            return self.concat()
        if token[0].isdigit():
            return Constant(token)
        if not (token[0].isalpha() or token[0] in "_\\$"):
            raise ValueError(f"an operand expected, not {token!r}")
        if self.peek() != "[":
            return Name(token)
        self.take("[")
        parts = []
        while self.peek() != "]":
            parts.append(self.take())
        self.take("]")
        return Name(token, "".join(parts))

    def concat(self) -> Expression:
        if self.peek().isdigit() and self.tokens[self.at + 1] == "{":
            times = int(self.take())
            self.take("{")
            inside = self.concat()
            self.take("}")
            return replace(inside, times=times) if isinstance(inside, Concat) else Concat((inside,), times)
        members = [self.expression()]
        while self.peek() == ",":
            self.take()
            members.append(self.expression())
        self.take("}")
        return Concat(tuple(members))


def parse(text: str) -> Expression:
    """The expression in ``text``. Raises ValueError for anything that Yosys does not write."""
    parser = _Parser(text)
    found = parser.expression()
    if parser.peek():
        raise ValueError(f"{parser.peek()!r} is left of {text!r}")
    return found


def width_of(node: Expression, widths: Mapping[str, int]) -> int:
    """Bits of an expression that stands for itself. Raises KeyError for a signal that is not in ``widths`` and
    ValueError for what has no fixed width."""
    match node:
        case Name(name, ""):
            return widths[name]
        case Name(name, select):
            if re.fullmatch(r"\d+:\d+", select):
                high, low = map(int, select.split(":"))
                return high - low + 1
            if not re.fullmatch(r"\d+", select):
                raise ValueError(f"{name}[{select}] has a computed index")
            return 1
        case Constant(text):
            if "'" not in text:
                raise ValueError(f"{text} has no size")
            return int(text.split("'")[0])
        case Concat(members, times):
            return times * sum(width_of(member, widths) for member in members)
        case Signed(operand):
            return width_of(operand, widths)
        case Unary(operator, operand):
            return width_of(operand, widths) if operator in "~-" else 1
        case Binary(operator, left, right):
            if operator in _COMPARISONS or operator in _LOGICAL:
                return 1
            if operator in _SHIFTS:
                return width_of(left, widths)
            return max(width_of(left, widths), width_of(right, widths))
        case Choice(_, yes, no):
            return max(width_of(yes, widths), width_of(no, widths))


def is_signed(node: Expression) -> bool:
    """Whether operands would be extended with their sign."""
    match node:
        case Signed():
            return True
        case Constant(text):
            return "'s" in text
        case Unary(operator, operand):
            return operator in "~-" and is_signed(operand)
        case Binary(operator, left, right):
            if operator in _COMPARISONS or operator in _LOGICAL:
                return False
            return is_signed(left) if operator in _SHIFTS else is_signed(left) and is_signed(right)
        case Choice(_, yes, no):
            return is_signed(yes) and is_signed(no)
    return False


def is_closed(node: Expression) -> bool:
    """Whether a wider context only puts zeros before the value."""
    match node:
        case Name() | Concat():
            return True
        case Constant(text):
            return "'s" not in text
        case Unary(operator, _):
            return operator not in "~-"
        case Binary(operator, _, _):
            return operator in _COMPARISONS or operator in _LOGICAL
        case Choice(_, yes, no):
            return is_closed(yes) and is_closed(no)
    return False


def is_ring(node: Expression) -> bool:
    """Whether the low bits of the value depend on the low bits of the operands alone."""
    match node:
        case Name() | Concat() | Constant():
            return not is_signed(node)
        case Unary(operator, operand):
            return operator in "~-" and is_ring(operand)
        case Binary(operator, left, right):
            return operator in _RING and is_ring(left) and is_ring(right)
        case Choice(_, yes, no):
            return is_ring(yes) and is_ring(no)
    return False


Visit: TypeAlias = Callable[[Expression, int, bool], Expression]
"""Of an operand, the width of its context, and whether the result may be signed: what to write instead."""


def map_operands(node: Expression, context: int, widths: Mapping[str, int], visit: Visit) -> Expression:
    """The same operator over what ``visit`` gives for each operand. Raises as :func:`width_of`."""

    def alone(operand: Expression) -> Expression:
        return visit(operand, width_of(operand, widths), False)

    match node:
        case Concat(members, _):
            return replace(node, members=tuple(alone(member) for member in members))
        case Signed(operand):
            return Signed(alone(operand))
        case Unary(operator, operand):
            return Unary(operator, visit(operand, context, False) if operator in "~-" else alone(operand))
        case Binary(operator, left, right):
            if operator in _LOGICAL:
                return Binary(operator, alone(left), alone(right))
            if operator in _SHIFTS:
                return Binary(operator, visit(left, context, False), alone(right))
            if operator in _COMPARISONS:
                context = max(width_of(left, widths), width_of(right, widths))
            return Binary(operator, visit(left, context, False), visit(right, context, False))
        case Choice(condition, yes, no):
            return Choice(alone(condition), visit(yes, context, False), visit(no, context, False))
    return node


def simplify_concats(node: Expression) -> Expression:
    """``{a, a, a, b}`` as ``{{3{a}}, b}``, from three on."""
    match node:
        case Concat(members, times):
            packed: list[Expression] = []
            members = tuple(simplify_concats(member) for member in members)
            at = 0
            while at < len(members):
                end = at
                while end < len(members) and members[end] == members[at]:
                    end += 1
                many = end - at >= 3
                packed += [Concat((members[at],), end - at)] if many else members[at:end]
                at = end
            if times == 1 and len(packed) == 1 and isinstance(packed[0], Concat):
                return packed[0]
            return Concat(tuple(packed), times)
        case Signed(operand):
            return Signed(simplify_concats(operand))
        case Unary(operator, operand):
            return Unary(operator, simplify_concats(operand))
        case Binary(operator, left, right):
            return Binary(operator, simplify_concats(left), simplify_concats(right))
        case Choice(condition, yes, no):
            return Choice(simplify_concats(condition), simplify_concats(yes), simplify_concats(no))
    return node


def show(node: Expression) -> str:
    """Verilog text; parentheses around every operator inside another, but for chains of ``&``, ``|``, ``^``."""
    match node:
        case Name(name, select):
            name = f"{name} " if name.startswith("\\") else name
            return f"{name}[{select}]" if select else name
        case Constant(text):
            size, mark, digits = text.partition("'h")
            known = mark and len(digits) > 8 and not set(digits) & set("xXzZ?")
            return f"{size}'h{digits.lstrip('0') or '0'}" if known else text
        case Concat(members, times):
            inside = ", ".join(show(member) for member in members)
            return f"{{{inside}}}" if times == 1 else f"{{{times}{{{inside}}}}}"
        case Signed(operand):
            return f"$signed({show(operand)})"
        case Unary(operator, operand):
            inside = _inner(operand)
            return f"{operator}({inside})" if isinstance(operand, Unary) and inside[0] != "(" else f"{operator}{inside}"
        case Binary(operator, left, right):
            return f"{_inner(left, operator)} {operator} {_inner(right, operator)}"
        case Choice(condition, yes, no):
            rest = show(no) if isinstance(no, Choice) else _inner(no)
            return f"{_inner(condition)} ? {_inner(yes)} : {rest}"


def _inner(node: Expression, outside: str = "") -> str:
    text = show(node)
    if isinstance(node, Binary):
        return text if node.operator == outside and outside in _FLAT else f"({text})"
    if isinstance(node, Choice):
        return f"({text})"
    return f"({text})" if isinstance(node, Unary) and node.operator in "&|^-" else text
