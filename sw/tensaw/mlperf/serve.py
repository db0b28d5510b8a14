"""A pseudo-terminal that the benchmark's runner opens like the serial port of a board."""

from __future__ import annotations

import contextlib
import os
import select
import tty
from collections.abc import Iterator
from pathlib import Path

from tensaw.mlperf.protocol import DeviceUnderTest
from tensaw.spec.errors import InputError

__all__ = ["PseudoTerminal", "serve"]


class PseudoTerminal:
    """A pair of terminals: ``name`` is the one to open; what is written there is read here. A context manager.

    With ``link`` a symbolic link of a fixed name leads to it. Raises InputError if the link cannot be made.
    """

    def __init__(self, link: Path | None = None) -> None:
        self._ours, self._theirs = os.openpty()
        tty.setraw(self._theirs)
        self.name = os.ttyname(self._theirs)
        self._link = link
        if link is not None:
            try:
                if link.is_symlink():
                    link.unlink()
                link.symlink_to(self.name)
            except OSError as error:
                self._link = None
                self.close()
                raise InputError(
                    f"The link {str(link)!r} to the pseudo-terminal cannot be made: {error.strerror or error}. Give "
                    "a path that does not exist in a folder that you may write to."
                ) from None

    def read(self, seconds: float) -> bytes:
        """What has been written, at most so long waited for; empty if nothing was."""
        ready, _, _ = select.select([self._ours], [], [], seconds)
        return os.read(self._ours, 4096) if ready else b""

    def write(self, text: str) -> None:
        """Send text; what nobody reads waits in the terminal's buffer."""
        data = text.encode("ascii", "replace")
        while data:
            data = data[os.write(self._ours, data) :]

    def close(self) -> None:
        """Close both ends and remove the link; harmless if done before."""
        if self._ours >= 0:
            os.close(self._ours)
            os.close(self._theirs)
            self._ours = -1
        if self._link is not None:
            with contextlib.suppress(OSError):
                self._link.unlink()

    def __enter__(self) -> PseudoTerminal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def serve(device: DeviceUnderTest, terminal: PseudoTerminal, seconds: float | None = None) -> None:
    """Answer commands until interrupted, or until nothing has come for so many seconds.

    Nothing is said before the first command: what a board says while it starts is gone before the runner opens its
    port, and here would be taken for the first answer.
    """
    for data in _received(terminal, seconds):
        for text in device.receive(data):
            terminal.write(text)


def _received(terminal: PseudoTerminal, seconds: float | None) -> Iterator[bytes]:
    while True:
        data = terminal.read(3600.0 if seconds is None else seconds)
        if data:
            yield data
        elif seconds is not None:
            return
