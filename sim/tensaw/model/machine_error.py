"""What the machine raises."""

from __future__ import annotations

from tensaw.spec.errors import DeviceError
from tensaw.spec.isa import Unit
from tensaw.spec.registers import ErrorCode

__all__ = ["MachineError", "Refused"]


class MachineError(DeviceError):
    """The program stopped. ``str()`` is one paragraph.

    Attributes
    ----------
    code : ErrorCode or None
        What the hardware's ERROR register would hold; None for a program that hardware would hang on or run with
        undefined results.
    unit : Unit or None
        The unit that stopped, None for the program fetch and for words that name no unit.
    tag : int
        Tag of the action that failed, 0 if it has none.
    index : int
        Position of the word in the program.
    """

    def __init__(self, text: str, code: ErrorCode | None, unit: Unit | None, tag: int, index: int) -> None:
        super().__init__(text)
        self.code = code
        self.unit = unit
        self.tag = tag
        self.index = index


class Refused(Exception):
    """Raised inside the machine by a unit: a clause that says why it cannot go on, and the code that it reports.

    The machine turns it into a MachineError that also names the command.
    """

    def __init__(self, reason: str, code: ErrorCode | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = code
