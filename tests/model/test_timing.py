"""The cycle model on its own: programs written by hand, and the rules by which it shares the memory port."""

from __future__ import annotations

import numpy as np
import pytest

from tensaw.harness.profile import ArrayState
from tensaw.model.timing import estimate
from tensaw.model.timing_bus import UNKNOWN, Asker, Burst, ReadBus, Ring
from tensaw.model.timing_kernel import Kernel, News
from tensaw.model.timing_scratchpad import READ_DELAY, ArrayReads, OutputWrites, RowWrites, StepReads
from tensaw.spec.config import PRESETS, NpuConfig
from tensaw.spec.errors import InputError
from tensaw.spec.isa import assemble
from tensaw.spec.program import Program

BASE = PRESETS["base"]
FOUR = PRESETS["base"].replace(rows=8)
"""With a scratchpad of four banks."""

LOAD = """
LOAD.MEMORY region=1 offset=0
LOAD.SCRATCHPAD address=0
LOAD.ROWS bytes={bytes} count={count}
LOAD.ROW_PITCH memory=4096 scratchpad=256
LOAD.PLANES count=1
LOAD.RUN tag=1 wait={wait} signal=0
"""
GEMM = """
WEIGHT.MEMORY region=0 offset=0
WEIGHT.RUN tag=0 bytes={bytes}
ARRAY.INPUT base=0 pitch=16
ARRAY.WINDOW height={height} row_bytes=16
ARRAY.STEP position=16 row=1 decimation=1
ARRAY.KERNEL_Y steps=1
ARRAY.KERNEL_X steps=1 chunks=1
ARRAY.OUT height={height} width=1
ARRAY.BLOCK height={height} width=1
ARRAY.TILES count={tiles}
ARRAY.WEIGHTS rows=16 free=1
ARRAY.RUN tag=0
OUTPUT.CHANNELS pixel_pitch=16 tile=16 last=16 tiles={tiles}
OUTPUT.OUT height={height} width=1
OUTPUT.BLOCK height={height} width=1
OUTPUT.RUN tag=0
"""


def program(text: str, config: NpuConfig = BASE) -> Program:
    words = assemble(text + "\nCONTROL.END")
    words += words[-1:] * (len(words) % 2)
    constants = np.array(words, "<u8").tobytes()
    return Program("by hand", config, constants, 0, len(constants), (1 << 20, 1 << 20, 64, 64))


def test_an_empty_program_costs_its_fetch() -> None:
    short, long = (estimate(program(""), latency).cycles for latency in (32, 132))
    assert long == short + 100
    # Seven cycles to the port, the memory, then sequencer and end.
    assert short == 52


def test_a_load_pays_the_latency_once_and_then_a_beat_a_cycle() -> None:
    one, many = (estimate(program(LOAD.format(bytes=size, count=1, wait=0))) for size in (8, 2048))
    assert many.cycles - one.cycles == 255
    assert (one.bytes_read, many.bytes_read) == (8 + 64, 2048 + 64)
    (event,) = many.profile.events
    assert (event.unit, event.tag) == ("load", 1)


def test_short_rows_overlap_their_latencies() -> None:
    one, eight = (estimate(program(LOAD.format(bytes=8, count=count, wait=0))).cycles for count in (1, 8))
    assert eight - one == 21  # an access every third cycle


def test_the_array_takes_a_position_a_cycle_and_hides_weights() -> None:
    few, many = (estimate(program(GEMM.format(bytes=tiles * 256, tiles=tiles, height=64))) for tiles in (4, 12))
    # A tile's 256 bytes arrive in 32 cycles, so that its 64 positions count.
    assert many.cycles - few.cycles == 8 * 64
    assert many.profile.states[0, ArrayState.BUSY] == 12 * 64


def test_a_product_with_one_row_runs_at_the_speed_of_the_port() -> None:
    few, many = (estimate(program(GEMM.format(bytes=tiles * 256, tiles=tiles, height=1))) for tiles in (40, 140))
    assert many.cycles - few.cycles == 100 * 32
    assert many.profile.states[0, ArrayState.WAIT_WEIGHTS] > 3000


def test_a_wider_port_is_faster() -> None:
    narrow, wide = (
        estimate(program(GEMM.format(bytes=140 * 256, tiles=140, height=1), BASE.replace(bus_bytes=bus))).cycles
        for bus in (8, 16)
    )
    assert wide < 0.6 * narrow


def test_a_program_that_waits_for_ever_is_refused() -> None:
    with pytest.raises(InputError) as caught:
        estimate(program(LOAD.format(bytes=8, count=1, wait=2)))
    assert str(caught.value) == (
        "The program 'by hand' would not come to its end: LOAD would wait forever for what no other unit does. Compile "
        "the network again."
    )


def test_processes_before_calls_and_news_in_the_present() -> None:
    kernel = Kernel()
    news = News(kernel)
    seen = []

    def waiter():
        yield news
        seen.append(("waiter", kernel.now))

    def teller():
        yield 5
        seen.append(("teller", kernel.now))
        news.tell()
        yield 3  # has passed: goes on at once
        seen.append(("teller again", kernel.now))

    kernel.start(waiter())
    kernel.start(teller())
    kernel.call(5, lambda: seen.append(("call", kernel.now)))
    kernel.run()
    assert seen == [("teller", 5), ("teller again", 5), ("waiter", 5), ("call", 5)]


def test_bursts_end_at_pages_and_weights_get_their_turn() -> None:
    kernel = Kernel()
    askers = Asker(kernel, BASE), Asker(kernel, BASE), Asker(kernel, BASE)
    bus = ReadBus(kernel, BASE, 10, askers)
    fetch, load, weight = askers
    access = load.ask(4096 - 24, 2048, 0)
    other = weight.ask(0, 2048, 0)
    bus.look(3)
    kernel.run()
    assert [beats for _, beats in access.arrivals] == [3] + [16] * 15 + [13]
    assert fetch.issued == 0 and weight.issued == 256
    # Of four bursts at most three in a row are the load's.
    order = sorted(
        [(cycle, "load") for cycle, _ in access.arrivals] + [(cycle, "weight") for cycle, _ in other.arrivals]
    )
    names = "".join(name[0] for _, name in order)
    assert "llll" not in names[: names.rindex("l")]
    assert bus.beats == 512 and bus.idle == order[0][0] + 512


def test_the_ring_knows_when_rows_come_and_when_there_is_room() -> None:
    config = BASE.replace(weight_bytes=2048)
    ring = Ring(Kernel(), config)
    ring.arrive(100, 16)
    assert [ring.available(row) for row in (0, 7, 8)] == [103, 117, None]
    assert ring.room(256) == 0
    assert ring.room(258) == UNKNOWN
    ring.free(200, 203, 4)
    assert [ring.room(beats) for beats in (258, 260, 264)] == [203, 204, 206]
    assert ring.room(266) == UNKNOWN
    assert ring.freed == 4


def test_a_store_waits_for_banks_that_the_array_reads() -> None:
    reads = ArrayReads(FOUR)  # words of 16 bytes
    # Lines of ten positions, each 16 bytes from the middle of a word on: two words, the next position one further.
    reads.add(StepReads(100, 119, 10, None, 8, 160, 16, 16, 0, 0))
    assert reads.free(99 + READ_DELAY, 0)  # a position reads some cycles after it was given
    assert [reads.free(100 + READ_DELAY, bank * 16) for bank in range(4)] == [False, False, True, True]
    assert [reads.free(101 + READ_DELAY, bank * 16) for bank in range(4)] == [True, False, False, True]
    # A beat of 8 bytes needs the next word only where it goes on there.
    assert [reads.free(102 + READ_DELAY, bank * 16 + 8) for bank in range(4)] == [True, True, False, False]
    assert [reads.free(102 + READ_DELAY, bank * 16 + 9) for bank in range(4)] == [True, False, False, False]
    assert reads.free(120 + READ_DELAY, 0)
    # Three kernel rows, an odd number of words apart, in three banks; a line begins where it was told to.
    reads.add(StepReads(200, 230, 5, [200, 220], 0, 48, 1, 9, 3, 16))
    assert [reads.free(200 + READ_DELAY, bank * 16) for bank in range(4)] == [False, False, False, True]
    assert reads.free(208 + READ_DELAY, 0)
    assert [reads.free(220 + READ_DELAY, bank * 16) for bank in range(4)] == [False, False, True, False]
    # Two pixels, three words apart, of three kernel rows, two words apart, in eight banks.
    reads = ArrayReads(BASE)
    reads.add(StepReads(100, 109, 10, None, 0, 160, 96, 16, 3, 32, 48))
    assert [bank for bank in range(8) if reads.free(100 + READ_DELAY, bank * 16)] == [1, 6]
    assert [bank for bank in range(8) if reads.free(101 + READ_DELAY, bank * 16)] == [4, 7]


class SlowAsker(Asker):
    """Takes ten cycles for each beat of its bursts."""

    holds = True

    def arrive(self, burst: Burst, first: int) -> int:
        return super().arrive(burst, first) + 9 * burst.beats


def test_who_holds_up_its_bursts_holds_up_those_behind() -> None:
    kernel = Kernel()
    askers = Asker(kernel, BASE), SlowAsker(kernel, BASE), Asker(kernel, BASE)
    bus = ReadBus(kernel, BASE, 10, askers)
    slow, other = askers[1].ask(0, 256, 0), askers[2].ask(0, 256, 0)
    bus.look(3)
    kernel.run()
    # Granted in turn from cycle 4 on, the slow asker first; two bursts of 16 beats each.
    assert slow.arrivals[0] == (17, 16)
    assert other.arrivals[0][0] >= 17 + 160
    assert sorted(slow.arrivals + other.arrivals)[-1][0] >= 17 + 2 * 160
    assert bus.idle == 17 + 2 * 160 + 2 * 16


def test_a_load_waits_for_banks_that_output_writes() -> None:
    writes = OutputWrites(FOUR)  # words of 16 bytes, beats of 8 bytes
    assert writes.delay(0, 0, 16) == 0
    # Four positions of 16 channels in four beats each, a word apart: each bank is written for four cycles.
    writes.add(RowWrites(100, 115, 4, 4, 4, 0, 16, 16))
    assert writes.delay(80, 0, 16) == 0, "over before the writes begin"
    assert writes.delay(100, 64, 2) == 4, "bank 0 is free when position 1 is written"
    assert writes.delay(108, 0, 2) == 0, "bank 0 is free while bank 2 is written"
    assert writes.delay(112, 5 * 16 + 12, 1) == 0, "banks 1 and 2"
    assert writes.delay(112, 6 * 16 + 12, 1) == 4, "banks 2 and 3"
    assert writes.delay(116, 3 * 16, 1) == 0
    # Fewer positions than cycles: one write every three cycles, all to bank 0.
    writes.add(RowWrites(200, 209, 4, 1, 16, 0, 64, 16))
    assert [writes.delay(cycle, 0, 1) for cycle in (200, 201, 203, 205, 206, 209)] == [1, 0, 1, 0, 1, 1]
