"""UART: bytes on a wire, eight data bits, no parity, one stop bit, at any rate up to a sixth of the clock."""

from __future__ import annotations

from typing import Any

from amaranth import Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["UartReceiver", "UartTransmitter", "phase_step"]

_PHASE_BITS = 16


def phase_step(clock: int, baud: int) -> int:
    """What is added in each cycle to a phase of 16 bits that runs over once a bit; ``clock`` and ``baud`` in hertz.

    Raises ValueError if a bit has fewer than six cycles.
    """
    if not 6 * baud <= clock:
        raise ValueError(f"A UART of {baud} baud needs a clock of at least {6 * baud} Hz, not {clock} Hz.")
    return round((baud << _PHASE_BITS) / clock)


class UartReceiver(wiring.Component):
    """From the wire to bytes.

    Parameters
    ----------
    clock, baud : int
        In hertz; see :func:`phase_step`.

    Members
    -------
    rx : In(1)
        The pin itself, asynchronous; idle is 1.
    byte : Out(8), valid : Out(1)
        A byte, in one cycle; there is no way to hold it back.
    error : Out(1)
        In one cycle: a byte without stop bit was dropped.

    Timing
    ------
    A bit is the majority of three cycles around its middle. ``valid`` comes in the middle of the stop bit, so the next
    start bit may follow at once, and the sender's rate may differ by 2 %. Reset: waits for a start bit.
    """

    rx: Signal
    byte: Signal
    valid: Signal
    error: Signal

    def __init__(self, clock: int, baud: int) -> None:
        self._step = phase_step(clock, baud)
        super().__init__({"rx": In(1), "byte": Out(8), "valid": Out(1), "error": Out(1)})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        # Two registers against metastability, the last three samples for the majority.
        history = Signal(5, init=0b11111)
        line = Signal()
        m.d.sync += history.eq(Cat(self.rx, history))
        a, b, c = history[2], history[3], history[4]
        m.d.comb += line.eq(a & b | a & c | b & c)

        phase = Signal(_PHASE_BITS)
        sample = Signal()
        bits = Signal(range(10))
        m.d.sync += Cat(phase, sample).eq(phase + self._step)
        m.d.sync += [self.valid.eq(0), self.error.eq(0)]
        with m.FSM():
            with m.State("IDLE"):
                # The first sample comes half a bit from here, in the middle of the start bit. Two steps are what
                # starting and, on average, rounding up take.
                m.d.sync += [phase.eq((1 << (_PHASE_BITS - 1)) + 2 * self._step), sample.eq(0), bits.eq(0)]
                with m.If(~line):
                    m.next = "BITS"
            with m.State("BITS"):
                with m.If(sample):
                    m.d.sync += bits.eq(bits + 1)
                    with m.If(bits == 0):
                        with m.If(line):
                            m.next = "IDLE"  # a spike
                    with m.Elif(bits < 9):
                        m.d.sync += self.byte.eq(Cat(self.byte[1:], line))
                    with m.Else():
                        m.d.sync += [self.valid.eq(line), self.error.eq(~line)]
                        m.next = "STOP"
                        with m.If(line):
                            m.next = "IDLE"
            with m.State("STOP"):
                with m.If(line):
                    m.next = "IDLE"
        return m


class UartTransmitter(wiring.Component):
    """From bytes to the wire.

    Parameters
    ----------
    clock, baud : int
        In hertz; see :func:`phase_step`.

    Members
    -------
    i : In(stream of 8 bits)
    tx : Out(1)
        The pin, from a register; idle is 1.

    Timing
    ------
    A byte takes ten bits of time, to within a cycle over any number of bytes that are offered without a gap. Reset:
    idle.
    """

    i: Any
    tx: Signal

    def __init__(self, clock: int, baud: int) -> None:
        self._step = phase_step(clock, baud)
        super().__init__({"i": In(stream.Signature(8)), "tx": Out(1, init=1)})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        phase = Signal(_PHASE_BITS)
        over = Signal()
        bits = Signal(range(11))
        rest = Signal(9, init=0x1FF)
        total = Signal(_PHASE_BITS + 1)
        m.d.comb += [total.eq(phase + self._step), over.eq(total[-1])]
        m.d.comb += self.i.ready.eq((bits == 0) | (bits == 1) & over)
        with m.If(bits != 0):
            # The phase runs on from byte to byte: what is left over is not lost.
            m.d.sync += phase.eq(total)
            with m.If(over):
                m.d.sync += [self.tx.eq(rest[0]), rest.eq(Cat(rest[1:], 1)), bits.eq(bits - 1)]
        with m.If(self.i.ready & self.i.valid):
            m.d.sync += [self.tx.eq(0), rest.eq(Cat(self.i.payload, 1)), bits.eq(10)]
        return m
