"""Collects the actions of a program: array and output runs in pairs, transfers, tables, with tags and layers."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Hashable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from tensaw.compiler.actions import EXPONENT, LOOKUP, SCRATCHPAD, Action, Rows, Span
from tensaw.compiler.regions import Box, Image, View
from tensaw.compiler.runs import ArrayRun, Drain, block_shape, quant_fields, scale_fields, second_registers
from tensaw.compiler.weights import Blob, WeightStore
from tensaw.spec.config import NpuConfig
from tensaw.spec.isa import Operation, OutputKind, TableKind, Unit
from tensaw.spec.program import Tag

__all__ = ["Builder", "LayerCost"]

_MOST_TAGS = 1 << 16
_MOST_ROWS = (1 << 16) - 1
_MOST_LINES = (1 << 12) - 1
_LEAST_PLANE = 64
"""Bytes that are loaded together at least."""
_MOST_SHARED = 1.04
"""Part of the bytes that may cross the port because two planes share a bus word."""
_LEAST_BLOCK = 64
"""Positions of a block whose input is still being loaded, at least; where few weights are loaded with it..."""
_LEAST_LIGHT_BLOCK = 16
"""...these."""


@dataclass
class LayerCost:
    """Sums over a layer's runs: ``limit`` cycles of the array, ``output`` cycles of the output stage, bytes."""

    limit: int = 0
    output: int = 0
    estimate: int = 0
    weight_bytes: int = 0
    transfer_bytes: int = 0
    modes: set[str] = field(default_factory=set)


class Builder:
    """The program under construction.

    ``layer`` is the index of the layer that following actions belong to; :meth:`tile` names their tile.
    """

    def __init__(self, config: NpuConfig) -> None:
        self.config = config
        self.actions: list[Action] = []
        self.tags: list[Tag] = []
        self.store = WeightStore(config)
        self.costs: list[LayerCost] = []
        self._tag = 0
        self._tables: dict[tuple[int, int], Hashable] = {}
        self._arriving: Action | None = None
        self._eager = False

    def layer(self) -> None:
        """Begin the next layer."""
        self.costs.append(LayerCost())
        self.tile("")

    def tile(self, text: str) -> None:
        """Actions from here on belong to this tile of the layer."""
        tag = Tag(len(self.costs) - 1, text)
        if self.tags and (self.tags[-1] == tag or len(self.tags) == _MOST_TAGS):
            return
        self.tags.append(tag)
        self._tag = len(self.tags) - 1

    @property
    def cost(self) -> LayerCost:
        """Of the current layer."""
        return self.costs[-1]

    # Array and output stage -----------------------------------------------------------------------------------------

    def pair(self, array: ArrayRun, drain: Drain, blob: Blob | None) -> None:
        """An ARRAY run and the OUTPUT run that empties it.

        Where the ring cannot keep a tile's weights from one block of positions to the next, each block becomes a run
        of its own, which streams the weights again.
        """
        height, width = array.size
        kept = array.steps * array.weight_rows
        block = block_shape(height, width, self.config.acc_half)
        if kept <= self.config.kept_rows:
            block = block_shape(height, width, self._entries(array, drain))
        if block != array.size and kept > self.config.kept_rows:
            for y in range(0, height, block[0]):
                for x in range(0, width, block[1]):
                    part = array.part(y, x, min(block[0], height - y), min(block[1], width - x))
                    self._pair(part, drain.part(y, x), blob, block)
        else:
            self._pair(array, drain, blob, block)

    def _entries(self, array: ArrayRun, drain: Drain) -> int:
        """Positions of a block: fewer where the output stage takes several cycles for each, so that little is left for
        it to do when the array has finished, and where the input is still being loaded, so that work begins early and
        not too much is left when its last row is there; but enough that loading weights stays hidden."""
        cycles = -(-drain.tile // self.config.requant_lanes) * (1 if drain.second is None else 4)
        most = self.config.acc_half
        fewer = most // cycles
        loaded, self._arriving = self._arriving, None
        if loaded is not None and loaded.rows is not None and loaded.rows.cover(_input_rows(array)):
            height, width = array.size
            entries = -(-max(_LEAST_LIGHT_BLOCK, array.weight_rows + 1) // width) * width
            # Cut evenly, blocks may be so small after all that the array waits for its weights' rows.
            hidden = math.prod(block_shape(height, width, entries)) > array.weight_rows
            if entries <= fewer and hidden and self._light(array, drain, loaded):
                self._eager = True
                return entries
            fewer = min(fewer, _LEAST_BLOCK)
        return min(most, max(fewer, 4 * array.weight_rows, 1))

    def _light(self, array: ArrayRun, drain: Drain, loaded: Action) -> bool:
        """Whether a tile's weights are few beside the input that a run of LOAD brings: they can all come before it."""
        parameters = 4 * drain.bias + 5 * (drain.requantise.multiplier.size > 1)
        tile = (parameters + array.steps * array.weight_rows) * self.config.weight_row_bytes
        rows, planes = loaded.registers["ROWS"], loaded.registers["PLANES"]
        return 2 * tile <= rows["bytes"] * rows["count"] * planes["count"]

    def _pair(self, array: ArrayRun, drain: Drain, blob: Blob | None, block: tuple[int, int]) -> None:
        first = self._array(array, drain, blob, block)
        second = self._drain(array, drain, block)
        second.partner = first
        self.actions += [first, second]
        self.cost.limit += first.cycles
        self.cost.output += second.cycles
        # Reading a blob again costs bus time unless the ring still holds it; this is the pessimistic figure.
        bus = 0 if blob is None else blob.size // self.config.bus_bytes
        self.cost.estimate += max(first.cycles, second.cycles, bus)
        self.cost.modes.add(array.mode.name)

    def _array(self, run: ArrayRun, drain: Drain, blob: Blob | None, block: tuple[int, int]) -> Action:
        height, width = run.size
        scale = drain.requantise.multiplier.size > 1
        registers = {
            "INPUT": {"base": run.base, "pitch": run.pitch},
            "WINDOW": {"height": run.window[0], "row_bytes": run.window[1]},
            "ORIGIN": {"y": run.origin[0], "x": run.origin[1]},
            "STEP": {
                "position": run.step[1], "row": run.step[0], "decimation": run.decimation,
                "join": int(run.join and block[1] >= width),
            },
            "KERNEL_Y": {
                "steps": run.kernel_y[0], "rows": run.kernel_y[1], "group_rows": run.group_rows,
                "group_pitch": run.group_rows * run.pitch,
            },
            "KERNEL_X": {"steps": run.kernel_x[0], "bytes": run.kernel_x[1], "chunks": run.chunks},
            "OUT": {"height": height, "width": width},
            "BLOCK": {"height": block[0], "width": block[1]},
            "TILES": {"count": run.tiles, "input_step": run.input_step, "pad_value": run.pad_value},
            "WEIGHTS": {
                "rows": run.weight_rows, "free": int(blob is not None), "pad": 0 if blob is None else blob.pad,
                "bias": int(drain.bias), "scale": int(scale),
            },
        }  # fmt: skip
        rows = run.rows_read(self.config)
        reads = ()
        if rows is not None:
            end = rows.base + (rows.height - 1) * rows.pitch + rows.length
            reads = (Span(SCRATCHPAD, rows.base, end),)
        action = Action(
            Unit.ARRAY, "RUN", registers,
            {"mode": int(run.mode), "maximum": int(run.maximum), "groups": run.groups},
            self._tag, reads=reads, blob=blob,
            rows=_input_rows(run),
        )  # fmt: skip
        action.cycles = run.cycles(self.config, block)
        # Beside LOAD a quarter of the port is left for the weights of the next steps.
        step = 4 * run.weight_rows * self.config.weight_row_bytes // self.config.bus_bytes
        action.eager, self._eager = self._eager and min(block[0], height) * width < step, False
        return action

    def _drain(self, array: ArrayRun, drain: Drain, block: tuple[int, int]) -> Action:
        height, width = array.size
        tiles, quant = array.tiles, drain.requantise
        per_channel = quant.multiplier.size > 1
        registers = {
            "TARGET": {"base": drain.base, "pitch": drain.pitch},
            "CHANNELS": {
                "pixel_pitch": drain.pixel_pitch, "tile": drain.tile, "last": drain.last, "tiles": tiles,
            },
            "OUT": {"height": height, "width": width},
            "BLOCK": {"height": block[0], "width": block[1]},
            "QUANT": {**quant_fields(quant), "bias": int(drain.bias), "scale": int(per_channel)},
        }  # fmt: skip
        if not per_channel:
            registers["SCALE"] = scale_fields((int(quant.multiplier[0]), int(quant.shift[0])))
        reads: list[Span] = []
        second = drain.second
        if second is None:
            registers["OPERAND_STEP"] = {"operation": int(Operation.NONE)}
        else:
            registers |= second_registers(second)
            count = drain.tile if second.tile_step else max(drain.tile, drain.last)
            last = drain.last if second.tile_step else count
            end = (height - 1) * second.pitch + (width - 1) * second.pixel_pitch
            end += max((tiles - 1) * second.tile_step + last, min(tiles - 1, 1) * drain.tile)
            reads.append(Span(SCRATCHPAD, second.base, second.base + end))
        if drain.table:
            reads.append(Span(LOOKUP, 0, 256))
        length = (width - 1) * drain.pixel_pitch + (tiles - 1) * drain.tile + drain.last
        end = drain.base + (height - 1) * drain.pitch + length
        action = Action(
            Unit.OUTPUT, "RUN", registers, {"kind": int(OutputKind.DRAIN), "table": int(drain.table)}, self._tag,
            reads=tuple(reads), writes=(Span(SCRATCHPAD, drain.base, end),),
            rows=Rows(drain.base, drain.pitch, height, length),
        )  # fmt: skip
        lanes = self.config.requant_lanes
        channels = (tiles - 1) * -(-drain.tile // lanes) + -(-drain.last // lanes)
        action.cycles = height * width * channels * (4 if second is not None else 1)
        return action

    def softmax(self, source: View, target: View) -> None:
        """Softmax over the channels of each row of a box, with the exponent table that is loaded."""
        box = source.box
        registers = {
            "OPERAND": {"base": source.base, "pitch": source.pitch},
            "TARGET": {"base": target.base, "pitch": target.pitch},
            "OUT": {"height": box.height, "width": box.channels},
        }
        spans = [
            Span(SCRATCHPAD, view.base, view.base + (box.height - 1) * view.pitch + box.channels)
            for view in (source, target)
        ]
        action = Action(
            Unit.OUTPUT, "RUN", registers, {"kind": int(OutputKind.SOFTMAX), "table": 0}, self._tag,
            reads=(spans[0], Span(EXPONENT, 0, 1024)), writes=(spans[1],),
            rows=Rows(target.base, target.pitch, box.height, box.channels),
        )  # fmt: skip
        action.cycles = 3 * box.height * box.channels
        self.cost.output += action.cycles
        self.cost.estimate += action.cycles
        self.actions.append(action)

    def table(self, kind: TableKind, content: npt.NDArray[np.uint8], key: Hashable, most: int = 4) -> None:
        """Have the output stage hold a table: ``content`` is its 256 or 1024 bytes, equal keys mean equal tables.

        At most ``most`` of the parts that are not there yet are loaded, 256 bytes each.
        """
        width = self.config.weight_row_bytes
        space = LOOKUP if kind == TableKind.LOOKUP else EXPONENT
        missing = [part for part in range(len(content) // 256) if self._tables.get((int(kind), part)) != key]
        for part in missing[:most]:
            self._tables[int(kind), part] = key
            start, end = 256 * part, 256 * part + 256
            blob = self.store.blob(("table", key, part), lambda: content[start:end].reshape(-1, width))  # noqa: B023
            self.actions.append(
                Action(
                    Unit.ARRAY, "TABLE", {}, {"kind": int(kind), "part": part}, self._tag,
                    writes=(Span(space, start, end),), blob=blob,
                )
            )  # fmt: skip

    # Transfers ------------------------------------------------------------------------------------------------------

    def load(self, home: tuple[int, int], image: Image, box: Box, view: View) -> None:
        """Bring ``box`` of a dense tensor at ``home`` (region, offset) to where ``view`` says."""
        count = len(self.actions)
        self._transfer(Unit.LOAD, home, image, box, view)
        if len(self.actions) == count + 1:
            length = (box.width - 1) * view.pixel_pitch + box.channels
            self._arriving = self.actions[-1]
            self._arriving.rows = Rows(view.address(box.y0, box.x0, box.c0), view.pitch, box.height, length)

    def save(self, home: tuple[int, int], image: Image, box: Box, view: View) -> None:
        """Store ``box`` from ``view`` into the dense tensor at ``home``."""
        for c0, c1 in view.ranges(box.c0, box.c1):
            self._transfer(Unit.STORE, home, image, dataclasses.replace(box, c0=c0, c1=c1), view)

    def _transfer(self, unit: Unit, home: tuple[int, int], image: Image, box: Box, view: View) -> None:
        line = image.width * image.channels
        start = home[1] + (box.y0 * image.width + box.x0) * image.channels + box.c0
        address = view.address(box.y0, box.x0, box.c0)
        lines = 1
        if box.channels == image.channels and view.pixel_pitch == box.channels:
            length = box.width * box.channels
            rows, planes = (1, 0, 0), (box.height, line, view.pitch)
            if length == line and (view.pitch == line or box.height == 1):
                lines = box.height if unit == Unit.STORE else self._lines(start, line, box.height)
                length, planes = length * lines, (box.height // lines, lines * line, lines * view.pitch)
        else:
            length = box.channels
            rows, planes = (box.width, image.channels, view.pixel_pitch), (box.height, line, view.pitch)
        for plane in range(0, planes[0], _MOST_ROWS):
            for row in range(0, rows[0], _MOST_ROWS):
                part_rows = (min(_MOST_ROWS, rows[0] - row), *rows[1:])
                part_planes = (min(_MOST_ROWS, planes[0] - plane), *planes[1:])
                memory = start + plane * planes[1] + row * rows[1]
                scratchpad = address + plane * planes[2] + row * rows[2]
                self._transfer_part(unit, home[0], memory, scratchpad, length, part_rows, part_planes, lines)

    def _lines(self, start: int, line: int, height: int) -> int:
        """How many lines of contiguous bytes are loaded together: few, so that work begins early, but so many that the
        port's words which two parts share cost no more than a few percent."""
        bus = self.config.bus_bytes
        for lines in range(1, height):
            length = lines * line
            if height % lines == 0 and length >= _LEAST_PLANE:
                words = sum(
                    (offset + length - 1) // bus - offset // bus + 1
                    for offset in range(start, start + height * line, length)
                )
                if words * bus <= _MOST_SHARED * height * line:
                    return lines
        return height

    def _transfer_part(
        self, unit: Unit, region: int, memory: int, scratchpad: int, length: int,
        rows: tuple[int, int, int], planes: tuple[int, int, int], lines: int,
    ) -> None:  # fmt: skip
        registers = {
            "MEMORY": {"region": region, "offset": memory},
            "SCRATCHPAD": {"address": scratchpad},
            "ROWS": {"bytes": length, "count": rows[0]},
            "ROW_PITCH": {"memory": rows[1], "scratchpad": rows[2]},
            "PLANES": {"count": planes[0]},
            "PLANE_PITCH": {"memory": planes[1], "scratchpad": planes[2]},
        }
        spans = [
            Span(space, start, start + (rows[0] - 1) * rows[side] + (planes[0] - 1) * planes[side] + length)
            for space, start, side in ((region, memory, 1), (SCRATCHPAD, scratchpad, 2))
        ]
        source, target = spans if unit == Unit.LOAD else spans[::-1]
        fields = {"lines": min(lines, _MOST_LINES)} if unit == Unit.LOAD else {}
        self.actions.append(Action(unit, "RUN", registers, fields, self._tag, reads=(source,), writes=(target,)))
        self.cost.transfer_bytes += length * rows[0] * planes[0]


def _input_rows(run: ArrayRun) -> Rows:
    """The rows of bytes that a run may read."""
    return Rows(run.base, run.pitch, run.window[0], run.window[1] + (run.tiles - 1) * run.input_step)
