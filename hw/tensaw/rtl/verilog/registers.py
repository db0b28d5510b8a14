"""Registers as one writes them: the next value computed where the clock takes it, not in a block of its own."""

from __future__ import annotations

import re
from collections import Counter

__all__ = ["fold_registers"]

_NAME = re.compile(r"\\\S+|(?<![.\w'$])[A-Za-z_$][\w$]*")
_TAKEN = re.compile(r"^  always @\(posedge (\w+)\)\n    (\w+|\\\S+ ) ?<= (_\d+);\n", re.MULTILINE)
_BLOCK = re.compile(r"^  always @\* begin\n    if \(initially\) begin end\n(.*?)^  end\n", re.MULTILINE | re.DOTALL)
_SET = re.compile(r"^( +)(_\d+)((?:\[[\d:]+\])?) = (.*;)$", re.MULTILINE)


def fold_registers(module: str) -> str:
    """The module with every register's next value moved into its clocked block, where nothing else reads it.

    ``always @* begin _5 = r; if (go) _5 = d; end`` and ``always @(posedge clk) r <= _5;`` become
    ``always @(posedge clk) begin if (go) r <= d; end``: the last assignment counts in both.
    """
    uses = Counter(_NAME.findall(module))
    blocks: dict[str, re.Match[str]] = {}
    for block in _BLOCK.finditer(module):
        targets = {match[2] for match in _SET.finditer(block[1])}
        if len(targets) == 1:
            blocks[targets.pop()] = block
    removed: dict[str, str] = {}
    for taken in _TAKEN.finditer(module):
        clock, register, following = taken.groups()
        block = blocks.get(following)
        if block is None or not _only_sets(block[1], following):
            continue
        # Declared once, taken once, set in its block: nothing else knows it.
        if uses[following] != 2 + Counter(_NAME.findall(block[1]))[following]:
            continue
        body = re.sub(rf"^    {following} = {re.escape(register.strip())} ?;\n", "", block[1], count=1)
        body = _SET.sub(lambda match, name=register: f"{match[1]}{name}{match[3]} <= {match[4]}", body)
        removed[block[0]] = ""
        removed[taken[0]] = f"  always @(posedge {clock}) begin\n{body}  end\n" if body else ""
        module = re.sub(rf"^  reg (?:signed )?(?:\[\d+:\d+\] )?{following};\n", "", module, count=1, flags=re.MULTILINE)
    for old, new in removed.items():
        module = module.replace(old, new, 1)
    return module


def _only_sets(body: str, name: str) -> bool:
    """Whether the lines of a block write a signal and never read it."""
    return Counter(_NAME.findall(body))[name] == len(_SET.findall(body))
