"""The configuration that most proofs are about: small, so that they are quick, and odd where odd is legal.

What depends on the width of data alone is the same for all widths: nothing looks at it.
"""

from __future__ import annotations

from tensaw.spec.config import NpuConfig

__all__ = ["CONFIG"]

CONFIG = NpuConfig(
    name="proof",
    rows=2,
    columns=3,
    column_group=2,
    scratchpad_bytes=768,
    weight_bytes=256,
    acc_entries=8,
    bus_bytes=8,
    address_width=16,
    requant_lanes=2,
    queue_depth=16,
    burst_beats=4,
    outstanding_reads=3,
)
