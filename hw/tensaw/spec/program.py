"""A compiled network: command words, constant data, where inputs and outputs lie, and what every tag means.

A program belongs to one configuration. It is saved as one file (a zip archive with ``program.json`` and
``constants.bin``; no pickled objects), whose bytes depend on the contents only.
"""

from __future__ import annotations

import dataclasses
import io
import json
import lzma
import math
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from tensaw.spec.config import NpuConfig
from tensaw.spec.errors import InputError, TensawError
from tensaw.spec.isa import REGIONS
from tensaw.spec.names import printable
from tensaw.spec.registers import VERSION

__all__ = ["Binding", "Layer", "Tag", "Program", "CONSTANTS", "INPUTS", "OUTPUTS", "SCRATCH"]

CONSTANTS, INPUTS, OUTPUTS, SCRATCH = range(4)
"""The compiler's use of the four memory regions."""


@dataclass(frozen=True)
class Binding:
    """Where a tensor lies in memory: dense int8, row-major, at ``offset`` of ``region``.

    ``shape`` is the array's shape in memory (NHWC or rows × features). ``name``, ``file_shape``, ``dtype`` and
    ``permutation`` are the model file's own (see tensaw.compiler.ir.Port): the host transposes and reshapes between
    them. ``scale`` and ``zero_point`` serve float32 ports and reports.
    """

    name: str
    tensor: str
    region: int
    offset: int
    shape: tuple[int, ...]
    file_shape: tuple[int, ...]
    dtype: str = "int8"
    permutation: tuple[int, ...] | None = None
    scale: float = 0.0
    zero_point: int = 0
    ties_to_even: bool = False


@dataclass(frozen=True)
class Layer:
    """One layer for reports: operators that run fused are one layer.

    ``limit`` is the fewest cycles in which the array could do the layer's tiles (weights and positions both counted),
    ``weight_bytes`` the bytes streamed for it.
    """

    name: str
    kind: str
    output: str
    macs: int = 0
    weight_bytes: int = 0
    limit: int = 0
    fused: tuple[str, ...] = ()


@dataclass(frozen=True)
class Tag:
    """What one tag stands for: layer index and a readable tile, such as ``rows 0..7, channels 16..31``."""

    layer: int
    tile: str


_Item = TypeVar("_Item", Binding, Layer, Tag)


def _all(kind: type) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, tuple) and all(type(item) is kind for item in value)


_KINDS: dict[str, Callable[[Any], bool]] = {
    "int": lambda value: type(value) is int,
    "float": lambda value: type(value) in (int, float),
    "str": lambda value: type(value) is str,
    "bool": lambda value: type(value) is bool,
    "tuple[int, ...]": _all(int),
    "tuple[str, ...]": _all(str),
    "tuple[int, ...] | None": lambda value: value is None or _all(int)(value),
}
"""What a file may hold where the dataclasses above have such a field."""


def _made(kind: type[_Item], values: dict[str, Any]) -> _Item:
    """An item with these values. Raises ValueError for one of another type, TypeError for unknown or missing ones."""
    item = kind(**values)
    for each in dataclasses.fields(kind):
        value = getattr(item, each.name)
        if not _KINDS[str(each.type)](value):
            raise ValueError(f"{each.name} of a {kind.__name__.lower()} is {printable(repr(value), 60)}")
    return item


@dataclass
class Program:
    """See the module's text. ``constants`` is region 0 whole, the command words included at ``program_offset``."""

    name: str
    config: NpuConfig
    constants: bytes
    program_offset: int
    program_bytes: int
    region_sizes: tuple[int, int, int, int]
    inputs: list[Binding] = field(default_factory=list)
    outputs: list[Binding] = field(default_factory=list)
    kept: list[Binding] = field(default_factory=list)
    """Intermediate tensors that a program compiled with ``keep_tensors`` also writes to memory."""
    layers: list[Layer] = field(default_factory=list)
    tags: list[Tag] = field(default_factory=list)
    """Indexed by the tag of a command."""
    notes: dict[str, Any] = field(default_factory=dict)
    """Further figures for reports (JSON values)."""

    @property
    def words(self) -> npt.NDArray[np.uint64]:
        """The command words."""
        return np.frombuffer(self.constants, "<u8", self.program_bytes // 8, self.program_offset)

    @property
    def macs(self) -> int:
        return sum(layer.macs for layer in self.layers)

    def to_bytes(self) -> bytes:
        """The file's bytes: the same for the same program. Not compressed: that would depend on the machine's zlib."""
        values = {
            key.name: getattr(self, key.name)
            for key in dataclasses.fields(self)
            if key.name not in ("constants", "config")
        }
        values = {
            key: [dataclasses.asdict(item) for item in value] if isinstance(value, list) else value
            for key, value in values.items()
        }
        header = {"format": VERSION, "config": self.config.to_dict(), **values}
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
            for name, content in (
                ("program.json", json.dumps(header, indent=1).encode()),
                ("constants.bin", self.constants),
            ):
                entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
                entry.create_system = 3  # Else it says which operating system wrote it.
                archive.writestr(entry, content)
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes, name: str = "program") -> Program:
        """Read what :meth:`to_bytes` wrote. Raises InputError if it is damaged or of another version."""

        def binding(values: dict[str, Any]) -> Binding:
            permutation = values["permutation"]
            changed = {
                "shape": tuple(values["shape"]),
                "file_shape": tuple(values["file_shape"]),
                "permutation": None if permutation is None else tuple(permutation),
            }
            return _made(Binding, {**values, **changed})

        try:
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
                    raise ValueError("it is compressed, and could become any size")
                header = json.loads(archive.read("program.json"))
                constants = archive.read("constants.bin")
            if header["format"] != VERSION:
                raise ValueError(f"its format is version {header['format']!r}, this is version {VERSION}")
            program = cls(
                name=str(header["name"]),
                config=NpuConfig.from_dict(header["config"]),
                constants=constants,
                program_offset=int(header["program_offset"]),
                program_bytes=int(header["program_bytes"]),
                region_sizes=tuple(int(size) for size in header["region_sizes"]),  # type: ignore[arg-type]
                inputs=[binding(item) for item in header["inputs"]],
                outputs=[binding(item) for item in header["outputs"]],
                kept=[binding(item) for item in header["kept"]],
                layers=[_made(Layer, {**item, "fused": tuple(item["fused"])}) for item in header["layers"]],
                tags=[_made(Tag, item) for item in header["tags"]],
                notes=dict(header["notes"]),
            )
            program._check()
            return program
        except KeyError as error:
            reason = f"{error} is missing"
        except TensawError as error:
            reason = str(error).rstrip(".")
        except (
            zipfile.BadZipFile,
            zlib.error,
            lzma.LZMAError,
            struct.error,
            ValueError,
            TypeError,
            AttributeError,
            ArithmeticError,
            NotImplementedError,
            EOFError,
            OSError,
            RuntimeError,
            MemoryError,
        ) as error:
            reason = str(error).rstrip(".") or type(error).__name__
        raise InputError(
            f"{name!r} is not a program that this version of tensaw can run: {reason}. Compile the network again."
        )

    def _check(self) -> None:
        """Raise ValueError where the parts contradict each other."""
        end = self.program_offset + self.program_bytes
        if self.program_offset % 16 or self.program_bytes % 16 or self.program_offset < 0 or self.program_bytes <= 0:
            raise ValueError("the place of its command words is not a multiple of 16")
        if len(self.region_sizes) != REGIONS or min(self.region_sizes) < 0:
            raise ValueError(f"it does not give {REGIONS} region sizes")
        if end > len(self.constants) or len(self.constants) > self.region_sizes[CONSTANTS]:
            raise ValueError("its command words or constants reach beyond their region")
        for binding in (*self.inputs, *self.outputs, *self.kept):
            size = math.prod(int(length) for length in binding.shape)
            if min(binding.shape, default=1) < 0 or not (
                0 <= binding.region < REGIONS
                and 0 <= binding.offset <= binding.offset + size <= self.region_sizes[binding.region]
            ):
                raise ValueError(f"the tensor {binding.tensor!r} lies outside its region")
        for tag in self.tags:
            if not 0 <= tag.layer < len(self.layers):
                raise ValueError(f"a tag names the layer {tag.layer}, which does not exist")

    @classmethod
    def load(cls, path: Path | str) -> Program:
        """Read a program file. Raises InputError."""
        try:
            content = Path(path).read_bytes()
        except OSError as error:
            raise InputError(f"The program {str(path)!r} cannot be read: {error.strerror or error}.") from None
        return cls.from_bytes(content, str(path))
