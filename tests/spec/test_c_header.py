"""tensaw.h: compiles without warnings, and its encoders agree with Python's."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tensaw.spec.c_header import c_header, function_name
from tensaw.spec.isa import WORDS, encode
from tensaw.spec.registers import REGISTERS, ErrorCode

SEED = 1


@pytest.mark.skipif(shutil.which("gcc") is None, reason="no gcc")
def test_encoders_agree_with_python(tmp_path: Path) -> None:
    rng = np.random.default_rng(SEED)
    calls, expected = [], []
    for word in WORDS:
        for _ in range(4):
            values = {
                field.name: (*field.range, int(rng.integers(*field.range, endpoint=True)))[rng.integers(3)]
                for field in word.fields
            }
            # INT32_MIN cannot be written as one literal.
            arguments = ", ".join(
                f"(int32_t){value}LL" if field.signed else f"{value}u"
                for field, value in zip(word.fields, values.values(), strict=True)
            )
            calls.append(f'printf("%llu\\n", (unsigned long long){function_name(word)}({arguments}));')
            expected.append(encode(word.full_name, **values))
    calls.append('printf("%u\\n", TENSAW_REG_STATUS);')
    expected.append(next(item.offset for item in REGISTERS if item.name == "STATUS"))
    calls.append('printf("%d\\n", TENSAW_ERROR_OUTSIDE_REGION);')
    expected.append(int(ErrorCode.OUTSIDE_REGION))
    (tmp_path / "tensaw.h").write_text(c_header())
    source = '#include <stdio.h>\n#include "tensaw.h"\nint main(void)\n{\n' + "\n".join(calls) + "\nreturn 0;\n}\n"
    (tmp_path / "main.c").write_text(source)
    subprocess.run(["gcc", "-Wall", "-Wextra", "-Werror", "-std=c99", "main.c", "-o", "main"], cwd=tmp_path, check=True)
    printed = subprocess.run([tmp_path / "main"], capture_output=True, text=True, check=True).stdout
    assert [int(line) for line in printed.split()] == expected


def test_no_name_is_defined_twice() -> None:
    names = [line.split()[1] for line in c_header().splitlines() if line.startswith("#define ")]
    assert len(set(names)) == len(names)
    assert all(line.isascii() for line in c_header().splitlines())
