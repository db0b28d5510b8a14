"""All proofs, by name."""

from __future__ import annotations

from tensaw.formal import (  # noqa: F401
    array_accumulators,
    bus_axi_lite,
    bus_burst_splitter,
    bus_read_manager,
    bus_skid_buffer,
    bus_write_manager,
    control_command,
    control_command_queue,
    control_run_control,
    control_sequencer,
    control_tokens,
    dma_data,
    dma_rows,
    dma_transfer,
    dma_weight,
    memory_scratchpad,
    memory_weight_ring,
    output_fetch,
    queue,
)
from tensaw.formal.bench import PROOFS

__all__ = ["PROOFS"]
