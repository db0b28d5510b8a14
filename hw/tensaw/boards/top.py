"""The top of a board: clock, reset and pads around BoardCore. Its ports are the pins that constraints name."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, ClockDomain, ClockSignal, Const, Elaboratable, IOPort, Module, Mux, ResetSignal, Signal

from tensaw.boards.board import Board, Sdram
from tensaw.boards.core import LIGHTS, PAD_CYCLES, BoardCore
from tensaw.boards.families import FAMILIES, MemoryPads
from tensaw.rtl.shared import place
from tensaw.serial.board import SerialBoardCore
from tensaw.spec.link import Identity

__all__ = ["BoardTop"]


_RESET_CYCLES = 15


class BoardTop(Elaboratable):
    """One board with one configuration.

    Parameters
    ----------
    board : Board
    identity : Identity
        Its clock must be what ``board.pll`` gives for ``pll``.
    pll : settings of Board.pll

    Members
    -------
    pins : dict of port name to IOPort
        Those of ``board.ports()``.

    Timing
    ------
    The core is in reset until 16 cycles after the loop has locked, and again whenever it loses lock.
    """

    def __init__(self, board: Board, identity: Identity, pll: Any) -> None:
        self.board, self.identity, self.pll = board, identity, pll
        self.pins = {port.name: IOPort(port.width, name=port.name) for port in board.ports()}

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        board, pins = self.board, self.pins
        pads = FAMILIES[board.family]()
        clock, shifted, locked = pads.clock(m, pins[board.clock_port], self.pll)

        m.domains += [ClockDomain("sync"), ClockDomain("start", reset_less=True)]
        # The lock signal is asynchronous: two registers before it counts.
        stable = Signal(2)
        waiting = Signal(range(_RESET_CYCLES + 1), init=_RESET_CYCLES)
        reset = Signal(init=1)
        m.d.start += [
            stable.eq(Cat(locked, stable)),
            waiting.eq(Mux(stable[1], Mux(waiting == 0, 0, waiting - 1), _RESET_CYCLES)),
            reset.eq(waiting != 0),
        ]
        m.d.comb += [
            ClockSignal("sync").eq(clock),
            ClockSignal("start").eq(clock),
            ResetSignal("sync").eq(reset),
        ]

        memory = board.memory
        capture = board.capture(self.identity.clock).cycles
        core: Any
        if board.core == "serial":
            core = place(m, platform, "core", SerialBoardCore, self.identity, memory)
        else:
            core = place(m, platform, "core", BoardCore, self.identity, memory, capture)
        m.d.comb += core.uart_rx.eq(pads.input(m, "uart_rx", pins["uart_rx"]))
        pads.output(m, "uart_tx", pins["uart_tx"], core.uart_tx)
        lights = Signal(board.lights)
        shown = min(board.lights, LIGHTS)
        m.d.comb += lights[:shown].eq(core.lights[:shown])
        pads.output(m, "led", pins["led"], ~lights if board.lights_low else lights)
        if isinstance(memory, Sdram):
            assert isinstance(pads, MemoryPads), f"{board.family} has no pads for an SDRAM"
            self._sdram(m, pads, core.sdram, clock, shifted)
        elif board.resting is not None:
            assert isinstance(pads, MemoryPads), f"{board.family} has no pads for an SDRAM"
            self._rest(m, pads, clock)
        return m

    def _rest(self, m: Module, pads: MemoryPads, clock: Any) -> None:
        """Levels of an SDRAM that is not used: no clock, clock enable low, not selected, all masked; nobody drives its
        data."""
        high = ("sdram_cs_n", "sdram_ras_n", "sdram_cas_n", "sdram_we_n", "sdram_dqm")
        for name, pin in self.pins.items():
            if name == "sdram_dq":
                pads.registered_inout(m, name, pin, Const(0, len(pin)), Const(0, 1), clock)
            elif name.startswith("sdram_"):
                pads.output(m, name, pin, Const(-1 if name in high else 0, len(pin)))

    def _sdram(self, m: Module, pads: MemoryPads, sdram: Any, clock: Any, shifted: Any) -> None:
        """The pads' registers are those that PAD_CYCLES counts."""
        assert PAD_CYCLES == 1
        pins = self.pins
        outputs = {
            "sdram_ba": sdram.bank,
            "sdram_a": sdram.address,
            "sdram_dqm": sdram.mask,
            "sdram_ras_n": sdram.command[2],
            "sdram_cas_n": sdram.command[1],
            "sdram_we_n": sdram.command[0],
        }
        for name, value in outputs.items():
            pads.registered_output(m, name, pins[name], value, clock)
        pads.output(m, "sdram_cke", pins["sdram_cke"], Const(1, 1))
        pads.output(m, "sdram_cs_n", pins["sdram_cs_n"], Const(0, 1))
        pads.clock_output(m, "sdram_clk", pins["sdram_clk"], shifted)
        m.d.comb += sdram.data.eq(
            pads.registered_inout(m, "sdram_dq", pins["sdram_dq"], sdram.out, sdram.enable, clock)
        )
