"""Timing of the control path: program fetch, dispatch, queues, command ports, tokens."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tensaw.model.timing_bus import UNKNOWN, Asker, ReadBus
from tensaw.model.timing_kernel import Kernel, News, Process
from tensaw.spec.config import NpuConfig
from tensaw.spec.isa import WORDS, Command, Follow, Peer, Unit
from tensaw.spec.program import CONSTANTS, Program

__all__ = ["Action", "Dispatcher", "FetchAsker", "Port", "Tokens", "plan_actions"]

QUEUE_LATENCY = 2
"""Cycles from a word's entry into a buffered queue to its exit."""
COMMAND_LATENCY = 3
"""The same for a unit's queue."""
MEMORY_READ = 0
"""Cycle in which the program is asked for, 1 behind the start."""


@dataclass(eq=False)
class Action:
    """A word that starts something. ``registers``: fields by word name; ``fields``: its own. ``pending``: the cycle
    from which it is on offer. ``follows``: the OUTPUT or LOAD run that an ARRAY run follows, counted from 0."""

    name: str
    registers: Mapping[str, Mapping[str, int]]
    fields: Mapping[str, int]
    pending: int = 0
    follows: int | None = None

    def __getitem__(self, name: str) -> Mapping[str, int]:
        return self.registers[name]

    @property
    def tag(self) -> int:
        return self.fields["tag"]


def plan_actions(commands: Iterable[Command]) -> list[tuple[Unit, Action | None]]:
    """For each word its unit and, if it starts something, the action with the registers as they stand then."""
    registers: dict[Unit, dict[str, Mapping[str, int]]] = {unit: {} for unit in Unit}
    for word in WORDS:
        registers[word.unit][word.name] = dict.fromkeys((field.name for field in word.fields), 0)
    runs = dict.fromkeys(Unit, 0)
    plan: list[tuple[Unit, Action | None]] = []
    for command in commands:
        word, values = command.word, command.values
        if "tag" not in values:
            registers[word.unit][word.name] = values
            plan.append((word.unit, None))
            continue
        action = Action(word.name, dict(registers[word.unit]), values)
        if word.unit == Unit.ARRAY and values.get("follow"):
            # Numbers are kept modulo 256: of the runs before this one the latest that fits.
            latest = runs[Unit.LOAD if values["follow"] == Follow.LOAD else Unit.OUTPUT] - 1
            action.follows = latest - (latest - values["follow_run"]) % 256
        runs[word.unit] += 1
        plan.append((word.unit, action))
    return plan


class Tokens:
    """Counters between LOAD, ARRAY, OUTPUT and STORE: the cycles from which each token can be taken."""

    def __init__(self, kernel: Kernel) -> None:
        self._given: dict[tuple[int, int], deque[int]] = {(g, t): deque() for g in Peer for t in Peer}
        self._news = {int(peer): News(kernel) for peer in Peer}

    def give(self, giver: Peer, mask: int, cycle: int) -> None:
        """Tokens given in a cycle."""
        for taker in Peer:
            if mask >> taker & 1:
                self._given[giver, taker].append(cycle + 1)
                self._news[taker].tell()

    def take(self, taker: Peer, mask: int, result: list[int]) -> Process:
        """Wait for the tokens of a mask; appends the cycle from which all are there."""
        cycle = 0
        for giver in Peer:
            if mask >> giver & 1:
                given = self._given[giver, taker]
                while not given:
                    yield self._news[taker]
                cycle = max(cycle, given.popleft())
        result.append(cycle)


class Port:
    """A unit's queue and command port: reads a word a cycle until it finds one that starts something."""

    def __init__(self, kernel: Kernel, depth: int) -> None:
        self._kernel = kernel
        self.queue: deque[tuple[int, Action | None]] = deque()
        self.depth = depth
        self.pushed, self.popped, self.offered, self._accepted = (News(kernel) for _ in range(4))
        self.offer: Action | None = None
        self._taken = 0
        kernel.start(self._read())

    def _read(self) -> Process:
        cycle = 0  # from which a word in the register behind the queue can have its effect
        free = 0  # from which the register can take the next one
        while True:
            while not self.queue:
                yield self.pushed
            ready, action = self.queue[0]
            free = max(free, ready)
            yield free
            self.queue.popleft()
            self.popped.tell()
            cycle = max(cycle, free + 1)
            free = cycle
            if action is not None:
                action.pending = cycle + 1
                yield cycle
                self.offer = action
                self.offered.tell()
                while self.offer is not None:
                    yield self._accepted
                cycle = self._taken + 1
            else:
                cycle += 1

    @property
    def full(self) -> bool:
        """The queue has no room; behind an action that is on offer one more word waits in the port."""
        return len(self.queue) >= self.depth + (self.offer is not None)

    def accept(self, cycle: int) -> None:
        """The action on offer is taken in a cycle."""
        self.offer, self._taken = None, cycle
        self._accepted.tell()


class FetchAsker(Asker):
    """Program fetch: its buffer holds two bursts."""

    def __init__(self, kernel: Kernel, config: NpuConfig) -> None:
        super().__init__(kernel, config)
        self._depth = max(16, 2 * config.burst_beats)
        self.handed: list[int] = []
        """Cycle in which each beat was handed on."""

    def room(self, beats: int) -> int:
        needed = self.issued + beats - self._depth
        if needed <= 0:
            return 0
        return self.handed[needed - 1] + 2 if needed <= len(self.handed) else UNKNOWN


class Dispatcher:
    """Fetches the program and puts each word into its unit's queue; ``ended``: the cycle behind the END word."""

    def __init__(
        self, kernel: Kernel, program: Program, plan: list[tuple[Unit, Action | None]], bus: ReadBus,
        asker: FetchAsker, ports: dict[Unit, Port],
    ) -> None:  # fmt: skip
        self._kernel = kernel
        self._program, self._plan = program, plan
        self._bus, self._asker, self._ports = bus, asker, ports
        self.ended: int | None = None
        kernel.start(self._dispatch())

    def _dispatch(self) -> Process:
        program, asker, bus = self._program, self._asker, self._bus
        assert CONSTANTS == 0  # the program lies in the first region, and regions begin at a page
        access = asker.ask(program.program_offset, program.program_bytes, MEMORY_READ)
        bus.look(asker.offered)
        words = program.config.bus_bytes // 8
        burst, done, cycle = 0, 0, 0
        for index, (unit, action) in enumerate(self._plan):
            beat = index // words
            while burst >= len(access.arrivals) or beat >= done + access.arrivals[burst][1]:
                if burst < len(access.arrivals):
                    done += access.arrivals[burst][1]
                    burst += 1
                else:
                    yield asker.granted
            cycle = max(cycle + 1, access.arrivals[burst][0] + beat - done + QUEUE_LATENCY)
            yield cycle
            if unit == Unit.CONTROL:
                self.ended = cycle + 1
                return
            port = self._ports[unit]
            while port.full:
                yield port.popped
                cycle = max(cycle, self._kernel.now + 1)
                yield cycle
            port.queue.append((cycle + COMMAND_LATENCY, action))
            port.pushed.tell()
            if index % words == words - 1:
                asker.handed.append(cycle)
                bus.look(cycle + 2)
