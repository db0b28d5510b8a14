"""From linear accesses in regions to AXI4 bursts."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from operator import or_
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


@dataclass(frozen=True)
class _Work:
    """What the bursts of an access are made from; ``near`` and ``final`` are those of its first burst."""

    address: Value
    beats: Value
    last_lane: Value
    turn: Value
    near: Value
    final: Value


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
        ``bytes`` must be 1 or more. An only asker's ``region`` must be there in the cycle before ``valid``.
    bursts : Out(stream of burst_layout(config)) × askers
        Of each asker, in the order of its accesses. At most ``config.burst_beats`` beats, none crosses 4 KiB. The
        payload stays for a cycle after it was taken.
    refused : Out(askers), refused_address : Out(address_width)
        OUTSIDE_REGION for an access of that asker, with the bus address of the access, held until reset: no such
        region, not allowed, or not wholly inside. Nothing of that access is issued and none is taken after it.
    busy : Out(askers)
        An access of that asker is in work.

    Timing
    ------
    First burst three cycles after its access was taken; an access of an only asker is taken at once, one of several a
    cycle after it was offered, or two where another one's was the one before. Then a burst every other cycle of each
    asker, also from access to access; but of several askers each has an access taken every third cycle at best. No
    asker waits for bursts of another one to be taken.
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

        # An access is taken when its asker has none in work, or one whose last burst goes on offer. It is checked in
        # the next cycle, and from then on its asker's work.
        taking = Signal(askers)
        checking = Signal(askers)
        working = Signal(askers)
        refuses = Signal()  # the access checked before is not legal
        refusing = Signal()  # one was not
        checks = Signal()  # one is checked
        able = Signal(askers)  # may have an access taken in this cycle or, if none is, in the next one
        looking, request, window = self._look(m, able, checking)
        m.d.comb += taking.eq(Mux(refuses | refusing, 0, looking))
        m.d.sync += [checking.eq(taking), checks.eq(taking.any()), refusing.eq(refuses | refusing)]
        for index in range(askers):
            m.d.comb += self.requests[index].ready.eq(taking[index])

        # Sums of the access that is looked at: if it is taken, they count in the next cycle.
        address = Signal(config.address_width, reset_less=True)
        beats = Signal(beat_bits, reset_less=True)
        last_lane = Signal(lane_bits, reset_less=True)
        turn = Signal(2, reset_less=True)
        end = Signal(33, reset_less=True)
        size = Signal(32, reset_less=True)
        allowed = Signal(reset_less=True)
        legal = Signal()
        span = Signal(29)  # its last byte, counted from the first word's first, and a word more
        m.d.comb += [
            span.eq(request.bytes + (request.offset[:lane_bits] + (config.bus_bytes - 1))),
            legal.eq(allowed & (end <= size)),
            self.refused_address.eq(address),
        ]
        m.d.sync += [
            beats.eq(span[lane_bits:]),
            last_lane.eq(span[:lane_bits]),
            turn.eq(request.turn),
            end.eq(request.offset + request.bytes),
            size.eq(window.size),
            allowed.eq(window.allowed),
            refuses.eq(checks & ~legal),
        ]
        with m.If(~(checks | refuses | refusing)):  # that of a refused one stays
            m.d.sync += address.eq(window.base + request.offset)

        # What an access begins with.
        first_near, first_final = self._flags(address[lane_bits:], beats)
        first = _Work(address, beats, last_lane, turn, first_near, first_final)
        for index in range(askers):
            judged = Signal(name=f"judged_{index}")
            m.d.sync += judged.eq(checking[index])
            with m.If(judged & refuses):
                m.d.sync += self.refused[index].eq(1)
            sound = ~(judged & refuses) & ~self.refused[index]
            self._cut(m, platform, index, working[index], checking[index], able[index], sound, first)
        return m

    def _look(self, m: Module, able: Signal, checking: Signal) -> tuple[Value, Any, Any]:
        """Whose access is looked at (one bit of several at most), that access, and the window it must lie in."""
        layout = data.StructLayout({"base": self.config.address_width, "size": 32, "allowed": 1})
        window = Signal(layout)
        known = Signal(layout, reset_less=True)
        m.d.sync += known.eq(window)
        if self.askers == 1:
            request = self.requests[0].payload
            m.d.comb += self._window(window, request.region)
            return self.requests[0].valid & able, request, known
        looking = Signal(self.askers)
        looks = Signal()  # somebody's is: it is taken in this cycle
        # Whose may be looked at, known before whether it is there, so that no choice among wide words waits for that.
        chosen = Signal(self.askers, init=1)
        request = Signal(access_layout(), reset_less=True)
        offered = Signal(access_layout())
        valid = Cat(port.valid for port in self.requests)
        candidates = valid & able
        asks = Signal(self.askers)  # who might have been looked at in the cycle before, or in this one
        others = Signal(self.askers)
        m.d.comb += [
            others.eq(asks & ~chosen & ~looking),
            offered.eq(reduce(or_, (Mux(chosen[i], self.requests[i].payload, 0) for i in range(self.askers)))),
            *self._window(window, offered.region),
        ]
        m.d.sync += [
            looking.eq(Mux(looks, 0, candidates & chosen)),
            looks.eq(~looks & (candidates & chosen).any()),
            asks.eq(valid & (able | checking)),
            request.eq(offered),
        ]
        with m.If(others.any()):
            m.d.sync += chosen.eq(others & (~others + 1))
        return looking, request, known

    def _window(self, window: Any, number: Value) -> list[Any]:
        """The window of the region of that number."""
        region = self.regions[number[: exact_log2(REGIONS)]]
        allowed = (number < REGIONS) & region[self.direction]
        return [window.base.eq(region.base), window.size.eq(region.size), window.allowed.eq(allowed)]

    def _flags(self, beat_address: Value, remaining: Value) -> tuple[Value, Value]:
        """Of a burst from there on whether it may reach a boundary, which is so many whole bursts away, and whether it
        is the last one: what remains goes no further than the next border."""
        low, border = self._low, 1 << self._low
        place = beat_address[: exact_log2(_BOUNDARY // self.config.bus_bytes)]
        near = place[low:].all()
        few = remaining[: low + 1]
        fits = Mux(near, few + place[:low] <= border, few <= border)
        return near, ~remaining[low + 1 :].any() & fits

    @property
    def _low(self) -> int:
        """Bits of a beat's place between the borders at which bursts end."""
        return exact_log2(min(self.config.burst_beats, _BOUNDARY // self.config.bus_bytes))

    def _cut(
        self, m: Module, platform: Any, index: int, working: Value, checking: Value, able: Value, sound: Value,
        first: _Work,
    ) -> None:  # fmt: skip
        """The bursts of one asker: what remains of its access, and the burst on offer."""
        config = self.config
        lane_bits = exact_log2(config.bus_bytes)
        few = config.burst_beats.bit_length()
        most, page = config.burst_beats, _BOUNDARY // config.bus_bytes
        port = self.bursts[index]
        number = f"_{index}"
        remaining = Signal(len(first.beats), name="remaining" + number, reset_less=True)
        beat_address = Signal(config.address_width - lane_bits, name="beat_address" + number, reset_less=True)
        first_lane = Signal(lane_bits, name="first_lane" + number, reset_less=True)
        end_lane = Signal(lane_bits, name="end_lane" + number, reset_less=True)
        turn = Signal(2, name="turn" + number, reset_less=True)
        near = Signal(name="near" + number, reset_less=True)  # the next burst may reach a boundary
        final = Signal(
            name="final" + number, reset_less=True
        )  # it is the last one; both are right but in a burst's first cycle
        limit = Signal(few, name="limit" + number)
        offered = Signal(burst_layout(config), name="offered" + number, reset_less=True)
        valid = Signal(name="valid" + number)

        low, high = beat_address[: self._low], beat_address[self._low :]
        next_near, next_final = self._flags(beat_address, remaining)
        m.d.comb += [
            limit.eq(Mux(near, (1 << self._low) - low, 1 << self._low)),
            able.eq(~checking & (~working | (final & ~valid))),
            port.valid.eq(valid),
            port.payload.eq(offered),
            self.busy[index].eq(working | valid | checking),
        ]
        m.d.sync += [near.eq(next_near), final.eq(next_final)]
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
        with m.If(~valid & working):  # of a refused access, too, which stays in work for good
            m.d.sync += [
                beat_address.eq(Cat(Mux(near, 0, low)[: self._low], high + 1)),
                remaining.eq(remaining - limit),
                first_lane.eq(0),
            ]
        with m.If(checking):
            m.d.sync += [
                working.eq(1),
                beat_address.eq(first.address[lane_bits:]),
                remaining.eq(first.beats),
                first_lane.eq(first.address[:lane_bits]),
                end_lane.eq(first.last_lane),
                turn.eq(first.turn),
                near.eq(first.near),
                final.eq(first.final),
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
