"""The memories of an NPU as a list of the macros that silicon needs."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping

from tensaw.rtl.export import TOP

__all__ = ["MACROS_FILE", "macros"]

MACROS_FILE = f"{TOP}_rams.json"
_MODULE = re.compile(r"^module (\w+) \(.*?^endmodule$", re.MULTILINE | re.DOTALL)
_INSTANCE = re.compile(r"^  (\w+) \w+ ?\($", re.MULTILINE)
_RAM = re.compile(r"tensaw_ram_(\d+)x(\d+)_(\d+)")


def macros(sources: Mapping[str, str]) -> str:
    """JSON, from the Verilog files (name to text): for each memory module its rows, its bits, how many bits are written
    together, its ports, how often it is in the NPU and its bits in all."""
    modules = {match[1]: match[0] for text in sources.values() for match in _MODULE.finditer(text)}
    inside = {name: Counter(_INSTANCE.findall(text)) for name, text in modules.items()}
    rams = []
    for name, count in sorted(_below(TOP, inside).items()):
        if match := _RAM.fullmatch(name):
            rows, bits, together = map(int, match.groups())
            rams.append(
                {
                    "module": name,
                    "rows": rows,
                    "bits": bits,
                    "write_lane_bits": together,
                    "ports": "one write, one synchronous read, one clock; no reset; bits that are read while they "
                    "are written may be anything, the others of the row may not",
                    "instances": count,
                    "total_bits": rows * bits * count,
                }
            )
    return json.dumps({"rams": rams, "total_bits": sum(ram["total_bits"] for ram in rams)}, indent=2) + "\n"


def _below(module: str, inside: Mapping[str, Counter[str]]) -> Counter[str]:
    """How often each module is in this one, at any depth."""
    total: Counter[str] = Counter()
    for name, count in inside[module].items():
        if name in inside:
            total[name] += count
            for below, times in _below(name, inside).items():
                total[below] += count * times
    return total
