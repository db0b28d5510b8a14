"""The cycle model: how long a program takes, without its data.

Every unit executes the program's command words as the hardware does, in time only, at the granularity of weight tiles
for the array, of output rows where layers follow each other and at the output stage, and of bursts at the memory port.
What it leaves out: conflicts at the scratchpad between second operands and the array's reads, and the values on which
softmax's normalisation depends. Its error against the RTL is in ``docs/timing_accuracy.md``.
"""

from __future__ import annotations

from dataclasses import dataclass

from tensaw.harness.profile import Profile
from tensaw.model.timing_array import ArrayUnit
from tensaw.model.timing_bus import ReadBus, Ring
from tensaw.model.timing_dma import LoadAsker, LoadUnit, StoreUnit, WeightAsker, WeightUnit
from tensaw.model.timing_kernel import Kernel
from tensaw.model.timing_link import Link
from tensaw.model.timing_output import OutputUnit
from tensaw.model.timing_program import Dispatcher, FetchAsker, Port, Tokens, plan_actions
from tensaw.model.timing_scratchpad import ArrayReads, OutputWrites
from tensaw.model.timing_trace import Trace
from tensaw.spec.errors import InputError
from tensaw.spec.isa import Unit, decode
from tensaw.spec.program import Program

__all__ = ["Estimate", "estimate"]

END = 10
"""Cycles from the last unit's being idle to the end of the run, the cycle of the start included."""


@dataclass(frozen=True)
class Estimate:
    """``cycles`` from the start bit to the interrupt; ``profile`` as a simulation records it, cycle 0 being the start;
    bytes over the memory port."""

    cycles: int
    profile: Profile
    bytes_read: int
    bytes_written: int


def estimate(program: Program, read_latency: int = 32, write_latency: int = 8) -> Estimate:
    """Time a program. Latencies of the memory as in tensaw.harness.MemoryTiming.

    Raises InputError for a program that would not come to its end.
    """
    config = program.config
    kernel, trace = Kernel(), Trace()
    reads = ArrayReads(config)
    ring, link, tokens = Ring(kernel, config), Link(kernel), Tokens(kernel)
    writes = OutputWrites(config)
    fetch, load = FetchAsker(kernel, config), LoadAsker(kernel, config, writes)
    weight = WeightAsker(kernel, config, ring)
    bus = ReadBus(kernel, config, read_latency, (fetch, load, weight))
    ports = {unit: Port(kernel, config.queue_depth) for unit in Unit if unit != Unit.CONTROL}
    plan = plan_actions(decode(int(word)) for word in program.words)
    dispatcher = Dispatcher(kernel, program, plan, bus, fetch, ports)
    WeightUnit(kernel, ports[Unit.WEIGHT], bus, weight, trace)
    LoadUnit(kernel, config, ports[Unit.LOAD], tokens, bus, load, link, trace)
    ArrayUnit(kernel, config, ports[Unit.ARRAY], tokens, bus, ring, link, reads, trace)
    output = OutputUnit(kernel, config, ports[Unit.OUTPUT], tokens, link, writes, trace)
    store = StoreUnit(kernel, config, ports[Unit.STORE], tokens, write_latency, reads, trace)
    kernel.run()
    stuck = [unit.name for unit, port in ports.items() if port.offer is not None or port.queue]
    if stuck or dispatcher.ended is None:
        raise InputError(
            f"The program {program.name!r} would not come to its end: {' and '.join(stuck) or 'its fetch'} would wait "
            "forever for what no other unit does. Compile the network again."
        )
    idle = max(output.close(), trace.end, trace.weight_end, dispatcher.ended, bus.idle)
    return Estimate(idle + END, trace.profile(), bus.beats * config.bus_bytes, store.beats * config.bus_bytes)
