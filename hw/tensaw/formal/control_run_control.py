"""Proof of tensaw.rtl.control.run_control."""

from __future__ import annotations

from amaranth.hdl import Cat, Mux, Signal, Value
from amaranth.lib import data

from tensaw.formal.bench import Bench, Planted, proof
from tensaw.rtl.control.run_control import _RESET_CYCLES, _RESET_WAY, ERROR_SOURCES, RunControl
from tensaw.spec.registers import ErrorCode

_MODULE = "tensaw.rtl.control.run_control"


@proof(
    "control.run_control",
    depth=2,
    cover_depth=24,
    planted=(
        Planted(_MODULE, "with m.Elif(self.bus_idle):", "with m.Else():"),
        Planted(_MODULE, "seen[:index].any()", "seen[index + 1 :].any()"),
        Planted(_MODULE, "with m.If(~failing):", "with m.If(1):"),
        Planted(_MODULE, "with m.If(learning):", "with m.If(timer == 0):"),
        Planted(_MODULE, "done.eq(self.done)]", "done.eq(self.done | done)]"),
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

    going, ended = Signal(), Signal()  # between start and end; between start and the cause of the end
    resetting = Signal()
    begins = dut.start_request & ~going & ~resetting
    ends = dut.finished | dut.failed
    # The block looks at what it is told a cycle later.
    error, stop, done = Signal(), Signal(), Signal()
    first, unit_now = Signal(data.StructLayout({"code": 8, "tag": 16, "address": 64})), Signal(4)
    m.d.sync += [error.eq(Cat(port.valid for port in ports).any()), stop.eq(dut.stop_request), done.eq(dut.done)]
    # The first error is found in the cycle in which it is seen: what comes then does not count.
    with m.If(~error):
        for port, number in reversed(list(zip(ports, ERROR_SOURCES.values(), strict=True))):
            with m.If(port.valid):
                m.d.sync += [first.code.eq(port.code), first.tag.eq(port.tag), first.address.eq(port.address)]
                m.d.sync += unit_now.eq(number)
    seen = Cat(b.past(port.valid) for port in ports)
    found = Cat(first.code, unit_now, first.tag, first.address)
    b.prove("seen", b.inside("dut.seen") == seen, "whose error it is")
    b.prove("seen_any", error == seen.any(), "and whether there is one")
    told = b.past(error)
    for mine, its in ((error, "failing"), (stop, "stopping"), (done, "done")):
        b.prove(its, mine == b.inside(f"dut.{its}"), "what the block is told is kept for a cycle")
    kept = b.inside("dut.cause")
    for index, name in enumerate(ERROR_SOURCES):
        is_first = seen[index] & ~seen[:index].any()
        word = b.inside(f"dut.told_{name}")
        b.prove(
            f"told{index}", ~(error & ~told & is_first) | (word == found), "the first of those that were seen at once"
        )
        b.prove(f"not{index}", ~(error & ~told & ~seen[index]) | (word == 0), "what was not told is 0")
    b.prove("kept", ~b.past(error & ~told) | (kept == found), "the first alone is left in the next cycle")
    timer = b.inside("dut.timer")
    quiet = resetting & (timer < _RESET_WAY)
    b.assume(~quiet | ~Cat(port.valid for port in ports).any())  # whoever could tell has been reset
    cause = going & ~ended & (error | stop | done)
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
    b.prove("finished", ~dut.finished | (done & ~error & ~stop), "finished only without an error")
    b.prove("code_of_error", ~error | (first.code != 0), "an error has a code")

    # The error.
    code, tag, address, unit = Signal(8), Signal(16), Signal(64), Signal(4)
    with m.If(begins):
        m.d.sync += [code.eq(0), tag.eq(0), address.eq(0), unit.eq(0)]
    learning = Signal()
    m.d.sync += learning.eq(going & ~ended & error)
    with m.If(learning):
        m.d.sync += [code.eq(first.code), tag.eq(first.tag), address.eq(first.address), unit.eq(unit_now)]
    with m.If(going & ~ended & stop & ~error):
        m.d.sync += code.eq(ErrorCode.STOPPED)
    b.prove("quiet", ~resetting | (timer != 0) | ~error, "no error is left from before the reset")
    b.prove("fresh", ~(going & ~ended & error) | ~told, "an error ends the run as soon as it is seen")
    b.prove("learning", learning == b.inside("dut.learning"), "the error is learned in the cycle after the halt")
    b.prove(
        "learned",
        ~learning | (b.past(error & ~told) & b.state("dut", "HALT") & b.inside("dut.timer").all()),
        "early in the halt",
    )
    same = (dut.code == code) & (dut.tag == tag) & (dut.address == address) & (dut.unit == unit)
    b.prove("first_error", same, "the run's first error is kept")
    b.prove("cause", ~dut.failed | (dut.code != 0), "a run that failed has a cause")

    # What the block's state means.
    state = {name: b.state("dut", name) for name in ("IDLE", "RESET", "RUN", "HALT")}
    b.prove("state_reset", state["RESET"] == resetting, "the state of the reset")
    b.prove("state_run", state["RUN"] == (going & ~ended), "the run's")
    b.prove("state_halt", state["HALT"] == (going & ended), "and the halt's")
    b.prove("ended", ~ended | going | ~b.past(going) | b.past(ends), "a cause ends the run")
    b.prove("code", Mux(state["HALT"] & ~learning, code != 0, Value.cast(1)), "a halt has a cause")
    b.prove("first", ~b.inside("dut.first") | (going & ~b.past(going)), "the first cycle of the run")

    b.cover("finishes", dut.finished, "a run finishes")
    b.cover("fails", dut.failed & (dut.code == 1) & b.past(~dut.bus_idle), "a run fails and waits for the bus")
    b.cover("stopped", dut.failed & (dut.code == ErrorCode.STOPPED), "a run is stopped")
    b.cover("again", dut.start & b.past(dut.failed, 6), "the next run starts after it")
