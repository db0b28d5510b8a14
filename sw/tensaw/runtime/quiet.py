"""How long a sound program may seem to stand still.

A simulation's watchdog sees the memory port, the array's positions and units that begin or end. The output stage can
work for long without any of these: softmax row by row, or one lane that empties large accumulators.
"""

from __future__ import annotations

from tensaw.spec.isa import Operation, OutputKind, Unit, decode
from tensaw.spec.program import Program

__all__ = ["quiet_cycles"]

_SOFTMAX_ELEMENT, _SOFTMAX_ROW = 4, 160
"""Cycles, generously: three passes over each element, and a division in each row."""
_SECOND_OPERAND = 4
_BLOCKS = 2
"""That the accumulators hold when the array has finished."""


def quiet_cycles(program: Program) -> int:
    """At least as many cycles as the output stage may work on what it has, in a row."""
    registers: dict[str, dict[str, int]] = {}
    softmax = drain = 0
    for word in program.words:
        command = decode(int(word))
        if command.word.unit != Unit.OUTPUT:
            continue
        registers[command.word.name] = dict(command.values)
        if command.word.name == "RUN":
            if command.values["kind"] == OutputKind.SOFTMAX:
                size = registers["OUT"]
                softmax += size["height"] * (_SOFTMAX_ROW + _SOFTMAX_ELEMENT * size["width"])
            else:
                drain = max(drain, _block_cycles(registers))
    return softmax + drain


def _block_cycles(registers: dict[str, dict[str, int]]) -> int:
    block, size = registers["BLOCK"], registers["OUT"]
    positions = min(block["height"], size["height"]) * min(block["width"], size["width"])
    channels = registers["CHANNELS"]["tile"]  # one a cycle: any device with a single lane can be meant
    second = registers.get("OPERAND_STEP", {}).get("operation", Operation.NONE) != Operation.NONE
    return _BLOCKS * positions * channels * (_SECOND_OPERAND if second else 1)
