"""From plan to actions: load what a stage needs, run its boxes, store what must reach memory."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence

from tensaw.compiler.builder import Builder
from tensaw.compiler.lowering.base import Lowering
from tensaw.compiler.planner.memory import MOST_BANDS, MemoryPlan
from tensaw.compiler.regions import Box, View
from tensaw.compiler.stages import Network, Operand
from tensaw.spec.config import NpuConfig

__all__ = ["execute"]

_BAND_BYTES = 1024
_LOSS = 1.02
"""How much longer a box may take for being cut into bands."""


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
        for number, operand in enumerate(stage.operands):
            view = self.view(lowering, operand)
            if view is not None and operand.storage not in self.here:
                self.here.add(operand.storage)
                bands = self.bands(operand)
                builder.tile("load " + operand.tensor)
                for band in bands:
                    builder.load(self.home(operand), operand.image, band, view)
                if len(bands) > 1 and len(boxes) == 1:
                    boxes = self.split(lowering, number, boxes[0], bands)
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

    def bands(self, operand: Operand) -> list[Box]:
        """Rows in which a tensor is loaded: several if it is large, so that work begins with the first."""
        image = operand.image
        count = min(max(image.size // _BAND_BYTES, 1), MOST_BANDS, image.rows)
        height = -(-image.rows // count)
        return [
            Box(y, min(y + height, image.rows), 0, image.width, 0, image.channels) for y in range(0, image.rows, height)
        ]

    def split(self, lowering: Lowering, number: int, box: Box, bands: list[Box]) -> tuple[Box, ...]:
        """A box that reads an operand still being loaded, cut where the rows that have arrived end, but not into parts
        so small that the array would wait for its weights."""
        if not lowering.splits_freely:
            return (box,)
        most = _LOSS * lowering.box_cycles(box.height, box.width, box.channels) / box.height
        cuts = [box.y0]
        row = box.y0
        for band in bands[:-1]:
            while row < box.y1 and lowering.needs(number, dataclasses.replace(box, y0=row, y1=row + 1)).y1 <= band.y1:
                row += 1
            parts = row - cuts[-1], box.y1 - row
            if all(n and lowering.box_cycles(n, box.width, box.channels) <= most * n for n in parts):
                cuts.append(row)
        return tuple(dataclasses.replace(box, y0=y0, y1=y1) for y0, y1 in itertools.pairwise((*cuts, box.y1)))


def execute(
    config: NpuConfig, network: Network, lowerings: Sequence[Lowering], plan: MemoryPlan, builder: Builder
) -> None:
    """Add the actions of all stages, one layer each."""
    executor = _Executor(config, network, plan, builder)
    for index, lowering in enumerate(lowerings):
        builder.layer()
        if index == 0:
            # The array has to wait for the first input anyway.
            for other in reversed(lowerings):
                other.prepare(builder)
        executor.stage(index, lowering)
