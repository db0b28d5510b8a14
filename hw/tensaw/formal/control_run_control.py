"""Proof of tensaw.rtl.control.run_control."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Mux, Signal
from amaranth.lib import data

from tensaw.formal.bench import Bench, Planted, proof
from tensaw.rtl.control.run_control import (
    _HALT_CYCLES,
    _LEARNING,
    _RESET_CYCLES,
    _RESET_WAY,
    _STEADY,
    ERROR_SOURCES,
    RunControl,
)  # fmt: skip
from tensaw.spec.registers import ErrorCode

_MODULE = "tensaw.rtl.control.run_control"


@proof(
    "control.run_control",
    depth=2,
    cover_depth=24,
    planted=(
        Planted(_MODULE, "with m.Elif(bus_idle):", "with m.Else():"),
        Planted(_MODULE, "coming[:index].any()", "coming[index + 1 :].any()"),
        Planted(_MODULE, "~coming & (following | resetting", "~coming | (following | resetting"),
        Planted(_MODULE, "with m.Elif(following[index]):", "with m.Else():"),
        Planted(_MODULE, "Mux(cleared[index], 0, getattr(self, name).address)", "getattr(self, name).address"),
        Planted(_MODULE, "with m.If(learning):", "with m.If(timer == 0):"),
        Planted(_MODULE, "done.eq(self.done),", "done.eq(self.done | done),"),
        Planted(
            _MODULE,
            "m.d.sync += [halt.eq(0), first.eq(1)]",
            "m.d.sync += halt.eq(0)",
        ),
        Planted(_MODULE, "with m.If(timer == _RESET_WAY):", "with m.If(timer == 0):"),
        Planted(
            _MODULE,
            "with m.Elif(stopping):\n                    m.d.sync += [halt.eq(1)",
            "with m.Elif(stopping):\n                    m.d.sync += [halt.eq(0)",
        ),
    ),
)
def run_control(b: Bench) -> None:
    """A start outside of a run resets the core for some cycles, with the bus idle, and starts it once; a run ends once,
    finished or failed, and failed only when the bus is idle; the first error is kept, the earliest unit's if several
    come at once; units are halted whenever no run goes on, from two cycles after the cause; starts during a run change
    nothing."""
    m = b.m
    dut = b.add(RunControl())
    ports = [getattr(dut, name) for name in ERROR_SOURCES]
    for port in ports:
        for name in ("valid", "code", "tag", "address"):
            b.drive(getattr(port, name), name)
        b.assume(port.code != 0)
    for name in ("start_request", "stop_request", "done", "bus_idle"):
        b.drive(getattr(dut, name), name)
    idle = b.state("dut", "IDLE") | b.state("dut", "RESET")
    b.assume(dut.bus_idle | ~idle)  # the managers are halted or reset
    long_halted = b.state("dut", "HALT") & (b.inside("dut.timer") == 0)
    b.assume(dut.bus_idle | ~(b.past(dut.bus_idle) & long_halted))  # nothing new begins long after a halt

    going, ended = Signal(), Signal()  # between start and end; between start and the cause of the end
    resetting = Signal()
    begins = dut.start_request & ~going & ~resetting
    ends = dut.finished | dut.failed
    # The block looks at what it is told one or two cycles later.
    stop, done = Signal(), Signal()
    count = len(ports)
    layout = data.StructLayout({"code": 8, "unit": 4, "tag": 16, "address": 64})
    said = [Signal(layout, name=f"said_{name}") for name in ERROR_SOURCES]  # by each one's first error since the reset
    silent = Signal(count, init=(1 << count) - 1)  # who has not had one
    cause_now = Signal(layout)
    coming = Cat(port.valid for port in ports)
    valid = b.past(coming)
    b.prove("coming", b.inside("dut.coming") == valid, "whose error comes")
    seen = b.past(valid)
    error = seen.any()
    m.d.sync += [stop.eq(b.past(dut.stop_request)), done.eq(dut.done)]
    m.d.sync += silent.eq(~valid & (silent | resetting.replicate(count)))
    for index, (port, number) in enumerate(zip(ports, ERROR_SOURCES.values(), strict=True)):
        with m.If(silent[index]):
            code_then, tag_then, address_then = (b.past(item) for item in (port.code, port.tag, port.address))
            m.d.sync += said[index].eq(Cat(code_then, Const(number, 4), tag_then, address_then))
    for index in reversed(range(count)):
        with m.If(seen[index]):
            m.d.comb += cause_now.eq(said[index])
    b.prove("failing", b.inside("dut.failing") == error, "that there is an error")
    leading = Cat(bit & ~seen[:index].any() for index, bit in enumerate(seen))
    b.prove("leading", b.inside("dut.leading") == leading, "whose it is")
    for mine, its in ((stop, "stopping"), (done, "done")):
        b.prove(its, mine == b.inside(f"dut.{its}"), "what the block is told is kept for a cycle")
    cleared = b.inside("dut.cleared")
    b.prove("following", b.inside("dut.following") == silent, "who has not had an error")
    for index, (name, port) in enumerate(zip(ERROR_SOURCES, ports, strict=True)):
        word = b.inside(f"dut.told_{name}")
        steady = name in _STEADY
        if steady:
            b.assume(silent[index] | resetting | (port.address == said[index].address))
            b.assume(~valid[index] | ~silent[index] | resetting | (port.address == b.past(port.address)))
        b.prove(f"code{index}", silent[index] | (said[index].code != 0), "an error has a code")
        b.prove(f"heard{index}", ~(seen[index] & silent[index]), "who is heard is not silent")
        address = Const(0, 64) if steady else said[index].address
        meant = Cat(said[index].code, said[index].unit, said[index].tag, address)
        kept = word == Mux(b.past(cleared[index]), 0, meant)
        b.prove(f"told{index}", silent[index] | ~going | kept, "what its first error said")
    timer = b.inside("dut.timer")
    quiet = resetting & (timer < _RESET_WAY)
    b.assume(~quiet | ~coming.any())  # whoever could tell has been reset
    cause = going & ~ended & (error | stop | (done & ~valid.any()))
    with m.If(begins):
        m.d.sync += resetting.eq(1)
    with m.If(b.past(resetting) & ~resetting):
        b.prove("starts", dut.start, "the run starts when the reset has had its way")
    released = resetting & (timer == 0)
    with m.If(released):
        m.d.sync += [resetting.eq(0), going.eq(1), ended.eq(0)]
    with m.If(cause & ~dut.finished):
        m.d.sync += ended.eq(1)
    with m.If(ends):
        m.d.sync += going.eq(0)
        b.prove("in_run", going, "only a run ends")
    b.prove("one_end", ~(dut.finished & dut.failed), "it ends one way")
    b.prove("resets", ~b.past(begins) | dut.core_reset, "a start resets the core")
    b.prove("reset", dut.core_reset == (resetting & (timer >= _RESET_WAY)), "at once and at no other time")
    b.prove("timer", ~resetting | (timer < _RESET_CYCLES), "for so long")
    b.prove(
        "way", ~dut.start | ~(dut.core_reset | b.past(dut.core_reset, _RESET_WAY)), "and some cycles before the run"
    )
    b.prove("busy", dut.busy == (resetting | going), "busy from the start to the end")
    b.prove("running", dut.running == going, "running likewise, without the reset")
    b.prove("halt", dut.halt == ~(going & ~ended), "halted unless a run goes on")
    b.prove("start_once", ~dut.start | (going & ~b.past(going)), "started once")
    b.prove("bus", ~dut.failed | dut.bus_idle, "failed only when the bus is idle")
    b.prove("settled", ~dut.failed | (b.past(dut.halt) & ended), "and some cycles after the halt")
    b.prove("finished", ~dut.finished | (done & ~error & ~stop & ~valid.any()), "finished only without an error")

    # The error.
    code, tag, address, unit = Signal(8), Signal(16), Signal(64), Signal(4)
    with m.If(b.past(begins)):
        m.d.sync += [code.eq(0), tag.eq(0), address.eq(0), unit.eq(0)]
    # An error is known some cycles behind the halt.
    broken, cause_then = Signal(), Signal(layout)
    with m.If(going & ~ended):
        m.d.sync += [broken.eq(error), cause_then.eq(cause_now)]
    learning = broken & b.state("dut", "HALT") & (timer == _LEARNING)
    with m.If(b.past(learning)):
        m.d.sync += [code.eq(cause_then.code), tag.eq(cause_then.tag), address.eq(cause_then.address)]
        m.d.sync += unit.eq(cause_then.unit)
    with m.If(going & ~ended & stop & ~error):
        m.d.sync += code.eq(ErrorCode.STOPPED)
    b.prove("open", ~dut.start | silent.all(), "all are listened to")
    b.prove("quiet", ~dut.start | ~(error | valid.any()), "no error is left from before the reset")
    b.prove("last", ~released | ~valid.any(), "nor comes one then")
    halted = b.state("dut", "HALT") & broken
    b.prove("broken", ~b.state("dut", "HALT") | (b.inside("dut.broken") == broken), "an error was the cause")
    unlearned = halted & (timer >= _LEARNING - 1)
    b.prove("learning", b.past(learning) == b.inside("dut.learning"), "it is learned once")
    b.prove("clear", b.inside("dut.clear") == b.past(begins), "a start clears it")
    b.prove("clearing", ~b.past(begins) | (resetting & (timer == _RESET_CYCLES - 1)), "early in the reset")
    b.prove("cleared", ~(resetting | (going & ~ended)) | (cleared == 0), "nothing is cleared before")
    left = (~cleared)[:count]
    b.prove("one_left", ~unlearned | ((left != 0) & ((left & (left - 1)[:count]) == 0)), "but all others then")
    full = timer == _HALT_CYCLES - 1
    b.prove("cleared_long", ~halted | full | (cleared == b.past(cleared)), "in the first cycle of the halt")
    steady = b.inside("dut.steady")
    kept_by = [index for index, name in enumerate(ERROR_SOURCES) if name in _STEADY]
    none = Cat(cleared[index] for index in kept_by).all()
    b.prove("steady_none", ~unlearned | full | ~none | (steady == 0), "no address of those that stay")
    for index in kept_by:
        mine = steady == said[index].address
        b.prove(f"steady{index}", ~unlearned | full | cleared[index] | mine, "or the first error's")
    for index in range(count):
        b.prove(f"lasts{index}", ~(unlearned & ~cleared[index]) | (said[index] == cause_then), "the first is left")
        b.prove(f"silent{index}", ~(unlearned & ~cleared[index]) | ~silent[index], "and has had one")
    same = (dut.code == code) & (dut.tag == tag) & (dut.address == address) & (dut.unit == unit)
    b.prove("first_error", same, "the run's first error is kept")
    b.prove("cause", ~dut.failed | (dut.code != 0), "a run that failed has a cause")

    # What the block's state means.
    state = {name: b.state("dut", name) for name in ("IDLE", "RESET", "RUN", "HALT")}
    b.prove("state_reset", state["RESET"] == resetting, "the state of the reset")
    b.prove("state_run", state["RUN"] == (going & ~ended), "the run's")
    b.prove("state_halt", state["HALT"] == (going & ended), "and the halt's")
    b.prove("ended", ~ended | going | ~b.past(going) | b.past(ends), "a cause ends the run")
    b.prove("code", ~state["HALT"] | unlearned | (code != 0), "a halt has a cause")
    b.prove("first", ~b.inside("dut.first") | (going & ~b.past(going)), "the first cycle of the run")

    b.cover("finishes", dut.finished, "a run finishes")
    b.cover("fails", dut.failed & (dut.code == 1) & b.past(~dut.bus_idle, 2), "a run fails and waits for the bus")
    b.cover("stopped", dut.failed & (dut.code == ErrorCode.STOPPED), "a run is stopped")
    b.cover("again", dut.start & b.past(dut.failed, 6), "the next run starts after it")
