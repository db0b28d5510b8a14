"""Clock, reset, randomness and settings of a test: the base of every block's bench."""

from __future__ import annotations

import atexit
import functools
import json
import os
import signal
import zlib
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge
from cocotb.utils import get_sim_steps, get_sim_time

from tensaw.spec.config import NpuConfig

from .coverage import write_coverage
from .pauses import STYLES, Pace, make_pace
from .ports import Port, make_ports

__all__ = ["Bench", "testcase"]

with open(os.environ["TENSAW_BENCH"]) as _file:
    _SETTINGS: dict[str, Any] = json.load(_file)

# A simulator that hangs (a loop without delay, in a mutant) must end by itself; the default action needs no Python.
signal.signal(signal.SIGALRM, signal.SIG_DFL)
signal.alarm(int(_SETTINGS["limit"]))
atexit.register(write_coverage, _SETTINGS["coverage"])

AnyBench = TypeVar("AnyBench", bound="Bench")


class Bench:
    """One test of a block.

    Attributes
    ----------
    ports : the block's ports by name, see :mod:`common.ports`
    config : NpuConfig
    constants : dict of str to int
        What the block's class promises in numbers.
    rng : NumPy's generator, of this test alone
    edge : the trigger to await for the next clock cycle

    Time is counted in ``cycle``. What is read after ``await edge`` is what was there before the edge; what is written
    then is there until the next one.
    """

    def __init__(self, dut: Any, name: str) -> None:
        self.dut = dut
        self.config = NpuConfig(**_SETTINGS["config"])
        self.constants: dict[str, int] = _SETTINGS["constants"]
        self.effort: int = _SETTINGS["effort"]
        self.rng = np.random.default_rng([_SETTINGS["seed"], zlib.crc32(name.encode())])
        self.ports: Any = make_ports(dut, _SETTINGS["ports"])
        self.edge = RisingEdge(dut.clk)
        self._tasks: list[Any] = []
        self.period = get_sim_steps(_SETTINGS["clock_ns"], "ns")

    # What a block's bench may add ----------------------------------------------------------------------------------

    def prepare(self) -> None:
        """Called after the reset: start drivers and monitors."""

    def finish(self) -> None:
        """Called at the end of the test: check that nothing is left over."""

    @property
    def cycle(self) -> int:
        """Number of the present cycle, in which written values stand; values read at an edge are of ``cycle - 1``."""
        return get_sim_time("step") // self.period

    # Time ----------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Clock on, then :meth:`restart` with a reset of some cycles."""
        Clock(self.dut.clk, _SETTINGS["clock_ns"], unit="ns").start()
        await self.restart(3)

    async def restart(self, cycles: int = 1) -> None:
        """End drivers and monitors, all inputs 0, reset, one cycle of rest, then :meth:`prepare`: also in the middle of
        a test."""
        for task in self._tasks:
            task.cancel()
        self._tasks.clear()
        for port in self.ports.leaves():
            if port.is_input:
                port.set_bits(0)
        self.dut.rst.value = 1
        await self.clocks(cycles)
        self.dut.rst.value = 0
        await self.clocks()
        self.prepare()

    async def clocks(self, cycles: int = 1) -> None:
        for _ in range(cycles):
            await self.edge

    async def until(self, condition: Callable[[], bool], limit: int = 20_000, what: str = "the test's end") -> None:
        """Wait, at most ``limit`` cycles, until a condition holds."""
        for _ in range(limit):
            if condition():
                return
            await self.edge
        raise AssertionError(f"waited {limit} cycles for {what}")

    def start_soon(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Run beside the test until its end, or until :meth:`restart`. An error in it fails the test."""
        task = cocotb.start_soon(coroutine)
        self._tasks.append(task)
        return task

    # Randomness ----------------------------------------------------------------------------------------------------

    def count(self, number: int) -> int:
        """``number`` stimuli, or more of them in a long regression."""
        return number * self.effort

    def pace(self, *styles: str) -> Pace:
        """A pattern of pauses of one of these styles (any)."""
        return make_pace(self.rng, str(self.rng.choice(styles or STYLES)))

    def integers(self, low: int, high: int) -> int:
        """low to high, both included."""
        return int(self.rng.integers(low, high + 1))

    def choose(self, *values: Any) -> Any:
        """One of the values."""
        return values[int(self.rng.integers(len(values)))]

    def chance(self, probability: float) -> bool:
        return bool(self.rng.random() < probability)

    def bytes(self, count: int) -> np.ndarray:
        """Random bytes."""
        return self.rng.integers(0, 256, count, np.uint8)

    def randomise(self, *ports: Port) -> None:
        """Random bits on inputs that nobody should look at now."""
        for port in ports:
            port.set_bits(int.from_bytes(self.rng.bytes(-(-port.width // 8)), "little") & ((1 << port.width) - 1))


def testcase(bench: type[AnyBench], *, cycles: int = 200_000) -> Callable[[Callable[[AnyBench], Any]], Any]:
    """Make ``async def name(bench)`` a test, which may take so many clock cycles."""

    def decorate(function: Callable[[AnyBench], Any]) -> Any:
        async def run(dut: Any) -> None:
            instance = bench(dut, function.__name__)
            await instance.start()
            await function(instance)
            instance.finish()

        run = functools.wraps(function)(run)
        del run.__wrapped__  # cocotb would take the bench for a parameter
        time = cycles * _SETTINGS["clock_ns"] * _SETTINGS["effort"]
        return cocotb.test(timeout_time=time, timeout_unit="ns")(run)

    return decorate
