"""The AXI4-Lite port in front of the registers."""

from __future__ import annotations

from typing import Any

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from tensaw.rtl.bus.axi4 import OKAY, SLVERR, Axi4LiteSignature
from tensaw.rtl.checks import check

__all__ = ["READ_CYCLES", "AxiLitePort"]

READ_CYCLES = 4
"""Cycles from ``read_enable`` to ``read_data``."""


class AxiLitePort(wiring.Component):
    """AXI4-Lite subordinate that turns accesses into single-cycle reads and writes of 32-bit words.

    Parameters
    ----------
    address_bits : int
        Bits of a byte address; the lowest two are ignored.

    Members
    -------
    axi : In(Axi4LiteSignature(address_bits))
        ``awprot`` and ``arprot`` are ignored.
    write_enable : Out(1), write_address : Out(address_bits - 2), write_data : Out(32), write_strobe : Out(4)
        One cycle for each write; ``write_address`` counts words, strobe bit i covers byte i.
    write_error : In(1)
        In the cycle of ``write_enable``: answer SLVERR.
    read_enable : Out(1), read_address : Out(address_bits - 2)
        One cycle for each read.
    read_data : In(32)
        :data:`READ_CYCLES` after ``read_enable``. Reads always answer OKAY.

    Timing
    ------
    Address and data of a write may come in any order. A write is answered three cycles after the later was taken,
    a read six cycles after its address; one access of each kind at a time. All AXI outputs come from registers.
    """

    axi: Any
    write_enable: Signal
    write_address: Signal
    write_data: Signal
    write_strobe: Signal
    write_error: Signal
    read_enable: Signal
    read_address: Signal
    read_data: Signal

    def __init__(self, address_bits: int) -> None:
        super().__init__(
            {
                "axi": In(Axi4LiteSignature(address_bits)),
                "write_enable": Out(1),
                "write_address": Out(address_bits - 2),
                "write_data": Out(32),
                "write_strobe": Out(4),
                "write_error": In(1),
                "read_enable": Out(1),
                "read_address": Out(address_bits - 2),
                "read_data": In(32),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        axi = self.axi

        # Ready signals are registers of their own, 0 in reset.
        address_ready = Signal()
        data_ready = Signal()
        have_address = Signal()
        have_data = Signal()
        answering = Signal()
        response = Signal(2)
        writing = Signal()
        m.d.comb += [
            axi.awready.eq(address_ready),
            axi.wready.eq(data_ready),
            axi.bvalid.eq(answering),
            axi.bresp.eq(response),
            self.write_enable.eq(writing),
        ]
        m.d.sync += writing.eq(have_address & have_data & ~answering & ~writing)
        m.d.sync += [address_ready.eq(~have_address & ~answering), data_ready.eq(~have_data & ~answering)]
        with m.If(axi.awvalid & address_ready):
            m.d.sync += [have_address.eq(1), address_ready.eq(0), self.write_address.eq(axi.awaddr[2:])]
        with m.If(axi.wvalid & data_ready):
            m.d.sync += [
                have_data.eq(1),
                data_ready.eq(0),
                self.write_data.eq(axi.wdata),
                self.write_strobe.eq(axi.wstrb),
            ]
        with m.If(self.write_enable):
            m.d.sync += [
                have_address.eq(0),
                have_data.eq(0),
                address_ready.eq(0),
                data_ready.eq(0),
                answering.eq(1),
                response.eq(Mux(self.write_error, SLVERR, OKAY)),
            ]
        with m.If(answering & axi.bready):
            m.d.sync += answering.eq(0)

        read_ready = Signal()
        asked = Signal()
        waiting = Signal(READ_CYCLES)  # one bit, which moves up
        showing = Signal()
        word = Signal(32)
        m.d.comb += [
            axi.arready.eq(read_ready),
            axi.rvalid.eq(showing),
            axi.rdata.eq(word),
            axi.rresp.eq(OKAY),
            self.read_enable.eq(asked),
        ]
        m.d.sync += [
            read_ready.eq(~(asked | waiting.any() | showing)),
            asked.eq(axi.arvalid & read_ready),
            waiting.eq(Cat(asked, waiting)),
        ]
        with m.If(axi.arvalid & read_ready):
            m.d.sync += [read_ready.eq(0), self.read_address.eq(axi.araddr[2:])]
        with m.If(waiting[-1]):
            m.d.sync += [word.eq(self.read_data), showing.eq(1)]
        with m.Elif(axi.rready):
            m.d.sync += showing.eq(0)

        one_write = ~answering | ~(have_address | have_data | address_ready | data_ready)
        check(m, platform, one_write, "one_write", "a write is taken before the last one was answered")
        one_read = read_ready + asked + waiting.any() + showing <= 1
        check(m, platform, one_read, "one_read", "a read is taken before the last one was answered")
        return m
