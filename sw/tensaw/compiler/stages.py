"""What the back end works on: stages (operators that run together) and storages (tensors that share their bytes)."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from tensaw.compiler.ir import Elementwise, Op
from tensaw.compiler.regions import Image

__all__ = ["Network", "Operand", "Second", "Stage", "Storage"]


@dataclass(frozen=True)
class Operand:
    """A tensor as one stage sees it: the bytes of ``storage`` as ``image``."""

    tensor: str
    storage: str
    image: Image


@dataclass(frozen=True)
class Second:
    """An elementwise operator carried out by the output stage; ``first`` is the input number that the stage's own
    result is, ``operand`` the other input."""

    op: Elementwise
    operand: Operand
    first: int


@dataclass(frozen=True)
class Stage:
    """One main operator with what the output stage adds to it: a second operand, then a table.

    ``table`` int8 (256,), entry ``v + 128`` for value ``v``. ``ops`` are the file's operators, the main one first.
    """

    op: Op
    inputs: tuple[Operand, ...]
    output: Operand
    second: Second | None
    table: npt.NDArray[np.int8] | None
    ops: tuple[Op, ...]

    @property
    def operands(self) -> tuple[Operand, ...]:
        """All tensors read, the second operand last."""
        return self.inputs if self.second is None else (*self.inputs, self.second.operand)


@dataclass
class Storage:
    """Bytes shared by a tensor and its reshaped aliases.

    ``home``: (region, offset) of the dense tensor in memory, if it has a place there. ``loaded``: the home holds the
    values from the start (inputs, constants). ``stored``: the values must reach the home (outputs, kept tensors).
    """

    name: str
    size: int
    images: set[Image] = field(default_factory=set)
    data: npt.NDArray[np.int8] | None = None
    home: tuple[int, int] | None = None
    loaded: bool = False
    stored: bool = False

    @property
    def dense(self) -> bool:
        """Seen under several shapes: its bytes must follow each other without gaps."""
        return len({(image.rows, image.width, image.channels) for image in self.images}) > 1


@dataclass
class Network:
    """Stages in the order of execution, storages by name, and the storage of every tensor."""

    stages: list[Stage]
    storages: dict[str, Storage]
    storage_of: dict[str, str]
