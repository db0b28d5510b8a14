"""Identity and registers: whether the NPU behind the link is the one that the board says it has."""

from __future__ import annotations

from tensaw.bringup.finding import Finding
from tensaw.runtime.link import HostLink
from tensaw.spec.registers import IDENTITY, VERSION, region_register, register

__all__ = ["test_identity", "test_registers"]

_REBUILD = (
    "Load the bitstream again; if it goes on, build it again with `tensaw fpga build`, and look whether timing was met."
)


def test_identity(link: HostLink) -> str:
    """Raises Finding."""
    identity, config = link.identity, link.identity.config
    shape = config.rows | config.columns << 8 | config.bus_bytes << 16 | config.requant_lanes << 24
    expected = {
        "IDENTITY": IDENTITY, "VERSION": VERSION, "CONFIG": config.digest, "SHAPE": shape,
        "SCRATCHPAD_BYTES": config.scratchpad_bytes, "WEIGHT_BYTES": config.weight_bytes,
        "ACC_ENTRIES": config.acc_entries,
    }  # fmt: skip
    for name, value in expected.items():
        (found,) = link.read_registers(register(name).offset)
        if found != value:
            raise Finding(
                f"The register {name} holds 0x{found:x}; by the board's identity it must be 0x{value:x}.",
                "The link works, but the NPU behind it does not answer, or is not the one of this bitstream's "
                "identity.",
                _REBUILD,
            )
    return (
        f"{identity.board}, {config.name} ({config.rows}×{config.columns}), build {identity.build.hex()}, "
        f"{identity.clock / 1e6:g} MHz, {identity.memory_bytes:,} bytes of memory"
    )


def test_registers(link: HostLink) -> str:
    """Walking ones through every region's base, then other values in all of them at once. Raises Finding."""
    bits = [1 << bit for bit in range(4, min(link.identity.config.address_width, 32))]
    mask = sum(bits)
    offset = region_register(0, "BASE_LO").offset
    for bit in bits:
        for value in (bit, mask ^ bit):
            link.write_registers(offset, [value])
            _compare(link.read_registers(offset)[0], value, "REGION0_BASE_LO")
    names = [(region, part) for region in range(4) for part in ("BASE_LO", "SIZE")]
    for turn in range(2):
        values = [(0x1234_5670 + 0x1111_1110 * number) * (turn + 1) & mask for number in range(len(names))]
        for (region, part), value in zip(names, values, strict=True):
            link.write_registers(region_register(region, part).offset, [value])
        for (region, part), value in zip(names, values, strict=True):
            found = link.read_registers(region_register(region, part).offset)[0]
            _compare(found, value, f"REGION{region}_{part}")
    for region, part in names:
        link.write_registers(region_register(region, part).offset, [0])
    return f"{2 * len(bits) + 2 * len(names)} values written and read back"


def _compare(found: int, value: int, name: str) -> None:
    if found != value:
        raise Finding(
            f"The register {name} holds 0x{found:08x} after 0x{value:08x} was written: {_bits(found ^ value)} wrong.",
            "The path from the link to the NPU's registers loses or mixes bits, inside the FPGA.",
            _REBUILD,
        )


def _bits(mask: int) -> str:
    numbers = [str(bit) for bit in range(mask.bit_length()) if mask >> bit & 1]
    return f"bit {numbers[0]} is" if len(numbers) == 1 else f"bits {', '.join(numbers)} are"
