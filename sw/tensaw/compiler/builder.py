"""Collects the actions of a program: array and output runs in pairs, transfers, tables, with tags and layers."""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from tensaw.compiler.actions import EXPONENT, LOOKUP, SCRATCHPAD, Action, Rows, Span
from tensaw.compiler.ir import Requantise, Rounding
from tensaw.compiler.regions import Box, Image, View
from tensaw.compiler.weights import Blob, WeightStore, ring_rows
from tensaw.spec.config import NpuConfig
from tensaw.spec.isa import Mode, Operation, OutputKind, TableKind, Unit
from tensaw.spec.program import Tag

__all__ = ["ArrayRun", "Builder", "Drain", "IDENTITY", "SecondOperand", "block_shape"]

IDENTITY = Requantise(np.array([1 << 30]), np.array([1]), 0, -128, 127, Rounding.SINGLE)
"""Requantisation that changes nothing but clamps to int8."""

_MOST_TAGS = 1 << 16
_MOST_ROWS = (1 << 16) - 1


def block_shape(height: int, width: int, entries: int) -> tuple[int, int]:
    """Rows and columns of a block of at most ``entries`` positions: whole rows where possible, balanced."""
    if width <= entries:
        blocks = -(-height // (entries // width))
        return -(-height // blocks), width
    return 1, -(-width // -(-width // entries))


@dataclass(frozen=True)
class ArrayRun:
    """Registers of an ARRAY.RUN, see tensaw.spec.isa; ``rows`` and ``position`` in the units of that table."""

    mode: Mode
    base: int
    pitch: int
    window: tuple[int, int]
    """Rows, and bytes of a row, that exist."""
    origin: tuple[int, int]
    """Row, and byte in the row, of the first position at the first kernel step."""
    step: tuple[int, int]
    """Rows from output row to output row; bytes from streamed position to position."""
    size: tuple[int, int]
    """Output rows and columns."""
    decimation: int = 1
    kernel_y: tuple[int, int] = (1, 0)
    """Steps, and rows from step to step."""
    kernel_x: tuple[int, int] = (1, 0)
    """Steps, and bytes from step to step."""
    chunks: int = 1
    group_rows: int = 0
    groups: int = 0
    tiles: int = 1
    input_step: int = 0
    pad_value: int = 0
    weight_rows: int = 0
    maximum: bool = False

    @property
    def steps(self) -> int:
        return self.kernel_y[0] * self.kernel_x[0] * self.chunks

    def streamed(self, height: int, width: int, taps: int) -> int:
        """Positions streamed for a block of one kernel step."""
        if self.mode == Mode.DEPTHWISE:
            return height * ((width - 1) * self.decimation + max(taps, self.decimation))
        return height * width

    def part(self, y: int, x: int, height: int, width: int) -> ArrayRun:
        """The run for a part of the output positions."""
        origin = self.origin[0] + y * self.step[0], self.origin[1] + x * self.decimation * self.step[1]
        return dataclasses.replace(self, origin=origin, size=(height, width))


@dataclass(frozen=True)
class SecondOperand:
    """Registers of the output stage's second operand."""

    base: int
    pitch: int
    pixel_pitch: int
    tile_step: int
    operation: Operation
    zero_points: tuple[int, int]
    scales: tuple[tuple[int, int], tuple[int, int]]
    reverse: bool
    requantise: Requantise


@dataclass(frozen=True)
class Drain:
    """Registers of an OUTPUT.RUN that empties the accumulators."""

    base: int
    pitch: int
    pixel_pitch: int
    tile: int
    last: int
    requantise: Requantise
    """Per tensor (one multiplier), or per channel, then streamed."""
    bias: bool = False
    second: SecondOperand | None = None
    table: bool = False

    def part(self, y: int, x: int) -> Drain:
        second = self.second
        if second is not None:
            base = second.base + y * second.pitch + x * second.pixel_pitch
            second = dataclasses.replace(second, base=base)
        return dataclasses.replace(self, base=self.base + y * self.pitch + x * self.pixel_pitch, second=second)


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
        self._tables: dict[int, Hashable] = {}

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
        block = block_shape(height, width, self.config.acc_half)
        kept = array.steps * array.weight_rows
        if block != array.size and kept > ring_rows(self.config):
            for y in range(0, height, block[0]):
                for x in range(0, width, block[1]):
                    part = array.part(y, x, min(block[0], height - y), min(block[1], width - x))
                    self._pair(part, drain.part(y, x), blob, block)
        else:
            self._pair(array, drain, blob, block)

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
            "STEP": {"position": run.step[1], "row": run.step[0], "decimation": run.decimation},
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
        rows = self._read_rows(run)
        reads = ()
        if rows is not None:
            end = rows.base + (rows.height - 1) * rows.pitch + rows.length
            reads = (Span(SCRATCHPAD, rows.base, end),)
        action = Action(
            Unit.ARRAY, "RUN", registers,
            {"mode": int(run.mode), "maximum": int(run.maximum), "groups": run.groups},
            self._tag, reads=reads, blob=blob,
            rows=Rows(run.base, run.pitch, run.window[0], run.window[1] + (run.tiles - 1) * run.input_step),
        )  # fmt: skip
        action.cycles = self._array_cycles(run, block)
        return action

    def _read_rows(self, run: ArrayRun) -> Rows | None:
        """The rows of bytes inside the window that the run may touch; None if there are none."""
        config = self.config
        height, width = run.size
        lanes = run.weight_rows if run.mode == Mode.CONV else config.columns
        last_y = (height - 1) * run.step[0] + (run.kernel_y[0] - 1) * run.kernel_y[1]
        last_y += (max(run.groups, 1) - 1) * run.group_rows
        positions = (width - 1) * run.decimation + (config.taps - 1 if run.mode == Mode.DEPTHWISE else 0)
        last_x = positions * run.step[1] + (run.kernel_x[0] - 1) * run.kernel_x[1]
        last_x += (run.chunks - 1) * run.weight_rows + lanes
        y0, y1 = max(run.origin[0], 0), min(run.origin[0] + last_y + 1, run.window[0])
        x0, x1 = max(run.origin[1], 0), min(run.origin[1] + last_x, run.window[1])
        if y0 >= y1 or x0 >= x1:
            return None
        length = x1 - x0 + (run.tiles - 1) * run.input_step
        return Rows(run.base + y0 * run.pitch + x0, run.pitch, y1 - y0, length)

    def _array_cycles(self, run: ArrayRun, block: tuple[int, int]) -> int:
        """Cycles of the run if weights and inputs are always there: each kernel step takes its positions, but at least
        as long as the next step's weight rows need to shift in."""
        height, width = run.size
        cycles = 0
        for block_height, many_y in _extents(height, block[0]):
            for block_width, many_x in _extents(width, block[1]):
                streamed = run.streamed(block_height, block_width, self.config.taps)
                cycles += many_y * many_x * max(streamed, run.weight_rows)
        return cycles * run.steps * run.tiles

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
            "QUANT": {**_quant(quant), "bias": int(drain.bias), "scale": int(per_channel)},
        }  # fmt: skip
        if not per_channel:
            registers["SCALE"] = _scale((int(quant.multiplier[0]), int(quant.shift[0])))
        reads: list[Span] = []
        second = drain.second
        if second is None:
            registers["OPERAND_STEP"] = {"operation": int(Operation.NONE)}
        else:
            registers |= _second_registers(second)
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

    def softmax(self, source: View, target: View, table: npt.NDArray[np.int32], key: Hashable) -> None:
        """Softmax over the channels of each row of a box."""
        self.table(TableKind.EXPONENT, table.astype("<i4").view(np.uint8), key)
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

    def table(self, kind: TableKind, content: npt.NDArray[np.uint8], key: Hashable) -> None:
        """Have the output stage hold a table: ``content`` is its 256 or 1024 bytes, equal keys mean equal tables."""
        if self._tables.get(int(kind)) == key:
            return
        self._tables[int(kind)] = key
        width = self.config.weight_row_bytes
        blob = self.store.blob(("table", key), lambda: content.reshape(-1, width))
        space = LOOKUP if kind == TableKind.LOOKUP else EXPONENT
        self.actions.append(
            Action(
                Unit.ARRAY, "TABLE", {}, {"kind": int(kind)}, self._tag,
                writes=(Span(space, 0, len(content)),), blob=blob,
            )
        )  # fmt: skip

    # Transfers ------------------------------------------------------------------------------------------------------

    def load(self, home: tuple[int, int], image: Image, box: Box, view: View) -> None:
        """Bring ``box`` of a dense tensor at ``home`` (region, offset) to where ``view`` says."""
        self._transfer(Unit.LOAD, home, image, box, view)

    def save(self, home: tuple[int, int], image: Image, box: Box, view: View) -> None:
        """Store ``box`` from ``view`` into the dense tensor at ``home``."""
        self._transfer(Unit.STORE, home, image, box, view)

    def _transfer(self, unit: Unit, home: tuple[int, int], image: Image, box: Box, view: View) -> None:
        line = image.width * image.channels
        start = home[1] + (box.y0 * image.width + box.x0) * image.channels + box.c0
        address = view.address(box.y0, box.x0, box.c0)
        if box.channels == image.channels and view.pixel_pitch == box.channels:
            length = box.width * box.channels
            if length == line and (view.pitch == line or box.height == 1):
                levels = (length * box.height, (1, 0, 0), (1, 0, 0))
            else:
                levels = (length, (box.height, line, view.pitch), (1, 0, 0))
        else:
            levels = (
                box.channels, (box.width, image.channels, view.pixel_pitch), (box.height, line, view.pitch),
            )  # fmt: skip
        length, rows, planes = levels
        for plane in range(0, planes[0], _MOST_ROWS):
            for row in range(0, rows[0], _MOST_ROWS):
                part_rows = (min(_MOST_ROWS, rows[0] - row), *rows[1:])
                part_planes = (min(_MOST_ROWS, planes[0] - plane), *planes[1:])
                memory = start + plane * planes[1] + row * rows[1]
                scratchpad = address + plane * planes[2] + row * rows[2]
                self._transfer_part(unit, home[0], memory, scratchpad, length, part_rows, part_planes)

    def _transfer_part(
        self, unit: Unit, region: int, memory: int, scratchpad: int, length: int,
        rows: tuple[int, int, int], planes: tuple[int, int, int],
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
        self.actions.append(Action(unit, "RUN", registers, {}, self._tag, reads=(source,), writes=(target,)))
        self.cost.transfer_bytes += length * rows[0] * planes[0]


def _extents(total: int, block: int) -> list[tuple[int, int]]:
    """Sizes of the parts when ``total`` is cut into blocks, each with how often it occurs."""
    whole, rest = divmod(total, block)
    return [(block, whole)] * (whole > 0) + [(rest, 1)] * (rest > 0)


def _quant(quant: Requantise) -> dict[str, int]:
    return {
        "zero_point": quant.zero_point, "low": quant.low, "high": quant.high, "rounding": int(quant.rounding),
    }  # fmt: skip


def _scale(scale: tuple[int, int]) -> dict[str, int]:
    return {"multiplier": int(scale[0]), "shift": int(scale[1])}


def _second_registers(second: SecondOperand) -> dict[str, dict[str, int]]:
    registers = {
        "OPERAND": {"base": second.base, "pitch": second.pitch},
        "OPERAND_STEP": {
            "pixel_pitch": second.pixel_pitch, "tile_step": second.tile_step, "zero_a": second.zero_points[0],
            "zero_b": second.zero_points[1], "operation": int(second.operation), "reverse": int(second.reverse),
        },
        "SCALE_OUT": _scale((int(second.requantise.multiplier[0]), int(second.requantise.shift[0]))),
        "QUANT_OUT": _quant(second.requantise),
    }  # fmt: skip
    if second.operation != Operation.MUL:
        registers |= {"SCALE_A": _scale(second.scales[0]), "SCALE_B": _scale(second.scales[1])}
    return registers
