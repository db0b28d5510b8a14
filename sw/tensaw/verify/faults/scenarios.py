"""The kinds of faults: each does its worst at a site, and raises Failure where the NPU does not stand it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from tensaw.harness import CHANNELS, MemoryFaults
from tensaw.spec.isa import REGIONS
from tensaw.spec.program import CONSTANTS
from tensaw.spec.registers import ADDRESS_BITS, REGISTERS, Access, ErrorCode, register
from tensaw.verify.faults.refusals import refused
from tensaw.verify.faults.site import READ, WRITE, End, Failure, Site
from tensaw.verify.faults.words import damage

__all__ = ["SCENARIOS"]

Rng = np.random.Generator

_SLVERR, _DECERR = 2, 3
_LIMIT = 20_000
"""Cycles after which a made-up program that still moves is stopped."""


def read_error(site: Site, rng: Rng) -> str:
    """One beat of a read is answered with an error."""
    beat = 1 + _number(rng, site.network.clean[site.timing].reads)
    return _memory_error(site, rng, MemoryFaults(read_beat=beat), f"read beat {beat}", "READ")


def write_error(site: Site, rng: Rng) -> str:
    """One write burst is answered with an error."""
    beat = 1 + _number(rng, site.network.clean[site.timing].writes)
    return _memory_error(site, rng, MemoryFaults(write_beat=beat), f"write beat {beat}", "WRITE")


def _memory_error(site: Site, rng: Rng, faults: MemoryFaults, what: str, direction: str) -> str:
    response = _SLVERR if rng.random() < 0.5 else _DECERR
    code = ErrorCode[f"{direction}_{'SLVERR' if response == _SLVERR else 'DECERR'}"]
    site.start(faults=faults, timing=replace(site.timing, error_response=response))
    end = site.finish(_LIMIT + 2 * site.network.clean[site.timing].cycles)
    if end.kind != "error" or end.code != code:
        raise Failure(f"{what} is answered with an error, but the run ends so: {end}")
    regions = zip(site.network.placement.regions, site.network.placement.sizes, strict=True)
    width = site.network.program.config.bus_bytes
    if not any(low <= end.address < low + size for low, size in regions) or end.address % width:
        raise Failure(f"{what} is answered with an error, but its address is said to be 0x{end.address:x}")
    site.check_windows()
    site.check_partial()
    return f"{what}: {end}"


def reset(site: Site, rng: Rng) -> str:
    """A reset at any cycle, now and then a second one soon behind it."""
    cycle, length = _number(rng, site.network.clean[site.timing].cycles + 20), 1 + _number(rng, 8)
    site.start()
    site.run_to(cycle)
    site.simulator.reset(length)
    text = f"reset for {length} cycles in cycle {cycle}"
    if rng.random() < 0.3:
        site.start_again()  # with all windows closed
        again = _number(rng, 30)
        site.simulator.mark(profile=False)
        site.run_to(again)
        site.simulator.reset(1)
        text += f" and {again} cycles behind a start"
    for name in ("STATUS", "ERROR", "INTERRUPT_ENABLE", "REGION2_ACCESS", "REGION2_SIZE", "PROGRAM_BYTES", "CYCLES_LO"):
        if value := site.read(name):
            raise Failure(f"{name} is 0x{value:x} after a reset")
    site.check_windows()
    site.check_partial()
    return text


def stop(site: Site, rng: Rng) -> str:
    """Software stops the run at any cycle, once or twice."""
    clean = site.network.clean[site.timing]
    cycle = _number(rng, clean.cycles)
    site.start()
    if not site.run_to(cycle):
        raise Failure(f"the run ends before cycle {cycle}, though it takes {clean.cycles}")
    end = site.stop()
    _stopped(end, late=cycle > clean.cycles - 30)
    if end.kind == "done":
        site.check_result()
    site.check_windows()
    site.check_partial()
    return f"stop in cycle {cycle}: {end}"


def start(site: Site, rng: Rng) -> str:
    """CONTROL.start while a run is in progress is ignored."""
    cycles = _cycles(site, rng)
    site.start()
    for cycle in cycles:
        if site.run_to(cycle):
            site.start_again()
    return f"starts in cycles {', '.join(map(str, cycles))}: {_undisturbed(site)}"


def registers(site: Site, rng: Rng) -> str:
    """Any register is written and read while a run is in progress: nothing changes. Nor do those that can only be
    read, when they are written afterwards."""
    control = register("CONTROL").offset
    enable = register("INTERRUPT_ENABLE").offset
    cycles = _cycles(site, rng)
    site.start()
    for cycle in cycles:
        if not site.run_to(cycle):
            break
        for _ in range(1 + _number(rng, 3)):
            offset = 4 * _number(rng, 1 << (ADDRESS_BITS - (2 if rng.random() < 0.2 else 5)))
            if rng.random() < 0.5:
                offset = register(str(rng.choice(sorted(site.network.settings)))).offset
            if rng.random() < 0.3:
                site.simulator.read_register(offset)
            elif offset != control:
                site.simulator.write_register(offset, int(rng.integers(1 << 32)))
                if offset == enable:
                    site.write("INTERRUPT_ENABLE", 1)
    text = _undisturbed(site)
    for name, value in site.network.settings.items():
        if (found := site.read(name)) != value:
            raise Failure(f"{name} is 0x{found:x} after the run, not 0x{value:x}")
    for item in REGISTERS:
        if item.access is Access.READ:
            value = site.read(item.name)
            site.write(item.name, value ^ 0xFFFFFFFF)
            if (found := site.read(item.name)) != value:
                raise Failure(f"{item.name} is 0x{found:x} after it was written, not 0x{value:x}")
    return f"register accesses in cycles {', '.join(map(str, cycles))}: {text}"


def _undisturbed(site: Site) -> str:
    clean = site.network.clean[site.timing]
    end = site.finish(_LIMIT + 2 * clean.cycles)
    if end.kind != "done" or end.cycles != clean.cycles:
        raise Failure(f"a run that should be done after {clean.cycles} cycles ends so: {end}")
    site.check_result()
    return str(end)


def windows(site: Site, rng: Rng) -> str:
    """A window is smaller, closed or elsewhere; or the program is not where it should be."""
    network = site.network
    settings = network.settings
    index = _number(rng, REGIONS)
    name = f"REGION{index}"
    form = ("size", "access", "base", "program")[_number(rng, 4)]
    strict = form in ("size", "access")
    if form == "size":
        size = settings[f"{name}_SIZE"]
        settings[f"{name}_SIZE"] = _number(rng, size + 1) if rng.random() < 0.7 else max(0, size - 1 - _number(rng, 20))
    elif form == "access":
        settings[f"{name}_ACCESS"] = (0, READ, WRITE)[_number(rng, 3)] & settings[f"{name}_ACCESS"]
    elif form == "base":
        room = network.placement.size - settings[f"{name}_SIZE"]
        address = network.placement.base + int(rng.integers(room // 16 + 1)) * 16
        settings[f"{name}_BASE_LO"], settings[f"{name}_BASE_HI"] = address & 0xFFFFFFFF, address >> 32
    else:
        place = "PROGRAM_OFFSET" if rng.random() < 0.5 else "PROGRAM_BYTES"
        settings[place] = (
            int(rng.integers(1 << 32)), _number(rng, network.placement.sizes[CONSTANTS] + 64), 0,
        )[_number(rng, 3)]  # fmt: skip
    changed = {key: value for key, value in settings.items() if value != network.settings[key]}
    site.start(settings)
    end = site.finish(_LIMIT + 2 * network.clean[site.timing].cycles)
    text = f"{_settings(changed)}: {end}"
    if strict:
        if end.kind == "done":
            site.check_result()
        elif end.code != ErrorCode.OUTSIDE_REGION:
            raise Failure(f"a window is too small, but the run ends so: {text}")
        site.check_partial()
    else:
        end = _bring_to_end(site, end)
    site.check_windows()
    return text


def program(site: Site, rng: Rng) -> str:
    """The program is damaged, illegal, made up, or cut short."""
    network = site.network
    memory, settings = network.before, network.settings
    if rng.random() < 0.15:
        settings["PROGRAM_BYTES"] = _number(rng, settings["PROGRAM_BYTES"])
        what = f"cut after {settings['PROGRAM_BYTES']} bytes"
    else:
        words, what = damage(rng, network.program.words)
        start = network.placement.regions[CONSTANTS] - network.placement.base + network.program.program_offset
        memory = memory.copy()
        content = np.array(words, "<u8").view(np.uint8)
        memory[start : start + len(content)] = content
    site.start(settings, memory)
    end = site.finish(_LIMIT)
    text = f"{what}: {end}"
    site.check_windows()
    _bring_to_end(site, end)
    site.check_windows()
    return text


def silent(site: Site, rng: Rng) -> str:
    """From some cycle on the memory does not answer, on some of its channels; later it does, or all is reset."""
    clean = site.network.clean[site.timing]
    channels = tuple(channel for channel in CHANNELS if rng.random() < 0.4) or (CHANNELS[_number(rng, 5)],)
    cycle = _number(rng, clean.cycles)
    site.start(faults=MemoryFaults(silent=channels, silent_from=cycle))
    end = site.finish(_LIMIT + 2 * clean.cycles)
    text = f"{' '.join(channels)} silent from cycle {cycle}: {end}"
    if end.kind == "done":
        site.check_result()
        return text
    if end.kind != "hang":
        raise Failure(f"a memory that does not answer is no such end: {text}")
    if "memory" not in end.text:
        raise Failure(f"the memory is not named as what is missing: {text}")
    form = _number(rng, 3)
    if form == 0:
        site.simulator.set_faults(MemoryFaults())
        late = site.finish(2 * _LIMIT + 2 * clean.cycles)
        if late.kind != "done":
            raise Failure(f"{text}; then it answers, but {late}")
        site.check_result()
        return f"{text}; then it answers: {late}"
    if form == 1:
        site.request_stop()
        site.run_to(site.cycle + 50)
        site.simulator.set_faults(MemoryFaults())
        late = site.stop()
        _stopped(late)
        text += f"; then a stop, and it answers: {late}"
    else:
        site.simulator.reset()
        text += "; then a reset"
    site.check_windows()
    site.check_partial()
    return text


def several(site: Site, rng: Rng) -> str:
    """Errors of reads and writes, silence for a while and a stop come together, or some of them."""
    clean = site.network.clean[site.timing]
    response = _SLVERR if rng.random() < 0.5 else _DECERR
    suffix = "SLVERR" if response == _SLVERR else "DECERR"
    read = 1 + _number(rng, clean.reads) if rng.random() < 0.6 else 0
    write = 1 + _number(rng, clean.writes) if rng.random() < 0.6 else 0
    channels = tuple(channel for channel in CHANNELS if rng.random() < 0.3)
    quiet, stopped = _number(rng, clean.cycles), _number(rng, clean.cycles) if rng.random() < 0.6 else None
    faults = MemoryFaults(read, write, channels, quiet)
    site.start(faults=faults, timing=replace(site.timing, error_response=response))
    causes = {ErrorCode[f"READ_{suffix}"]: read, ErrorCode[f"WRITE_{suffix}"]: write}
    if stopped is not None and site.run_to(stopped):
        site.request_stop()
        causes[ErrorCode.STOPPED] = 1
    if channels:
        site.run_to(max(quiet, stopped or 0) + _number(rng, 400))
        site.simulator.set_faults(replace(faults, silent=()))
    end = site.finish(_LIMIT + 2 * clean.cycles)
    text = f"read beat {read}, write beat {write}, {' '.join(channels)} silent from {quiet}, stop in {stopped}: {end}"
    if end.kind == "done":
        site.check_result()
    elif not causes.get(end.code):
        raise Failure(f"the run ends for another reason: {text}")
    site.check_windows()
    site.check_partial()
    return text


# Parts of several ---------------------------------------------------------------------------------------------------


def _number(rng: Rng, end: int) -> int:
    """0 up to, but not, ``end``."""
    return int(rng.integers(end))


def _cycles(site: Site, rng: Rng) -> list[int]:
    """Some cycles of the run, in order; what begins in them is over before the run is."""
    most = site.network.clean[site.timing].cycles - 60
    return sorted(_number(rng, most) for _ in range(1 + _number(rng, 5)))


def _settings(changed: dict[str, int]) -> str:
    return ", ".join(f"{name}=0x{value:x}" for name, value in changed.items()) or "as it should be"


def _stopped(end: End, late: bool = False) -> None:
    if end.code != ErrorCode.STOPPED and not (late and end.kind == "done"):
        raise Failure(f"a stopped run ends so: {end}")


def _bring_to_end(site: Site, end: End) -> End:
    """Stop a run that has not ended by itself."""
    if end.kind in ("hang", "limit"):
        end = site.stop()
        if end.kind != "done" and end.code == ErrorCode.NONE:
            raise Failure(f"a stopped run ends so: {end}")
    return end


SCENARIOS: dict[str, Callable[[Site, Rng], str]] = {
    scenario.__name__: scenario
    for scenario in (read_error, write_error, reset, stop, start, registers, windows, program, refused, silent, several)
}
"""By the names of KINDS. Each returns a sentence of what was done and how the run ended."""
