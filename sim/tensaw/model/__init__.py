"""Golden model: integer NumPy arithmetic, written from LiteRT's reference kernels and independent of the hardware."""

from tensaw.model.graph import run_graph

__all__ = ["run_graph"]
