"""Tidying of the Verilog text that Amaranth writes: no wires that nothing reads, no module twice."""

from __future__ import annotations

import re
from collections import Counter

__all__ = ["merge_modules", "prune_wires"]

_MODULE = re.compile(r"^module (\\?\S+?) ?\((.*?)^endmodule\n", re.MULTILINE | re.DOTALL)
_INSTANCE = re.compile(r"^  (\\\S+|[A-Za-z_]\w*) +(\\\S+ |[A-Za-z_]\w*) *\($", re.MULTILINE)
_NAME = re.compile(r"\\\S+|[A-Za-z_$][\w$]*")
_WIRE = re.compile(r"^  wire (?:signed )?(?:\[-?\d+:\d+\] )?(\\\S+|\w+) *;$")
_ASSIGN = re.compile(r"^  assign (\\\S+|\w+) *(?:\[[\d:]+\] *)?= .*;$")
_PORT = re.compile(r"^  (?:input|output|inout) .*?(\\\S+|\w+) ?;$")


def prune_wires(text: str) -> str:
    """Remove wires that are assigned but never read.

    Amaranth names every field of a structure that the source mentions, whether anything uses it or not; in a design of
    many structures these aliases are most of the text.
    """
    return _MODULE.sub(lambda match: _prune_module(match[0]), text)


def _prune_module(text: str) -> str:
    lines = text.splitlines(keepends=True)
    names = [_NAME.findall(line) for line in lines]
    uses = Counter(name for found in names for name in found)
    ports = {match[1] for line in lines if (match := _PORT.match(line))}
    declared: dict[str, list[int]] = {}
    for number, line in enumerate(lines):
        match = _WIRE.match(line) or _ASSIGN.match(line)
        if match and match[1] not in ports:
            declared.setdefault(match[1], []).append(number)
    removed: set[int] = set()
    waiting = [name for name, places in declared.items() if uses[name] == len(places)]
    while waiting:
        name = waiting.pop()
        if not any(_WIRE.match(lines[number]) for number in declared[name]):
            continue
        for number in declared[name]:
            removed.add(number)
            if lines[number - 1].startswith("  (* init"):
                removed.add(number - 1)
            for other in names[number]:
                uses[other] -= 1
                if other != name and other in declared and uses[other] == len(declared[other]):
                    waiting.append(other)
    return "".join(line for number, line in enumerate(lines) if number not in removed)


def merge_modules(text: str, top: str) -> str:
    """Replace modules of the same contents by one, from the leaves up, and give the survivors short names.

    Amaranth writes a module for each instance; a 16 × 16 array would hold 256 copies of the processing element.
    """
    modules: dict[str, str] = {}
    for match in _MODULE.finditer(text):
        modules[match[1]] = match[0]

    # Modules by depth: a module is finished when all that it instantiates are.
    final: dict[str, str] = {}
    by_body: dict[str, str] = {}
    taken: set[str] = set()
    output: list[str] = []

    def short(name: str) -> str:
        """The last part of the hierarchical name without its numbers: ``\\top.array.pe_3_4`` becomes ``tensaw_pe``."""
        if name == top:
            return top
        last = name.lstrip("\\").rsplit(".", 1)[-1]
        base = "tensaw_" + re.sub(r"\W", "_", re.sub(r"(_\d+)+$", "", last)).strip("_")
        candidate, number = base, 2
        while candidate in taken:
            candidate, number = f"{base}_{number}", number + 1
        return candidate

    def finish(name: str) -> str:
        if name in final:
            return final[name]
        content = modules[name]

        def rename(match: re.Match[str]) -> str:
            kind = match[1]
            return f"  {finish(kind) if kind in modules else kind} {match[2]}("

        content = _INSTANCE.sub(rename, content)
        header_end = content.index("(")
        body = content[header_end:]
        if body in by_body:
            final[name] = by_body[body]
            return final[name]
        new = short(name)
        taken.add(new)
        final[name] = by_body[body] = new
        output.append(f"module {new} {body}")
        return new

    finish(top)
    return "\n".join(output)
