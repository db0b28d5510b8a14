"""What networks cost: estimates and simulations beside arithmetic limits and other designs' figures."""

from tensaw.bench.estimating import estimate_run
from tensaw.bench.limits import OperatorWork, arithmetic_limit, tile_limit, work
from tensaw.bench.measure import Measurement, find_networks, measurement

__all__ = [
    "Measurement", "OperatorWork", "arithmetic_limit", "estimate_run", "find_networks", "measurement", "tile_limit",
    "work",
]  # fmt: skip
