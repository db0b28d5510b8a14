"""The one exception type that a user's own mistake may raise.

Everything that a user can get wrong (a file, a field, a shape, a missing tool) is reported by raising
:class:`TensawError` or a subclass with one paragraph of text: what was wrong (the field and its value), the rule, and
what to do about it. The command line prints that paragraph on stderr and exits with code 2; nothing else is printed and
no traceback is shown. Any other exception is a bug of tensaw.
"""

from tensaw.spec.names import printable

__all__ = ["TensawError", "ConfigError", "ModelError", "UnsupportedError", "ToolError", "InputError", "DeviceError"]


class TensawError(Exception):
    """A mistake that the user can mend; ``str(error)`` is the whole paragraph shown, printable whatever it quotes."""

    def __init__(self, text: str) -> None:
        super().__init__(printable(text))


class ConfigError(TensawError):
    """An NPU configuration that is unknown or illegal."""


class ModelError(TensawError):
    """A model file that cannot be read, or that contradicts itself."""


class UnsupportedError(ModelError):
    """A well-formed network that uses something the NPU or the compiler does not offer."""


class ToolError(TensawError):
    """An outside tool (C++ compiler, simulator, synthesis) that is missing or failed."""


class InputError(TensawError):
    """Input arrays, output paths or arguments that do not fit."""


class DeviceError(TensawError):
    """A device or simulation that stopped with an error (bus error, illegal instruction, hang)."""
