"""The generated NPU as other people's tools see it: ports, buses, files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from amaranth.hdl import Shape
from amaranth.lib.wiring import Flow, Signature

from tensaw.rtl.npu import npu_members
from tensaw.rtl.shared import port_name
from tensaw.spec.config import NpuConfig
from tensaw.spec.errors import InputError

__all__ = ["Core", "Port"]

_MEGAHERTZ = (1.0, 5000.0)


@dataclass(frozen=True)
class Port:
    """A port of the top: its name, bits and whether it is an output."""

    name: str
    width: int
    output: bool


@dataclass(frozen=True)
class Core:
    """One generated NPU.

    Attributes
    ----------
    config : NpuConfig
    sources : tuple of str
        Names of its Verilog files, in the order in which tools need them.
    megahertz : float
        The clock it is to run at, 1 to 5000. Raises InputError for others.
    """

    config: NpuConfig
    sources: tuple[str, ...]
    megahertz: float

    def __post_init__(self) -> None:
        low, high = _MEGAHERTZ
        if not low <= self.megahertz <= high:
            raise InputError(
                f"The clock is {self.megahertz:g} MHz; constraints can be written for {low:g} to {high:g} MHz."
            )

    @property
    def period(self) -> float:
        """Nanoseconds."""
        return 1000 / self.megahertz

    @cached_property
    def ports(self) -> tuple[Port, ...]:
        """All ports of the top, clock and reset first."""
        return (Port("clk", 1, False), Port("rst", 1, False), *self._members())

    def bus(self, prefix: str) -> dict[str, Port]:
        """The ports of an AXI bus, by the names that AXI gives its signals: ``bus("m_axi_")["ARADDR"]``."""
        return {port.name.removeprefix(prefix).upper(): port for port in self.ports if port.name.startswith(prefix)}

    def _members(self) -> Iterator[Port]:
        signature = Signature(npu_members(self.config))
        for path, member, _value in signature.flatten(signature.create()):
            yield Port(port_name(path), Shape.cast(member.shape).width, member.flow is Flow.Out)
