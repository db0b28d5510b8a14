"""What a board is: pins, clock, memory, and what of it has been tried. No hardware here, and no Amaranth."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tensaw.boards.pll import Ecp5Pll, GowinPll, Ice40Pll, Xilinx7Pll, ecp5_pll, gowin_pll, ice40_pll, xilinx7_pll
from tensaw.boards.sdram.chip import Capture, Pads, SdramChip, best_capture
from tensaw.spec.config import NpuConfig
from tensaw.spec.errors import InputError

__all__ = ["BlockRam", "Board", "Port", "Sdram", "SinglePort", "Family"]

Family = Literal["ecp5", "ice40", "gowin", "xilinx7"]


@dataclass(frozen=True)
class BlockRam:
    """Memory of the FPGA's block RAM, a multiple of 4096 bytes. With the serial core at most 64 KiB; its scratchpad is
    block RAM, too."""

    size: int


@dataclass(frozen=True)
class SinglePort:
    """The four single-port blocks of an iCE40UP5K. With the serial core two of them are its scratchpad."""

    size: int = 131_072


@dataclass(frozen=True)
class Sdram:
    """An SDRAM chip on the board (or in the FPGA's package)."""

    chip: SdramChip
    pads: Pads

    @property
    def size(self) -> int:
        """Bytes."""
        return self.chip.size


@dataclass(frozen=True)
class Port:
    """A port of the top module that leaves the chip. ``vector``: its bits are named ``name[0]``, ``name[1]``, ..."""

    name: str
    direction: Literal["input", "output", "inout"]
    width: int = 1
    vector: bool = False

    def bits(self) -> list[str]:
        """Names of its bits as constraints call them."""
        return [f"{self.name}[{bit}]" for bit in range(self.width)] if self.vector else [self.name]


@dataclass(frozen=True)
class Board:
    """One board.

    ``name`` is what commands call it, at most 16 characters. ``part`` is the device as its maker calls it, ``nextpnr``
    the options that choose it, ``pack`` those of the tool that writes the bitstream. ``clock_port`` is the pin of the
    oscillator, of ``oscillator`` hertz. ``clocks`` gives, for arrays of up to so many multipliers, the clock of NPU,
    memory and link that is aimed at. ``lights`` of the ``lights_low`` kind shine when low.

    ``resources`` are what the device has, under the names of a build's report. ``constraints`` is the name of a file in
    the folder ``constraints``. ``core`` says which implementation of the NPU it holds: that of tensaw.rtl, or that of
    tensaw.serial, which runs the same programs, slowly. ``resting`` is an SDRAM that nothing uses: it is deselected and
    its pins keep their levels. ``requant_lanes``: a preset has no more of them here, since each takes four multipliers;
    its programs and results stay the same. ``depthwise_rows`` gives, for arrays of up to so many multipliers, how many
    kernel rows a preset takes in parallel here at most, since any scratchpad bank can be each row's, which takes many
    wires; empty: as many as the preset does. With fewer it has its own programs. ``paired_products``: neighbouring
    columns share multipliers where there are too few, which takes fewer LUTs and more wires
    (:mod:`tensaw.rtl.array.pair`).
    ``platform`` names the class of amaranth-boards whose pins it must agree with, and ``platform_pins`` which of its
    resources are which ports; None where there is none, and then ``pin_source`` says where the pins come from.
    ``configuration`` is the preset (or the file beside this one) that is meant for it.
    """

    name: str
    title: str
    family: Family
    part: str
    nextpnr: tuple[str, ...]
    pack: tuple[str, ...]
    clock_port: str
    oscillator: int
    clocks: tuple[tuple[int, int], ...]
    baud: int
    memory: BlockRam | SinglePort | Sdram
    lights: int
    lights_low: bool
    resources: Mapping[str, int]
    constraints: str
    configuration: str
    program: str
    buffer_bytes: int = 2048
    payload_bytes: int = 1024
    requant_lanes: int | None = None
    depthwise_rows: tuple[tuple[int, int], ...] = ()
    paired_products: bool = False
    core: Literal["parallel", "serial"] = "parallel"
    resting: SdramChip | None = None
    platform: str | None = None
    platform_pins: Mapping[str, str] = field(default_factory=dict)
    pin_source: str = ""
    remarks: tuple[str, ...] = ()

    def clock_for(self, config: NpuConfig) -> int:
        """The clock that is aimed at for a configuration, in hertz."""
        return _for_size(self.clocks, config)

    def fitted(self, config: NpuConfig, chosen: Collection[str] = ()) -> NpuConfig:
        """A configuration with no more requantise lanes, and no more kernel rows in parallel, than presets have on this
        board. Fields that are ``chosen`` stay as they are."""
        lanes, rows = self.requant_lanes, _for_size(self.depthwise_rows, config) if self.depthwise_rows else None
        if "requant_lanes" not in chosen and lanes is not None and config.requant_lanes > lanes:
            config = config.replace(requant_lanes=lanes)
        if "depthwise_rows" not in chosen and rows is not None and config.groups > rows:
            config = config.replace(depthwise_rows=rows)
        return config

    def pll(self, clock: int) -> Ecp5Pll | GowinPll | Ice40Pll | Xilinx7Pll:
        """Settings for a clock of at most ``clock`` hertz. Raises InputError."""
        if self.family == "ecp5":
            return ecp5_pll(self.oscillator, clock, self.capture(clock).phase)
        if self.family == "gowin":
            return gowin_pll(self.oscillator, clock, self.capture(clock).phase)
        return (ice40_pll if self.family == "ice40" else xilinx7_pll)(self.oscillator, clock)

    def capture(self, clock: int) -> Capture:
        """How the memory's data are taken; nothing for memories on the chip."""
        if isinstance(self.memory, Sdram):
            return best_capture(self.memory.chip, self.memory.pads, clock)
        return Capture(0, 0, 0.0)

    def check(self, config: NpuConfig, clock: int) -> None:
        """Refuse what this board cannot carry whatever the tools make of it. Raises InputError."""
        if isinstance(self.memory, SinglePort) and config.bus_bytes != 8:
            raise InputError(
                f"The memory of {self.name} is 8 bytes wide, but bus_bytes of the configuration {config.name!r} is "
                f"{config.bus_bytes}: set bus_bytes=8."
            )
        if self.core == "serial":
            self._check_serial(config)
        if self.memory.size > 1 << config.address_width:
            raise InputError(
                f"The memory of {self.name} has {self.memory.size:,} bytes, but address_width {config.address_width} "
                f"of the configuration {config.name!r} reaches only {1 << config.address_width:,}: raise address_width."
            )
        if config.address_width > 32:
            raise InputError(
                f"The host link addresses 32 bits, but address_width of the configuration {config.name!r} is "
                f"{config.address_width}: set address_width=32."
            )
        if clock < 6 * self.baud:
            raise InputError(
                f"The host link of {self.name} runs at {self.baud:,} baud, which needs a clock of at least "
                f"{6 * self.baud / 1e6:g} MHz, not {clock / 1e6:g} MHz: raise --clock or lower --baud."
            )
        if isinstance(self.memory, Sdram) and self.capture(clock).margin <= 0:
            raise InputError(
                f"At {clock / 1e6:g} MHz there is no moment at which the data of {self.name}'s SDRAM are stable for "
                "sure: choose a lower --clock."
            )

    def _check_serial(self, config: NpuConfig) -> None:
        """What the serial core is made for."""
        for name, most in (("columns", 4), ("rows", 8), ("scratchpad_bytes", 65_536)):
            value = getattr(config, name)
            if value > most:
                raise InputError(
                    f"{self.name} has the serial core, whose {name} is at most {most:,}, but {name} of the "
                    f"configuration {config.name!r} is {value:,}: set {name}={most}."
                )

    def ports(self) -> list[Port]:
        """All ports of the top module."""
        ports = [
            Port(self.clock_port, "input"),
            Port("uart_rx", "input"),
            Port("uart_tx", "output"),
            Port("led", "output", self.lights, vector=True),
        ]
        chip = self.memory.chip if isinstance(self.memory, Sdram) else self.resting
        if chip is not None:
            ports += [Port(f"sdram_{name}", "output") for name in ("clk", "cke", "cs_n", "ras_n", "cas_n", "we_n")]
            ports += [
                Port("sdram_ba", "output", chip.bank_bits, vector=True),
                Port("sdram_a", "output", max(chip.row_bits, 11), vector=True),
                Port("sdram_dqm", "output", chip.data_bits // 8, vector=True),
                Port("sdram_dq", "inout", chip.data_bits, vector=True),
            ]
        return ports

    def configuration_source(self) -> str:
        """What tensaw.spec.config.load_config takes for the configuration that is meant for the board."""
        path = Path(__file__).resolve().parent / "definitions" / self.configuration
        return str(path) if path.suffix == ".toml" else self.configuration

    def constraints_path(self) -> Path:
        """The constraints file: beside the package where that is installed, in the repository otherwise."""
        here = Path(__file__).resolve().parent
        for folder in (here / "constraints", here.parents[2] / "constraints"):
            if (folder / self.constraints).is_file():
                return folder / self.constraints
        raise InputError(
            f"The constraints file {self.constraints!r} of {self.name} is missing: install tensaw again, or work in a "
            "clone of its repository."
        )


def _for_size(values: Sequence[tuple[int, int]], config: NpuConfig) -> int:
    """Of pairs of a number of multipliers and a value, the value of the first with as many as the array has, or of the
    last."""
    return next((value for multipliers, value in values if config.macs_per_cycle <= multipliers), values[-1][1])
