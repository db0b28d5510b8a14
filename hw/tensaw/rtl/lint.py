"""What ``verilator --lint-only -Wall`` says of the generated Verilog that is no fault of the design."""

from __future__ import annotations

import textwrap

__all__ = ["WAIVERS", "waiver_file"]

WAIVERS = {
    "DECLFILENAME": "The file holds all modules, not one of the file's name.",
    "UNUSEDSIGNAL": "Modules have all ports and all bits of their interface, whether this configuration needs them or "
    "not; so parts of inputs, and outputs of instances, stay unread.",
    "WIDTHEXPAND": "Yosys leaves out extensions that Verilog's rules make anyway: operands are extended to the width "
    "of the result, each by its own sign.",
    "WIDTHTRUNC": "Yosys writes `!x` and `x ? ...` for a vector x that is compared with zero.",
    "CASEINCOMPLETE": "A case statement stands behind an assignment of the value that holds where no item fits.",
    "PROCASSINIT": "Registers have the value at power-up that reset gives them as well, for FPGAs.",
    "INITIALDLY": "`initial initially <= 1` must come after the first evaluation of all blocks: that is its use.",
}
"""Warning to the reason why it does not count here."""


def waiver_file(verilog: str) -> str:
    """A Verilator configuration for the file of this name: ``verilator --lint-only -Wall WAIVERS VERILOG``."""
    lines = [
        "// Waivers for `verilator --lint-only -Wall`: what remains is how the generator writes.",
        "`verilator_config",
    ]
    for rule, reason in WAIVERS.items():
        lines.append("")
        lines += textwrap.wrap(reason, 118, initial_indent="// ", subsequent_indent="// ")
        lines.append(f'lint_off -rule {rule} -file "*{verilog}"')
    return "\n".join(lines) + "\n"
