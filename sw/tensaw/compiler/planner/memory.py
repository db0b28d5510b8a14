"""Which tensors stay in the scratchpad, and where.

All tensors are resident at first. While they do not fit (greedily, the largest first, each at the lowest address
that is free during its whole life), a tensor of the fullest stage is spilled to memory: one that only this stage
touches, since it comes from memory or goes there anyway, else the largest. A stage that touches
spilled tensors runs in boxes through staging buffers, for which it gets the largest gap between the resident ones;
where no box fits there, or only small ones at a price, more is spilled.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass

from tensaw.compiler.lowering.base import Lowering
from tensaw.compiler.planner.tiling import TilePlan, plan_tiles
from tensaw.compiler.regions import Layout
from tensaw.compiler.stages import Network
from tensaw.spec.config import NpuConfig
from tensaw.spec.errors import UnsupportedError

__all__ = ["MemoryPlan", "plan_memory"]

_PARTS = 8
"""Of a tensor that is loaded as a whole the first so many'th part has to be there before work begins: less is for the
array to follow, but commands and blocks cost something, too."""


@dataclass(frozen=True)
class MemoryPlan:
    """``addresses`` of resident storages; for each stage its boxes and the address of its staging buffers; ``lives``
    (first, last stage) of every storage; ``peak`` scratchpad bytes used at once."""

    addresses: dict[str, int]
    tiles: list[TilePlan]
    staging: list[int]
    lives: dict[str, tuple[int, int]]
    peak: int


class _Planner:
    def __init__(
        self, config: NpuConfig, network: Network, lowerings: Sequence[Lowering], layouts: dict[str, Layout]
    ) -> None:
        self.config = config
        self.network = network
        self.lowerings = lowerings
        self.lives: dict[str, tuple[int, int]] = {}
        self.sizes: dict[str, int] = {}
        word = config.word_bytes
        for index, stage in enumerate(network.stages):
            for operand in (*stage.operands, stage.output):
                first, _ = self.lives.get(operand.storage, (index, index))
                self.lives[operand.storage] = first, index
                layout = layouts.get(operand.storage) or Layout(operand.image.channels)
                self.sizes[operand.storage] = -(-layout.size(operand.image.whole) // word) * word
        self._cuts: dict[tuple[int, tuple[bool, ...], int], TilePlan | None] = {}
        self.resident = {name for name, size in self.sizes.items() if size <= config.scratchpad_bytes}

    def live(self, stage: int) -> list[str]:
        """Resident storages alive during a stage."""
        return sorted(n for n in self.resident if self.lives[n][0] <= stage <= self.lives[n][1])

    def spill_at(self, stage: int) -> bool:
        """Spill a resident storage of a stage; whether there was one: the largest of those that live in this stage
        alone, and cross the bus anyway, else of all."""
        names = self.live(stage)
        if not names:
            return False
        self.resident.remove(max(names, key=lambda name: (self.lives[name] == (stage, stage), self.sizes[name], name)))
        return True

    def place(self) -> dict[str, int] | None:
        """Addresses of all resident storages; None if they do not fit."""
        placed: list[tuple[int, int, str]] = []
        for name in sorted(self.resident, key=lambda n: (-self.sizes[n], self.lives[n], n)):
            first, last = self.lives[name]
            address = 0
            for start, end, other in sorted(placed):
                other_first, other_last = self.lives[other]
                if other_first > last or other_last < first:
                    continue
                if start - address >= self.sizes[name]:
                    break
                address = max(address, end)
            if address + self.sizes[name] > self.config.scratchpad_bytes:
                self.failed = name
                return None
            placed.append((address, address + self.sizes[name], name))
        return {name: start for start, _, name in placed}

    def relieve(self) -> None:
        """Spill something where the resident storages need more than there is."""
        loads = [sum(self.sizes[name] for name in self.live(stage)) for stage in range(len(self.network.stages))]
        fullest = max(range(len(loads)), key=lambda stage: loads[stage])
        if loads[fullest] > self.config.scratchpad_bytes:
            self.spill_at(fullest)
        else:
            self.resident.remove(self.failed)

    def gap(self, stage: int, addresses: dict[str, int], without: Set[str] = frozenset()) -> tuple[int, int]:
        """(address, bytes) of the largest gap during a stage, if some storages were not resident."""
        best, address = (0, 0), 0
        names = [name for name in self.live(stage) if name not in without]
        for start, end in sorted((addresses[name], addresses[name] + self.sizes[name]) for name in names):
            best = max(best, (start - address, address), key=lambda item: item[0])
            address = max(address, end)
        best = max(best, (self.config.scratchpad_bytes - address, address), key=lambda item: item[0])
        return best[1], best[0]

    def staged(self, stage: int) -> tuple[bool, ...]:
        item = self.network.stages[stage]
        return tuple(operand.storage not in self.resident for operand in (*item.operands, item.output))

    def run(self) -> MemoryPlan:
        while True:
            addresses = self.place()
            if addresses is None:
                self.relieve()
                continue
            plan = self.tile(addresses)
            if plan is not None:
                return plan

    def cut(self, index: int, staged: tuple[bool, ...], size: int) -> TilePlan | None:
        """:func:`plan_tiles` for a stage; remembered, since every spill begins the plan anew."""
        key = index, staged, size
        if key not in self._cuts:
            self._cuts[key] = plan_tiles(self.lowerings[index], staged, size, self.config)
        return self._cuts[key]

    def tile(self, addresses: dict[str, int]) -> MemoryPlan | None:
        """Boxes of all stages; None if something had to be spilled for them."""
        tiles, staging, peak = [], [], 0
        for index, lowering in enumerate(self.lowerings):
            address, size = self.gap(index, addresses)
            plan = self.cut(index, self.staged(index), size)
            if plan is None:
                if not self.spill_at(index):
                    raise self.too_small(lowering)
                return None
            if any(self.staged(index)) and self.cramped(index, lowering, plan):
                self.spill_at(index)
                return None
            if passing := self.better_staged(index, lowering, plan, addresses):
                self.resident -= passing
                return None
            tiles.append(plan)
            staging.append(address)
            peak = max(peak, sum(self.sizes[name] for name in self.live(index)) + plan.staging)
        return MemoryPlan(addresses, tiles, staging, self.lives, peak)

    def cramped(self, index: int, lowering: Lowering, plan: TilePlan) -> bool:
        """Whether the boxes are so small that moving the largest resident tensor out of the way would pay."""
        names = self.live(index)
        if not names:
            return False
        largest = max(self.sizes[name] for name in names)
        everything = (True,) * (len(lowering.stage.operands) + 1)
        roomy = self.cut(index, everything, self.config.scratchpad_bytes)
        # Its bytes cross the bus when they are made and when they are read.
        return roomy is not None and plan.cost > roomy.cost + 3 * largest / self.config.bus_bytes

    def better_staged(self, index: int, lowering: Lowering, plan: TilePlan, addresses: dict[str, int]) -> set[str]:
        """The storages that live in this stage alone, from memory or to it, if boxes that come and go take less time
        than the whole of them does."""
        passing = {name for name in self.live(index) if self.lives[name] == (index, index)}
        if not passing:
            return passing
        item = self.network.stages[index]
        staged = tuple(
            operand.storage in passing or operand.storage not in self.resident
            for operand in (*item.operands, item.output)
        )
        _, size = self.gap(index, addresses, passing)
        boxes = self.cut(index, staged, size)
        apart = sum(self.sizes[name] for name in passing) / self.config.bus_bytes / _PARTS
        return passing if boxes is not None and boxes.cost < plan.cost + apart else set()

    def too_small(self, lowering: Lowering) -> UnsupportedError:
        """The scratchpad cannot hold what a single output position needs."""
        op = lowering.stage.op
        least = _least_bytes(lowering, self.staged(self.lowerings.index(lowering)), self.config)
        needed = -(-least // self.config.scratchpad_step) * self.config.scratchpad_step
        return UnsupportedError(
            f"{op.kind} {op.name!r} needs {needed} bytes of scratchpad for a single output position with all its "
            f"inputs, but scratchpad_bytes is {self.config.scratchpad_bytes}. Choose a configuration with "
            "at least that much."
        )


def _least_bytes(lowering: Lowering, staged: tuple[bool, ...], config: NpuConfig) -> int:
    low, high = config.scratchpad_bytes, 1 << 40
    while low < high:
        middle = (low + high) // 2
        if plan_tiles(lowering, staged, middle, config) is None:
            low = middle + 1
        else:
            high = middle
    return low


def plan_memory(
    config: NpuConfig, network: Network, lowerings: Sequence[Lowering], layouts: dict[str, Layout]
) -> MemoryPlan:
    """Places and boxes for every stage. Raises UnsupportedError if one stage cannot be cut small enough."""
    return _Planner(config, network, lowerings, layouts).run()
