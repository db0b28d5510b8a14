"""What a step raises when the board does not pass it."""

from __future__ import annotations

__all__ = ["Finding"]


class Finding(Exception):
    """``text``: what was found; ``meaning``: what that means and where the fault is; ``check``: what to do about it."""

    def __init__(self, text: str, meaning: str, check: str) -> None:
        super().__init__(f"{text} {meaning} {check}")
        self.text, self.meaning, self.check = text, meaning, check
