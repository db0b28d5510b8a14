"""Commands for an SDRAM chip, in time."""

from __future__ import annotations

import enum
from typing import Any

from amaranth import Cat, Module, Mux, Signal
from amaranth.hdl import ShapeLike
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from tensaw.boards.sdram.beats import AxiBeats, tag_layout
from tensaw.boards.sdram.chip import SdramChip
from tensaw.rtl.bus.axi4 import Axi4ReadSignature, Axi4WriteSignature
from tensaw.rtl.shared import place
from tensaw.spec.config import NpuConfig

__all__ = ["Command", "SdramMemory", "SdramPinsSignature"]


class Command(enum.IntEnum):
    """RAS, CAS and WE, active low, from bit 2 to bit 0."""

    MODE = 0b000
    REFRESH = 0b001
    PRECHARGE = 0b010
    ACTIVATE = 0b011
    WRITE = 0b100
    READ = 0b101
    NOP = 0b111


class SdramPinsSignature(wiring.Signature):
    """What goes to the pads and comes from them, all in the domain of the controller.

    Members
    -------
    command : Out(3)
        RAS, CAS, WE, as in :class:`Command`; the chip is always selected and its clock enabled.
    bank, address, mask : Out
        Bank, row or column, and DQM.
    out : Out(data_bits), enable : Out(1)
        Data to write and whether they are driven.
    data : In(data_bits)
        Data pins.
    """

    def __init__(self, chip: SdramChip) -> None:
        members: dict[str, ShapeLike] = {
            "command": 3,
            "bank": chip.bank_bits,
            "address": max(chip.row_bits, 11),
            "mask": chip.data_bits // 8,
            "out": chip.data_bits,
            "enable": 1,
        }
        super().__init__({**{name: Out(shape) for name, shape in members.items()}, "data": In(chip.data_bits)})


class SdramMemory(wiring.Component):
    """An SDRAM chip behind an AXI4 port.

    Rows stay open until another one of the bank is wanted or a refresh is due; a beat of the bus is one of its bursts.

    Parameters
    ----------
    config : NpuConfig
        The bus must be 1, 2, 4 or 8 times as wide as the chip.
    chip : SdramChip
    clock : int
        In hertz.
    latency : int
        Cycles from the one in which a READ is on ``pins.command`` to the one in which its first word is on
        ``pins.data``.

    Members
    -------
    read, write : In(AXI4 channels)
        See AxiBeats.
    pins : Out(SdramPinsSignature(chip))
    ready : Out(1)
        The chip has been initialised.
    restart : In(1)
        For at least 32 cycles: forget all bursts; the contents stay, and the refreshes go on.

    Timing
    ------
    In an open row a word in as many cycles as it has chip words, reads and writes alike. Another row costs tRP + tRCD
    and some four cycles, changing from reads to writes the CAS latency. All pins come from registers. Reset: waits for
    the chip's power-up time and initialises it again; its contents are then undefined.
    """

    read: Any
    write: Any
    pins: Any
    ready: Signal
    restart: Signal

    def __init__(self, config: NpuConfig, chip: SdramChip, clock: int, latency: int) -> None:
        self._config, self._chip, self._clock, self._latency = config, chip, clock, latency
        super().__init__(
            {
                "read": In(Axi4ReadSignature(config)),
                "write": In(Axi4WriteSignature(config)),
                "pins": Out(SdramPinsSignature(chip)),
                "ready": Out(1),
                "restart": In(1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        chip, clock, pins = self._chip, self._clock, self.pins
        length = 8 * self._config.bus_bytes // chip.data_bits
        # Words that are on their way from the chip arrive during the restart.
        restart = Signal(init=1)
        m.d.sync += restart.eq(self.restart)
        beats = place(m, platform, "beats", AxiBeats, self._config, chip.size, reset=restart)
        wiring.connect(m, wiring.flipped(self.read), beats.read)
        wiring.connect(m, wiring.flipped(self.write), beats.write)
        beat = beats.beats.payload

        def cycles(name: str) -> int:
            return chip.cycles(name, clock)

        # Where a word lies: neighbouring rows are in different banks.
        skipped = (length - 1).bit_length()
        column_bits = chip.column_bits - skipped
        column = Cat(Signal(skipped, name="column_low"), beat.word[:column_bits])
        bank = beat.word[column_bits : column_bits + chip.bank_bits]
        row = beat.word[column_bits + chip.bank_bits :]

        # Times still to wait. `pause` holds back every command, `active` and `written` the closing of banks, `turn` a
        # write.
        times = {
            "pause": max(cycles("trp"), cycles("trcd"), cycles("trfc"), chip.tmrd_cycles, length, 2),
            "active": max(cycles("tras"), cycles("trc") - cycles("trp")),
            "written": length + cycles("twr"),
            "turn": chip.cas + length + 2,
        }
        timers = {name: Signal(range(most + 1), name=name) for name, most in times.items()}
        waiting = {name: Signal(name=f"{name}_waiting") for name in times}  # the timer is not 0
        for name, timer in timers.items():
            with m.If(waiting[name]):
                m.d.sync += [timer.eq(timer - 1), waiting[name].eq(timer != 1)]

        def wait(name: str, count: int) -> list[Any]:
            """The next command that depends on it comes ``count`` cycles after this one at the earliest."""
            return [timers[name].eq(max(count - 1, 0)), waiting[name].eq(int(count > 1))]

        interval = int(chip.refresh * clock / 1e9)
        # A refresh that is due lets no new access begin; from the next cycle on it has the commands for itself.
        since, due, refreshing = Signal(range(interval)), Signal(), Signal()
        m.d.sync += since.eq(Mux(since == interval - 1, 0, since + 1))
        with m.If(since == interval - 1):
            m.d.sync += due.eq(1)
        m.d.sync += refreshing.eq(due)

        open_banks, none_open = Signal(1 << chip.bank_bits), Signal()
        rows = [Signal(chip.row_bits, name=f"row{number}", reset_less=True) for number in range(1 << chip.bank_bits)]
        # The comparison with the open row takes a cycle of its own: then either the word can be accessed, or its bank
        # must be closed, or its row opened. A command changes what the comparison beside it was about, so that two
        # cycles pass at least before the next one.
        running, paused = self.ready, waiting["pause"]
        read_access = Signal()
        write_access = Signal()
        close = Signal()
        activate = Signal()
        looking = Signal()
        is_open = Signal()
        hit = Signal()
        m.d.comb += [
            looking.eq(beats.beats.valid & running & ~due & ~restart),
            is_open.eq(open_banks.bit_select(bank, 1)),
            hit.eq(
                Cat(opened & (there == row) for opened, there in zip(open_banks, rows, strict=True)).bit_select(bank, 1)
            ),
        ]
        m.d.sync += [
            read_access.eq(looking & hit & ~beat.write),
            write_access.eq(looking & hit & beat.write),
            close.eq(looking & is_open & ~hit),
            activate.eq(looking & ~is_open),
            none_open.eq(open_banks == 0),
        ]

        # What stands beside a NOP is of no matter, so that little hangs on whether a command is sent. What closes banks
        # looks at bit 10 of the address alone, which no column has: 1 for all banks, as a refresh needs it.
        mode = (length - 1).bit_length() | chip.cas << 4
        sent = Signal(Command, init=Command.NOP)
        m.d.comb += pins.command.eq(sent)
        m.d.sync += [
            sent.eq(Command.NOP),
            pins.mask.eq(0),
            pins.bank.eq(bank),
            pins.address.eq(Mux(activate, row, column)),
        ]
        with m.If(refreshing):
            m.d.sync += pins.address[10].eq(1)
        with m.If(~running):  # of the commands before, only that which sets the mode looks at these
            m.d.sync += [pins.bank.eq(0), pins.address.eq(mode)]
        out_data, out_mask = Signal(len(beat.data), reset_less=True), Signal(len(beat.strobe), reset_less=True)
        out_left, driven = Signal(range(length + 1)), Signal()
        words = chip.data_bits
        m.d.comb += [pins.out.eq(out_data[:words]), pins.enable.eq(driven)]
        m.d.sync += [
            out_data.eq(Mux(paused, out_data >> words, beat.data)),
            out_mask.eq(Mux(paused, out_mask >> words // 8, ~beat.strobe)),
        ]
        with m.If(driven):
            m.d.sync += [
                out_left.eq(out_left - 1),
                driven.eq(out_left != 1),
                pins.mask.eq(Mux(out_left == 1, 0, out_mask[words // 8 : 2 * (words // 8)] if length > 1 else 0)),
            ]

        power_up = Signal(range(cycles("init") + 1), init=cycles("init"))
        refreshes = Signal(range(9))
        with m.FSM():
            with m.State("POWER_UP"):
                m.d.sync += [power_up.eq(power_up - 1), pins.mask.eq(-1), open_banks.eq(0)]
                with m.If(power_up == 0):
                    m.next = "PRECHARGE"
            with m.State("PRECHARGE"):
                m.d.sync += [sent.eq(Command.PRECHARGE), pins.address[10].eq(1), *wait("pause", cycles("trp"))]
                m.next = "REFRESH"
            with m.State("REFRESH"):
                with m.If(~paused):
                    m.d.sync += [sent.eq(Command.REFRESH), refreshes.eq(refreshes + 1), *wait("pause", cycles("trfc"))]
                    with m.If(refreshes == 7):
                        m.next = "MODE"
            with m.State("MODE"):
                with m.If(~paused):
                    m.d.sync += [sent.eq(Command.MODE), due.eq(0), *wait("pause", chip.tmrd_cycles), running.eq(1)]
                    m.next = "RUN"
            with m.State("RUN"):
                pass

        def sends(command: Command, pause: int) -> list[Any]:
            return [sent.eq(command), *wait("pause", max(pause, 2))]

        closable = Signal()
        m.d.comb += [
            closable.eq(~waiting["active"] & ~waiting["written"]),
            beats.beats.ready.eq(~paused & (read_access | write_access & ~waiting["turn"])),
        ]
        with m.If(paused):
            pass
        with m.Elif(write_access):
            with m.If(~waiting["turn"]):
                m.d.sync += [
                    *sends(Command.WRITE, length),
                    pins.mask.eq(~beat.strobe[: words // 8]),
                    out_left.eq(length),
                    driven.eq(1),
                    *wait("written", length + cycles("twr")),
                ]
        with m.Elif(read_access):
            m.d.sync += [*sends(Command.READ, length), *wait("turn", chip.cas + length + 2)]
        with m.Elif(close):
            with m.If(closable):
                m.d.sync += [*sends(Command.PRECHARGE, cycles("trp")), open_banks.bit_select(bank, 1).eq(0)]
        with m.Elif(activate):
            m.d.sync += [*sends(Command.ACTIVATE, cycles("trcd")), *wait("active", times["active"])]
            m.d.sync += [open_banks.bit_select(bank, 1).eq(1), none_open.eq(0)]
            for number, there in enumerate(rows):
                with m.If(bank == number):
                    m.d.sync += there.eq(row)
        with m.Elif(refreshing & running):
            with m.If(none_open):
                m.d.sync += [sent.eq(Command.REFRESH), due.eq(0), refreshing.eq(0), *wait("pause", cycles("trfc"))]
            with m.Elif(closable):
                m.d.sync += [sent.eq(Command.PRECHARGE), open_banks.eq(0), *wait("pause", cycles("trp"))]

        # Words that were asked for arrive a fixed time later, each in `length` cycles.
        asked = Signal()
        m.d.comb += asked.eq(~paused & read_access)
        stage_valid: Any = asked
        stage_tag: Any = beat.tag
        for number in range(1 + self._latency + length):
            valid = Signal(name=f"asked{number}")
            tag = Signal(tag_layout(), name=f"tag{number}", reset_less=True)
            m.d.sync += [valid.eq(stage_valid), tag.eq(stage_tag)]
            stage_valid, stage_tag = valid, tag
        word = Signal(len(beat.data), reset_less=True)
        m.d.sync += word.eq(Cat(word, pins.data)[words:])
        m.d.comb += [beats.valid.eq(stage_valid), beats.tag.eq(stage_tag), beats.data.eq(word)]
        return m
