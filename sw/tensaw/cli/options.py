"""Options that several commands have, and what they mean."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from tensaw.spec.errors import ConfigError, InputError

if TYPE_CHECKING:
    from tensaw.spec.config import NpuConfig

__all__ = [
    "DEFAULT_CONFIG", "add_compiler", "add_config", "add_json", "add_latencies", "add_model", "add_simulation",
    "config_from", "cycle_range", "json_file", "waves_from",
]  # fmt: skip

DEFAULT_CONFIG = "base"


def add_model(parser: argparse.ArgumentParser) -> None:
    """The positional MODEL."""
    parser.add_argument("model", metavar="MODEL", type=Path, help="the network: an int8 .tflite or .onnx file")


def add_config(parser: argparse.ArgumentParser) -> None:
    """``--config``, ``--set``, ``--bus-bytes``: read with :func:`config_from`."""
    group = parser.add_argument_group("configuration")
    group.add_argument(
        "--config",
        metavar="NAME|FILE.toml",
        default=DEFAULT_CONFIG,
        help="a preset (nano, small, base, large) or a TOML file; default: base, or that of the board",
    )
    group.add_argument(
        "--set",
        metavar="FIELD=VALUE",
        action="append",
        default=[],
        help="change one field of it, such as rows=12; may be repeated; `tensaw info --config base` lists the fields",
    )
    group.add_argument("--bus-bytes", type=int, metavar="N", help="the same as --set bus_bytes=N: 8 or 16")


def config_from(arguments: argparse.Namespace) -> NpuConfig:
    """The configuration that the options describe. Raises ConfigError."""
    from tensaw.spec.config import load_config

    config = load_config(arguments.config)
    changes: dict[str, int | str] = {}
    for setting in arguments.set:
        field, equals, value = setting.partition("=")
        if not equals or not field:
            raise ConfigError(f"--set {setting!r} is not of the form FIELD=VALUE, such as --set rows=12.")
        changes[field.strip()] = _value(value.strip())
    if arguments.bus_bytes is not None:
        if changes.get("bus_bytes", arguments.bus_bytes) != arguments.bus_bytes:
            raise ConfigError(
                f"--bus-bytes {arguments.bus_bytes} contradicts --set bus_bytes={changes['bus_bytes']}; give one."
            )
        changes["bus_bytes"] = arguments.bus_bytes
    changed = {field: value for field, value in changes.items() if getattr(config, field, None) != value}
    if not changed:
        return config
    return config.replace(**{"name": "custom", **changed})


def _value(text: str) -> int | str:
    try:
        return int(text, 0)
    except ValueError:
        return text


def add_compiler(parser: argparse.ArgumentParser) -> None:
    """``--keep-channels``."""
    parser.add_argument(
        "--keep-channels",
        action="store_true",
        help="compute channels, too, whose values are known beforehand or wanted by nothing; default: leave them out",
    )


def add_simulation(parser: argparse.ArgumentParser) -> None:
    """``--sim``, ``--read-latency``, ``--stalls``, ``--seed``, ``--waves``, ``--wave-cycles``."""
    group = parser.add_argument_group("simulation")
    group.add_argument(
        "--sim",
        choices=("verilator", "icarus", "golden"),
        default="verilator",
        help="what executes the program: the RTL in Verilator (default) or Icarus, or the golden model, without cycles",
    )
    group.add_argument(
        "--read-latency",
        type=int,
        default=32,
        metavar="N",
        help="cycles from a read's address to its first data in the simulated memory; default: 32",
    )
    group.add_argument(
        "--stalls",
        type=float,
        metavar="P",
        help="probability, 0 to 0.9, that the memory holds a channel back in a cycle; default: 0",
    )
    group.add_argument(
        "--seed", type=int, default=0, metavar="N", help="of the stalls and of random inputs; default: 0"
    )
    group.add_argument("--waves", type=Path, metavar="FILE", help="record waveforms of the first run: .vcd or .fst")
    group.add_argument(
        "--wave-cycles", metavar="FIRST:LAST", help="record these cycles only, counted from the start of the run"
    )


def add_latencies(parser: argparse.ArgumentParser) -> None:
    """``--read-latency`` and ``--write-latency`` of the memory."""
    group = parser.add_argument_group("memory")
    for direction, text, default in (
        ("read", "a read's address to its first data", 32),
        ("write", "a write's last data to its answer", 8),
    ):
        group.add_argument(
            f"--{direction}-latency",
            type=int,
            default=default,
            metavar="N",
            help=f"cycles from {text}; default: {default}",
        )


def cycle_range(text: str) -> tuple[int, int]:
    """``"1000:2000"`` as two numbers; either may be left out. Raises InputError."""
    first, colon, last = text.partition(":")
    try:
        if not colon:
            raise ValueError
        return int(first or 0), int(last) if last else 2**62
    except ValueError:
        raise InputError(f"--wave-cycles must be of the form FIRST:LAST, such as 1000:2000, not {text!r}.") from None


def waves_from(arguments: argparse.Namespace) -> tuple[Path, int, int] | None:
    """Waveform file, first and last cycle. Raises InputError."""
    if arguments.waves is None:
        if arguments.wave_cycles is not None:
            raise InputError("--wave-cycles says which part of the waveforms to record; give their file with --waves.")
        return None
    return (arguments.waves, *cycle_range(arguments.wave_cycles or ":"))


def add_json(parser: argparse.ArgumentParser) -> None:
    """``--json``: read with :func:`json_file`, written with tensaw.cli.terminal.emit_json."""
    parser.add_argument("--json", metavar="FILE", help="write the result as JSON to a file, or to stdout with '-'")


def json_file(arguments: argparse.Namespace) -> Path | None:
    """The file that ``--json`` names, if it names one."""
    return None if arguments.json in (None, "-") else Path(arguments.json)
