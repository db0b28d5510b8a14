"""Order between units: tokens and row-wise following, derived from what every action reads and writes.

Each unit carries out its actions in order. Of other units an action knows only what it waited for; the tables below
keep for each action how many actions of every unit are certainly complete when it starts (`before`) and when it has
finished (`after`). Where an access of another unit that must come first is not among them, a token is added: from the
latest such action of that unit, so that tokens of one pair of units are given and taken in the same order and the
counters need no names.

Two orders come without tokens: a DRAIN writes only what its ARRAY run has begun to hand over, so that everything the
ARRAY run knew is known, too, and every earlier ARRAY run has ended; and an ARRAY run may *follow* the OUTPUT or LOAD
run just before it, row by row, if that run writes its input.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable

from tensaw.compiler.actions import EXPONENT, LOOKUP, Action, Span
from tensaw.spec.isa import Follow, Peer, Unit

__all__ = ["order_actions"]

_PEERS = {Unit.LOAD: Peer.LOAD, Unit.ARRAY: Peer.ARRAY, Unit.OUTPUT: Peer.OUTPUT, Unit.STORE: Peer.STORE}
_COUNT = len(_PEERS)
_MOST_WAITING = 128
"""Tokens of a pair of units that wait to be taken: counters hold 255, and units run ahead by what their queues hold."""
_LONGEST_LEAD = 127
"""Runs by which LOAD may be ahead of one that follows it."""
_FOLLOWED = {Peer.OUTPUT: Follow.OUTPUT, Peer.LOAD: Follow.LOAD}


class _History:
    """Accesses of one unit, the latest last: (number of the action, span)."""

    def __init__(self) -> None:
        self._accesses: dict[int, list[tuple[int, Span]]] = {}

    def add(self, number: int, spans: Iterable[Span]) -> None:
        for span in spans:
            self._accesses.setdefault(span.space, []).append((number, span))

    def latest(self, spans: Iterable[Span], known: int) -> int:
        """Number of the latest action from ``known`` on that touches one of ``spans``; -1 if there is none."""
        result = -1
        for span in spans:
            for number, other in reversed(self._accesses.get(span.space, ())):
                if number < known or number <= result:
                    break
                if span.overlaps(other):
                    result = number
                    break
        return result


def order_actions(actions: list[Action], follow: bool = True) -> None:
    """Set ``wait`` and ``signal`` of every action, and ``follow`` of ARRAY runs; actions stand in program order."""
    peers = (Peer.OUTPUT, Peer.LOAD) if follow else ()
    if not _Orderer(peers).run(actions):
        for action in actions:
            action.wait = action.signal = 0
        _Orderer(peers[:1]).run(actions)


class _Orderer:
    def __init__(self, followed: tuple[Peer, ...]) -> None:
        self._followed = followed
        self._reads = [_History() for _ in range(_COUNT)]
        self._writes = [_History() for _ in range(_COUNT)]
        self._done: list[list[Action]] = [[] for _ in range(_COUNT)]
        self._places: dict[Action, int] = {}
        self._takers: dict[tuple[Peer, Peer], list[int]] = {}
        """For each pair, giver first, the places in the program of the actions that take tokens."""
        self._follows: dict[Action, Action] = {}
        self._before: dict[Action, list[int]] = {}
        self._after: dict[Action, list[int]] = {}

    def run(self, actions: list[Action]) -> bool:
        """Order them; whether LOAD cannot get too far ahead of runs that follow it: they know its number modulo 256."""
        for action in actions:
            self._order(action)
        loads, runs = self._done[Peer.LOAD], self._done[Peer.ARRAY]
        number = ahead = 0
        for index, action in enumerate(runs):
            if action.run.get("follow") == Follow.LOAD:
                # The last run of LOAD that may begin before this one ends.
                while ahead < len(loads) and self._before[loads[ahead]][Peer.ARRAY] <= index:
                    ahead += 1
                number = loads.index(self._follows[action], number)
                if ahead - number > _LONGEST_LEAD:
                    return False
        return True

    def _order(self, action: Action) -> None:
        unit = _PEERS[action.unit]
        self._places[action] = len(self._places)
        earlier = self._done[unit]
        known = list(self._after[earlier[-1]]) if earlier else [0] * _COUNT
        if action.unit == Unit.ARRAY and action.name == "RUN":
            action.run |= {"follow": int(Follow.NOBODY), "follow_run": 0}
            for peer in self._followed:
                self._try_follow(action, peer, known)
        self._wait(action, unit, known)
        self._before[action] = list(known)
        self._reads[unit].add(len(earlier), action.reads)
        self._writes[unit].add(len(earlier), action.writes)
        earlier.append(action)
        known[unit] = len(earlier)
        if action.partner is not None:
            _merge(known, self._after[action.partner])
        self._after[action] = known

    def _try_follow(self, action: Action, peer: Peer, known: list[int]) -> None:
        runs = self._done[peer]
        if not runs or action.rows is None or action.run["follow"]:
            return
        last = len(runs) - 1
        producer = runs[last]
        if known[peer] > last or producer.rows is None or not producer.rows.cover(action.rows):
            return
        if self._writes[peer].latest(action.reads, last) != last:
            return
        action.run |= {"follow": int(_FOLLOWED[peer]), "follow_run": last % 256}
        self._follows[action] = producer
        # All rows that it reads are written; of the run itself nothing more is certain, of earlier ones everything.
        if last:
            _merge(known, self._after[runs[last - 1]])

    def _wait(self, action: Action, unit: Peer, known: list[int]) -> None:
        """Add the tokens without which the action's accesses might come too early; what they prove enters ``known``."""
        # A second operand may be read before the first result arrives; writes come after it.
        writing = list(known)
        if action.partner is not None:
            _merge(writing, self._before[action.partner])
        for peer in Peer:
            if peer == unit:
                continue
            written, read = self._writes[peer], self._reads[peer]
            # A table is looked up when a first result is there.
            tables = [span for span in action.reads if span.space in (LOOKUP, EXPONENT)]
            need = written.latest([span for span in action.reads if span not in tables], known[peer])
            need = max(need, written.latest(tables, writing[peer]))
            if need == len(self._done[peer]) - 1 and action.run.get("follow", 0) == _FOLLOWED.get(peer, -1):
                need = -1
            need = max(need, written.latest(action.writes, writing[peer]), read.latest(action.writes, writing[peer]))
            if need < 0:
                continue
            takers = self._takers.setdefault((peer, unit), [])
            if len(takers) - bisect.bisect(takers, self._places[self._done[peer][need]]) >= _MOST_WAITING:
                need = max(need, self._latest(peer, action))
            takers.append(self._places[action])
            giver = self._done[peer][need]
            if giver is action.partner:
                # The array would wait for accumulators that only this run empties.
                raise AssertionError(f"a run overwrites what its own array run reads (tag {action.tag})")
            giver.signal |= 1 << unit
            action.wait |= 1 << peer
            _merge(known, self._after[giver])
            _merge(writing, known)
        _merge(known, writing)

    def _latest(self, peer: Peer, action: Action) -> int:
        """Number of the latest run of a unit for whose end the action can wait: those behind it then need not."""
        runs = self._done[peer]
        followed = action.run.get("follow", 0) == _FOLLOWED.get(peer, -1)
        return len(runs) - 1 - int(followed or runs[-1] is action.partner)


def _merge(known: list[int], more: list[int]) -> None:
    known[:] = [max(a, b) for a, b in zip(known, more, strict=True)]
