"""The serial core: fetches and carries out its own instructions, and lets the host in between."""

from __future__ import annotations

from typing import Any

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from tensaw.boards.board import BlockRam, SinglePort
from tensaw.serial.alu import Alu
from tensaw.serial.dot import DotProducts
from tensaw.serial.host import NUMBER_BITS, HostRegisters
from tensaw.serial.instruction import ADDRESS_BITS, INSTRUCTION_BITS, Op
from tensaw.serial.memory import word_memory
from tensaw.serial.microcode import firmware
from tensaw.serial.multiplier import WideMultiplier
from tensaw.serial.registers import RegisterFile
from tensaw.spec.config import NpuConfig

__all__ = ["SerialCore"]


class SerialCore(wiring.Component):
    """An NPU of few gates, with its memory.

    Parameters
    ----------
    config : NpuConfig
        See tensaw.serial.microcode.firmware for what it may be.
    memory : BlockRam or SinglePort
        Of at most 64 KiB; the scratchpad is of the same kind.

    Members
    -------
    register_request : In(1), register_write : In(1), register_address : In(7), register_data : In(32)
        Reads or writes the register of that word address; until ``register_done``.
    register_done : Out(1), register_error : Out(1), register_value : Out(32)
        In one cycle: the access is done, there is no such register (writes), what it holds (reads).
    memory_request : In(1), memory_address : In(14), memory_data : In(32), memory_strobe : In(4)
        Writes the bytes of ``memory_strobe`` of a word of memory, or reads it if there is none; until ``memory_taken``.
    memory_taken : Out(1), memory_value : Out(32)
        The access happens in this cycle; in the next one, what has been read.
    irq : Out(1)
    uses_memory : Out(1)
        For a light.

    Timing
    ------
    An instruction a cycle, two stages behind its address; a jump and a load take two, dot products two more than they
    have bytes. An access of the host takes a cycle, for which the program is held up. Reset: the program begins anew;
    memory, scratchpad and registers stay.

    Corner cases
    ------------
    As tensaw.rtl.control.registers.ControlRegisters, but bytes of a register cannot be written alone.
    """

    register_request: Signal
    register_write: Signal
    register_address: Signal
    register_data: Signal
    register_done: Signal
    register_error: Signal
    register_value: Signal
    memory_request: Signal
    memory_address: Signal
    memory_data: Signal
    memory_strobe: Signal
    memory_taken: Signal
    memory_value: Signal
    irq: Signal
    uses_memory: Signal

    def __init__(self, config: NpuConfig, memory: BlockRam | SinglePort) -> None:
        self._config, self._memory = config, memory
        super().__init__(
            {
                "register_request": In(1),
                "register_write": In(1),
                "register_address": In(NUMBER_BITS),
                "register_data": In(32),
                "register_done": Out(1),
                "register_error": Out(1),
                "register_value": Out(32),
                "memory_request": In(1),
                "memory_address": In(14),
                "memory_data": In(32),
                "memory_strobe": In(4),
                "memory_taken": Out(1),
                "memory_value": Out(32),
                "irq": Out(1),
                "uses_memory": Out(1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        program = firmware(self._config, self._memory.size)
        m.submodules.registers = registers = RegisterFile(program.registers)
        m.submodules.host = host = HostRegisters(self._config)
        m.submodules.alu = alu = Alu()
        m.submodules.multiplier = multiplier = WideMultiplier()
        m.submodules.dot = dot = DotProducts()
        m.submodules.memory = memory = word_memory(self._memory, self._memory.size)
        m.submodules.scratchpad = scratchpad = word_memory(self._memory, self._config.scratchpad_bytes)
        m.submodules.program = rom = Memory(
            shape=INSTRUCTION_BITS, depth=1 << ADDRESS_BITS, init=[word.encode() for word in program.words]
        )
        port = rom.read_port()

        # Stage F: the instruction behind the program's RAM, whose registers are read. Stage E: it is carried out; ``e``
        # says that there is one. Loads have a second cycle L, and dot products are waited for (``wait``).
        begin, e, load, wait, slot = Signal(init=1), Signal(), Signal(), Signal(), Signal()
        issue, stall, pause, go, wish = Signal(), Signal(), Signal(), Signal(), Signal()
        fields: dict[str, Signal] = {}
        coming: dict[str, Any] = {}
        rest: Any = port.data
        for name, width in (("op", 6), ("immediate", 1), ("aux", 5), ("b", 8), ("a", 8), ("d", 8)):
            coming[name], rest = rest[:width], rest[width:]
            if name != "a":
                fields[name] = Signal(width, name=f"e_{name}", reset_less=True)
                with m.If(issue):
                    m.d.sync += fields[name].eq(coming[name])
        op, aux = fields["op"], fields["aux"]

        loads, dots = Signal(), Signal()
        m.d.comb += [
            loads.eq(e & ((op == Op.LOAD_WORD) | (op == Op.LOAD_BYTE) | (op == Op.FETCH))),
            dots.eq(e & ((op == Op.DOT) | (op == Op.DOT_SAME) | (op == Op.DOT_WORD))),
            stall.eq(loads | dots | (wait & dot.busy)),
            pause.eq(wish & ~slot & ~stall),
            issue.eq(~begin & ~stall & ~pause & ~go),
        ]
        m.d.sync += [
            begin.eq(0),
            e.eq(issue),
            load.eq(loads),
            wait.eq(dots | (wait & dot.busy)),
            slot.eq(pause),
        ]

        # What the instruction before has written has not been read.
        bypass_a, bypass_b, written = Signal(), Signal(), Signal(32, reset_less=True)
        m.d.sync += [
            bypass_a.eq(registers.write & (registers.address == coming["a"])),
            bypass_b.eq(registers.write & (registers.address == coming["b"])),
            written.eq(registers.value),
        ]
        a, b = Signal(32), Signal(32)
        m.d.comb += [
            a.eq(Mux(bypass_a, written, registers.value_a)),
            b.eq(Mux(fields["immediate"], fields["b"], Mux(bypass_b, written, registers.value_b))),
            alu.op.eq(op),
            alu.aux.eq(aux),
            alu.a.eq(a),
            alu.b.eq(b),
            multiplier.start.eq(e & (op == Op.MULTIPLY)),
            multiplier.a.eq(a),
            multiplier.b.eq(b),
        ]

        cycles = Signal(32, reset_less=True)
        m.d.sync += cycles.eq(cycles + 1)

        # Where the program goes on: ``here`` is the instruction in F.
        here, following, target = Signal(ADDRESS_BITS), Signal(ADDRESS_BITS), Signal(ADDRESS_BITS)
        m.d.comb += [
            target.eq(Cat(fields["d"], aux[: ADDRESS_BITS - 8])),
            go.eq(
                e
                & (
                    alu.taken
                    | (op == Op.GO)
                    | (op == Op.CALL)
                    | (op == Op.RETURN)
                    | ((op == Op.IF_START) & host.busy)
                    | ((op == Op.IF_STOP) & host.stop)
                )
            ),
        ]
        with m.If(begin):
            m.d.comb += following.eq(0)
        with m.Elif(~go):
            m.d.comb += following.eq(here + 1)
        with m.Elif(op == Op.CALL):
            m.d.comb += following.eq(Cat(fields["b"], aux[: ADDRESS_BITS - 8]))
        with m.Elif(op == Op.RETURN):
            m.d.comb += following.eq(a)
        with m.Else():
            m.d.comb += following.eq(target)
        m.d.comb += [port.en.eq(begin | go | issue), port.addr.eq(following)]
        with m.If(port.en):
            m.d.sync += here.eq(following)

        # Memory and scratchpad.
        address, place = Signal(16), Signal(2)
        keeps, stores = Signal(), Signal()
        m.d.comb += [
            keeps.eq(e & (op == Op.KEEP)),
            stores.eq(e & (op == Op.STORE)),
            address.eq(Mux((op == Op.KEEP) | (op == Op.STORE), a, alu.sum)),
            self.memory_taken.eq(slot & self.memory_request),
            self.memory_value.eq(memory.read_data),
            memory.enable.eq(1),
            scratchpad.enable.eq(1),
            scratchpad.address.eq(Mux(wait, dot.scratchpad_word, address[2:])),
            scratchpad.data.eq(b[:8].replicate(4)),
            scratchpad.strobe.eq(Mux(keeps, 1 << address[:2], 0)),
            memory.data.eq(Mux(slot, self.memory_data, b[:8].replicate(4))),
        ]
        with m.If(slot):
            m.d.comb += [
                memory.address.eq(self.memory_address),
                memory.strobe.eq(Mux(self.memory_taken, self.memory_strobe, 0)),
            ]
        with m.Else():
            m.d.comb += [
                memory.address.eq(Mux(wait, dot.memory_word, address[2:])),
                memory.strobe.eq(Mux(stores, 1 << address[:2], 0)),
            ]
        m.d.sync += place.eq(address[:2])
        word, byte = Signal(32), Signal(8)
        m.d.comb += [
            word.eq(Mux(op == Op.FETCH, scratchpad.read_data, memory.read_data)),
            byte.eq(word.word_select(place, 8)),
        ]
        m.d.comb += [
            dot.rewind.eq(e & (op == Op.WEIGHTS)),
            dot.first.eq(a[2:]),
            dot.start.eq(dots),
            dot.address.eq(a),
            dot.count.eq(b),
            dot.same.eq(op == Op.DOT_SAME),
            dot.each.eq(op == Op.DOT_WORD),
            dot.scratchpad_data.eq(scratchpad.read_data),
            dot.memory_data.eq(memory.read_data),
        ]

        result, gives = Signal(32), Signal()
        m.d.comb += gives.eq(1)
        with m.Switch(op):
            with m.Case(Op.ADD, Op.SUB):
                m.d.comb += result.eq(alu.sum)
            with m.Case(Op.AND, Op.OR, Op.XOR, Op.MOVE, Op.PUT):
                m.d.comb += result.eq(alu.logic)
            with m.Case(Op.FUNNEL, Op.SHIFT, Op.SHIFT_SIGN, Op.SHIFT_BY):
                m.d.comb += result.eq(alu.shifted)
            with m.Case(Op.LOWER):
                m.d.comb += result.eq(multiplier.lower)
            with m.Case(Op.UPPER):
                m.d.comb += result.eq(multiplier.upper)
            with m.Case(Op.LOAD_WORD):
                m.d.comb += result.eq(word)
            with m.Case(Op.LOAD_BYTE, Op.FETCH):
                m.d.comb += result.eq(byte.as_signed())
            with m.Case(Op.CALL):
                m.d.comb += result.eq(here)
            with m.Case(Op.SUM):
                m.d.comb += result.eq(dot.sums[b[:2]])
            with m.Case(Op.CYCLES):
                m.d.comb += result.eq(cycles)
            with m.Default():
                m.d.comb += gives.eq(0)

        # The host's turn is a slot: nothing is in E then. Registers are read for it in the cycle before.
        asked = Signal()
        # Until the program waits for a start, registers are not yet those of a reset.
        ready = Signal()
        with m.If(e & (op == Op.IF_START)):
            m.d.sync += ready.eq(1)
        m.d.comb += [
            asked.eq(self.register_request & ready),
            wish.eq(asked | self.memory_request),
            registers.read_a.eq(1),
            registers.address_a.eq(Mux(pause, self.register_address, coming["a"])),
            registers.read_b.eq(1),
            registers.address_b.eq(coming["b"]),
        ]
        with m.If(slot):
            m.d.comb += [
                registers.address.eq(self.register_address),
                registers.value.eq(host.stored),
                registers.write.eq(host.store),
            ]
        with m.Else():
            m.d.comb += [
                registers.address.eq(Mux(op == Op.PUT, a[:8], fields["d"])),
                registers.value.eq(result),
                registers.write.eq(load | (e & gives & ~loads)),
            ]
        m.d.comb += [
            host.number.eq(self.register_address),
            host.data.eq(self.register_data),
            host.write.eq(slot & asked & self.register_write),
            host.held.eq(registers.value_a),
            host.end.eq(e & (op == Op.STATE)),
            Cat(host.end_done, host.end_error).eq(aux[1:3]),
            self.register_done.eq(slot & asked),
            self.register_error.eq(self.register_write & ~host.known),
            self.register_value.eq(host.value),
            self.irq.eq(host.irq),
            self.uses_memory.eq(host.busy),
        ]
        return m
