"""The steps of ``tensaw board test``, in an order in which each needs only what those before it have shown to work."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tensaw.bringup.array import test_array
from tensaw.bringup.finding import Finding
from tensaw.bringup.line import test_line
from tensaw.bringup.memory import test_memory
from tensaw.bringup.networks import test_dma, test_layer, test_network
from tensaw.bringup.registers import test_identity, test_registers
from tensaw.compiler.ir import Graph
from tensaw.runtime.link import HostLink
from tensaw.spec.errors import DeviceError

__all__ = ["STEPS", "StepResult", "run_steps"]

STEPS: dict[str, str] = {
    "link": "answers whose every byte is known, then data in both directions, without loss or damage",
    "identity": "the NPU's registers say what the board's identity says",
    "registers": "values written to registers are read back",
    "memory": "data lines, address lines, march test of the cells",
    "dma": "the NPU copies bytes from memory to its scratchpad and back",
    "array": "patterns through every processing element",
    "layer": "a convolution, bit-exact",
    "network": "a whole network, bit-exact",
}
"""Name and what is shown."""


@dataclass(frozen=True)
class StepResult:
    """One step: what was seen if it passed, the finding if not."""

    name: str
    text: str
    seconds: float
    finding: Finding | None = None

    def to_dict(self) -> dict[str, str | float | bool]:
        """For JSON."""
        values: dict[str, str | float | bool] = {
            "step": self.name, "passed": self.finding is None, "text": self.text, "seconds": round(self.seconds, 2)
        }  # fmt: skip
        if self.finding is not None:
            values |= {"meaning": self.finding.meaning, "check": self.finding.check}
        return values


def run_steps(
    link: HostLink,
    memory_bytes: int | None = None,
    graph: Graph | None = None,
    tell: Callable[[str], None] = lambda text: None,
) -> Iterator[StepResult]:
    """All steps in order, up to and including the first that fails.

    ``memory_bytes``: how much of the memory the march test covers, see test_memory; ``graph``: the network of the last
    step. A board that stops answering is a finding of the step in which it does.
    """
    actions: dict[str, Callable[[], str]] = {
        "link": lambda: test_line(link),
        "identity": lambda: test_identity(link),
        "registers": lambda: test_registers(link),
        "memory": lambda: test_memory(link, memory_bytes, tell),
        "dma": lambda: test_dma(link),
        "array": lambda: test_array(link),
        "layer": lambda: test_layer(link),
        "network": lambda: test_network(link, graph),
    }
    for name in STEPS:
        tell(f"{name}: {STEPS[name]}")
        started = time.monotonic()
        finding = None
        try:
            text = actions[name]()
        except Finding as found:
            text, finding = found.text, found
        except DeviceError as error:
            text = str(error)
            finding = Finding(
                text, "The board stopped answering, or refused what every board does.",
                "Repeat the test: each run begins with a reset over the link. If it ends here again, load the "
                "bitstream again.",
            )  # fmt: skip
        yield StepResult(name, text, time.monotonic() - started, finding)
        if finding is not None:
            return
