"""From plan to actions: load what a stage needs, run its boxes, store what must reach memory."""

from __future__ import annotations

from collections.abc import Sequence

from tensaw.compiler.actions import Action
from tensaw.compiler.builder import Builder
from tensaw.compiler.lowering.base import Lowering
from tensaw.compiler.planner.memory import MemoryPlan
from tensaw.compiler.regions import Box, View
from tensaw.compiler.stages import Network, Operand
from tensaw.spec.config import NpuConfig
from tensaw.spec.isa import Mode, Unit

__all__ = ["execute"]

_PREPARATION_CYCLES = 90
"""What loading a part of a table takes, and the weights behind it."""


class _Slots:
    """Staging buffers of one operand: one or two, used in turn, each remembering what it holds."""

    def __init__(self, address: int, size: int, copies: int) -> None:
        self._address, self._size, self._copies = address, size, copies
        self._held: list[tuple[Box, View] | None] = [None] * copies
        self._next = 0

    def find(self, box: Box) -> View | None:
        """The view that already holds ``box``."""
        return next((held[1] for held in self._held if held is not None and held[0] == box), None)

    def take(self, box: Box, lowering: Lowering, operand: Operand) -> View:
        """The next buffer, laid out for ``box``."""
        index, self._next = self._next, (self._next + 1) % self._copies
        view = lowering.part_layout(operand, box).view(box, self._address + index * self._size)
        self._held[index] = box, view
        return view


class _Executor:
    def __init__(self, config: NpuConfig, network: Network, plan: MemoryPlan, builder: Builder) -> None:
        self.config = config
        self.network = network
        self.plan = plan
        self.builder = builder
        self.here: set[str] = set()
        """Resident storages whose bytes have been loaded or computed."""

    def home(self, operand: Operand) -> tuple[int, int]:
        home = self.network.storages[operand.storage].home
        if home is None:
            raise AssertionError(f"{operand.storage} has no place in memory")
        return home

    def view(self, lowering: Lowering, operand: Operand) -> View | None:
        """The whole tensor, if it is resident."""
        address = self.plan.addresses.get(operand.storage)
        return None if address is None else lowering.layout(operand).view(operand.image.whole, address)

    def stage(self, index: int, lowering: Lowering) -> None:
        stage, plan, builder = lowering.stage, self.plan.tiles[index], self.builder
        boxes = plan.boxes
        for operand in stage.operands:
            view = self.view(lowering, operand)
            if view is not None and operand.storage not in self.here:
                self.here.add(operand.storage)
                builder.tile("load " + operand.tensor)
                for part in self.images(operand):
                    builder.load(self.home(operand), operand.image, part, view)
        address = self.plan.staging[index]
        slots = []
        for size, copies in zip(plan.sizes, plan.copies, strict=True):
            slots.append(_Slots(address, size, copies))
            address += size * copies
        for box in boxes:
            builder.tile("" if len(boxes) == 1 else str(box))
            views = [self.operand_view(lowering, n, box, slots[n]) for n in range(len(stage.operands))]
            out = self.view(lowering, stage.output)
            staged = out is None
            if out is None:
                out = slots[-1].take(box, lowering, stage.output)
            lowering.emit(builder, box, views, out)
            if staged or self.network.storages[stage.output.storage].stored:
                builder.save(self.home(stage.output), stage.output.image, box, out)
        self.here.add(stage.output.storage)

    def operand_view(self, lowering: Lowering, number: int, box: Box, slots: _Slots) -> View:
        operand = lowering.stage.operands[number]
        view = self.view(lowering, operand)
        if view is not None:
            return view
        need = lowering.needs(number, box)
        if need.empty:
            return View(Box(need.y0, need.y0, need.x0, need.x0, need.c0, need.c0), 0, 0, 0)
        view = slots.find(need)
        if view is None:
            view = slots.take(need, lowering, operand)
            self.builder.load(self.home(operand), operand.image, need, view)
        return view

    def images(self, operand: Operand) -> list[Box]:
        """The images of a batch, so that work begins with the first."""
        image = operand.image
        return [Box(y, y + image.height, 0, image.width, 0, image.channels) for y in range(0, image.rows, image.height)]


def execute(
    config: NpuConfig, network: Network, lowerings: Sequence[Lowering], plan: MemoryPlan, builder: Builder
) -> None:
    """Add the actions of all stages, one layer each.

    Tables of the first stage that needs large ones are loaded part by part behind runs that leave time for it, what is
    left at the very start, where the array has to wait for the first input anyway.
    """
    executor = _Executor(config, network, plan, builder)
    first = next((index for index, lowering in enumerate(lowerings) if lowering.prepares), -1)
    for index, lowering in enumerate(lowerings):
        builder.layer()
        if index == first:
            count = len(builder.actions)
            lowering.prepare(builder)
            builder.actions[:] = builder.actions[count:] + builder.actions[:count]
        executor.stage(index, lowering)
        if index < first:
            lowerings[first].prepare(builder, _last_positions(builder.actions) // _PREPARATION_CYCLES)


def _last_positions(actions: Sequence[Action]) -> int:
    """Positions of the latest ARRAY run's last block: its weights are in the array that long before it ends."""
    run = next((action for action in reversed(actions) if action.unit == Unit.ARRAY and action.name == "RUN"), None)
    if run is None or run.run["mode"] == Mode.POOL:
        return 0
    out, block = run.registers["OUT"], run.registers["BLOCK"]
    height, width = (out[side] - (out[side] - 1) // block[side] * block[side] for side in ("height", "width"))
    return height * width
