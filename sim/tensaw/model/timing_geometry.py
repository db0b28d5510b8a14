"""The loops of an ARRAY run as far as its timing needs them."""

from __future__ import annotations

from tensaw.model.timing_program import Action
from tensaw.spec.config import NpuConfig
from tensaw.spec.isa import Mode

__all__ = ["Geometry"]


class Geometry:
    """What of a run's registers decides its timing."""

    def __init__(self, action: Action, config: NpuConfig) -> None:
        mode, out, block = Mode(action.fields["mode"]), action["OUT"], action["BLOCK"]
        kernel_y, kernel_x, step = action["KERNEL_Y"], action["KERNEL_X"], action["STEP"]
        self.pool = mode == Mode.POOL
        self.weights = action["WEIGHTS"]
        self.streamed = self.weights["bias"] or self.weights["scale"]
        self.rows = self.weights["rows"]
        self.free = bool(self.weights["free"])
        self.tiles = action["TILES"]["count"]
        self.window = action["WINDOW"]["height"]
        self.spacing = step["decimation"]
        self.row_step = step["row"]
        # A DEPTHWISE sum is complete `taps` positions after its first, a PAIRS sum with the next position.
        by_channel = mode in (Mode.DEPTHWISE, Mode.PAIRS)
        drain = {Mode.DEPTHWISE: config.taps - 1, Mode.PAIRS: 1}.get(mode, 0)
        tail = max(drain, self.spacing - 1)
        self.joined = int(step["join"] and mode == Mode.DEPTHWISE and config.taps == 3 and self.spacing <= 2)
        """Positions by which a row is shorter that another one of its block follows."""
        reach = (action.fields["groups"] - 1) * kernel_y["group_rows"] if by_channel else 0
        self.reach = reach
        """Input rows from a position's first row to the lowest that it needs."""
        self.lead = max(self.row_step, kernel_y["rows"])
        """Input rows by which the next output row or kernel step can begin further down."""
        self.blocks: list[tuple[int, int, int, int, int]] = []
        """Height and width, cycles of a row (the last one takes ``joined`` more), and its first row and byte in the row
        in the first step."""
        y = action["ORIGIN"]["y"]
        for height in _parts(out["height"], block["height"]):
            x = action["ORIGIN"]["x"]
            for width in _parts(out["width"], block["width"]):
                length = (width - 1) * self.spacing + 1 + tail - self.joined if tail else width
                self.blocks.append((height, width, length, y, x))
                x += width * self.spacing * step["position"]
            y += height * self.row_step
        self.steps = [
            (y * kernel_y["rows"], x * kernel_x["bytes"] + chunk * self.rows)
            for y in range(kernel_y["steps"])
            for x in range(kernel_x["steps"])
            for chunk in range(kernel_x["chunks"])
        ]
        """Input rows, and bytes in the row, from the first kernel step to each."""
        self.base, self.pitch = action["INPUT"]["base"], action["INPUT"]["pitch"]
        self.input_step = action["TILES"]["input_step"]
        self.position = step["position"]
        self.groups = action.fields["groups"] if by_channel else 0
        self.second = step["position"] // 2 if mode == Mode.PAIRS else 0
        self.group_pitch = kernel_y["group_pitch"]
        self.size = config.columns if self.pool else self.rows


def _parts(total: int, part: int) -> list[int]:
    """Sizes of the pieces when ``total`` is cut."""
    return [min(part, total - start) for start in range(0, total, part)]
