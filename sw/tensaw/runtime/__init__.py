"""Running compiled programs: one session for the golden model, the simulated RTL and, later, boards.

>>> with Session(program, backend="verilator") as session:        # doctest: +SKIP
...     result = session.run({"input": image})
...     print(result.cycles, result.outputs["output"])
"""

from tensaw.runtime.driver import Device, Driver, Waited
from tensaw.runtime.layers import BOUNDS, LayerResult
from tensaw.runtime.session import BACKENDS, RunResult, Session

__all__ = ["BACKENDS", "BOUNDS", "Device", "Driver", "LayerResult", "RunResult", "Session", "Waited"]
