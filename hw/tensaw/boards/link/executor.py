"""Does what requests ask for, one after another, and answers them."""

from __future__ import annotations

from typing import Any

from amaranth import Array, Cat, Const, Module, Mux, Signal
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
        last_tag, last_valid = Signal(8), Signal()
        position = Signal(range(max(_HEAD + 5, HEADER_BYTES, _RESET_CYCLES + 1)))
        data, strobe = Signal(8 * width), Signal(width)
        lost = Signal()

        def is_op(*ops: Op) -> Any:
            return Cat(*(op == int(item) for item in ops)).any()

        # What the header says, a cycle after it is there; what is wrong with it, another one later.
        registers, once, with_payload = Signal(), Signal(), Signal()
        wrong = {state: Signal(name=f"is_{state.name.lower()}") for state in _CHECKS}
        m.d.sync += [
            registers.eq(is_op(Op.READ_REGISTERS, Op.WRITE_REGISTERS)),
            once.eq(is_op(*sorted(ONCE))),
            with_payload.eq(is_op(*sorted(WITH_PAYLOAD))),
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
        none_left, one_left = Signal(), Signal()

        def set_count(value: int) -> list[Any]:
            return [count.eq(value), none_left.eq(int(value == 0)), one_left.eq(int(value == 1))]

        count_down = [count.eq(count - 1), none_left.eq(one_left), one_left.eq(count == 2)]

        lane, last_lane, first_lane = Signal(range(width)), Signal(), Signal()
        m.d.comb += [
            lane.eq(Mux(registers, address[:2], address[: len(lane)])),
            last_lane.eq(lane == Mux(registers, 3, width - 1)),
            first_lane.eq(lane == 0),
        ]

        # The answer's header: that of the request, but for the version and the length of the payload.
        length = Signal(16)
        refused = Signal()
        m.d.comb += refused.eq(status != Status.OK)

        # Bytes of the answer: that of the present state goes to a register, then, while it is that of the same state,
        # to another, and from there into the CRC. `sent`, in the next cycle: on to the next one.
        send, byte, covered, sent = Signal(), Signal(8), Signal(), Signal()
        chosen, chosen_covered, same = Signal(8, reset_less=True), Signal(reset_less=True), Signal()
        to_crc = Signal()
        m.d.comb += [crc.byte.eq(self.o.payload), crc.start.eq(sent & to_crc)]
        m.d.sync += [sent.eq(0), chosen.eq(byte), chosen_covered.eq(covered), same.eq(send & ~sent)]
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

        pattern = Signal(8)
        inverse = Signal()
        m.d.comb += pattern.eq(Array(Const(value, 8) for value in BACKGROUNDS)[flags[5:7]] ^ inverse.replicate(8))
        flag = {item: flags[item.bit_length() - 1] for item in MarchFlag}

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
                    m.d.sync += [Cat(*header).eq(Cat(Cat(*header)[8:], self.i.payload)), position.eq(position + 1)]
                    with m.If(position == HEADER_BYTES - 1):
                        m.d.sync += position.eq(0)
                        m.next = "DECODE"
            with m.State("DECODE"):
                m.d.sync += [none_left.eq(count == 0), one_left.eq(count == 1), length.eq(0)]
                with m.Switch(op):
                    with m.Case(int(Op.READ_MEMORY), int(Op.READ_REGISTERS)):
                        m.d.sync += length.eq(count)
                    with m.Case(int(Op.HELLO)):
                        m.d.sync += length.eq(len(self._identity))
                    with m.Case(int(Op.MARCH)):
                        m.d.sync += length.eq(4 + width)
                    with m.Case(int(Op.COUNTERS)):
                        m.d.sync += length.eq(8)
                m.next = "DECODED"
            with m.State("DECODED"):
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
                    m.d.sync += Cat(*header).eq(Cat(Cat(*header)[8:], version))
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
                    with m.Switch(op):
                        with m.Case(int(Op.HELLO)):
                            m.d.sync += last_valid.eq(0)
                            m.next = "IDENTITY"
                        with m.Case(int(Op.RESET)):
                            m.next = "RESET"
                        with m.Case(int(Op.READ_MEMORY), int(Op.READ_REGISTERS)):
                            m.next = "READ"
                        with m.Case(int(Op.WRITE_MEMORY), int(Op.WRITE_REGISTERS)):
                            m.next = "WRITE"
                        with m.Case(int(Op.MARCH)):
                            m.next = "MARCH"
                        with m.Default():
                            m.d.sync += [data[:64].eq(self.counters), *set_count(8)]
                            m.next = "COUNTERS"

            with m.State("DRAIN"):  # the payload of a refused request
                with m.If(~with_payload | none_left):
                    m.next = "STATUS"
                with m.Else():
                    m.d.comb += self.i.ready.eq(1)
                    with m.If(self.i.valid):
                        m.d.sync += count_down

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
                    m.d.sync += [data.eq(data[8:]), *count_down]
                    with m.If(one_left):
                        m.next = "STATUS"

            with m.State("READ"):
                with m.If(none_left):
                    m.next = "STATUS"
                with m.Elif(registers & address[ADDRESS_BITS]):
                    m.d.sync += [status.eq(Status.OUTSIDE), position.eq(0)]
                    m.next = "READ_BYTE"
                with m.Else():
                    access(False, "READ_ACCESS")
            with m.State("READ_ACCESS"):
                with m.If(bus.done | lost):
                    m.d.sync += [data.eq(bus.read_data), position.eq(0)]
                    m.next = "READ_ALIGN"
            with m.State("READ_ALIGN"):  # the first word of a transfer may begin within
                with m.If(position == Mux(registers, 0, lane)):
                    m.d.sync += position.eq(0)
                    m.next = "READ_BYTE"
                with m.Else():
                    m.d.sync += [data.eq(data[8:]), position.eq(position + 1)]
            with m.State("READ_BYTE"):
                m.d.comb += [send.eq(1), covered.eq(1), byte.eq(data[:8])]
                with m.If(sent):
                    m.d.sync += [data.eq(data[8:]), address.eq(address + 1), *count_down]
                    with m.If(last_lane | one_left):
                        m.next = "READ"

            with m.State("WRITE"):
                with m.If(~none_left):
                    m.d.comb += self.i.ready.eq(1)
                    with m.If(self.i.valid):
                        m.d.sync += [
                            data.eq(Cat(data[8:], self.i.payload)),
                            strobe.eq(Cat(strobe[1:], 1)),
                            *count_down,
                        ]
                        with m.If(last_lane):
                            m.next = "WRITE_START"
                        with m.Else():
                            m.d.sync += address.eq(address + 1)
                with m.Elif(first_lane):
                    with m.If(registers & (status == Status.OK)):
                        m.d.sync += [last_tag.eq(tag), last_valid.eq(1)]
                    m.next = "STATUS"
                with m.Else():  # fill the last word up with bytes that are not written
                    m.d.sync += [data.eq(data[8:]), strobe.eq(strobe[1:])]
                    with m.If(last_lane):
                        m.next = "WRITE_START"
                    with m.Else():
                        m.d.sync += address.eq(address + 1)
            with m.State("WRITE_START"):
                with m.If(registers & address[ADDRESS_BITS]):
                    m.d.sync += [status.eq(Status.OUTSIDE), address.eq(address + 1), strobe.eq(0)]
                    m.next = "WRITE"
                with m.Else():
                    access(True, "WRITE_ACCESS")
            with m.State("WRITE_ACCESS"):
                with m.If(bus.done | lost):
                    m.d.sync += [address.eq(address + 1), strobe.eq(0)]
                    m.next = "WRITE"

            with m.State("MARCH"):
                m.d.comb += inverse.eq(flag[MarchFlag.WRITE_INVERSE])
                with m.If(refused | none_left):
                    m.d.sync += set_count(4)
                    m.next = "MARCH_ADDRESS"
                with m.Elif(flag[MarchFlag.READ]):
                    access(False, "MARCH_READ")
                with m.Else():
                    m.d.sync += [data.eq(pattern.replicate(width)), strobe.eq(-1)]
                    m.next = "MARCH_START"
            with m.State("MARCH_READ"):
                with m.If(bus.done | lost):
                    m.d.sync += data.eq(bus.read_data)
                    m.next = "MARCH_COMPARE"
            with m.State("MARCH_COMPARE"):
                m.d.comb += inverse.eq(flag[MarchFlag.READ_INVERSE])
                with m.If(refused):
                    m.d.sync += set_count(4)
                    m.next = "MARCH_ADDRESS"
                with m.Elif(data != pattern.replicate(width)):
                    m.d.sync += [status.eq(Status.MISMATCH), *set_count(4)]
                    m.next = "MARCH_ADDRESS"
                with m.Else():
                    m.next = "MARCH_WRITE"
            with m.State("MARCH_WRITE"):
                m.d.comb += inverse.eq(flag[MarchFlag.WRITE_INVERSE])
                m.next = "MARCH_NEXT"
                with m.If(flag[MarchFlag.WRITE]):
                    m.d.sync += [data.eq(pattern.replicate(width)), strobe.eq(-1)]
                    m.next = "MARCH_START"
            with m.State("MARCH_START"):
                access(True, "MARCH_ACCESS")
            with m.State("MARCH_ACCESS"):
                with m.If(bus.done | lost):
                    m.next = "MARCH_NEXT"
            with m.State("MARCH_NEXT"):
                with m.If(~refused & ~one_left):
                    m.d.sync += address.eq(address + Mux(flag[MarchFlag.DOWN], -width, width))
                m.d.sync += count_down
                m.next = "MARCH"
            with m.State("MARCH_ADDRESS"):
                m.d.comb += [send.eq(1), covered.eq(1), byte.eq(address[:8])]
                with m.If(sent):  # what comes behind the address is what came there with the header
                    m.d.sync += [address.eq(Cat(address[8:], count[:8])), *count_down]
                    with m.If(one_left):
                        m.d.sync += set_count(width)
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
