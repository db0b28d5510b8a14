"""From the name of a port to a board that answers, at whatever rate it was built for."""

from __future__ import annotations

import os
from collections.abc import Sequence

from tensaw.runtime.link.host import HELLO_TIMES, HostLink
from tensaw.runtime.link.port import SerialPort
from tensaw.spec.errors import DeviceError
from tensaw.spec.link import BAUD_RATES, FAST_RATES

__all__ = ["connect"]

_GLANCE = (0.3, 0.6)
"""Seconds for a rate that is only tried."""


def connect(path: str, baud: int | None = None, rates: Sequence[int] | None = None) -> HostLink:
    """Open the port ``path``, find the board at ``baud`` (default: at the first of ``rates`` at which it answers, by
    default those that are usual) and end whatever a former host had begun.

    Raises DeviceError, with one sentence for each way in which that can fail.
    """
    if rates is None:
        # Virtual boards are on pseudo-terminals.
        rates = (*FAST_RATES, *BAUD_RATES) if os.path.realpath(path).startswith("/dev/pts/") else BAUD_RATES
    port = SerialPort(path, rates[0] if baud is None else baud)
    try:
        return _find(port, baud, rates)
    except BaseException:
        port.close()
        raise


def _find(port: SerialPort, baud: int | None, rates: Sequence[int]) -> HostLink:
    heard = 0
    likely = rates[0] if baud is None else baud
    for rate in dict.fromkeys((likely, *rates)):
        try:
            port.set_rate(rate)
        except DeviceError:
            if rate == baud:
                raise
            continue  # a rate that this port cannot run at
        link = HostLink(port)
        identity = link.hello(HELLO_TIMES if rate == likely else _GLANCE)
        heard = max(heard, link.stray_bytes)
        if identity is None:
            continue
        if baud is not None and rate != baud:
            raise DeviceError(
                f"The board at {port.path!r} does not answer at {baud:,} baud, but at {rate:,}: give --baud {rate}, or "
                "leave --baud out."
            )
        link.reset()
        return link
    tried = f"{baud:,} baud" if baud is not None else "any rate that was tried"
    said = f"{heard} bytes came that are no answer" if heard else "nothing came back"
    raise DeviceError(
        f"The board at {port.path!r} does not answer at {tried} ({said}): check that the board has power, that its "
        "bitstream is loaded, that this is its port, and, with --baud, the rate that it was built for."
    )
