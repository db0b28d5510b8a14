"""What a unit is doing, as the STALL registers show it."""

from amaranth.lib import data, enum

__all__ = ["UnitState", "stall_layout"]


class UnitState(enum.Enum, shape=4):  # type: ignore[call-arg]
    """The ``state`` field of the STALL registers; what each means is said in tensaw.spec.registers."""

    IDLE = 0
    RUNNING = 1
    TOKENS = 2
    WEIGHTS = 3
    FOLLOW = 4
    ACCUMULATORS = 5
    BUS = 6
    ROOM = 7
    RESULTS = 8


def stall_layout() -> data.StructLayout:
    """One STALL register, bit 0 first."""
    return data.StructLayout({"state": UnitState, "wait": 4, "queued": 8, "tag": 16})
