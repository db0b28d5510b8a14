"""The configuration of one NPU: everything that hardware, compiler and driver must agree on.

An :class:`NpuConfig` is immutable and always legal: every illegal value is refused by the constructor with a sentence
that names the field, the value and the range. TOML files hold the same field names; a file may start from a preset with
``preset = "base"``.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomlkit

from tensaw.spec.errors import ConfigError

__all__ = ["NpuConfig", "PRESETS", "load_config", "field_range", "FIELD_TEXTS"]


def _power_of_two_at_least(value: int) -> int:
    return 1 << (value - 1).bit_length()


# name: (smallest, largest, meaning). Rules between fields are in NpuConfig._check_relations.
_RANGES: dict[str, tuple[int, int, str]] = {
    "rows": (2, 64, "array rows: input bytes multiplied in a cycle by each column"),
    "columns": (2, 64, "array columns: output channels computed in parallel"),
    "column_group": (1, 64, "columns that share one activation register; fewer is faster on silicon, later by a cycle"),
    "scratchpad_bytes": (512, 4 << 20, "activation scratchpad, in four or eight banks"),
    "weight_bytes": (256, 4 << 20, "weight buffer, a ring between the weight DMA and the array"),
    "acc_entries": (
        8,
        8192,
        "accumulator entries (output positions), in two halves; each holds columns x 32 bit, twice",
    ),
    "bus_bytes": (8, 16, "bytes a cycle of the AXI4 memory port, 8 or 16"),
    "address_width": (16, 48, "address bits of the AXI4 memory port"),
    "requant_lanes": (1, 64, "output channels requantised in a cycle"),
    "depthwise_rows": (1, 3, "kernel rows that depthwise layers take in parallel, where the array has rows for them"),
    "queue_depth": (16, 1024, "command words that each unit's queue holds"),
    "burst_beats": (1, 256, "longest AXI4 burst, in beats; a power of two"),
    "outstanding_reads": (1, 64, "read bursts in flight"),
}

FIELD_TEXTS: dict[str, str] = {name: text for name, (_, _, text) in _RANGES.items()}


def field_range(name: str) -> tuple[int, int]:
    """Smallest and largest value of a numeric field. Relations between fields may narrow it."""
    low, high, _ = _RANGES[name]
    return low, high


@dataclass(frozen=True)
class NpuConfig:
    """One NPU. Sizes in bytes unless the name says otherwise; ranges and meanings in ``docs/configuration.md``."""

    name: str = "custom"
    rows: int = 16
    columns: int = 16
    column_group: int = 8
    scratchpad_bytes: int = 128 << 10
    weight_bytes: int = 96 << 10
    acc_entries: int = 512
    bus_bytes: int = 8
    address_width: int = 32
    requant_lanes: int = 16
    depthwise_rows: int = 3
    queue_depth: int = 64
    burst_beats: int = 16
    outstanding_reads: int = 8

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not (self.name.isascii() and self.name.isidentifier()):
            raise ConfigError(
                "name must be a word of ASCII letters, digits and underscores that begins with a letter or underscore, "
                f"not {self.name!r}."
            )
        for field, (low, high, _) in _RANGES.items():
            value = getattr(self, field)
            if isinstance(value, bool) or not isinstance(value, int):
                raise ConfigError(f"{field} must be a whole number between {low} and {high}, not {value!r}.")
            if not low <= value <= high:
                raise ConfigError(f"{field} must be between {low} and {high}, not {value}.")
        self._check_relations()

    def _check_relations(self) -> None:
        def require(condition: bool, field: str, rule: str) -> None:
            if not condition:
                raise ConfigError(f"{field} must be {rule}, not {getattr(self, field)}.")

        require(self.bus_bytes in (8, 16), "bus_bytes", "8 or 16 (a 64 or 128 bit bus)")
        require(self.burst_beats & (self.burst_beats - 1) == 0, "burst_beats", "a power of two")
        require(self.requant_lanes <= self.columns, "requant_lanes", f"at most columns ({self.columns})")
        step = self.scratchpad_step
        require(
            self.scratchpad_bytes % step == 0,
            "scratchpad_bytes",
            f"a multiple of {step} ({self.banks} banks of {self.word_bytes}-byte words)",
        )
        least = 32 * self.word_bytes
        require(self.scratchpad_bytes >= least, "scratchpad_bytes", f"at least {least}")
        unit = self.weight_word_bytes
        require(self.weight_bytes % unit == 0, "weight_bytes", f"a multiple of {unit} (a weight-buffer word)")
        least = 2 * (self.rows + 9) * self.weight_row_bytes + 2 * self.burst_beats * self.bus_bytes
        require(
            self.weight_bytes >= least,
            "weight_bytes",
            f"at least {least} (two weight tiles with their channel parameters, and two bursts)",
        )
        require(self.acc_entries % 4 == 0, "acc_entries", "a multiple of 4 (two halves, each of an even number)")

    # Derived sizes -------------------------------------------------------------------------------------------------

    @property
    def word_bytes(self) -> int:
        """Bytes of a scratchpad word: a power of two that holds a row vector, a column vector and a bus beat."""
        return _power_of_two_at_least(max(self.rows, self.columns, self.bus_bytes))

    @property
    def scratchpad_step(self) -> int:
        """Bytes of a word in every bank: ``scratchpad_bytes`` is a multiple of it."""
        return self.banks * self.word_bytes

    @property
    def banks(self) -> int:
        """Scratchpad banks, interleaved by word: word address w lies in bank ``w % banks``. Eight where the array takes
        three kernel rows at once, so that it can take two pixels of each (PAIRS mode); else four."""
        return 8 if self.groups == 3 else 4

    @property
    def address_bits(self) -> int:
        """Bits that address every byte of the scratchpad; addresses are computed modulo two to this power."""
        return (self.scratchpad_bytes - 1).bit_length()

    @property
    def weight_row_bytes(self) -> int:
        """Bytes of one weight row (one weight for each column) in memory and in the weight buffer: a power of two, at
        least 4. Columns beyond ``columns`` are ignored."""
        return _power_of_two_at_least(max(self.columns, 4))

    @property
    def weight_word_bytes(self) -> int:
        """Bytes of a word of the weight buffer's memory."""
        return max(self.weight_row_bytes, self.bus_bytes)

    @property
    def weight_rows(self) -> int:
        """Weight rows that the weight buffer holds."""
        return self.weight_bytes // self.weight_row_bytes

    @property
    def kept_rows(self) -> int:
        """Weight rows that one run may keep in the buffer: all but those of a burst, which is fetched as a whole."""
        return (self.weight_bytes - (self.burst_beats - 1) * self.bus_bytes) // self.weight_row_bytes

    @property
    def acc_half(self) -> int:
        """Accumulator entries that one block of output positions may use."""
        return self.acc_entries // 2

    @property
    def taps(self) -> int:
        """Kernel columns (x) that the array takes in DEPTHWISE mode in one step: 3, or 2 with two rows."""
        return min(3, self.rows)

    @property
    def groups(self) -> int:
        """Kernel rows (y) that the array takes in parallel in DEPTHWISE mode: up to ``depthwise_rows``."""
        return min(self.depthwise_rows, self.rows // self.taps)

    @property
    def macs_per_cycle(self) -> int:
        """Multiplications of the whole array in a cycle."""
        return self.rows * self.columns

    @property
    def digest(self) -> int:
        """32 bits that differ between configurations which cannot run each other's programs. Name and requantise lanes
        do not count: a program is the same, and so are its results, with any number of lanes. Of
        ``depthwise_rows`` counts what the array has rows for."""
        values = {key: value for key, value in self.to_dict().items() if key not in ("name", "requant_lanes")}
        values["depthwise_rows"] = self.groups
        return int.from_bytes(hashlib.sha256(json.dumps(values, sort_keys=True).encode()).digest()[:4], "little")

    # In and out ----------------------------------------------------------------------------------------------------

    def to_dict(self) -> dict[str, Any]:
        """All fields by name."""
        return dataclasses.asdict(self)

    def replace(self, **changes: Any) -> NpuConfig:
        """A copy with some fields changed. Raises ConfigError for unknown fields and illegal values."""
        return NpuConfig.from_dict({**self.to_dict(), **changes})

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> NpuConfig:
        """From field names and values; ``preset`` names the values to start from. Raises ConfigError."""
        settings = dict(values)
        preset = settings.pop("preset", None)
        known = [field.name for field in dataclasses.fields(cls)]
        for key in settings:
            if key not in known:
                raise ConfigError(
                    f"There is no configuration field {key!r}; the fields are preset, {', '.join(known)}."
                )
        if preset is not None:
            if not isinstance(preset, str) or preset not in PRESETS:
                raise ConfigError(f"preset must be one of {', '.join(PRESETS)}, not {preset!r}.")
            settings = {**PRESETS[preset].to_dict(), "name": "custom", **settings}
        return cls(**settings)

    @classmethod
    def from_toml(cls, path: Path | str) -> NpuConfig:
        """Read a TOML file. Raises ConfigError if it cannot be read, is no TOML, or holds an illegal value."""
        try:
            text = Path(path).read_bytes().decode("utf-8")
        except OSError as error:
            raise ConfigError(
                f"The configuration {str(path)!r} is neither a preset ({', '.join(PRESETS)}) nor a file that can be "
                f"read: {error.strerror or error}."
            ) from None
        except UnicodeDecodeError:
            raise ConfigError(f"The configuration file {str(path)!r} is not TOML: it is not UTF-8 text.") from None
        try:
            values = tomllib.loads(text)
        except (ValueError, RecursionError) as error:  # ValueError: also numbers of thousands of digits
            raise ConfigError(f"The configuration file {str(path)!r} is not TOML: {error}.") from None
        try:
            return cls.from_dict(values)
        except ConfigError as error:
            raise ConfigError(f"In the configuration file {str(path)!r}: {error}") from None

    def to_toml(self) -> str:
        """TOML text that :meth:`from_toml` reads back, each field with its meaning."""
        document = tomlkit.document()
        for key, value in self.to_dict().items():
            item = tomlkit.item(value)
            if key in FIELD_TEXTS:
                item.comment(FIELD_TEXTS[key])
            document.add(key, item)
        return tomlkit.dumps(document)


PRESETS: dict[str, NpuConfig] = {
    config.name: config
    for config in (
        NpuConfig(
            name="nano",
            rows=4,
            columns=4,
            column_group=4,
            scratchpad_bytes=64 << 10,
            weight_bytes=8 << 10,
            acc_entries=128,
            requant_lanes=1,
            queue_depth=32,
            outstanding_reads=4,
        ),
        NpuConfig(
            name="small",
            rows=8,
            columns=8,
            scratchpad_bytes=96 << 10,
            weight_bytes=32 << 10,
            acc_entries=256,
            requant_lanes=8,
        ),
        NpuConfig(name="base"),
        NpuConfig(
            name="large",
            rows=32,
            columns=32,
            scratchpad_bytes=256 << 10,
            weight_bytes=192 << 10,
            acc_entries=512,
            bus_bytes=16,
            requant_lanes=32,
        ),
    )
}


def load_config(name_or_path: str | Path) -> NpuConfig:
    """A preset by name, or a TOML file by path. Raises ConfigError."""
    preset = PRESETS.get(str(name_or_path))
    return preset if preset is not None else NpuConfig.from_toml(name_or_path)
