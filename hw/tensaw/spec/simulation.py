"""What the generated Verilog tells those who simulate it."""

__all__ = ["CHECK_PREFIX"]

CHECK_PREFIX = "hardware check failed: "
"""How the line begins that tells of a check that failed (tensaw.rtl.checks): ``INSTANCE, NAME: MESSAGE`` follows, and
the simulation ends."""
