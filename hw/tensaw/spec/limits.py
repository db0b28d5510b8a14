"""Which register values are legal when a unit is told to run.

The hardware checks most rules and stops with ``ErrorCode.ILLEGAL_VALUE``; breaking one that it does not check
(``checked`` False) has undefined results, and the instruction-level simulator refuses that as well.

Most rules are a range of one field (:data:`LIMITS`); the few that tie fields together are :data:`RELATIONS`. A field
that the run's mode does not use is not looked at. The instruction-level simulator and ``docs/isa.md`` use these tables,
and the hardware's checks are held to them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from tensaw.spec.config import NpuConfig
from tensaw.spec.isa import Follow, Mode, Operation, OutputKind, Turn, Unit

__all__ = ["Limit", "Relation", "Registers", "LIMITS", "LONGEST_SOFTMAX", "MOST_TOKENS", "RELATIONS", "refusal"]

Registers: TypeAlias = Mapping[str, Mapping[str, int]]
"""Fields of a unit's words by word name: ``registers["ROWS"]["count"]``; the action's own are under ``"RUN"``."""


@dataclass(frozen=True)
class Limit:
    """``low <= register.field <= high``, and a multiple of ``multiple``; ``str`` values name a property of NpuConfig.

    ``register`` is ``"RUN"`` for a field of the action itself. ``when`` restricts the rule: (register, field, values).
    """

    unit: Unit
    register: str
    field: str
    low: int = 1
    high: int | str | None = None
    multiple: int | str = 1
    when: tuple[str, str, tuple[int, ...]] | None = None
    checked: bool = True

    @property
    def rule(self) -> str:
        """The rule in words, configuration sizes by their names: ``between 1 and columns``."""
        parts = []
        if self.high is None:
            parts += [f"at least {self.low}"] if self.low else []
        elif self.high == self.low:
            parts.append(f"{self.low}")
        else:
            parts.append(f"between {self.low} and {self.high}")
        if self.multiple != 1:
            parts.append(f"a multiple of {self.multiple}")
        return " and ".join(parts)

    def broken(self, config: NpuConfig, registers: Registers) -> bool:
        """Whether the registers break the rule."""
        if self.when is not None:
            register, field, values = self.when
            if registers[register][field] not in values:
                return False
        value = registers[self.register][self.field]
        high = getattr(config, self.high) if isinstance(self.high, str) else self.high
        multiple = getattr(config, self.multiple) if isinstance(self.multiple, str) else self.multiple
        return value < self.low or (high is not None and value > high) or value % multiple != 0


@dataclass(frozen=True)
class Relation:
    """A rule between several fields; ``broken`` says whether the registers break it, ``fields`` names those to show."""

    unit: Unit
    fields: tuple[str, ...]
    rule: str
    broken: Callable[[NpuConfig, Registers], bool]
    checked: bool = True


MOST_TOKENS = 255
"""Tokens from one peer to another that may be waiting; one more is an ILLEGAL_VALUE."""

LONGEST_SOFTMAX = 4095
"""Elements of a SOFTMAX row: 4096 equal ones would overflow the 32-bit sum of exponentials."""

_DEPTHWISE = ("RUN", "mode", (Mode.DEPTHWISE, Mode.PAIRS))
_WEIGHTED = ("RUN", "mode", (Mode.CONV, Mode.DEPTHWISE, Mode.PAIRS))
_NOT_CONV = ("RUN", "mode", (Mode.DEPTHWISE, Mode.POOL, Mode.PAIRS))
_NOT_DEPTHWISE = ("RUN", "mode", (Mode.CONV, Mode.POOL))
_DRAIN = ("RUN", "kind", (OutputKind.DRAIN,))
_SOFTMAX = ("RUN", "kind", (OutputKind.SOFTMAX,))
_OPERAND = ("OPERAND_STEP", "operation", (Operation.ADD, Operation.SUB, Operation.MUL))

LIMITS: tuple[Limit, ...] = (
    Limit(Unit.WEIGHT, "MEMORY", "offset", low=0, multiple="bus_bytes"),
    Limit(Unit.WEIGHT, "RUN", "bytes", multiple="bus_bytes"),
    Limit(Unit.WEIGHT, "RUN", "turn", low=0, high=max(Turn)),
    Limit(Unit.ARRAY, "RUN", "follow", low=0, high=max(Follow)),
    *(
        Limit(unit, register, field)
        for unit in (Unit.LOAD, Unit.STORE)
        for register, field in (("ROWS", "bytes"), ("ROWS", "count"), ("PLANES", "count"))
    ),
    Limit(Unit.ARRAY, "RUN", "groups", high="groups", when=_DEPTHWISE),
    Limit(Unit.ARRAY, "STEP", "decimation"),
    Limit(Unit.ARRAY, "STEP", "decimation", high=1, when=_NOT_DEPTHWISE, checked=False),
    Limit(Unit.ARRAY, "KERNEL_Y", "steps"),
    Limit(Unit.ARRAY, "KERNEL_X", "steps"),
    Limit(Unit.ARRAY, "KERNEL_X", "chunks"),
    Limit(Unit.ARRAY, "KERNEL_X", "chunks", high=1, when=_NOT_CONV, checked=False),
    Limit(Unit.ARRAY, "OUT", "height"),
    Limit(Unit.ARRAY, "OUT", "width"),
    Limit(Unit.ARRAY, "BLOCK", "height"),
    Limit(Unit.ARRAY, "BLOCK", "width"),
    Limit(Unit.ARRAY, "TILES", "count"),
    Limit(Unit.ARRAY, "WEIGHTS", "rows", high="rows", when=_WEIGHTED),
    Limit(Unit.OUTPUT, "OUT", "height"),
    Limit(Unit.OUTPUT, "OUT", "width"),
    Limit(Unit.OUTPUT, "OUT", "width", high=LONGEST_SOFTMAX, when=_SOFTMAX),
    Limit(Unit.OUTPUT, "BLOCK", "height", when=_DRAIN),
    Limit(Unit.OUTPUT, "BLOCK", "width", when=_DRAIN),
    Limit(Unit.OUTPUT, "CHANNELS", "tile", high="columns", when=_DRAIN),
    Limit(Unit.OUTPUT, "CHANNELS", "last", when=_DRAIN),
    Limit(Unit.OUTPUT, "CHANNELS", "tiles", when=_DRAIN),
    Limit(Unit.OUTPUT, "QUANT", "rounding", low=0, high=2, when=_DRAIN),
    Limit(Unit.OUTPUT, "QUANT_OUT", "rounding", low=0, high=2, when=_OPERAND),
)


def _large_block(config: NpuConfig, registers: Registers) -> bool:
    block, out = registers["BLOCK"], registers["OUT"]
    return min(block["height"], out["height"]) * min(block["width"], out["width"]) > config.acc_half


def _depthwise(registers: Registers) -> bool:
    return registers["RUN"]["mode"] in (Mode.DEPTHWISE, Mode.PAIRS)


def _pairs_together(config: NpuConfig, registers: Registers) -> bool:
    """Whether the words of a PAIRS position may lie in the same bank."""
    word, several = config.word_bytes, registers["RUN"]["groups"] > 1
    pixel, rows = registers["STEP"]["position"] // (2 * word), registers["KERNEL_Y"]["group_pitch"] // word
    apart = pixel % 2 == 1 and (rows % 4 == 2 or not several)
    far_apart = config.banks == 8 and pixel % 8 == 4 and (rows % 2 == 1 or not several)
    return registers["RUN"]["mode"] == Mode.PAIRS and not (apart or far_apart)


RELATIONS: tuple[Relation, ...] = (
    Relation(
        Unit.ARRAY,
        ("BLOCK.height", "BLOCK.width"),
        "the positions of a block, which OUT may cut, must be at most acc_entries / 2",
        _large_block,
    ),
    Relation(
        Unit.ARRAY,
        ("KERNEL_Y.group_pitch",),
        "KERNEL_Y.group_pitch must be whole words, not a multiple of four, in DEPTHWISE and PAIRS mode with 2 or 3 "
        "groups",
        lambda config, registers: (
            _depthwise(registers)
            and registers["RUN"]["groups"] > 1
            and registers["KERNEL_Y"]["group_pitch"] % (4 * config.word_bytes)
            not in (config.word_bytes, 2 * config.word_bytes, 3 * config.word_bytes)
        ),
    ),
    Relation(
        Unit.ARRAY,
        ("RUN.mode",),
        "PAIRS mode needs three taps, an array of at least three rows",
        lambda config, registers: registers["RUN"]["mode"] == Mode.PAIRS and config.taps < 3,
    ),
    Relation(
        Unit.ARRAY,
        ("STEP.position",),
        "STEP.position must be a multiple of two words in PAIRS mode",
        lambda config, registers: (
            registers["RUN"]["mode"] == Mode.PAIRS and registers["STEP"]["position"] % (2 * config.word_bytes) != 0
        ),
    ),
    Relation(
        Unit.ARRAY,
        ("STEP.position", "KERNEL_Y.group_pitch"),
        "half of STEP.position must be an odd number of words in PAIRS mode, and KERNEL_Y.group_pitch two more than a "
        "multiple of four with 2 or 3 groups; or, with eight banks, four more than a multiple of eight and odd",
        _pairs_together,
    ),
    Relation(
        Unit.ARRAY,
        ("KERNEL_Y.group_pitch", "KERNEL_Y.group_rows", "INPUT.pitch"),
        "KERNEL_Y.group_pitch must be KERNEL_Y.group_rows * INPUT.pitch in DEPTHWISE and PAIRS mode with 2 or 3 groups",
        lambda config, registers: (
            _depthwise(registers)
            and registers["RUN"]["groups"] > 1
            and registers["KERNEL_Y"]["group_pitch"]
            != registers["KERNEL_Y"]["group_rows"] * registers["INPUT"]["pitch"]
        ),
        checked=False,
    ),
    Relation(
        Unit.ARRAY,
        ("WEIGHTS.rows", "RUN.groups"),
        "WEIGHTS.rows must be at most taps * RUN.groups in DEPTHWISE and PAIRS mode",
        lambda config, registers: (
            _depthwise(registers) and registers["WEIGHTS"]["rows"] > config.taps * registers["RUN"]["groups"]
        ),
        checked=False,
    ),
    Relation(
        Unit.OUTPUT,
        ("CHANNELS.last", "CHANNELS.tile"),
        "CHANNELS.last must be at most CHANNELS.tile",
        lambda config, registers: (
            registers["RUN"]["kind"] == OutputKind.DRAIN
            and registers["CHANNELS"]["last"] > registers["CHANNELS"]["tile"]
        ),
    ),
)


def refusal(config: NpuConfig, unit: Unit, registers: Registers, checked: bool = True) -> str | None:
    """Why ``unit`` may not RUN with these registers, as a clause without a full stop, or None if it may.

    Looks at the rules that the hardware checks, or with ``checked`` False at the others.
    """
    for limit in LIMITS:
        if limit.unit == unit and limit.checked == checked and limit.broken(config, registers):
            value = registers[limit.register][limit.field]
            sizes = [
                f"{name} is {getattr(config, name)}" for name in (limit.high, limit.multiple) if isinstance(name, str)
            ]
            context = f" ({', '.join(sizes)})" if sizes else ""
            return f"{limit.register}.{limit.field} must be {limit.rule}{context}, not {value}"
    for relation in RELATIONS:
        if relation.unit == unit and relation.checked == checked and relation.broken(config, registers):
            values = ", ".join(
                f"{name} is {registers[name.partition('.')[0]][name.partition('.')[2]]}" for name in relation.fields
            )
            return f"{relation.rule}, but {values}"
    return None
