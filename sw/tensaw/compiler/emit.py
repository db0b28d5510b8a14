"""From actions to command words: only registers that changed are written again."""

from __future__ import annotations

from tensaw.compiler.actions import Action
from tensaw.spec.config import NpuConfig
from tensaw.spec.isa import END_WORD, Unit, encode
from tensaw.spec.program import CONSTANTS

__all__ = ["emit_words", "keep_weights", "weight_bytes"]

_LONGEST_STREAM = (1 << 28) - 16
"""Bytes of one WEIGHT.RUN, a multiple of every bus width."""


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


def _stream(actions: list[Action]) -> list[list[tuple[int, int]]]:
    """For each action the weight streams (offset, bytes) that begin with its rows.

    A run that keeps its rows streams them in; the run that reads them again does not.
    """
    starts: list[list[tuple[int, int]]] = [[] for _ in actions]
    last: list[tuple[int, int]] | None = None
    kept = False
    for action, mine in zip(actions, starts, strict=True):
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


def emit_words(actions: list[Action], weights_offset: int) -> list[int]:
    """The command words, END included; the weight store lies at ``weights_offset`` of the constants.

    A weight stream starts right before the first action that takes its rows: what it waits for
    then stands earlier in the program.
    """
    starts = _stream(actions)
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
