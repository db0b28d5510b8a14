"""From a block and a configuration to Verilog and a description of its ports, kept in the cache."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tensaw.harness.cache import cached, digest
from tensaw.harness.sources import generator_digest
from tensaw.spec.config import NpuConfig
from tensaw.verify.blocks import Block

__all__ = ["Elaborated", "elaborate"]

_OWN = ("blocks.py", "elaborate.py", "ports.py")


@dataclass(frozen=True)
class Elaborated:
    """Verilog text whose top module is the block's, its ports (see tensaw.verify.ports) and constants."""

    verilog: str
    ports: list[dict[str, Any]]
    constants: dict[str, int]


def elaborate(block: Block, config: NpuConfig) -> Elaborated:
    """The block for a configuration, from the cache or made now."""
    key = digest({
        "block": block.name,
        "config": json.dumps(config.to_dict(), sort_keys=True),
        "generator": generator_digest(),
        **{name: (Path(__file__).parent / name).read_text() for name in _OWN},
    })  # fmt: skip

    def build(directory: Path) -> None:
        from tensaw.rtl.export import block_verilog  # imports Amaranth
        from tensaw.verify.ports import describe_ports

        kind, arguments = block.load(), block.arguments(config)
        component = kind(*arguments)
        about = {"ports": describe_ports(component), "constants": dict(block.constants(kind, config))}
        (directory / "block.v").write_text(block_verilog(block.module, component, arguments, config, checks=True))
        (directory / "about.json").write_text(json.dumps(about))

    entry = cached("block", key, build)
    about = json.loads((entry / "about.json").read_text())
    return Elaborated((entry / "block.v").read_text(), about["ports"], about["constants"])
