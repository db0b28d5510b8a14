"""Does what requests ask for, one after another, and answers them."""

from __future__ import annotations

from typing import Any

from amaranth import Array, Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from tensaw.boards.link.bus import BusAccess
from tensaw.boards.link.crc import Crc32
from tensaw.rtl.bus.axi4 import Axi4LiteSignature, Axi4ReadSignature, Axi4WriteSignature
from tensaw.rtl.shared import place
from tensaw.spec.config import NpuConfig
from tensaw.spec.link import (
    BACKGROUNDS,
    HEADER_BYTES,
    ONCE,
    PROTOCOL,
    SYNC_RESPONSE,
    WITH_PAYLOAD,
    MarchFlag,
    Op,
    Status,
)  # fmt: skip
from tensaw.spec.registers import ADDRESS_BITS

__all__ = ["RequestExecutor"]

_RESET_CYCLES = 31
_CHECKS = (Status.VERSION, Status.UNKNOWN, Status.OUTSIDE, Status.MISALIGNED, Status.REPEATED)
"""What a header is refused for; the first that applies is answered."""
_HEAD = len(SYNC_RESPONSE) + HEADER_BYTES
"""Place of the header's CRC in an answer."""


class RequestExecutor(wiring.Component):
    """From requests to accesses and answers; see docs/link.md.

    Parameters
    ----------
    config : NpuConfig
    identity : bytes
        Payload of HELLO's answer.

    Members
    -------
    i : In(stream of 8 bits)
        Requests: header and payload, without synchronisation and CRCs.
    o : Out(stream of 8 bits)
        Answers, as they go over the line.
    counters : In(64)
        Payload of COUNTERS' answer.
    tick : In(1)
        See BusAccess.
    reset : Out(1)
        Resets everything behind the bus, for 32 cycles.
    ready : In(1)
        The memory can be used; RESET waits for it.
    axi_read, axi_write, lite
        See BusAccess.

    Timing
    ------
    A byte of payload takes some five cycles, and each word an access. Every answer begins before its request is done.
    Reset: no request, no tag remembered.
    """

    i: Any
    o: Any
    counters: Signal
    tick: Signal
    reset: Signal
    ready: Signal
    axi_read: Any
    axi_write: Any
    lite: Any

    def __init__(self, config: NpuConfig, identity: bytes) -> None:
        self._config = config
        self._identity = identity
        super().__init__(
            {
                "i": In(stream.Signature(8)),
                "o": Out(stream.Signature(8)),
                "counters": In(64),
                "tick": In(1),
                "reset": Out(1),
                "ready": In(1),
                "axi_read": Out(Axi4ReadSignature(config)),
                "axi_write": Out(Axi4WriteSignature(config)),
                "lite": Out(Axi4LiteSignature(ADDRESS_BITS)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        width = self._config.bus_bytes
        crc = place(m, platform, "crc", Crc32)
        bus = place(m, platform, "bus", BusAccess, self._config)
        for name in ("axi_read", "axi_write", "lite"):
            wiring.connect(m, getattr(bus, name), wiring.flipped(getattr(self, name)))

        version, op, tag, flags = (Signal(8, name=name) for name in ("version", "op", "tag", "flags"))
        address, count = Signal(32), Signal(16)
        header = (version, op, tag, flags, address, count)
        status = Signal(Status)
        last_tag = Signal(8)
        last_valid = Signal()
        position = Signal(range(max(_HEAD + 5, HEADER_BYTES, _RESET_CYCLES + 1)))
        data = Signal(8 * width)
        strobe = Signal(width)
        lost = Signal()

        def is_op(*ops: Op) -> Any:
            return Cat(*(op == int(item) for item in ops)).any()

        # What the header says, a cycle after it is there; what is wrong with it, another one later.
        registers = Signal()
        once = Signal()
        with_payload = Signal()
        hello, resets, reads = Signal(), Signal(), Signal()
        writes, marches = Signal(), Signal()
        wrong = {state: Signal(name=f"is_{state.name.lower()}") for state in _CHECKS}
        m.d.sync += [
            registers.eq(is_op(Op.READ_REGISTERS, Op.WRITE_REGISTERS)),
            once.eq(is_op(*sorted(ONCE))),
            with_payload.eq(is_op(*sorted(WITH_PAYLOAD))),
            hello.eq(is_op(Op.HELLO)),
            resets.eq(is_op(Op.RESET)),
            reads.eq(is_op(Op.READ_MEMORY, Op.READ_REGISTERS)),
            writes.eq(is_op(Op.WRITE_MEMORY, Op.WRITE_REGISTERS)),
            marches.eq(is_op(Op.MARCH)),
            wrong[Status.VERSION].eq(~is_op(Op.HELLO) & (version != PROTOCOL)),
            wrong[Status.UNKNOWN].eq(op > max(Op)),
            wrong[Status.OUTSIDE].eq(registers & (address[ADDRESS_BITS:] != 0)),
            wrong[Status.MISALIGNED].eq(
                registers & (address[:2] | count[:2]).any()
                | is_op(Op.MARCH) & (address[: (width - 1).bit_length()] != 0)
            ),
            wrong[Status.REPEATED].eq(once & last_valid & (tag == last_tag)),
        ]
        # Whether count is 0 or 1, known with it.
        none_left = Signal()
        one_left = Signal()

        # What a state does to wide registers is done a cycle later; `moving` is 1 while places and counts are not yet
        # what they will be.
        rotate = Signal()  # the header, a byte down; `incoming` comes in at its end
        incoming = Signal(8)
        step_address = Signal()
        step_count = Signal()
        set_count = Signal()
        count_value = Signal(range(max(8, width) + 1))
        shift_address = Signal()
        shift = Signal()  # data, a byte down, `incoming` at its end
        load_counters = Signal()
        load_pattern = Signal()
        moving = Signal()
        stride = Signal(signed(len(address)))  # of a step of the address
        written = Signal(8)  # pattern
        expected = Signal(8)
        moved = Signal()  # the address was stepped, and its lane is not yet known
        m.d.comb += moving.eq(step_address | step_count | set_count | moved)
        m.d.sync += moved.eq(step_address)
        m.d.sync += [pulse.eq(0) for pulse in (rotate, step_address, step_count, set_count, shift_address)]
        m.d.sync += [pulse.eq(0) for pulse in (shift, load_counters, load_pattern)]
        down = flags[MarchFlag.DOWN.bit_length() - 1]
        m.d.sync += stride.eq(Mux(marches, Mux(down, -width, width), 1))
        with m.If(rotate):
            m.d.sync += Cat(*header).eq(Cat(Cat(*header)[8:], incoming))
        with m.If(set_count):
            m.d.sync += [count.eq(count_value), none_left.eq(count_value == 0), one_left.eq(count_value == 1)]
        with m.Elif(step_count):
            m.d.sync += [count.eq(count - 1), none_left.eq(one_left), one_left.eq(count == 2)]
        with m.If(step_address):
            m.d.sync += address.eq(address + stride)
        with m.If(shift_address):  # what comes behind the address is what came there with the header
            m.d.sync += address.eq(Cat(address[8:], count[:8]))
        with m.If(bus.done & ~bus.write):
            m.d.sync += data.eq(bus.read_data)
        with m.Elif(load_counters):
            m.d.sync += data[:64].eq(self.counters)
        with m.Elif(load_pattern):
            m.d.sync += data.eq(written.replicate(width))
        with m.Elif(shift):
            m.d.sync += data.eq(Cat(data[8:], incoming))

        def count_from(value: int) -> list[Any]:
            return [set_count.eq(1), count_value.eq(value)]

        lane = Signal(range(width))
        last_lane = Signal()
        first_lane = Signal()
        m.d.comb += lane.eq(Mux(registers, address[:2], address[: len(lane)]))
        m.d.sync += [last_lane.eq(lane == Mux(registers, 3, width - 1)), first_lane.eq(lane == 0)]

        # The answer's header: that of the request, but for the version and the length of the payload.
        length = Signal(16)
        refused = Signal()
        m.d.comb += refused.eq(status != Status.OK)

        # Bytes of the answer: that of the present state goes to a register, then, when it has been that of the same
        # state for two cycles, to another, and from there into the CRC. `sent`, in the next cycle: on to the next one.
        send = Signal()
        byte = Signal(8)
        covered = Signal()
        sent = Signal()
        chosen = Signal(8, reset_less=True)
        chosen_covered = Signal(reset_less=True)
        sending = Signal()
        same = Signal()
        to_crc = Signal()
        m.d.comb += [crc.byte.eq(self.o.payload), crc.start.eq(sent & to_crc)]
        m.d.sync += [sent.eq(0), chosen.eq(byte), chosen_covered.eq(covered)]
        m.d.sync += [sending.eq(send & ~sent), same.eq(send & sending & ~sent)]
        with m.If(~self.o.valid):
            m.d.sync += [self.o.payload.eq(chosen), to_crc.eq(chosen_covered)]
            with m.If(same & ~crc.busy):
                m.d.sync += [self.o.valid.eq(1), sent.eq(1)]
        with m.Elif(self.o.ready):
            m.d.sync += self.o.valid.eq(0)

        def send_crc(then: str) -> None:
            """Four bytes of CRC from ``position`` on; ``position`` and CRC are cleared at the end."""
            m.d.comb += [send.eq(1), byte.eq(crc.value.word_select(position[:2], 8))]
            with m.If(sent):
                m.d.sync += position.eq(position + 1)
                with m.If(position[:2] == 3):
                    m.d.sync += position.eq(0)
                    m.next = then

        m.submodules.rom = rom = Memory(shape=8, depth=len(self._identity), init=list(self._identity))
        rom_port = rom.read_port()
        rom_index = Signal(range(len(self._identity)))
        rom_byte = Signal(8, reset_less=True)  # block RAM is slow to answer
        m.d.comb += rom_port.addr.eq(rom_index)
        m.d.sync += rom_byte.eq(rom_port.data)

        flag = {item: flags[item.bit_length() - 1] for item in MarchFlag}
        background = Array(Const(value, 8) for value in BACKGROUNDS)[flags[5:7]]
        differs = Signal()
        m.d.sync += [
            written.eq(background ^ flag[MarchFlag.WRITE_INVERSE].replicate(8)),
            expected.eq(background ^ flag[MarchFlag.READ_INVERSE].replicate(8)),
            differs.eq(data != expected.replicate(width)),
        ]

        m.d.comb += [
            bus.registers.eq(registers),
            bus.address.eq(address),
            bus.data.eq(data),
            bus.strobe.eq(strobe),
            bus.tick.eq(self.tick),
        ]

        def access(writes: bool, then: str) -> None:
            """Start an access, unless the bus is lost, and wait for its end in the state ``then``."""
            m.d.sync += [bus.write.eq(int(writes)), bus.start.eq(~lost)]
            m.next = then

        m.d.sync += [self.reset.eq(0), bus.start.eq(0)]
        with m.FSM():
            with m.State("HEADER"):
                m.d.comb += self.i.ready.eq(1)
                m.d.sync += [status.eq(Status.OK), lost.eq(0), strobe.eq(0), rom_index.eq(0)]
                with m.If(self.i.valid):
                    m.d.sync += [rotate.eq(1), incoming.eq(self.i.payload), position.eq(position + 1)]
                    with m.If(position == HEADER_BYTES - 1):
                        m.d.sync += position.eq(0)
                        m.next = "RECEIVED"
            with m.State("RECEIVED"):  # the last byte goes to its place
                m.next = "DECODE"
            with m.State("DECODE"):
                m.d.sync += [none_left.eq(count == 0), one_left.eq(count == 1)]
                m.next = "DECODED"
            with m.State("DECODED"):
                m.d.sync += length.eq(0)
                with m.If(reads):
                    m.d.sync += length.eq(count)
                with m.If(hello):
                    m.d.sync += length.eq(len(self._identity))
                with m.If(marches):
                    m.d.sync += length.eq(4 + width)
                with m.If(op == int(Op.COUNTERS)):
                    m.d.sync += length.eq(8)
                m.next = "CHECK"
            with m.State("CHECK"):
                for state in reversed(_CHECKS):
                    with m.If(wrong[state]):
                        m.d.sync += status.eq(state)
                m.next = "ANSWER"
            with m.State("ANSWER"):
                # The header goes round once, past the place of its first byte.
                m.d.comb += [
                    crc.clear.eq(position == 0),
                    send.eq(1),
                    covered.eq(position >= len(SYNC_RESPONSE)),
                    byte.eq(version),
                ]
                for number, value in enumerate((*SYNC_RESPONSE, PROTOCOL)):
                    with m.If(position == number):
                        m.d.comb += byte.eq(value)
                for number in range(2):
                    with m.If(position == _HEAD - 2 + number):
                        m.d.comb += byte.eq(Mux(refused, 0, length.word_select(number, 8)))
                with m.If(sent & covered):
                    m.d.sync += [rotate.eq(1), incoming.eq(version)]
                with m.If(sent):
                    m.d.sync += position.eq(position + 1)
                    with m.If(position == _HEAD - 1):
                        m.d.sync += position.eq(0)
                        m.next = "ANSWER_CRC"
            with m.State("ANSWER_CRC"):
                send_crc("BODY")
            with m.State("BODY"):
                m.d.comb += crc.clear.eq(1)
                with m.If(refused):
                    m.next = "DRAIN"
                with m.Else():
                    with m.If(hello):
                        m.d.sync += last_valid.eq(0)
                        m.next = "IDENTITY"
                    with m.Elif(resets):
                        m.next = "RESET"
                    with m.Elif(reads):
                        m.next = "READ"
                    with m.Elif(writes):
                        m.next = "WRITE"
                    with m.Elif(marches):
                        m.next = "MARCH"
                    with m.Else():
                        m.d.sync += [load_counters.eq(1), *count_from(8)]
                        m.next = "COUNTERS"

            with m.State("DRAIN"):  # the payload of a refused request
                with m.If(~with_payload | none_left):
                    m.next = "STATUS"
                with m.Elif(~moving):
                    m.d.comb += self.i.ready.eq(1)
                    with m.If(self.i.valid):
                        m.d.sync += step_count.eq(1)

            with m.State("IDENTITY"):
                m.next = "IDENTITY_READ"  # the ROM's latency
            with m.State("IDENTITY_READ"):
                m.next = "IDENTITY_BYTE"  # and the register's
            with m.State("IDENTITY_BYTE"):
                m.d.comb += [send.eq(1), covered.eq(1), byte.eq(rom_byte)]
                with m.If(sent):
                    m.d.sync += rom_index.eq(rom_index + 1)
                    m.next = "IDENTITY"
                    with m.If(rom_index == len(self._identity) - 1):
                        m.next = "STATUS"

            with m.State("RESET"):
                m.d.sync += [self.reset.eq(1), position.eq(position + 1)]
                with m.If(position == _RESET_CYCLES):
                    m.d.sync += position.eq(0)
                    m.next = "RESET_WAIT"
            with m.State("RESET_WAIT"):
                with m.If(self.ready):
                    m.next = "STATUS"

            with m.State("COUNTERS"):
                m.d.comb += [send.eq(1), covered.eq(1), byte.eq(data[:8])]
                with m.If(sent):
                    m.d.sync += [shift.eq(1), step_count.eq(1)]
                    with m.If(one_left):
                        m.next = "STATUS"

            with m.State("READ"):
                with m.If(moving):
                    pass
                with m.Elif(none_left):
                    m.next = "STATUS"
                with m.Elif(registers & address[ADDRESS_BITS]):
                    m.d.sync += [status.eq(Status.OUTSIDE), position.eq(0)]
                    m.next = "READ_BYTE"
                with m.Else():
                    access(False, "READ_ACCESS")
            with m.State("READ_ACCESS"):
                with m.If(bus.done | lost):
                    m.d.sync += position.eq(0)
                    m.next = "READ_ALIGN"
            with m.State("READ_ALIGN"):  # the first word of a transfer may begin within
                with m.If(position == Mux(registers, 0, lane)):
                    m.d.sync += position.eq(0)
                    m.next = "READ_BYTE"
                with m.Else():
                    m.d.sync += [shift.eq(1), position.eq(position + 1)]
            with m.State("READ_BYTE"):
                m.d.comb += [send.eq(1), covered.eq(1), byte.eq(data[:8])]
                with m.If(sent):
                    m.d.sync += [shift.eq(1), step_address.eq(1), step_count.eq(1)]
                    with m.If(last_lane | one_left):
                        m.next = "READ"

            with m.State("WRITE"):
                with m.If(moving):
                    pass
                with m.Elif(~none_left):
                    m.d.comb += self.i.ready.eq(1)
                    m.d.sync += incoming.eq(self.i.payload)
                    with m.If(self.i.valid):
                        m.d.sync += [shift.eq(1), strobe.eq(Cat(strobe[1:], 1)), step_count.eq(1)]
                        with m.If(last_lane):
                            m.next = "WRITE_START"
                        with m.Else():
                            m.d.sync += step_address.eq(1)
                with m.Elif(first_lane):
                    with m.If(registers & (status == Status.OK)):
                        m.d.sync += [last_tag.eq(tag), last_valid.eq(1)]
                    m.next = "STATUS"
                with m.Else():  # fill the last word up with bytes that are not written
                    m.d.sync += [shift.eq(1), strobe.eq(strobe[1:])]
                    with m.If(last_lane):
                        m.next = "WRITE_START"
                    with m.Else():
                        m.d.sync += step_address.eq(1)
            with m.State("WRITE_START"):
                with m.If(registers & address[ADDRESS_BITS]):
                    m.d.sync += [status.eq(Status.OUTSIDE), step_address.eq(1), strobe.eq(0)]
                    m.next = "WRITE"
                with m.Else():
                    access(True, "WRITE_ACCESS")
            with m.State("WRITE_ACCESS"):
                with m.If(bus.done | lost):
                    m.d.sync += [step_address.eq(1), strobe.eq(0)]
                    m.next = "WRITE"

            with m.State("MARCH"):
                with m.If(moving):
                    pass
                with m.Elif(refused | none_left):
                    m.d.sync += count_from(4)
                    m.next = "MARCH_ADDRESS"
                with m.Elif(flag[MarchFlag.READ]):
                    access(False, "MARCH_READ")
                with m.Else():
                    m.d.sync += [load_pattern.eq(1), strobe.eq(-1)]
                    m.next = "MARCH_START"
            with m.State("MARCH_READ"):
                with m.If(bus.done | lost):
                    m.next = "MARCH_COMPARE"
            with m.State("MARCH_COMPARE"):
                m.next = "MARCH_COMPARED"
            with m.State("MARCH_COMPARED"):
                with m.If(refused):
                    m.d.sync += count_from(4)
                    m.next = "MARCH_ADDRESS"
                with m.Elif(differs):
                    m.d.sync += [status.eq(Status.MISMATCH), *count_from(4)]
                    m.next = "MARCH_ADDRESS"
                with m.Else():
                    m.next = "MARCH_WRITE"
            with m.State("MARCH_WRITE"):
                m.next = "MARCH_NEXT"
                with m.If(flag[MarchFlag.WRITE]):
                    m.d.sync += [load_pattern.eq(1), strobe.eq(-1)]
                    m.next = "MARCH_START"
            with m.State("MARCH_START"):
                access(True, "MARCH_ACCESS")
            with m.State("MARCH_ACCESS"):
                with m.If(bus.done | lost):
                    m.next = "MARCH_NEXT"
            with m.State("MARCH_NEXT"):
                with m.If(~refused & ~one_left):
                    m.d.sync += step_address.eq(1)
                m.d.sync += step_count.eq(1)
                m.next = "MARCH"
            with m.State("MARCH_ADDRESS"):
                m.d.comb += [send.eq(1), covered.eq(1), byte.eq(address[:8])]
                with m.If(sent):
                    m.d.sync += [shift_address.eq(1), step_count.eq(1)]
                    with m.If(one_left):
                        m.d.sync += count_from(width)
                        m.next = "COUNTERS"  # the data register, byte by byte
                m.d.sync += [last_tag.eq(tag), last_valid.eq(1)]

            with m.State("STATUS"):
                m.d.comb += [send.eq(1), covered.eq(1), byte.eq(status)]
                with m.If(sent):
                    m.next = "STATUS_CRC"
            with m.State("STATUS_CRC"):
                send_crc("HEADER")

        with m.If(bus.done & bus.failed):
            m.d.sync += status.eq(Status.BUS_ERROR)
        with m.If(bus.done & bus.lost):
            m.d.sync += [status.eq(Status.TIMEOUT), lost.eq(1)]
        return m
