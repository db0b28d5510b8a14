"""The tokens of one unit: takes are granted at a pace, gives are noted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .pauses import Pace
from .scoreboard import Scoreboard

if TYPE_CHECKING:
    from .bench import Bench

__all__ = ["UnitTokens"]


class UnitTokens:
    """Answers a TokenSignature. ``expect`` names a run's masks; tokens are there at the pace's pleasure, and once they
    are, they stay until they are taken. ``refuse`` True: none is there."""

    def __init__(self, bench: Bench, port: Any, pace: Pace) -> None:
        self._bench, self._port, self.pace = bench, port, pace
        self.takes = Scoreboard("tokens taken")
        self.gives = Scoreboard("tokens given")
        self.give_times: list[int] = []
        self.take_times: list[int] = []
        self.refuse = False
        bench.start_soon(self._run())

    def expect(self, wait: int, signal: int) -> None:
        self.takes.expect(wait)
        self.gives.expect(signal)

    @property
    def left(self) -> int:
        """Runs that have not given their tokens."""
        return self.gives.left

    async def _run(self) -> None:
        bench, port = self._bench, self._port
        ready = False
        while True:
            ready = (ready or self.pace()) and not self.refuse
            port.take_ready.set(int(ready))
            await bench.edge
            if port.take.get():
                assert ready, "tokens taken that are not there"
                self.takes.check(port.take_mask.get())
                self.take_times.append(bench.cycle - 1)
                ready = False
            if port.give.get():
                self.gives.check(port.give_mask.get())
                self.give_times.append(bench.cycle - 1)

    def finish(self) -> None:
        self.takes.finish()
        self.gives.finish()
