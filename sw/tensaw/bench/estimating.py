"""The cycle model's answer in the form of a run, so that tables, report and trace are drawn from either."""

from __future__ import annotations

from tensaw.harness import MemoryTiming
from tensaw.harness.profile import ArrayState, Profile
from tensaw.model.timing import estimate
from tensaw.runtime.layers import attribute
from tensaw.runtime.session import RunResult
from tensaw.spec.program import Program

__all__ = ["estimate_run"]

_COUNTERS = {
    "array_busy": (ArrayState.BUSY,),
    "wait_weights": (ArrayState.WAIT_WEIGHTS,),
    "wait_input": (ArrayState.WAIT_INPUT, ArrayState.WAIT_TOKENS),
    "wait_follow": (ArrayState.WAIT_FOLLOW,),
    "wait_accumulators": (ArrayState.WAIT_ACCUMULATORS,),
}


def estimate_run(program: Program, read_latency: int = 32, write_latency: int = 8) -> RunResult:
    """Cycles, counters, layers and events of a program by the cycle model; no outputs, since there is no data.

    Latencies of the memory in cycles, as in tensaw.harness.MemoryTiming. Raises InputError for latencies out of range
    and for a program that would not come to its end.
    """
    MemoryTiming(read_latency, write_latency)
    found = estimate(program, read_latency, write_latency)
    profile = found.profile
    counters = {"cycles": found.cycles}
    for name, states in _COUNTERS.items():
        counters[name] = sum(cycles for (_, state), cycles in profile.states.items() if state in states)
    counters["output_busy"] = _busy(profile, "output")
    counters |= {"bytes_read": found.bytes_read, "bytes_written": found.bytes_written}
    return RunResult(
        outputs={},
        cycles=found.cycles,
        counters=counters,
        layers=attribute(program, profile, 0, found.cycles),
        events=profile.events,
    )


def _busy(profile: Profile, unit: str) -> int:
    return sum(event.end - event.start for event in profile.events if event.unit == unit)
