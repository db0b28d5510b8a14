"""The clock of the cycle model: processes that wait for a cycle or for news of each other.

A process is a generator. It yields the cycle at which it wants to go on, or a :class:`News` for which it waits. What a
process knows about its own future it may tell at once, as a cycle in the future: only where several compete (for the
memory bus) must things happen in the order of their cycles.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Generator
from typing import Any, TypeAlias

__all__ = ["Kernel", "News", "Process", "Steps"]


class News:
    """Something that processes wait for: told with :meth:`tell`, they go on in the present cycle and look again."""

    __slots__ = ("_kernel", "_waiting")

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._waiting: list[Process] = []

    def wait(self, process: Process) -> None:
        """Put a process to sleep (the kernel does, for what it yields)."""
        self._waiting.append(process)

    def tell(self) -> None:
        """Wake all that wait."""
        if self._waiting:
            waiting, self._waiting = self._waiting, []
            for process in waiting:
                self._kernel.start(process)


Process: TypeAlias = Generator["int | News", None, None]
Steps: TypeAlias = Generator["int | News", None, Any]
"""A part of a process that gives a result: to be used with ``yield from``."""


class Kernel:
    """Runs processes and calls in the order of their cycles; in one cycle all processes before all calls."""

    def __init__(self) -> None:
        self.now = 0
        self._count = 0
        self._heap: list[tuple[int, int, Process | Callable[[], None]]] = []

    def start(self, process: Process) -> None:
        """Let a process go on in the present cycle."""
        self._push(2 * self.now, process)

    def call(self, cycle: int, function: Callable[[], None]) -> None:
        """Call a function in a cycle, or now if that has passed, after the processes of that cycle."""
        self._push(2 * max(cycle, self.now) + 1, function)

    def _push(self, key: int, target: Process | Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._heap, (key, self._count, target))

    def run(self) -> None:
        """Until nothing is left to do. Processes that wait for news which never come stay as they are."""
        heap = self._heap
        while heap:
            key, _, target = heapq.heappop(heap)
            self.now = key >> 1
            if callable(target):
                target()
                continue
            for wish in target:
                if isinstance(wish, News):
                    wish.wait(target)
                    break
                if wish > self.now:
                    self._push(2 * wish, target)
                    break
