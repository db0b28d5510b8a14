"""AXI4 bursts, a beat at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from amaranth import Module, Signal, Value

__all__ = ["Burst", "hold_burst"]


@dataclass(frozen=True)
class Burst:
    """The beat at hand of the burst at work, while ``active``: its ``word`` (address in words), whether it is the
    burst's ``last``, the burst's ``identity``, and whether it lies ``outside`` the memory."""

    active: Signal
    word: Signal
    last: Signal
    identity: Signal
    outside: Signal


def hold_burst(m: Module, interface: Any, channel: str, size: int, take: Value) -> Burst:
    """Takes addresses of ``channel`` ("ar" or "aw") of an AXI4 interface: one burst at work, which ``take`` steps on by
    a beat, and one that waits.

    ``size`` of the memory in bytes, a multiple of 4096, so that a burst is inside or outside as a whole. A burst is at
    work two cycles after its address was taken; the one that waited follows the one before without a gap.
    """

    def port(name: str) -> Any:
        return getattr(interface, channel + name)

    low = (len(interface.rdata if channel == "ar" else interface.wdata) // 8 - 1).bit_length()
    incoming: dict[str, Value] = {
        "word": port("addr")[low : max((size - 1).bit_length(), low + 1)],
        "left": port("len"),
        "last": port("len") == 0,
        "identity": port("id"),
        "outside": port("addr") >= size,
    }
    waiting, active = Signal(name=f"{channel}_waiting"), Signal(name=f"{channel}_active")
    following = {name: Signal(len(value), name=f"{channel}_next_{name}") for name, value in incoming.items()}
    present = {name: Signal(len(value), name=f"{channel}_{name}") for name, value in incoming.items()}
    last = present["last"]
    m.d.comb += port("ready").eq(~waiting)
    with m.If(active & take):
        m.d.sync += [
            present["word"].eq(present["word"] + 1),
            present["left"].eq(present["left"] - 1),
            last.eq(present["left"] == 1),
        ]
    with m.If(~active | take & last):
        m.d.sync += [active.eq(waiting), waiting.eq(0)]
        m.d.sync += [present[name].eq(following[name]) for name in incoming]
    with m.If(port("valid") & ~waiting):
        m.d.sync += waiting.eq(1)
        m.d.sync += [following[name].eq(value) for name, value in incoming.items()]
    return Burst(active, present["word"], last, present["identity"], present["outside"])
