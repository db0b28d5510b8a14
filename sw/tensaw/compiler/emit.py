"""From actions to command words: only registers that changed are written again."""

from __future__ import annotations

from tensaw.compiler.actions import Action
from tensaw.spec.config import NpuConfig
from tensaw.spec.isa import END_WORD, Unit, encode
from tensaw.spec.program import CONSTANTS

__all__ = ["emit_words", "keep_weights", "weight_bytes"]

_LONGEST_STREAM = (1 << 28) - 16
"""Bytes of one WEIGHT.RUN, a multiple of every bus width."""
_WORDS_OF_A_RUN = 4
"""Command words of an ARRAY run, about."""
_FIRST_LOADS = 8
"""LOAD runs that may belong to the first input."""


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


def _late_weights(actions: list[Action], config: NpuConfig) -> int:
    """Number of the action from which on weights are streamed apart, so that the first input has the bus for itself.

    Without it the weight DMA would fill the ring at once, with rows of layers far away. Dispatch gets to the second
    stream when the array's queue, full of the runs before it, has begun to move. Returns -1 if it is not worth it: the
    input is small, or what comes before the second stream is no less.
    """
    if not actions:
        return -1
    first_layer = [action for action in actions if action.unit == Unit.LOAD][:_FIRST_LOADS]
    loaded = sum(span.end - span.start for action in first_layer for span in action.reads)
    words = early = 0
    for number, action in enumerate(actions):
        if action.unit != Unit.ARRAY:
            continue
        if words > config.queue_depth and action.blob is not None and action.name == "RUN":
            return number if early < loaded else -1
        words += _WORDS_OF_A_RUN
        if action.blob is not None and not _keeps(action):
            early += action.blob.size
    return -1


def _stream(actions: list[Action], late: int) -> list[list[tuple[int, int]]]:
    """For each action the weight streams (offset, bytes) that begin with its rows.

    A run that keeps its rows streams them in; the run that reads them again does not.
    """
    starts: list[list[tuple[int, int]]] = [[] for _ in actions]
    last: list[tuple[int, int]] | None = None
    kept = False
    for number, (action, mine) in enumerate(zip(actions, starts, strict=True)):
        if number == late and not kept:
            last = None
        blob = action.blob
        if blob is None:
            continue
        again, kept = kept, _keeps(action)
        if again:
            continue
        offset, size = blob.offset, blob.size
        if last and sum(last[-1]) == offset:
            begin, length = last[-1]
            part = min(size, _LONGEST_STREAM - length)
            last[-1] = (begin, length + part)
            offset, size = offset + part, size - part
        while size:
            part = min(size, _LONGEST_STREAM)
            mine.append((offset, part))
            last = mine
            offset, size = offset + part, size - part
    return starts


def _keeps(action: Action) -> bool:
    return action.name == "RUN" and not action.registers["WEIGHTS"]["free"]


def weight_bytes(actions: list[Action]) -> int:
    """Bytes that the weight DMA reads for these actions."""
    return sum(action.blob.size for action in actions if action.blob is not None and not _keeps(action))


def emit_words(actions: list[Action], weights_offset: int, config: NpuConfig) -> list[int]:
    """The command words, END included; the weight store lies at ``weights_offset`` of the constants.

    A weight stream starts right before the first action that takes its rows: what it waits for
    then stands earlier in the program.
    """
    starts = _stream(actions, _late_weights(actions, config))
    words: list[int] = []
    shadow: dict[tuple[Unit, str], dict[str, int]] = {}

    def set_register(unit: Unit, name: str, values: dict[str, int]) -> None:
        if shadow.get((unit, name)) != values:
            shadow[unit, name] = values
            words.append(encode(f"{unit.name}.{name}", **values))

    for action, streams in zip(actions, starts, strict=True):
        for offset, size in streams:
            set_register(Unit.WEIGHT, "MEMORY", {"region": CONSTANTS, "offset": weights_offset + offset})
            words.append(encode("WEIGHT.RUN", tag=action.tag, bytes=size))
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
