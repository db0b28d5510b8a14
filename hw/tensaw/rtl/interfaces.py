"""The signatures between blocks: who drives what, and when. Directions are those of the block that offers the port."""

from __future__ import annotations

from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.wiring import In, Out

from tensaw.spec.config import NpuConfig

__all__ = [
    "ARRAY_READ_LATENCY",
    "READ_LATENCY",
    "ArrayReadSignature",
    "ReadPortSignature",
    "WritePortSignature",
    "SideKind",
    "side_row_layout",
    "vector_layout",
    "ProgressSignature",
    "access_layout",
    "ReadRequestSignature",
    "BusErrorSignature",
    "ErrorSignature",
    "PEERS",
]

READ_LATENCY = 4
"""Cycles in which the scratchpad answers: a read requested in cycle t gives its bytes in cycle ``t + READ_LATENCY``."""
ARRAY_READ_LATENCY = READ_LATENCY + 1
"""The same for the array's own port."""
PEERS = 4
"""Units that exchange tokens, see tensaw.spec.isa.Peer."""


class ArrayReadSignature(wiring.Signature):
    """The array feeder's own read port of the scratchpad: whole words, never refused.

    Slots 0 to 2 are the words of a vector or of kernel rows, the ``groups`` behind them those rows' second pixels.

    Members
    -------
    enable : Out(3 + groups)
        Bit g reads word ``address[g]``.
    address : Out(3 + groups × word address)
        Word addresses. Enabled ones lie in different banks; where they do not, the lowest slot wins.
    data : In(3 + groups × word)
        The words, :data:`ARRAY_READ_LATENCY` cycles after their request.
    """

    def __init__(self, config: NpuConfig) -> None:
        bits = (config.scratchpad_bytes // config.word_bytes - 1).bit_length()
        slots = 3 + config.groups
        super().__init__(
            {
                "enable": Out(slots),
                "address": Out(data.ArrayLayout(bits, slots)),
                "data": In(data.ArrayLayout(config.word_bytes * 8, slots)),
            }
        )


class ReadPortSignature(wiring.Signature):
    """A shared read port of the scratchpad: so many bytes, at most a word, from any byte address.

    Parameters
    ----------
    size : int
        Bytes that a request asks for. The fewer, the fewer requests need two banks.

    Members
    -------
    valid, ready : Out(1), In(1)
        A request is taken in a cycle in which both are 1; requests of one port are answered in order.
    address : Out(24)
        Byte address of the first byte. Addresses wrap at the end of the scratchpad.
    data : In(8 × size)
        Byte i is the byte at ``address + i``, exactly :data:`READ_LATENCY` cycles after the request was taken.
    """

    def __init__(self, size: int) -> None:
        super().__init__(
            {
                "valid": Out(1),
                "ready": In(1),
                "address": Out(24),
                "data": In(8 * size),
            }
        )


class WritePortSignature(wiring.Signature):
    """A shared write port of the scratchpad: up to ``word_bytes`` bytes to any byte address.

    Members
    -------
    valid, ready : Out(1), In(1)
        A write is taken in a cycle in which both are 1. A read requested in a later cycle sees it.
    address : Out(24)
        Where byte 0 of ``data`` belongs. Addresses wrap at the end of the scratchpad.
    data : Out(word)
        Byte i goes to ``address + i``.
    mask : Out(2 × word_bytes - 1)
        Which bytes are written: bit j is byte j of byte 0's word or, from ``word_bytes`` on, of the word after it. Ones
        lie from byte 0's place on, before the end of ``data``.
    across : Out(1)
        A byte of the word after byte 0's is written.
    """

    def __init__(self, config: NpuConfig) -> None:
        super().__init__(
            {
                "valid": Out(1),
                "ready": In(1),
                "address": Out(24),
                "data": Out(config.word_bytes * 8),
                "mask": Out(2 * config.word_bytes - 1),
                "across": Out(1),
            }
        )


class SideKind(enum.Enum, shape=3):  # type: ignore[call-arg]
    """What a row of the weight stream that is no weight holds."""

    BIAS = 0
    MULTIPLIER = 1
    SHIFT = 2
    LOOKUP = 3
    EXPONENT = 4


def side_row_layout(config: NpuConfig) -> data.StructLayout:
    """A row from the weight buffer on its way to the output stage.

    ``index``: row number within its kind (BIAS and MULTIPLIER have 4 rows of little-endian int32, SHIFT one row of
    int8, LOOKUP 256 and EXPONENT 1024 bytes). ``last``: last row of the tile's parameters, or of a TABLE.
    """
    return data.StructLayout(
        {
            "kind": SideKind,
            "index": 9,
            "last": 1,
            "row": config.weight_row_bytes * 8,
        }
    )


def vector_layout(config: NpuConfig) -> data.ArrayLayout:
    """Finished accumulators of one output position: ``columns`` signed 32-bit values."""
    from amaranth import signed

    return data.ArrayLayout(signed(32), config.columns)


class ProgressSignature(wiring.Signature):
    """How far the output stage or the load DMA is, for runs that follow it row by row.

    Members
    -------
    completed : Out(8)
        Its runs finished since the start, modulo 256 (their bytes can be read by a request made in this cycle).
    last_tile : Out(1)
        The current run is in its last channel tile (LOAD's always is).
    rows : Out(16)
        Rows of the current run that are wholly written, in its last tile.
    """

    def __init__(self) -> None:
        super().__init__({"completed": Out(8), "last_tile": Out(1), "rows": Out(16)})


class BusErrorSignature(wiring.Signature):
    """An access that failed, told to the unit that asked for it (which adds its tag and reports it).

    Members
    -------
    valid : Out(1)
        One cycle or more.
    code : Out(8)
        tensaw.spec.registers.ErrorCode: READ_*, WRITE_* or OUTSIDE_REGION.
    address : Out(64)
        Bus address of the burst; for OUTSIDE_REGION of the access.
    """

    def __init__(self) -> None:
        super().__init__({"valid": Out(1), "code": Out(8), "address": Out(64)})


def access_layout() -> data.StructLayout:
    """A linear access: ``bytes`` (1 or more, any alignment) from ``offset`` in memory region ``region``.

    ``turn`` (tensaw.spec.isa.Turn) says when its bursts go before those of other askers; only WEIGHT's is looked at.
    """
    return data.StructLayout({"region": 3, "offset": 32, "bytes": 28, "turn": 2})


class ReadRequestSignature(wiring.Signature):
    """A linear read of memory, asked of the AXI read manager.

    Members
    -------
    request : Out(stream of access_layout())
        The next request may be made as soon as one is taken; data comes in the order of the requests.
    credit : Out(16)
        Bus beats that the asker has room for now. The manager itself subtracts what is on its way and issues a burst
        only if it fits. Must fall no later than in the cycle after a beat has been taken. (An asker that can always
        stall the bus briefly may drive its largest value.)
    data : In(stream of bus word)
        Whole bus beats covering the request, in order, the first beat holding the first byte at its bus lane.
    error : In(BusErrorSignature)
        A request of this asker failed; the data of a failed burst is undefined.
    """

    def __init__(self, config: NpuConfig) -> None:
        super().__init__(
            {
                "request": Out(stream.Signature(access_layout())),
                "credit": Out(16),
                "data": In(stream.Signature(config.bus_bytes * 8)),
                "error": In(BusErrorSignature()),
            }
        )


class ErrorSignature(wiring.Signature):
    """A unit's report of an error: ``valid`` for one cycle or more, with the cause.

    Members
    -------
    valid : Out(1)
    code : Out(8)
        tensaw.spec.registers.ErrorCode.
    tag : Out(16)
    address : Out(64)
        Bus address or command word.
    """

    def __init__(self) -> None:
        super().__init__({"valid": Out(1), "code": Out(8), "tag": Out(16), "address": Out(64)})
