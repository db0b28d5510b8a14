"""From linear accesses in regions to AXI4 bursts."""

from __future__ import annotations

from typing import Any

from amaranth import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from tensaw.rtl.bus.axi4 import regions_layout
from tensaw.rtl.checks import check
from tensaw.rtl.interfaces import access_layout
from tensaw.spec.config import NpuConfig
from tensaw.spec.isa import REGIONS

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
    """Checks accesses against their region and cuts them into INCR bursts, for several askers independently.

    Parameters
    ----------
    config : NpuConfig
        ``bus_bytes``, ``address_width``, ``burst_beats``.
    direction : str
        ``"read"`` or ``"write"``: the permission that a region must grant.
    askers : int
        How many ask. The sums over an access are made in one place for all of them, one access every other cycle.

    Members
    -------
    regions : In(regions_layout(config))
    requests : In(stream of access_layout()) × askers
        ``bytes`` must be 1 or more.
    bursts : Out(stream of burst_layout(config)) × askers
        Of each asker, in the order of its accesses. At most ``config.burst_beats`` beats, none crosses 4 KiB.
    refused : Out(askers), refused_address : Out(address_width)
        OUTSIDE_REGION for an access of that asker, with the bus address of the access, held until reset: no such
        region, not allowed, or not wholly inside. Nothing of that access is issued and none is taken after it.
    busy : Out(askers)
        An access of that asker is in work.

    Timing
    ------
    First burst two cycles after its access was taken; an access of an only asker is taken at once, one of several a
    cycle after it was offered. Then a burst every other cycle of each asker, also from access to access. No asker waits
    for bursts of another one to be taken.
    The sum of base and offset is cut to ``address_width`` bits: regions must lie inside the address space.
    """

    regions: Any
    requests: Any
    bursts: Any
    refused: Signal
    refused_address: Signal
    busy: Signal

    def __init__(self, config: NpuConfig, direction: str, askers: int = 1) -> None:
        if direction not in ("read", "write"):
            raise ValueError(f"direction must be 'read' or 'write', not {direction!r}")
        self.config, self.direction, self.askers = config, direction, askers
        super().__init__(
            {
                "regions": In(regions_layout(config)),
                "requests": In(stream.Signature(access_layout())).array(askers),
                "bursts": Out(stream.Signature(burst_layout(config))).array(askers),
                "refused": Out(askers),
                "refused_address": Out(config.address_width),
                "busy": Out(askers),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        config, askers = self.config, self.askers
        lane_bits = exact_log2(config.bus_bytes)
        beat_bits = 29 - lane_bits

        # An access is taken when its asker has none in work, and checked in the next cycle.
        checking = Signal(askers)
        working = Signal(askers)
        taking = Signal(askers)
        legal = Signal()  # of the access that is being checked
        looking, request = self._look(m, working)
        free = Signal(init=1)  # none is being checked, none was refused
        m.d.comb += taking.eq(Mux(free, looking & ~working, 0))
        m.d.sync += [
            checking.eq(taking),
            free.eq(~taking.any() & ~self.refused.any() & ~(checking.any() & ~legal)),
        ]
        for index in range(askers):
            m.d.comb += self.requests[index].ready.eq(taking[index])

        # Sums of the access that is looked at: if it is taken, they count in the next cycle.
        address = Signal(config.address_width)
        start = Signal(config.address_width)
        end = Signal(33)
        size = Signal(32)
        allowed = Signal()
        beats = Signal(beat_bits)
        last_lane = Signal(lane_bits)
        region = self.regions[request.region[: exact_log2(REGIONS)]]
        span = Signal(29)  # its last byte, counted from the first word's first, and a word more
        m.d.comb += [
            start.eq(region.base + request.offset),
            span.eq(request.bytes + (request.offset[:lane_bits] + (config.bus_bytes - 1))),
            beats.eq(span[lane_bits:]),
            last_lane.eq(span[:lane_bits]),
            legal.eq(allowed & (end <= size)),
            self.refused_address.eq(address),
        ]
        m.d.sync += [
            end.eq(request.offset + request.bytes),
            size.eq(region.size),
            allowed.eq((request.region < REGIONS) & region[self.direction]),
        ]
        with m.If(free):  # that of a refused one stays
            m.d.sync += address.eq(start)

        for index in range(askers):
            refused = checking[index] & ~legal
            with m.If(refused):
                m.d.sync += self.refused[index].eq(1)
            sound = ~refused & ~self.refused[index]
            self._cut(m, platform, index, working[index], taking[index], sound, request, (start, beats, last_lane))
        return m

    def _look(self, m: Module, working: Signal) -> tuple[Value, Any]:
        """Whose access is looked at (one bit of several at most), and that access."""
        if self.askers == 1:
            return self.requests[0].valid, self.requests[0].payload
        looking = Signal(self.askers)
        request = Signal(access_layout())
        # First those who have nothing in work; but also those who may be done with it in the next cycle.
        # What is looked at may be taken in this cycle; if it is not, it comes again.
        offered = Cat(port.valid for port in self.requests) & ~looking
        free = offered & ~working
        soon = offered & ~Cat(port.valid for port in self.bursts)
        candidates = Mux(free.any(), free, soon)
        m.d.sync += looking.eq(candidates & (~candidates + 1))
        chosen = self.requests[self.askers - 1].payload.as_value()
        for index in reversed(range(self.askers - 1)):
            chosen = Mux(candidates[index], self.requests[index].payload, chosen)
        m.d.sync += request.eq(chosen)
        return looking, request

    def _cut(
        self, m: Module, platform: Any, index: int, working: Any, taking: Any, sound: Any, request: Any, first: Any
    ) -> None:
        """The bursts of one asker: what remains of its access, and the burst on offer."""
        config = self.config
        lane_bits = exact_log2(config.bus_bytes)
        start, beats, last_lane = first
        port = self.bursts[index]
        number = f"_{index}"
        remaining = Signal(len(beats), name="remaining" + number)
        beat_address = Signal(config.address_width - lane_bits, name="beat_address" + number)
        first_lane = Signal(lane_bits, name="first_lane" + number)
        end_lane = Signal(lane_bits, name="end_lane" + number)
        turn = Signal(2, name="turn" + number)
        few = config.burst_beats.bit_length()  # bits of a burst's beats
        limit = Signal(few, name="limit" + number)
        measure = Signal(name="measure" + number)
        final = Signal(name="final" + number)
        offered = Signal(burst_layout(config), name="offered" + number)
        valid = Signal(name="valid" + number)

        # As many beats as a burst may have; fewer only before a boundary, which is so many whole bursts away.
        most, page = config.burst_beats, _BOUNDARY // config.bus_bytes
        place = beat_address[: exact_log2(page)]
        if most < page:
            low, high = place[: exact_log2(most)], place[exact_log2(most) :]
            m.d.comb += limit.eq(Mux(high.all(), most - low, most))
        else:
            m.d.comb += limit.eq(page - place)
        m.d.comb += [
            final.eq(~remaining[few:].any() & (remaining[:few] <= limit)),
            measure.eq(working & ~valid),
            port.valid.eq(valid),
            port.payload.eq(offered),
            self.busy[index].eq(working | valid),
        ]
        with m.If(~valid):
            m.d.sync += [
                offered.address.eq(beat_address << lane_bits),
                offered.beats.eq(Mux(final, remaining[:few], limit)),
                offered.last.eq(final),
                offered.first_lane.eq(first_lane),
                offered.last_lane.eq(Mux(final, end_lane, config.bus_bytes - 1)),
                offered.turn.eq(turn),
            ]
        with m.If(valid):
            m.d.sync += valid.eq(~port.ready)
        with m.Elif(working & sound):
            m.d.sync += [valid.eq(1), working.eq(~final)]
        with m.If(measure):  # of a refused access, too, which stays in work for good
            m.d.sync += [
                beat_address.eq(beat_address + limit),
                remaining.eq(remaining - limit),
                first_lane.eq(0),
            ]
        with m.If(taking):
            m.d.sync += [
                working.eq(1),
                beat_address.eq(start[lane_bits:]),
                remaining.eq(beats),
                first_lane.eq(start[:lane_bits]),
                end_lane.eq(last_lane),
                turn.eq(request.turn),
            ]

        whole = (offered.address[: exact_log2(_BOUNDARY)] >> lane_bits) + offered.beats <= page
        check(m, platform, ~valid | whole, f"boundary_{index}", "a burst crosses a 4 KiB boundary")
        some = (offered.beats != 0) & (offered.beats <= most)
        check(m, platform, ~valid | some, f"length_{index}", "a burst has no beats, or too many")
        check(
            m,
            platform,
            ~working | ~sound | (remaining != 0),
            f"remaining_{index}",
            "an access in work has no beats left",
        )
