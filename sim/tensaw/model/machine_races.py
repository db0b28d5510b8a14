"""Checks that overlapping units are ordered: what executing word by word cannot show.

Each unit does its own runs in order. Between units a run is known to be finished before another starts only through
tokens, through the accumulators (an OUTPUT run ends after the ARRAY run that it drains) and through ``follow``. Vector
clocks (Mattern 1989) carry this knowledge: entry u of a run's clock is the number of runs of unit u that are finished
for certain when it starts. Two runs of different units that touch the same byte, one of them writing, must be ordered.
Input bytes that meet only weights of 0 (surplus lanes) do not count, nor in POOL runs lanes that no result needs.

An OUTPUT run that waits for the end of the ARRAY run that it is to drain is found, too: an ARRAY run of more than two
blocks ends only after others have been emptied.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict, deque
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from tensaw.model.machine_memory import Addresses, Footprint
from tensaw.spec.isa import Command, Peer

__all__ = ["RaceChecker"]

Clock: TypeAlias = npt.NDArray[np.int64]


class _Intervals:
    """A set of integers as sorted, disjoint, half-open intervals."""

    def __init__(self, parts: list[Addresses]) -> None:
        values = np.unique(np.concatenate([part.ravel() for part in parts])) if parts else np.zeros(0, np.int64)
        breaks = np.flatnonzero(np.diff(values) != 1)
        self.starts = values[np.concatenate([[0], breaks + 1])] if len(values) else values
        self.ends = values[np.concatenate([breaks, [len(values) - 1]])] + 1 if len(values) else values

    def overlap(self, other: _Intervals) -> tuple[int, int] | None:
        """The first common interval, or None."""
        if not len(self.starts) or not len(other.starts):
            return None
        index = np.searchsorted(self.ends, other.starts, side="right")
        inside = index < len(self.starts)
        hit = np.flatnonzero(inside & (self.starts[np.minimum(index, len(self.starts) - 1)] < other.ends))
        if not len(hit):
            return None
        mine, theirs = index[hit[0]], hit[0]
        return int(max(self.starts[mine], other.starts[theirs])), int(min(self.ends[mine], other.ends[theirs]))


_HALVES = 2
"""Blocks that the accumulators hold."""
_LONGEST_LEAD = 128
"""Runs by which a followed run's unit may be ahead of it."""
_SPACES = ("scratchpad", "memory", "table")


@dataclass
class _Run:
    peer: Peer
    number: int
    word: int
    command: Command
    start: Clock
    finish: Clock
    reads: dict[str, _Intervals] = field(default_factory=dict)
    writes: dict[str, _Intervals] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.command.word.full_name} at word {self.word} (tag {self.command.values['tag']})"


class RaceChecker:
    """Told of every action of LOAD, ARRAY, OUTPUT and STORE in program order; see the module's text.

    Attributes
    ----------
    findings : list of str
        One sentence for each pair of runs that nothing orders.
    """

    def __init__(self, scratchpad_bytes: int) -> None:
        self.findings: list[str] = []
        self._runs: dict[Peer, list[_Run]] = {peer: [] for peer in Peer}
        self._tokens: dict[tuple[Peer, Peer], deque[Clock]] = defaultdict(deque)
        self._clocks = {peer: np.zeros(len(Peer), np.int64) for peer in Peer}
        self._current: _Run | None = None
        self._followed: tuple[Peer, int] | None = None
        self._load_followers: list[tuple[int, int]] = []
        # For each scratchpad byte the OUTPUT and the LOAD run that wrote it last, and its row there.
        self._writer = {peer: np.full(scratchpad_bytes, -1, np.int32) for peer in (Peer.OUTPUT, Peer.LOAD)}
        self._row = {peer: np.zeros(scratchpad_bytes, np.int32) for peer in (Peer.OUTPUT, Peer.LOAD)}

    def begin(self, peer: Peer, command: Command, word: int) -> None:
        """An action starts: it takes its tokens."""
        start = self._clocks[peer].copy()
        for giver in Peer:
            if command.values["wait"] >> giver & 1:
                np.maximum(start, self._tokens[giver, peer].popleft(), out=start)
        self._current = _Run(peer, len(self._runs[peer]), word, command, start, start.copy())
        self._followed = None
        if peer == Peer.LOAD:
            self._check_lead(self._current)

    def follow(self, peer: Peer, number: int) -> None:
        """The current ARRAY run follows OUTPUT or LOAD run ``number``: all earlier ones are finished."""
        run = self._current
        assert run is not None
        if number > 0:
            np.maximum(run.start, self._runs[peer][number - 1].finish, out=run.start)
            np.maximum(run.finish, run.start, out=run.finish)
        self._followed = peer, number
        if peer == Peer.LOAD:
            self._load_followers.append((run.number, number))

    def drain(self, word: int, blocks: int) -> None:
        """The current OUTPUT run takes the results of the ARRAY run at ``word``, which come in so many blocks.

        It ends after that run has read everything; it writes its first byte after that run has read all of its first
        block, which is everything if there is only one.
        """
        run = self._current
        assert run is not None
        source = next(item for item in reversed(self._runs[Peer.ARRAY]) if item.word == word)
        if blocks > _HALVES and run.start[Peer.ARRAY] > source.number:
            self.findings.append(
                f"{run} waits for the end of {source}, whose {blocks} blocks it must empty first: both wait for ever."
            )
        np.maximum(run.start, source.finish if blocks == 1 else source.start, out=run.start)
        np.maximum(run.finish, source.finish, out=run.finish)
        np.maximum(run.finish, run.start, out=run.finish)

    def finish(self, footprint: Footprint) -> None:
        """The current action ends: it gives its tokens, and is compared with all runs that may overlap it."""
        run = self._current
        assert run is not None
        run.finish[run.peer] = run.number + 1
        run.reads = {space: _Intervals(getattr(footprint, f"{space}_reads")) for space in _SPACES}
        run.writes = {space: _Intervals(getattr(footprint, f"{space}_writes")) for space in _SPACES}
        if self._followed is not None:
            self._check_rows(run, footprint, *self._followed)
        for peer in Peer:
            if peer != run.peer:
                for other in self._runs[peer][run.start[peer] :]:
                    if (peer, other.number) != self._followed:
                        self._compare(other, run)
        if run.peer in self._writer:
            for addresses, rows in zip(footprint.scratchpad_writes, footprint.write_rows, strict=True):
                self._writer[run.peer][addresses] = run.number
                self._row[run.peer][addresses] = rows
        self._runs[run.peer].append(run)
        self._clocks[run.peer] = run.finish
        for taker in Peer:
            if run.command.values["signal"] >> taker & 1:
                self._tokens[run.peer, taker].append(run.finish)

    def _check_rows(self, run: _Run, footprint: Footprint, peer: Peer, number: int) -> None:
        """Input row y may hold only bytes that the followed run writes in its rows up to y."""
        for addresses, rows in zip(footprint.scratchpad_reads, footprint.read_rows, strict=True):
            late = (self._writer[peer][addresses] == number) & (self._row[peer][addresses] > rows)
            if late.any():
                first = int(np.flatnonzero(late)[0])
                byte, written = int(addresses[first]), self._row[peer][addresses[first]]
                self.findings.append(
                    f"{run} reads scratchpad byte {byte} as part of input row {rows[first]}, but "
                    f"{self._runs[peer][number]}, which it follows, writes it in row {written}."
                )
                return

    def _check_lead(self, run: _Run) -> None:
        """LOAD may be so far ahead of a run that follows it that the number, modulo 256, would mean a later run."""
        first = bisect_left(self._load_followers, run.start[Peer.ARRAY], key=lambda item: item[0])
        for follower, followed in self._load_followers[first : first + 1]:
            if run.number - followed >= _LONGEST_LEAD:
                self.findings.append(
                    f"{run} may end before {self._runs[Peer.ARRAY][follower]} starts, which follows the LOAD run "
                    f"{run.number - followed} runs before it: at most {_LONGEST_LEAD - 1} are told apart."
                )

    def _compare(self, earlier: _Run, later: _Run) -> None:
        for space in _SPACES:
            for first, second, verbs in (
                (earlier.writes, later.reads, ("reads", "writing")),
                (earlier.reads, later.writes, ("writes", "reading")),
                (earlier.writes, later.writes, ("writes", "writing")),
            ):
                common = first[space].overlap(second[space])
                if common is not None:
                    where = f"{space} bytes {common[0]} to {common[1] - 1}"
                    if space == "memory":
                        offset = (1 << 40) - 1
                        where = f"region {common[0] >> 40} bytes {common[0] & offset} to {(common[1] - 1) & offset}"
                    elif space == "table":
                        where = "a table of the output stage"
                    self.findings.append(
                        f"{later} {verbs[0]} {where} while {earlier} may still be {verbs[1]} there: no token orders "
                        "them."
                    )
                    return
