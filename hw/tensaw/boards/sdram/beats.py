"""AXI4 bursts of both directions as one sequence of single words."""

from __future__ import annotations

from typing import Any

from amaranth import Module, Mux, Signal
from amaranth.lib import data, fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from tensaw.boards.memory.burst import hold_burst
from tensaw.rtl.bus.axi4 import DECERR, OKAY, Axi4ReadSignature, Axi4WriteSignature
from tensaw.rtl.bus.skid_buffer import SkidBuffer
from tensaw.spec.config import NpuConfig

__all__ = ["AxiBeats", "beat_layout", "tag_layout"]

_DEPTH = 16
"""Words that have been read and not been taken, or that are on their way."""


def tag_layout() -> data.StructLayout:
    """What a word that was read needs to become a beat."""
    return data.StructLayout({"last": 1, "identity": 1, "outside": 1})


def beat_layout(config: NpuConfig, size: int) -> data.StructLayout:
    """One word to read or write; ``word`` counts words of the bus, ``strobe`` is 0 for reads."""
    width = config.bus_bytes
    return data.StructLayout(
        {
            "write": 1,
            "word": (size // width - 1).bit_length(),
            "data": 8 * width,
            "strobe": width,
            "tag": tag_layout(),
        }
    )


class AxiBeats(wiring.Component):
    """The AXI side of a memory that reads or writes a word at a time.

    Parameters
    ----------
    config : NpuConfig
        For the widths.
    size : int
        Bytes, a multiple of 4096. Bursts that begin beyond it become words at some place with ``strobe`` 0, and are
        answered with DECERR.

    Members
    -------
    read, write : In(AXI4 channels)
        INCR bursts of whole words; IDs are given back.
    beats : Out(stream of beat_layout)
        A write counts as done when it waits here.
    data : In(8 * bus_bytes), tag : In(tag_layout), valid : In(1)
        A word that has been read, with the tag of its request; in order. It is always taken: never more words are
        asked for than there is room for.

    Timing
    ------
    Whole bursts of each direction in turn where both are asked for. A word is offered in ``beats`` a cycle after it was
    asked for or written; two can wait there, so that nothing of the bus follows ``beats.ready`` combinationally. Data
    read wait in a queue of 16 words and are offered two cycles after ``valid``. Reset: empty.
    """

    read: Any
    write: Any
    beats: Any
    data: Signal
    tag: data.View
    valid: Signal

    def __init__(self, config: NpuConfig, size: int) -> None:
        self._config = config
        self._size = size
        super().__init__(
            {
                "read": In(Axi4ReadSignature(config)),
                "write": In(Axi4WriteSignature(config)),
                "beats": Out(stream.Signature(beat_layout(config, size))),
                "data": In(8 * config.bus_bytes),
                "tag": In(tag_layout()),
                "valid": In(1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        read, write = self.read, self.write
        m.submodules.asked = asked = SkidBuffer(beat_layout(self._config, self._size))
        wiring.connect(m, asked.o, wiring.flipped(self.beats))
        beat = asked.i.payload
        fetch = Signal()
        store = Signal()
        writing = Signal()
        reads = hold_burst(m, read, "ar", self._size, fetch)
        writes = hold_burst(m, write, "aw", self._size, store)

        room = Signal(range(_DEPTH + 1), init=_DEPTH)
        some_room = Signal()  # however the last cycle's word was counted
        # A write waits while the response to the one before does, so that little hangs on its last beat.
        may_store = Signal()
        m.d.comb += [
            may_store.eq(writes.active & write.wvalid),
            fetch.eq(~writing & reads.active & some_room & asked.i.ready),
            store.eq(writing & may_store & ~write.bvalid & asked.i.ready),
            asked.i.valid.eq(fetch | store),
            write.wready.eq(store),
            beat.write.eq(writing),
            beat.word.eq(Mux(writing, writes.word, reads.word)),
            beat.data.eq(write.wdata),
            beat.strobe.eq(Mux(writing & ~writes.outside, write.wstrb, 0)),
            beat.tag.last.eq(reads.last),
            beat.tag.identity.eq(reads.identity),
            beat.tag.outside.eq(reads.outside),
        ]
        with m.If(writing):
            with m.If((~may_store | store & writes.last) & reads.active):
                m.d.sync += writing.eq(0)
        with m.Elif((~reads.active | ~some_room | fetch & reads.last) & may_store):
            m.d.sync += writing.eq(1)

        with m.If(store & writes.last):
            m.d.sync += [
                write.bvalid.eq(1),
                write.bid.eq(writes.identity),
                write.bresp.eq(Mux(writes.outside, DECERR, OKAY)),
            ]
        with m.Elif(write.bready):
            m.d.sync += write.bvalid.eq(0)

        tag_bits = tag_layout().size
        queue = fifo.SyncFIFOBuffered(width=tag_bits + len(self.data), depth=_DEPTH)
        m.submodules.queue = queue
        tag = data.View(tag_layout(), queue.r_data[:tag_bits])
        gone = Signal()
        m.d.comb += [
            queue.w_data[:tag_bits].eq(self.tag),
            queue.w_data[tag_bits:].eq(self.data),
            queue.w_en.eq(self.valid),
            read.rvalid.eq(queue.r_rdy),
            read.rdata.eq(queue.r_data[tag_bits:]),
            read.rlast.eq(tag.last),
            read.rid.eq(tag.identity),
            read.rresp.eq(Mux(tag.outside, DECERR, OKAY)),
            queue.r_en.eq(read.rready),
            gone.eq(read.rvalid & read.rready),
        ]
        m.d.sync += [room.eq(room + gone - fetch), some_room.eq(room > 1)]
        return m
