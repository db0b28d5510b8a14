"""All files of a generated NPU: the Verilog for a technology, and what other people's flows want beside it."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Collection

from tensaw.integration import PACKAGES
from tensaw.integration.constraints import constraint_files
from tensaw.integration.core import Core
from tensaw.integration.macros import MACROS_FILE, macros
from tensaw.rtl import export
from tensaw.rtl.technology import TECHNOLOGIES
from tensaw.spec.config import NpuConfig
from tensaw.spec.errors import InputError

__all__ = ["generated_files"]

_CLOCK = 100.0
"""Megahertz, where a package needs constraints and no clock is given."""


def generated_files(
    config: NpuConfig,
    checks: bool = False,
    technology: str = "generic",
    megahertz: float | None = None,
    packages: Collection[str] = (),
    multipliers: int | None = None,
) -> dict[str, str]:
    """All files of a generated NPU, name to text.

    Parameters
    ----------
    config : NpuConfig
    checks : bool
        See :func:`tensaw.rtl.export.verilog`.
    technology : str
        Of :data:`tensaw.rtl.technology.TECHNOLOGIES`. One with macros adds the list of its memories.
    megahertz : float or None
        Clock of the SDC and XDC constraints; None: none are written, unless a package needs them (then for 100).
    packages : collection of str
        Of :data:`tensaw.integration.PACKAGES`.
    multipliers : int or None
        See :class:`tensaw.rtl.technology.Technology`; 0 or more.

    Raises InputError for a clock that no constraint can be written for, and for a negative number of multipliers.
    """
    clock = _CLOCK if megahertz is None else megahertz
    Core(config, (), clock)  # raises before the work
    if multipliers is not None and multipliers < 0:
        raise InputError(f"The number of multipliers is {multipliers}; it must be 0 or more.")
    chosen = dataclasses.replace(TECHNOLOGIES[technology], multipliers=multipliers)
    files = export.files(config, checks=checks, technology=chosen)
    sources = {name: text for name, text in files.items() if name.endswith(".v")}
    core = Core(config, tuple(sources), clock)
    if TECHNOLOGIES[technology].macros:
        files[MACROS_FILE] = macros(sources)
    if megahertz is not None or "vivado" in packages:
        files |= constraint_files(core)
    for package in packages:
        files |= importlib.import_module(PACKAGES[package]).files(core)
    return files
