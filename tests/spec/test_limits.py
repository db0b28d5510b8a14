"""The table of legal register values: every boundary, and the texts."""

import pytest

from tensaw.spec.config import PRESETS
from tensaw.spec.isa import WORDS, Mode, Operation, OutputKind, Unit, word_named
from tensaw.spec.limits import LIMITS, RELATIONS, Limit, refusal

CONFIG = PRESETS["base"]


def legal(unit: Unit) -> dict[str, dict[str, int]]:
    """Registers with which every unit runs: all fields at their smallest legal values."""
    registers = {word.name: {field.name: 0 for field in word.fields} for word in WORDS if word.unit == unit}
    for limit in LIMITS:
        if limit.unit == unit and limit.when is None:
            registers[limit.register][limit.field] = limit.low
    if unit == Unit.ARRAY:
        registers["WEIGHTS"]["rows"] = registers["RUN"]["groups"] = 1
    if unit == Unit.OUTPUT:
        registers["BLOCK"] = {"height": 1, "width": 1}
        registers["CHANNELS"] = {"pixel_pitch": 0, "tile": 1, "last": 1, "tiles": 1}
    if unit == Unit.WEIGHT:
        registers["RUN"]["bytes"] = CONFIG.bus_bytes
    return registers


@pytest.mark.parametrize("unit", [unit for unit in Unit if unit != Unit.CONTROL])
def test_the_smallest_values_are_legal(unit: Unit) -> None:
    assert refusal(CONFIG, unit, legal(unit)) is None
    assert refusal(CONFIG, unit, legal(unit), checked=False) is None


@pytest.mark.parametrize("limit", LIMITS, ids=lambda item: f"{item.unit.name}.{item.register}.{item.field}.{item.rule}")
def test_every_limit_refuses_what_lies_outside(limit: Limit) -> None:
    registers = legal(limit.unit)
    if limit.when is not None:
        register, field, values = limit.when
        registers[register][field] = values[0]
    high = getattr(CONFIG, limit.high) if isinstance(limit.high, str) else limit.high
    field = next(f for f in word_named(f"{limit.unit.name}.{limit.register}").fields if f.name == limit.field)
    outside = [limit.low - 1] if limit.low else []
    outside += [high + 1] if high is not None and high < field.range[1] else []
    outside += [CONFIG.bus_bytes + 1] if limit.multiple != 1 else []
    assert outside
    for value in outside:
        registers[limit.register][limit.field] = value
        reason = refusal(CONFIG, limit.unit, registers, limit.checked)
        assert reason is not None and reason.endswith(f", not {value}")
        assert reason.startswith(f"{limit.register}.{limit.field} must be ")


@pytest.mark.parametrize(
    ("unit", "changes", "checked", "text"),
    [
        (
            Unit.ARRAY,
            {"OUT": {"height": 20, "width": 20}, "BLOCK": {"height": 13, "width": 100}},
            True,
            "the positions of a block, which OUT may cut, must be at most acc_entries / 2, but BLOCK.height is 13, "
            "BLOCK.width is 100",
        ),
        (Unit.ARRAY, {"OUT": {"height": 20, "width": 20}, "BLOCK": {"height": 12, "width": 100}}, True, None),
        (
            Unit.ARRAY,
            {"RUN": {"mode": Mode.DEPTHWISE, "groups": 2}, "KERNEL_Y": {"group_pitch": 64}},
            True,
            "KERNEL_Y.group_pitch must be whole words, not a multiple of four, in DEPTHWISE and PAIRS mode with 2 or 3 "
            "groups, but KERNEL_Y.group_pitch is 64",
        ),
        (
            Unit.ARRAY,
            {"RUN": {"mode": Mode.PAIRS, "groups": 1}, "STEP": {"position": 48}},
            True,
            "STEP.position must be a multiple of two words in PAIRS mode, but STEP.position is 48",
        ),
        *(
            (
                Unit.ARRAY,
                {
                    "RUN": {"mode": Mode.PAIRS, "groups": groups},
                    "STEP": {"position": 32 * pixel},
                    "KERNEL_Y": {"group_pitch": 16 * rows},
                },
                True,
                "half of STEP.position must be an odd number of words in PAIRS mode, and KERNEL_Y.group_pitch two more "
                "than a multiple of four with 2 or 3 groups; or, with eight banks, four more than a multiple of eight "
                f"and odd, but STEP.position is {32 * pixel}, KERNEL_Y.group_pitch is {16 * rows}",
            )
            for groups, pixel, rows in ((1, 2, 0), (1, 8, 0), (2, 1, 3), (3, 5, 1), (3, 4, 2))
        ),
        *(
            (
                Unit.ARRAY,
                {
                    "RUN": {"mode": Mode.PAIRS, "groups": groups},
                    "STEP": {"position": 32 * pixel},
                    "KERNEL_Y": {"group_pitch": 16 * rows},
                },
                True,
                None,
            )
            for groups, pixel, rows in ((1, 1, 0), (1, 4, 0), (2, 1, 2), (3, 3, 6), (3, 4, 3), (3, 12, 1))
        ),
        (
            Unit.ARRAY,
            {"RUN": {"mode": Mode.DEPTHWISE, "groups": 2}, "KERNEL_Y": {"group_pitch": 48}, "INPUT": {"pitch": 48}},
            False,
            "KERNEL_Y.group_pitch must be KERNEL_Y.group_rows * INPUT.pitch in DEPTHWISE and PAIRS mode with 2 or 3 "
            "groups, but KERNEL_Y.group_pitch is 48, KERNEL_Y.group_rows is 0, INPUT.pitch is 48",
        ),
        (
            Unit.ARRAY,
            {"RUN": {"mode": Mode.DEPTHWISE, "groups": 1}, "WEIGHTS": {"rows": 4}},
            False,
            "WEIGHTS.rows must be at most taps * RUN.groups in DEPTHWISE and PAIRS mode, but WEIGHTS.rows is 4, "
            "RUN.groups is 1",
        ),
        (
            Unit.OUTPUT,
            {"CHANNELS": {"tile": 3, "last": 4}},
            True,
            "CHANNELS.last must be at most CHANNELS.tile, but CHANNELS.last is 4, CHANNELS.tile is 3",
        ),
        # What a mode does not use is not looked at.
        (Unit.ARRAY, {"RUN": {"mode": Mode.POOL, "groups": 0}, "WEIGHTS": {"rows": 0}}, True, None),
        (Unit.OUTPUT, {"RUN": {"kind": OutputKind.SOFTMAX}, "CHANNELS": {"tile": 0, "last": 9}}, True, None),
        (
            Unit.OUTPUT,
            {"OPERAND_STEP": {"operation": Operation.ADD}, "QUANT_OUT": {"rounding": 3}},
            True,
            "QUANT_OUT.rounding must be between 0 and 2, not 3",
        ),
    ],
)
def test_relations(unit: Unit, changes: dict[str, dict[str, int]], checked: bool, text: str | None) -> None:
    registers = legal(unit)
    for name, fields in changes.items():
        registers[name].update(fields)
    assert refusal(CONFIG, unit, registers, checked) == text


def test_every_name_exists() -> None:
    for relation in RELATIONS:
        for name in relation.fields:
            register, _, field = name.partition(".")
            assert field in {item.name for item in word_named(f"{relation.unit.name}.{register}").fields}
