"""Running faults: on one simulator for each configuration, always followed by a run that must be right."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, TypeAlias

from tensaw.harness import MemoryTiming
from tensaw.regress.bench import Bench, prepare
from tensaw.regress.cases import Case
from tensaw.spec.errors import DeviceError, ToolError, UnsupportedError
from tensaw.verify.faults.cases import NETWORKS, FaultCase
from tensaw.verify.faults.scenarios import SCENARIOS
from tensaw.verify.faults.site import Failure, Network, Site

__all__ = ["Faults", "Networks", "Outcome"]

_SHORTEST, _LONGEST = 200, 5000
"""Cycles of the networks, with :data:`_TIMING`: longer ones show nothing that these do not."""
_TIMING = MemoryTiming(20, 20)

Networks: TypeAlias = dict[tuple[str, int, int], Network]
"""By name of the configuration, seed and number."""


@dataclass(frozen=True)
class Outcome:
    """What became of a fault: ``text`` says what was done and how the run ended, and if ``failed`` what was wrong.
    ``end``: End.name of the run with the fault, or ``reset``."""

    case: FaultCase
    failed: bool
    text: str
    end: str
    cycles: int
    seconds: float


class Faults:
    """A context manager that keeps simulators and networks. ``bench`` gives the simulators, ``networks`` are those of
    another, with what was seen of them."""

    def __init__(self, bench: Bench | None = None, networks: Networks | None = None) -> None:
        self._bench = bench or Bench(keep=2)
        self.networks: Networks = {} if networks is None else networks

    def run(self, case: FaultCase) -> Outcome:
        """Run one case; never raises for what it finds. Raises ToolError if a tool is missing."""
        start = time.perf_counter()
        network = self._network(case)
        simulator = self._bench.simulator(case.config, network.placement, len(network.before))
        cycles, failed = simulator.cycles_run, False
        site = Site(simulator, network, case.timing)
        text = ""
        try:
            if case.timing not in network.clean:
                site.clean()
                site.seen.clear()
            text = SCENARIOS[case.kind](site, case.rng(1))
            site.clean()
        except (Failure, DeviceError, ToolError) as error:
            failed = True
            text = f"{text}; the next run: {error}" if text else str(error)
            self._bench.drop(case.config)
        end = site.seen[0].name if len(site.seen) > 1 else "reset"
        return Outcome(case, failed, text, end, simulator.cycles_run - cycles, time.perf_counter() - start)

    def _network(self, case: FaultCase) -> Network:
        key = case.config.name, case.seed, case.network
        if key not in self.networks:
            self.networks[key] = self._make_network(case)
        return self.networks[key]

    def _make_network(self, case: FaultCase) -> Network:
        """The first that this configuration takes, and that is not too long or too short, whichever case asks first."""
        for number in range(case.network, 1000, NETWORKS):
            try:
                network = Network(*prepare(Case(case.seed, number, (case.config.name,), pruned=False)))
            except UnsupportedError:
                continue
            simulator = self._bench.simulator(case.config, network.placement, len(network.before))
            if _SHORTEST <= Site(simulator, network, _TIMING).clean().cycles <= _LONGEST:
                return network
        raise AssertionError("no network is short enough")

    def __enter__(self) -> Faults:
        return self

    def __exit__(self, *_: Any) -> None:
        self._bench.close()
