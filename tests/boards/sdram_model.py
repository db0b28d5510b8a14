"""An SDRAM chip for Amaranth's simulator, written from data sheets: it does what commands say and refuses every command
that comes too early, too late or in a state that does not allow it.
"""

import numpy as np


class TimingViolation(AssertionError):
    """The controller broke a rule of the chip."""


class SdramModel:
    """``step`` takes the pins at one rising edge of the chip's clock, ``period`` nanoseconds after the last one, and
    returns what the chip drives until the next edge (None: nothing). ``violations`` lists what the controller did
    wrong; the first ends the test, unless not ``strict``.

    Reads of words that were never written give a pattern made from their address.
    """

    MODE, REFRESH, PRECHARGE, ACTIVATE, WRITE, READ, STOP, NOP = range(8)

    def __init__(self, chip, period, strict=True):
        self.chip, self.period, self.strict = chip, period, strict
        self.violations = []
        self.words = {}
        self.now = 0.0
        self.banks = [None] * (1 << chip.bank_bits)  # open row
        self.never = -1e12
        count = len(self.banks)
        self.activated, self.precharged, self.written = [self.never] * count, [0.0] * count, [self.never] * count
        self.any_activated = self.refreshed = self.moded = self.never
        self.refresh_times = []
        self.mode: tuple[int, int] | None = None
        self.burst = None  # (write, bank, row, column, left)
        self.output = []  # (edge number, word)
        self.edge = 0
        self.driven = False
        self.counts = dict.fromkeys(range(8), 0)

    def fail(self, text):
        self.violations.append(f"{text} at {self.now:.1f} ns")
        if self.strict:
            raise TimingViolation(self.violations[-1])

    def since(self, moment, least, what):
        if self.now - moment < least - 1e-3:
            self.fail(f"{what}: {self.now - moment:.1f} ns instead of {least}")

    def word(self, bank, row, column):
        key = (bank, row, column)
        return self.words.get(key, (row * 2654435761 + column * 40503 + bank) & ((1 << self.chip.data_bits) - 1))

    def step(self, command, bank, address, mask, data, enable):
        chip = self.chip
        self.now += self.period
        self.edge += 1
        self.counts[command] += 1
        if self.mode is None and command not in (self.NOP, self.PRECHARGE, self.REFRESH, self.MODE):
            self.fail("a command before the mode was set")
        if self.now < chip.init and command != self.NOP:
            self.fail("a command before the power-up time was over")
        self.since(self.refreshed, chip.trfc if command != self.NOP else 0, "tRFC")
        if command != self.NOP and self.edge - self.moded < chip.tmrd_cycles:
            self.fail("tMRD")
        if command == self.ACTIVATE:
            self.activate(bank, address)
        elif command == self.PRECHARGE:
            for number in range(len(self.banks)) if address >> 10 & 1 else (bank,):
                self.precharge(number)
        elif command == self.REFRESH:
            self.refresh()
        elif command == self.MODE:
            self.set_mode(bank, address)
        elif command in (self.READ, self.WRITE):
            self.column(command == self.WRITE, bank, address)
        elif command == self.STOP:
            self.fail("a burst was stopped")
        if self.mode is not None and self.refresh_times and self.now - self.refresh_times[-1] > 9 * chip.refresh:
            self.fail("no refresh for nine intervals")
        return self.move(mask, data, enable)

    def activate(self, bank, address):
        if self.banks[bank] is not None:
            self.fail("a row was opened in a bank with an open row")
        self.since(self.precharged[bank], self.chip.trp, "tRP")
        self.since(self.activated[bank], self.chip.trc, "tRC")
        self.since(self.any_activated, self.chip.trrd, "tRRD")
        assert address < 1 << self.chip.row_bits
        self.banks[bank] = address
        self.activated[bank] = self.any_activated = self.now

    def precharge(self, bank):
        if self.banks[bank] is None:
            return
        self.since(self.activated[bank], self.chip.tras, "tRAS")
        self.since(self.written[bank], self.chip.twr, "tWR")
        if self.now - self.activated[bank] > self.chip.tras_longest:
            self.fail("a row was open for too long")
        if self.burst and self.burst[1] == bank:
            self.fail("a burst was cut off by a precharge")
        self.banks[bank] = None
        self.precharged[bank] = self.now

    def refresh(self):
        if any(row is not None for row in self.banks):
            self.fail("a refresh with an open row")
        self.since(max(self.precharged), self.chip.trp, "tRP")
        self.refreshed = self.now
        self.refresh_times.append(self.now)

    def set_mode(self, bank, address):
        if any(row is not None for row in self.banks):
            self.fail("the mode was set with an open row")
        if len(self.refresh_times) < 8:
            self.fail("the mode was set before eight refreshes")
        assert bank == 0 and address >> 7 == 0 and not address >> 3 & 1
        self.mode = (1 << (address & 7), address >> 4 & 7)
        assert self.mode[0] in (1, 2, 4, 8) and self.mode[1] == self.chip.cas
        self.moded = self.edge

    def column(self, write, bank, address):
        if self.banks[bank] is None:
            self.fail("an access to a closed bank")
        self.since(self.activated[bank], self.chip.trcd, "tRCD")
        assert address >> 10 & 1 == 0, "automatic precharge"
        if self.burst:
            self.fail("a burst was cut off")
        assert self.mode is not None
        length, cas = self.mode
        if write and any(edge >= self.edge - 1 for edge, _ in self.output):
            self.fail("a write too soon behind a read: both would drive the pins")
        self.burst = [write, bank, self.banks[bank], address & (1 << self.chip.column_bits) - 1, length]

    def move(self, mask, data, enable):
        """Carry the burst on by a word; returns what is driven after this edge."""
        if self.burst:
            write, bank, row, column, left = self.burst
            assert self.mode is not None
            length, cas = self.mode
            place = column // length * length + (column + length - left) % length
            if write:
                assert enable, "no data driven during a write"
                old = self.word(bank, row, place)
                for byte in range(self.chip.data_bits // 8):
                    if not mask >> byte & 1:
                        old = old & ~(255 << 8 * byte) | data & 255 << 8 * byte
                self.words[bank, row, place] = old
                self.written[bank] = self.now
            else:
                # On the pins after edge READ + CAS - 1, to be taken at READ + CAS.
                self.output.append((self.edge + cas - 1, self.word(bank, row, place)))
            self.burst[4] -= 1
            if self.burst[4] == 0:
                self.burst = None
        self.output = [item for item in self.output if item[0] >= self.edge]
        driven = next((word for edge, word in self.output if edge == self.edge), None)
        assert driven is None or not enable, "controller and chip both drive the pins"
        return driven


def random_word(rng: np.random.Generator, bits: int) -> int:
    """What a register takes from pins that nobody drives."""
    return int(rng.integers(1 << bits))
