"""Drivers and monitors of streams (payload, valid, ready), with pauses on both sides and the rules checked."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from .pauses import Pace

if TYPE_CHECKING:
    from .bench import Bench

__all__ = ["Sink", "Source"]


class Source:
    """Gives payloads to an input stream of the block, one after the other.

    While there is nothing to give, ``valid`` is 0 and the payload random: who looks at it then is wrong. ``early``: but
    for the cycle before an offer, in which the payload is that of the offer.
    """

    def __init__(self, bench: Bench, stream: Any, pace: Pace, items: Iterable[Any] = (), early: bool = False) -> None:
        self._bench, self._stream, self.pace, self._early = bench, stream, pace, early
        self._items = deque(items)
        self.taken = 0
        """Payloads that the block has taken."""
        self.offering = False
        bench.start_soon(self._run())

    def send(self, *items: Any) -> None:
        self._items.extend(items)

    @property
    def idle(self) -> bool:
        """Everything has been taken."""
        return not self._items and not self.offering

    def withdraw(self) -> None:
        """Forget what has not been taken, an offer that stands included: only together with a reset."""
        self._items.clear()
        self.offering = False

    async def _run(self) -> None:
        stream, edge = self._stream, self._bench.edge
        width = stream.payload.width
        noise = self._bench.rng.bytes(-(-width // 8) * 16)
        noise = [int.from_bytes(noise[i::16], "little") & ((1 << width) - 1) for i in range(16)]
        number = 0
        while True:
            if not self.offering:
                if self._items and self.pace():
                    stream.payload.set(self._items.popleft())
                    self.offering = True
                    if self._early:
                        stream.valid.set_bits(0)
                        await edge
                    stream.valid.set_bits(1)
                else:
                    number = (number + 1) % 16
                    stream.payload.set_bits(noise[number])
                    stream.valid.set_bits(0)
            await edge
            if self.offering and stream.ready.bits():
                self.taken += 1
                self.offering = False


class Sink:
    """Takes what an output stream of the block gives and hands it to ``receive``.

    Checks that an offer stands, with the same payload, until it is taken. ``unstable``: fields of the payload that may
    change while they wait (no rule of the block's promises them).
    """

    def __init__(self, bench: Bench, stream: Any, pace: Pace, receive: Callable[[Any], None]) -> None:
        self._bench, self._stream, self.pace, self.receive = bench, stream, pace, receive
        self.taken = 0
        self.stalled = 0
        """Cycles in which an offer waited."""
        bench.start_soon(self._run())

    async def _run(self) -> None:
        stream, edge = self._stream, self._bench.edge
        waiting: int | None = None
        while True:
            ready = self.pace()
            stream.ready.set_bits(int(ready))
            await edge
            valid = stream.valid.bits()
            if not valid:
                if waiting is not None:
                    raise AssertionError(f"{stream.valid.name} fell before the offer was taken")
                continue
            bits = stream.payload.bits()
            if waiting is not None and bits != waiting:
                raise AssertionError(f"{stream.payload.name} changed while it waited: {waiting:#x} to {bits:#x}")
            if ready:
                waiting = None
                self.taken += 1
                self.receive(stream.payload.get())
            else:
                self.stalled += 1
                waiting = bits
