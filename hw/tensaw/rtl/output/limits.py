"""The rules of tensaw.spec.limits as logic."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Value

from tensaw.spec.config import NpuConfig
from tensaw.spec.isa import OutputKind, Unit
from tensaw.spec.limits import LIMITS

__all__ = ["illegal_output_run"]


def illegal_output_run(config: NpuConfig, run: Any) -> Value:
    """1 if OUTPUT refuses the run ``run``, a view of ``run_layout(Unit.OUTPUT)``."""

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
    return Cat(broken).any()
