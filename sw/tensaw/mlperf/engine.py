"""What computes behind the protocol: a session's NPU, timed by its own cycle counter and a stated clock."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tensaw.runtime import Session
from tensaw.spec.errors import InputError

__all__ = ["SessionEngine"]


class SessionEngine:
    """A session as an engine (see tensaw.mlperf.protocol): cycles divided by the clock are the time.

    ``clock``: of the NPU, in hertz. ``simulated``: the NPU takes the same cycles for the same input every time, so one
    run stands for all; hardware runs as often as it is asked to. ``cycles`` of the last run.
    """

    def __init__(self, session: Session, clock: float, simulated: bool) -> None:
        """Raises InputError for a clock that is none."""
        if not 1e3 <= clock <= 1e11:
            raise InputError(f"The clock must be between 0.001 and 100,000 MHz, not {clock / 1e6:g}.")
        self._session = session
        self._clock = clock
        self._simulated = simulated
        self._name = session.program.inputs[0].name
        self._known: tuple[bytes, npt.NDArray[np.int8], int] | None = None
        self.cycles = 0

    def infer(self, value: npt.NDArray[np.int8], times: int) -> tuple[npt.NDArray[np.int8], float]:
        """The output, and the seconds of so many inferences. Raises TensawError."""
        total = 0
        output = np.zeros(0, np.int8)
        for number in range(times):
            output, cycles = self._once(value)
            total += cycles
            if self._simulated:
                total *= times if number == 0 else 1
                break
        return output, total / self._clock

    def _once(self, value: npt.NDArray[np.int8]) -> tuple[npt.NDArray[np.int8], int]:
        key = value.tobytes()
        if not (self._simulated and self._known is not None and self._known[0] == key):
            result = self._session.run({self._name: value})
            self._known = key, next(iter(result.outputs.values())), result.cycles
        assert self._known is not None
        self.cycles = self._known[2]
        return self._known[1], self._known[2]
