"""What one fault is: a seed and an index give configuration, network, memory and the kind of fault."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tensaw.harness import MemoryTiming
from tensaw.regress.configs import CONFIGS
from tensaw.spec.config import PRESETS, NpuConfig
from tensaw.spec.errors import InputError

__all__ = ["FAULT_CONFIGS", "GROUP", "KINDS", "NETWORKS", "FaultCase"]

FAULT_CONFIGS = ("r4c4b8", "r5c7b8", "r9c3b8", "r16c4b16", "r2c2b8", "r3c10b16")
"""Names of CONFIGS: both bus widths, bursts of one beat, a single outstanding read, small simulators."""
GROUP = 40
"""So many cases in a row share a configuration, so that they share a simulator and its networks."""
NETWORKS = 4
"""Networks of each configuration."""
_TIMINGS = 3

KINDS = (
    "read_error", "read_error", "write_error", "reset", "stop", "start", "registers", "windows", "windows", "program",
    "program", "program", "refused", "refused", "silent", "silent", "several", "several",
)  # fmt: skip
"""Kinds of faults, those with more forms more often; the functions of tensaw.verify.faults.scenarios."""

_KNOWN = {**CONFIGS, **PRESETS}


@dataclass(frozen=True)
class FaultCase:
    """Fault ``index`` of the sequence that ``seed`` gives; ``configs``: names, of CONFIGS and the presets, that take
    turns. Raises InputError for an unknown one."""

    seed: int
    index: int
    configs: tuple[str, ...] = FAULT_CONFIGS

    def __post_init__(self) -> None:
        for name in self.configs:
            if name not in _KNOWN:
                raise InputError(f"There is no configuration {name!r}; choose from {', '.join(_KNOWN)}.")

    def rng(self, part: int) -> np.random.Generator:
        """Of one part of the case: 0 what it is, 1 the fault's details."""
        return np.random.default_rng((self.seed, self.index, part))

    @property
    def config(self) -> NpuConfig:
        return _KNOWN[self.configs[self.index // GROUP % len(self.configs)]]

    @cached_property
    def _drawn(self) -> tuple[str, int, int]:
        rng = self.rng(0)
        return KINDS[int(rng.integers(len(KINDS)))], int(rng.integers(NETWORKS)), int(rng.integers(_TIMINGS))

    @property
    def kind(self) -> str:
        return self._drawn[0]

    @property
    def network(self) -> int:
        """Which of the configuration's networks runs."""
        return self._drawn[1]

    @property
    def timing(self) -> MemoryTiming:
        """One of a few, so that runs without the fault can be compared with."""
        number = self._drawn[2]
        rng = np.random.default_rng((self.seed, number, 2))
        read, write = (int(rng.integers(1, 41)) for _ in range(2))
        return MemoryTiming(read, write, (0.0, 0.3, 0.7)[number], number)

    @property
    def command(self) -> str:
        """What repeats this case alone."""
        return f"python -m tensaw.verify.faults --seed {self.seed} --index {self.index} --config {self.config.name}"

    @classmethod
    def alone(cls, seed: int, index: int, config: str) -> FaultCase:
        """The case of that index on this configuration."""
        return cls(seed, index, (config,))

    def __str__(self) -> str:
        timing = self.timing
        return (
            f"{self.config.name}: {self.kind}, network {self.network}, latency {timing.read_latency}/"
            f"{timing.write_latency}, stalls {timing.stalls:g}"
        )
