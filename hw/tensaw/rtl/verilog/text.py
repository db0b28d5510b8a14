"""The Verilog text that Yosys writes, made readable: fewer wires, plain names, each module once, comments."""

from __future__ import annotations

import re
import textwrap
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from itertools import takewhile

from tensaw.rtl.verilog.declarations import declare
from tensaw.rtl.verilog.inline import inline_wires
from tensaw.rtl.verilog.registers import fold_registers

__all__ = ["assemble", "merge_modules", "prune_wires", "readable", "tidy"]

_MODULE = re.compile(r"^module (\\?\S+?) ?\((.*?)^endmodule\n", re.MULTILINE | re.DOTALL)
_INSTANCE = re.compile(r"^  (\\\S+|[A-Za-z_]\w*) +(\\\S+ |[A-Za-z_]\w*) *\($", re.MULTILINE)
_NAME = re.compile(r"\\\S+|[A-Za-z_$][\w$]*")
_WIRE = re.compile(r"^  wire (?:signed )?(?:\[-?\d+:\d+\] )?(\\\S+|\w+) *;$")
_ASSIGN = re.compile(r"^  assign (\\\S+|\w+) *(?:\[[\d:]+\] *)?= .*;$")
_PORT = re.compile(r"^  (?:input|output|inout) .*?(\\\S+|\w+) ?;$")
_ENUMERATION = re.compile(r"^  \(\* enum_\S+ = .* \*\)\n", re.MULTILINE)
_CONNECTED_PORT = re.compile(r"^    \.(?:\\\S+|\w+) *(?=\()")
_PORT_WIRE = re.compile(r"^(  (?:input|output) (.*;)\n)  wire \2\n", re.MULTILINE)
_TRIGGER = re.compile(r"\\\$auto\$verilog_backend\S* ?")
_SINGLE_ALWAYS = re.compile(r"^  always @\*\n(    [^;\n]*;\n)", re.MULTILINE)
_UNNAMED = re.compile(r"\\\$(\d+) ")
_NAMELESS = re.compile(r"\\\$signal(?:\$(\d+))? ")
_REPEATED = re.compile(r"\\([A-Za-z_]\w*)\$(\d+) ")

_HEADER = """\
// tensaw NPU, {shape}.
// Generated; change the configuration instead of this file.
//
// One clock, clk, and one synchronous reset, rst. A name such as words__valid is member `valid` of port `words`.
// Wires _1, _2, ... are parts of expressions. `initially` makes simulators evaluate an always block once at the start.
//
// Blocks (instance: module):
//
{tree}

`default_nettype none

"""


def assemble(shape: str, text: str, top: str, summaries: Mapping[str, str], memories: Mapping[str, str]) -> str:
    """The whole file: a header with the tree of blocks, the modules of ``text`` from the top down, each under its
    summary, and the memories (name to text)."""
    modules = merge_modules(readable(tidy(text)), top)
    parts = []
    for name, content in modules.items():
        summary = summaries.get(name, "")
        comment = textwrap.fill(summary, 118, initial_indent="// ", subsequent_indent="// ") + "\n" if summary else ""
        parts.append(comment + content)
    tree = "\n".join(f"//   {line}" for line in _tree(modules, top, set(memories)))
    return (
        _HEADER.format(shape=shape, tree=tree) + "\n".join([*parts, *memories.values()]) + "\n`default_nettype wire\n"
    )


def _tree(modules: Mapping[str, str], name: str, memories: Collection[str], depth: int = 0) -> list[str]:
    """Instances of a module, several of one module in one line, those inside them below with more indentation."""
    places: dict[str, list[str]] = {}
    for kind, instance in _INSTANCE.findall(modules[name]):
        if kind in modules or kind in memories:
            places.setdefault(kind, []).append(instance.strip())
    lines = [name] if depth == 0 else []
    for kind, instances in places.items():
        if len(instances) > 8:
            instances = [instances[0], "...", instances[-1]]
        lines.append("  " * (depth + 1) + f"{', '.join(instances)}: {kind}")
        if kind in modules:
            lines += _tree(modules, kind, memories, depth + 1)
    return lines


def tidy(text: str) -> str:
    r"""Names without escapes where they need none (``\$12`` becomes ``_12``), and no port declared twice."""
    return _MODULE.sub(lambda match: _tidy_module(match[0]), text)


def _tidy_module(text: str) -> str:
    text = _PORT_WIRE.sub(r"\1", text)
    # Yosys's trigger gets its value where it is declared, which simulators may do before any block waits for it, and
    # blocks of one assignment lack it. A nonblocking assignment happens when all blocks have begun to wait.
    text = _TRIGGER.sub("initially", text)
    text = text.replace("  reg initially = 0;\n", "")
    text = _SINGLE_ALWAYS.sub(r"  always @* begin\n    if (initially) begin end\n\1  end\n", text)
    if "(initially)" in text:
        text = text.replace(";\n", ";\n  reg initially;\n  initial initially <= 1'b1;\n", 1)
    taken = set(_NAME.findall(text))

    def plain(candidate: str, original: str) -> str:
        if candidate in taken:
            return original
        return candidate

    text = _UNNAMED.sub(lambda match: plain(f"_{match[1]}", match[0]), text)
    text = _NAMELESS.sub(lambda match: plain(f"signal_{match[1] or 0}", match[0]), text)
    return _REPEATED.sub(lambda match: plain(f"{match[1]}_{match[2]}", match[0]), text)


def readable(text: str) -> str:
    """Modules as one writes them: clocked blocks that hold their logic, expressions of more than one operator, ports in
    the head."""
    return _MODULE.sub(lambda match: _readable_module(match[0]), text)


def _readable_module(text: str) -> str:
    text = fold_registers(text)
    if "(initially)" not in text:
        text = text.replace("  reg initially;\n  initial initially <= 1'b1;\n", "")
    return declare(inline_wires(text))


def prune_wires(text: str) -> str:
    """Remove wires that are assigned but never read, and the names of enumerations' values at every wire.

    Amaranth names every field of a structure that the source mentions, whether anything uses it or not; in a design of
    many structures these aliases are most of the text.
    """
    text = _ENUMERATION.sub("", text)
    return _MODULE.sub(lambda match: _prune_module(match[0]), text)


def _prune_module(text: str) -> str:
    lines = text.splitlines(keepends=True)
    names = [_NAME.findall(_CONNECTED_PORT.sub("", line)) for line in lines]
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


def merge_modules(text: str, top: str) -> dict[str, str]:
    """Replace modules of the same contents by one; returns name to text, ``top`` first, what it holds in the order of
    first use.

    Blocks keep their names. Others are inside one: Amaranth calls them ``\\block.inner``, which becomes
    ``block_inner``; one module that stands for several gets what their names have in common.
    """
    modules = {match[1]: match[0] for match in _MODULE.finditer(text)}
    bodies: dict[str, str] = {}
    groups: dict[str, list[str]] = {}

    def body(name: str) -> str:
        """Contents, with the first module of the same contents in place of each that is instantiated."""
        if name not in bodies:
            content = modules[name]
            content = _INSTANCE.sub(
                lambda match: f"  {groups[body(match[1])][0] if match[1] in modules else match[1]} {match[2]}(", content
            )
            bodies[name] = content[content.index("(") :]
            groups.setdefault(bodies[name], []).append(name)
        return bodies[name]

    body(top)
    names = _choose_names(groups.values())
    result: dict[str, str] = {}

    def add(name: str) -> None:
        if names[name] in result:
            return
        content = bodies[name]
        inner = [match[1] for match in _INSTANCE.finditer(content) if match[1] in modules]
        content = _INSTANCE.sub(lambda match: f"  {names.get(match[1], match[1])} {match[2]}(", content)
        result[names[name]] = f"module {names[name]} {content}"
        for kind in inner:
            add(kind)

    add(top)
    return result


def _common_start(words: list[list[str]]) -> list[str]:
    return [places[0] for places in takewhile(lambda places: len(set(places)) == 1, zip(*words, strict=False))]


def _choose_names(groups: Iterable[list[str]]) -> dict[str, str]:
    """First name of each group of equal modules to its final name."""
    result: dict[str, str] = {}
    taken: set[str] = set()
    for group in sorted(groups, key=lambda group: "." in group[0]):  # blocks first: they keep their names
        words = [re.sub(r"\W+", "_", name).strip("_").split("_") for name in group]
        first = _common_start(words)
        last = _common_start([list(reversed(rest[len(first) :])) for rest in words])
        common = [*first, *reversed(last)]
        chosen = "_".join(common if len(common) > 2 else words[0])
        chosen = re.sub(r"(_?\d+)+$", "", chosen) if "." in group[0] else chosen
        name, number = chosen, 2
        while name in taken:
            name, number = f"{chosen}_{number}", number + 1
        taken.add(name)
        result[group[0]] = name
    return result
