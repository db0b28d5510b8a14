"""What the cycle model records: the same profile that a simulation of the hardware gives."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from tensaw.harness.profile import UNITS, ArrayState, Event, Profile

if TYPE_CHECKING:
    from tensaw.model.timing_bus import Access
    from tensaw.model.timing_program import Action

__all__ = ["Trace"]


class Trace:
    """Collects busy times and, for the array, what it did in each cycle."""

    def __init__(self) -> None:
        self._events: list[Event] = []
        self._weights: list[tuple[Action, Access, int]] = []
        self._states: Counter[tuple[int, ArrayState]] = Counter()
        self._token_waits: list[tuple[int, int, int]] = []

    def add(self, unit: str, tag: int, start: int, end: int) -> None:
        """A unit was busy with a tag from cycle ``start`` to ``end - 1``."""
        if end > start:
            self._events.append(Event(unit, tag, start, end))

    def add_weight(self, action: Action, access: Access, free: int) -> None:
        """A WEIGHT run, whose end is read from its access later; the run before it ended in cycle ``free - 1``."""
        self._weights.append((action, access, free))

    def count(self, tag: int, state: ArrayState, cycles: int) -> None:
        """The array spent cycles of a run."""
        if cycles > 0:
            self._states[tag, state] += cycles

    def wait_tokens(self, tag: int, start: int, end: int) -> None:
        """The array waited for tokens from cycle ``start`` to ``end - 1``."""
        if end > start:
            self._token_waits.append((tag, start, end))

    def profile(self) -> Profile:
        """Everything recorded."""
        events = list(self._events)
        for action, access, free in self._weights:
            if access.end is not None:
                events.append(Event("weight", action.tag, max(action.pending, free), access.end + 1))
        events = _joined(events)
        states = self._states.copy()
        loads = [event for event in events if event.unit == "load"]
        for tag, start, end in self._token_waits:
            loading = sum(max(min(load.end, end) - max(load.start, start), 0) for load in loads)
            for state, cycles in ((ArrayState.WAIT_INPUT, loading), (ArrayState.WAIT_TOKENS, end - start - loading)):
                if cycles:
                    states[tag, state] += cycles
        return Profile(events, dict(states))

    @property
    def weight_end(self) -> int:
        """First cycle in which the WEIGHT unit is idle for good."""
        return max((access.end + 1 for _, access, _ in self._weights if access.end is not None), default=0)

    @property
    def end(self) -> int:
        """First cycle behind all events."""
        return max((event.end for event in self._events), default=0)


def _joined(events: list[Event]) -> list[Event]:
    """In order of their start, those of one unit and tag without a gap between them as one."""
    result: list[Event] = []
    latest: dict[str, int] = {}
    for event in sorted(events, key=lambda event: (event.start, UNITS.index(event.unit))):
        before = result[latest[event.unit]] if event.unit in latest else None
        if before is not None and before.tag == event.tag and before.end >= event.start:
            result[latest[event.unit]] = Event(event.unit, event.tag, before.start, event.end)
        else:
            latest[event.unit] = len(result)
            result.append(event)
    return result
