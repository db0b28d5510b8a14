"""The register map: no overlaps, alignment, bit fields within the register."""

from tensaw.spec.registers import (
    ADDRESS_BITS,
    ERROR_TEXTS,
    IDENTITY,
    REGISTERS,
    ErrorCode,
    region_register,
    register,
)


def test_registers_are_aligned_and_apart() -> None:
    offsets = [item.offset for item in REGISTERS]
    assert len(set(offsets)) == len(offsets)
    assert all(offset % 4 == 0 and 0 <= offset < 1 << ADDRESS_BITS for offset in offsets)
    assert len({item.name for item in REGISTERS}) == len(REGISTERS)


def test_bit_fields_fit_and_do_not_overlap() -> None:
    for item in REGISTERS:
        taken = 0
        for bit in item.bits:
            mask = ((1 << bit.width) - 1) << bit.low
            assert bit.width > 0 and mask < 1 << 32 and not taken & mask, (item.name, bit.name)
            taken |= mask


def test_lookup() -> None:
    assert register("STATUS").offset == 0x024
    assert region_register(2, "SIZE").offset == 0x0A8
    assert IDENTITY.to_bytes(4, "little") == b"TSAW"
    assert set(ERROR_TEXTS) == set(ErrorCode)
