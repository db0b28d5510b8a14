"""From actions to command words: only registers that changed are written again."""

from __future__ import annotations

from dataclasses import dataclass

from tensaw.compiler.actions import Action, Span
from tensaw.spec.config import NpuConfig
from tensaw.spec.isa import END_WORD, Turn, Unit, encode
from tensaw.spec.program import CONSTANTS

__all__ = ["emit_words", "keep_weights", "weight_bytes"]

_LONGEST_STREAM = (1 << 28) - 16
"""Bytes of one WEIGHT.RUN, a multiple of every bus width."""
_LARGEST_BEAT = 16
"""Bytes of a beat of the widest bus."""
_FIRST_BYTES = 640
"""Of a first tile whose weights all go before the input, unless blocks are so small that later steps' are urgent."""


def keep_weights(actions: list[Action], config: NpuConfig) -> None:
    """Clear ``free`` of ARRAY runs whose weights the next run of the array that takes weights reads again, if the ring
    can hold them all."""
    takers = [action for action in actions if action.blob is not None]
    for action, following in zip(takers, takers[1:], strict=False):
        blob = action.blob
        if action.name == "RUN" and following.name == "RUN" and blob is following.blob and blob is not None:
            if blob.rows <= config.kept_rows and _shape(action) == _shape(following):
                action.registers["WEIGHTS"] = {**action.registers["WEIGHTS"], "free": 0}


def _shape(action: Action) -> tuple[int, int]:
    weights = action.registers["WEIGHTS"]
    return weights["rows"], action.registers["TILES"]["count"]


def _turns(actions: list[Action], config: NpuConfig) -> list[Turn]:
    """For each action when its weights go before what LOAD reads at the same time.

    While the array waits for the first input anyway, weights of later layers stay away from the bus: the ring would
    take as many as it holds. Where more is loaded later, neither may be late.
    """
    turns = [Turn.SHARED] * len(actions)
    begin = next((number for number, action in enumerate(actions) if action.partner is not None), 0)
    loads = [number for number, action in enumerate(actions) if action.unit == Unit.LOAD]
    end = next((number for number in loads if number > begin), len(actions))
    ahead = 0
    for number in range(_last_reader(actions[:end]) + 1, end):
        blob = actions[number].blob
        if blob is not None and ahead < config.weight_bytes:
            ahead += 0 if _keeps(actions[number]) else blob.size
            turns[number] = Turn.LAST
    return turns


def _last_reader(actions: list[Action]) -> int:
    """Number of the last ARRAY run that reads what LOAD has brought; that of the last action if there is none."""
    loaded: list[Span] = []
    result = len(actions) - 1
    for number, action in enumerate(actions):
        if action.unit == Unit.LOAD:
            loaded += action.writes
        elif action.unit == Unit.ARRAY and any(read.overlaps(span) for read in action.reads for span in loaded):
            result = number
        elif action.unit == Unit.OUTPUT:
            loaded = [span for span in loaded if not any(write.overlaps(span) for write in action.writes)]
    return result


@dataclass
class _Stream:
    """Bytes of the weight store that one WEIGHT.RUN appends to the ring."""

    offset: int
    size: int
    turn: Turn

    def add(self, offset: int, size: int, turn: Turn) -> int:
        """Take in what it can of further bytes, if they follow; how many that are."""
        if offset != self.offset + self.size or turn != self.turn:
            return 0
        part = min(size, _LONGEST_STREAM - self.size)
        self.size += part
        return part


def _stream(actions: list[Action], turns: list[Turn], config: NpuConfig) -> list[list[_Stream]]:
    """For each action the weight streams that begin with its rows.

    A run that keeps its rows streams them in; the run that reads them again does not.
    """
    starts: list[list[_Stream]] = [[] for _ in actions]
    last: _Stream | None = None
    kept = False
    fresh = True
    for action, turn, mine in zip(actions, turns, starts, strict=True):
        blob = action.blob
        if blob is None:
            continue
        again, kept = kept, _keeps(action)
        if again:
            continue
        parts = [(blob.offset, blob.size, turn)]
        if fresh:
            # The first rows of all come first: without them the array could not use its input.
            first = _first_bytes(action, config)
            parts = [(blob.offset, first, Turn.FIRST), (blob.offset + first, blob.size - first, turn)]
            fresh = action.name == "TABLE"
        for offset, size, when in parts:
            while size:
                part = 0 if last is None else last.add(offset, size, when)
                if not part:
                    part = min(size, _LONGEST_STREAM)
                    last = _Stream(offset, part, when)
                    mine.append(last)
                offset, size = offset + part, size - part
    return starts


def _first_bytes(action: Action, config: NpuConfig) -> int:
    """Bytes of weights without which the action cannot get far, a multiple of every bus width: the first tile if it is
    small or eager, or else its first step."""
    assert action.blob is not None
    size = action.blob.size
    if action.name == "RUN":
        weights, kernel_y, kernel_x = (action.registers[name] for name in ("WEIGHTS", "KERNEL_Y", "KERNEL_X"))
        side, rows = 4 * weights["bias"] + 5 * weights["scale"], weights["rows"]
        tile = side + rows * kernel_y["steps"] * kernel_x["steps"] * kernel_x["chunks"]
        if tile * config.weight_row_bytes > _FIRST_BYTES and not action.eager:
            tile = side + rows
        size = min(size, tile * config.weight_row_bytes)
    return size // _LARGEST_BEAT * _LARGEST_BEAT


def _keeps(action: Action) -> bool:
    return action.name == "RUN" and not action.registers["WEIGHTS"]["free"]


def weight_bytes(actions: list[Action]) -> int:
    """Bytes that the weight DMA reads for these actions."""
    return sum(action.blob.size for action in actions if action.blob is not None and not _keeps(action))


def emit_words(actions: list[Action], weights_offset: int, config: NpuConfig) -> list[int]:
    """The command words, END included; the weight store lies at ``weights_offset`` of the constants.

    A weight stream starts right before the first action that takes its rows: what it waits for then stands earlier in
    the program. The first one waits for nothing and starts at once.
    """
    starts = _stream(actions, _turns(actions, config), config)
    words: list[int] = []
    shadow: dict[tuple[Unit, str], dict[str, int]] = {}

    def set_register(unit: Unit, name: str, values: dict[str, int]) -> None:
        if shadow.get((unit, name)) != values:
            shadow[unit, name] = values
            words.append(encode(f"{unit.name}.{name}", **values))

    def start(stream: _Stream, tag: int) -> None:
        set_register(Unit.WEIGHT, "MEMORY", {"region": CONSTANTS, "offset": weights_offset + stream.offset})
        words.append(encode("WEIGHT.RUN", tag=tag, bytes=stream.size, turn=stream.turn))

    first = next((number for number, streams in enumerate(starts) if streams), -1)
    if first >= 0:
        start(starts[first].pop(0), actions[first].tag)
    for action, streams in zip(actions, starts, strict=True):
        for stream in streams:
            start(stream, action.tag)
        for name, values in action.registers.items():
            set_register(action.unit, name, values)
        words.append(
            encode(
                f"{action.unit.name}.{action.name}",
                tag=action.tag, wait=action.wait, signal=action.signal, **action.run,
            )
        )  # fmt: skip
    words.append(END_WORD)
    return words
