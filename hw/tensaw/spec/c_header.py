"""The C header for drivers: registers, bit fields, error codes and an encoder for every command word.

``python -m tensaw.spec.c_header`` prints it. The text depends on the spec only.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from enum import IntEnum

from tensaw.spec.isa import (
    PAYLOAD_BITS,
    WORDS,
    Mode,
    Operation,
    OutputKind,
    Peer,
    TableKind,
    Unit,
    Word,
)
from tensaw.spec.registers import COUNTERS, ERROR_TEXTS, IDENTITY, REGISTERS, VERSION, ErrorCode

__all__ = ["c_header", "function_name"]

_ENUMS: tuple[tuple[str, type[IntEnum], str], ...] = (
    ("UNIT", Unit, "Bits 63..60 of a command word; also ERROR.unit."),
    ("PEER", Peer, "Bit numbers in wait and signal masks."),
    ("MODE", Mode, "ARRAY.RUN mode."),
    ("OPERATION", Operation, "OUTPUT.OPERAND_STEP operation."),
    ("KIND", OutputKind, "OUTPUT.RUN kind."),
    ("TABLE", TableKind, "ARRAY.TABLE kind."),
    ("ERROR", ErrorCode, "ERROR.code."),
)


def function_name(word: Word) -> str:
    """Name of a word's encoder in C."""
    return f"tensaw_{word.unit.name}_{word.name}".lower()


def _registers() -> Iterator[str]:
    for register in REGISTERS:
        name = f"TENSAW_REG_{register.name}"
        yield f"/* {register.text} ({register.access.value}) */"
        yield f"#define {name} 0x{register.offset:03x}u"
        for bit in register.bits:
            mask = ((1 << bit.width) - 1) << bit.low
            yield f"#define {name}_{bit.name.upper()}_SHIFT {bit.low}"
            yield f"#define {name}_{bit.name.upper()}_MASK 0x{mask:08x}u /* {bit.text} */"
        yield ""


def _encoder(word: Word) -> Iterator[str]:
    """A static inline function that returns the 64-bit word; values are cut to their fields' widths."""
    yield f"/* {word.full_name}: {word.text}"
    for field in word.fields:
        low, high = field.range
        yield f" *   {field.name}: {field.text} ({low} to {high})"
    yield " */"
    types = ["int32_t" if field.signed else "uint32_t" for field in word.fields]
    arguments = ", ".join(f"{kind} {field.name}" for kind, field in zip(types, word.fields, strict=True))
    yield f"static inline uint64_t {function_name(word)}({arguments or 'void'})"
    yield "{"
    yield f"    uint64_t word = UINT64_C(0x{int(word.unit) << 60 | word.code << PAYLOAD_BITS:016x});"
    position = 0
    for field in word.fields:
        mask = (1 << field.width) - 1
        value = f"(uint64_t)(uint32_t){field.name}" if field.signed else f"(uint64_t){field.name}"
        yield f"    word |= ({value} & 0x{mask:x}u) << {position};"
        position += field.width
    yield "    return word;"
    yield "}"
    yield ""


def c_header() -> str:
    """The text of ``tensaw.h`` (C99)."""
    lines = [
        "/* tensaw: registers and command words. Generated from tensaw.spec; do not edit. */",
        "#ifndef TENSAW_H",
        "#define TENSAW_H",
        "",
        "#include <stdint.h>",
        "",
        f"#define TENSAW_IDENTITY 0x{IDENTITY:08x}u",
        f"#define TENSAW_VERSION {VERSION}u",
        f"#define TENSAW_COUNTERS {len(COUNTERS)}",
        "",
        "/* Registers: byte offsets, and shift and mask of their fields. */",
        "",
        *_registers(),
    ]
    for prefix, enumeration, text in _ENUMS:
        lines.append(f"/* {text} */")
        for member in enumeration:
            remark = f" /* {ERROR_TEXTS[member]} */" if isinstance(member, ErrorCode) else ""
            lines.append(f"#define TENSAW_{prefix}_{member.name} {int(member)}{remark}")
        lines.append("")
    lines += ["/* Command words. Values are cut to the widths of their fields. */", ""]
    for word in WORDS:
        lines += _encoder(word)
    lines += ["#endif"]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(c_header())
