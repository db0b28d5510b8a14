"""What other people's flows want beside the Verilog: constraints, packages, wrappers, lists of macros."""

__all__ = ["PACKAGES"]

PACKAGES = {
    "ip-xact": "tensaw.integration.ip_xact",
    "vivado": "tensaw.integration.vivado",
    "litex": "tensaw.integration.litex",
}
"""Name to the module whose function ``files`` makes it: from a Core to text by file name. A new package is such a
module and a line here."""
