"""What a family must offer: a clock and pads, and pads with registers where a board has its memory outside."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from amaranth.hdl import IOPort, Module, Value

__all__ = ["MemoryPads", "Pads"]


class Pads(Protocol):
    """Primitives of one family. Each method adds instances to a module, under names that begin with ``name``."""

    def clock(self, m: Module, pin: IOPort, settings: Any) -> tuple[Value, Value, Value]:
        """A loop for the settings of Board.pll: (clock, the same with the settings' phase, 1 when locked)."""
        ...

    def input(self, m: Module, name: str, pin: IOPort) -> Value:
        """An input, asynchronous."""
        ...

    def output(self, m: Module, name: str, pin: IOPort, value: Value) -> None:
        """Outputs without registers."""
        ...


@runtime_checkable
class MemoryPads(Pads, Protocol):
    """The same with pads that hold registers: what an SDRAM beside the device needs."""

    def registered_output(self, m: Module, name: str, pin: IOPort, value: Value, clock: Value) -> None:
        """Outputs with a register in each pad."""
        ...

    def registered_inout(self, m: Module, name: str, pin: IOPort, value: Value, enable: Value, clock: Value) -> Value:
        """Pads of both directions, with registers for value, enable (one bit for all) and input; returns the latter."""
        ...

    def clock_output(self, m: Module, name: str, pin: IOPort, clock: Value) -> None:
        """A clock on a pin, in step with the registered outputs but for the clock's phase."""
        ...
