"""The rules of tensaw.spec.limits as logic."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Value

from tensaw.spec.config import NpuConfig
from tensaw.spec.isa import OutputKind, Unit
from tensaw.spec.limits import LIMITS

__all__ = ["broken_output_rules"]


def broken_output_rules(config: NpuConfig, run: Any) -> Value:
    """A bit for each rule: the run ``run``, a view of ``run_layout(Unit.OUTPUT)``, breaks it; OUTPUT refuses it."""

    def size(value: int | str) -> int:
        return getattr(config, value) if isinstance(value, str) else value

    broken = []
    for limit in LIMITS:
        if limit.unit != Unit.OUTPUT or not limit.checked:
            continue
        value = run[limit.register.lower()][limit.field]
        outside: Value = Const(0)
        if limit.low:
            outside |= value < limit.low
        if limit.high is not None and size(limit.high) < (1 << len(value)) - 1:
            outside |= value > size(limit.high)
        if limit.when is not None:
            register, field, values = limit.when
            outside &= Cat(run[register.lower()][field] == int(choice) for choice in values).any()
        broken.append(outside)
    broken.append((run.run.kind == OutputKind.DRAIN) & (run.channels.last > run.channels.tile))
    return Cat(broken)
