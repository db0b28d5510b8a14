"""Which file case ``index`` of a seed is: a format, a whole file of it, and what is done to it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from random import Random

from tensaw.verify.fuzz.archive import damage_program
from tensaw.verify.fuzz.bytewise import damage_bytes
from tensaw.verify.fuzz.flatbuffer import damage_flatbuffer
from tensaw.verify.fuzz.protobuf import damage_protobuf
from tensaw.verify.fuzz.seeds import KINDS, seeds
from tensaw.verify.fuzz.texts import damage_toml

__all__ = ["DamagedFile"]

_BLIND = 0.3
"""Share of the files that are damaged without regard to their format."""

_COMMANDS = 100
"""Of so many files in a row, one of each format is given to a command."""


@dataclass(frozen=True)
class DamagedFile:
    """The same for the same ``seed`` and ``index``, on every machine; formats take turns."""

    seed: int
    index: int

    @property
    def kind(self) -> str:
        """Its format, one of :data:`tensaw.verify.fuzz.seeds.KINDS`."""
        return KINDS[self.index % len(KINDS)]

    @property
    def by_command(self) -> bool:
        """Whether a command of ``tensaw`` reads it, not the importer alone."""
        return self.index % _COMMANDS < len(KINDS)

    @cached_property
    def content(self) -> bytes:
        random = Random(f"{self.seed} {self.index}")
        whole = seeds(self.kind)
        data, other = random.choice(whole), random.choice(whole)
        blind = random.random()
        if blind < 0.01:
            return random.randbytes(random.choice((0, 1, 7, 8, 100, 5000)))
        if blind < _BLIND:
            return damage_bytes(random, data, other)
        if self.kind == "tflite":
            return damage_flatbuffer(random, data)
        if self.kind == "onnx":
            return damage_protobuf(random, data, other)
        return damage_toml(random, data) if self.kind == "toml" else damage_program(random, data)

    @property
    def command(self) -> str:
        """What repeats this case alone."""
        return f"python -m tensaw.verify.fuzz --seed {self.seed} --index {self.index}"
