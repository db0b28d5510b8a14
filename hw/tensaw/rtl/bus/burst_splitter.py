"""From linear accesses in regions to AXI4 bursts."""

from __future__ import annotations

from typing import Any

from amaranth import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from tensaw.rtl.bus.axi4 import inside_regions, regions_layout
from tensaw.rtl.checks import check
from tensaw.rtl.interfaces import BusErrorSignature, access_layout
from tensaw.spec.config import NpuConfig
from tensaw.spec.isa import REGIONS
from tensaw.spec.registers import ErrorCode

__all__ = ["BurstSplitter", "burst_layout"]

_BOUNDARY = 4096
"""Bytes: AXI4 bursts do not cross a multiple of this."""


def burst_layout(config: NpuConfig) -> data.StructLayout:
    """``address`` of the first beat (aligned to the bus), ``beats`` 1 to 256, whether it is the ``last`` burst of its
    access, and which bytes belong to it: from lane ``first_lane`` of the first beat to ``last_lane`` of the last;
    ``turn`` as in the access."""
    lane = exact_log2(config.bus_bytes)
    return data.StructLayout(
        {
            "address": config.address_width,
            "beats": 9,
            "last": 1,
            "first_lane": lane,
            "last_lane": lane,
            "turn": 2,
        }
    )


class BurstSplitter(wiring.Component):
    """Checks accesses against their region and cuts them into INCR bursts.

    Parameters
    ----------
    config : NpuConfig
        ``bus_bytes``, ``address_width``, ``burst_beats``.
    direction : str
        ``"read"`` or ``"write"``: the permission that a region must grant.

    Members
    -------
    regions : In(regions_layout(config))
    request : In(stream of access_layout())
        ``bytes`` must be 1 or more.
    bursts : Out(stream of burst_layout(config))
        At most ``config.burst_beats`` beats, none crosses 4 KiB.
    error : Out(BusErrorSignature)
        OUTSIDE_REGION with the bus address of the access, held until reset: no such region, not allowed, or not wholly
        inside. Nothing of that access or of later ones is issued.
    busy : Out(1)
        An access is in work.

    Timing
    ------
    First burst three cycles after its access was taken; then a burst every other cycle, also from access to access.
    The sum of base and offset is cut to ``address_width`` bits: regions must lie inside the address space.
    """

    regions: Any
    request: Any
    bursts: Any
    error: Any
    busy: Signal

    def __init__(self, config: NpuConfig, direction: str) -> None:
        if direction not in ("read", "write"):
            raise ValueError(f"direction must be 'read' or 'write', not {direction!r}")
        self.config, self.direction = config, direction
        super().__init__(
            {
                "regions": In(regions_layout(config)),
                "request": In(stream.Signature(access_layout())),
                "bursts": Out(stream.Signature(burst_layout(config))),
                "error": Out(BusErrorSignature()),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        config = self.config
        lane_bits = exact_log2(config.bus_bytes)
        request = self.request.payload
        beat_bits = 29 - lane_bits

        # First stage: sums of the access as asked for.
        asked = Signal()
        address = Signal(config.address_width)
        end = Signal(33)
        size = Signal(32)
        allowed = Signal()
        beats = Signal(beat_bits)
        last_lane = Signal(lane_bits)
        asked_turn = Signal(2)
        region = self.regions[request.region[: exact_log2(REGIONS)]]
        lane = request.offset[:lane_bits]
        span = Signal(29)
        m.d.comb += [span.eq(request.bytes + lane - 1), self.request.ready.eq(~asked)]
        with m.If(self.request.valid & ~asked):
            m.d.sync += [
                asked.eq(1),
                address.eq(region.base + request.offset),
                end.eq(request.offset + request.bytes),
                size.eq(region.size),
                allowed.eq((request.region < REGIONS) & region[self.direction]),
                beats.eq(span[lane_bits:] + 1),
                last_lane.eq(span[:lane_bits]),
                asked_turn.eq(request.turn),
            ]

        # Second stage: what remains of the access in work. ``burst.beats`` takes a cycle of its own.
        working = Signal()
        measured = Signal()
        turn = Signal(2)
        remaining = Signal(beat_bits)
        beat_address = Signal(config.address_width - lane_bits)
        first_lane = Signal(lane_bits)
        end_lane = Signal(lane_bits)
        burst = self.bursts.payload
        length, final = Signal(9), Signal()
        to_boundary = Signal(range(_BOUNDARY // config.bus_bytes + 1))
        limit = Signal(9)
        fire = Signal()
        failed = Signal()
        m.d.comb += [
            to_boundary.eq(_BOUNDARY // config.bus_bytes - beat_address[: 12 - lane_bits]),
            limit.eq(Mux(to_boundary < config.burst_beats, to_boundary, config.burst_beats)),
            burst.address.eq(beat_address << lane_bits),
            burst.beats.eq(length),
            burst.last.eq(final),
            burst.turn.eq(turn),
            burst.first_lane.eq(first_lane),
            burst.last_lane.eq(Mux(final, end_lane, config.bus_bytes - 1)),
            self.bursts.valid.eq(measured),
            fire.eq(measured & self.bursts.ready),
            self.busy.eq(asked | working),
            self.error.valid.eq(failed),
            self.error.code.eq(ErrorCode.OUTSIDE_REGION),
            self.error.address.eq(address),
        ]
        with m.If(working & ~measured):
            m.d.sync += [measured.eq(1), final.eq(remaining <= limit), length.eq(limit)]
            with m.If(remaining <= limit):
                m.d.sync += length.eq(remaining)
        with m.If(fire):
            m.d.sync += [
                measured.eq(0),
                beat_address.eq(beat_address + length),
                remaining.eq(remaining - length),
                first_lane.eq(0),
                working.eq(~final),
            ]
        with m.If(asked & ~failed & (~working | (fire & final))):
            with m.If(allowed & (end <= size)):
                m.d.sync += [
                    asked.eq(0),
                    working.eq(1),
                    beat_address.eq(address[lane_bits:]),
                    remaining.eq(beats),
                    first_lane.eq(address[:lane_bits]),
                    end_lane.eq(last_lane),
                    turn.eq(asked_turn),
                ]
            with m.Else():
                m.d.sync += failed.eq(1)

        # Only once it is taken: after a halt software may change the regions under a burst that is never issued.
        inside = inside_regions(config, self.regions, self.direction, burst.address, length)
        check(m, platform, ~fire | inside, "window", f"a {self.direction} leaves the regions that allow it")
        boundary = "a burst crosses a 4 KiB boundary"
        check(m, platform, ~measured | (length <= to_boundary), "boundary", boundary)
        legal = (length != 0) & (length <= limit) & (length <= remaining) & (final == (length == remaining))
        check(m, platform, ~measured | legal, "length", "a burst has no beats, or more than are left")
        check(m, platform, ~working | (remaining != 0), "remaining", "an access in work has no beats left")
        return m
