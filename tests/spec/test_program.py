"""The program container: round trip, fixed bytes, damage."""

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tensaw.spec.config import PRESETS
from tensaw.spec.errors import InputError
from tensaw.spec.isa import END_WORD
from tensaw.spec.program import Binding, Layer, Program, Tag


def example() -> Program:
    constants = np.array([1, 2, END_WORD, END_WORD], "<u8").tobytes()
    return Program(
        name="example",
        config=PRESETS["nano"],
        constants=constants,
        program_offset=16,
        program_bytes=16,
        region_sizes=(32, 64, 64, 0),
        inputs=[Binding("in:0", "in", 1, 0, (1, 4, 4, 3), (1, 3, 4, 4), "uint8", (0, 2, 3, 1), 0.5, -128)],
        outputs=[Binding("out:0", "out", 2, 16, (1, 10), (1, 10))],
        layers=[Layer("conv", "CONV_2D", "out", 10, 20, 30, ("relu",))],
        tags=[Tag(0, "rows 0..3")],
        notes={"tiles": [1, 2]},
    )


def test_round_trip(tmp_path: Path) -> None:
    program = example()
    path = tmp_path / "example.tsaw"
    path.write_bytes(program.to_bytes())
    loaded = Program.load(path)
    assert loaded == program
    assert loaded.to_bytes() == program.to_bytes()
    assert list(loaded.words) == [END_WORD, END_WORD]
    assert loaded.macs == 10


def test_bytes_hold_no_date_and_no_operating_system() -> None:
    with zipfile.ZipFile(io.BytesIO(example().to_bytes())) as archive:
        assert [entry.date_time for entry in archive.infolist()] == [(1980, 1, 1, 0, 0, 0)] * 2
        assert [entry.create_system for entry in archive.infolist()] == [3, 3]
        assert {entry.compress_type for entry in archive.infolist()} == {zipfile.ZIP_STORED}


_CONTENT = example().to_bytes()


@given(st.integers(0, len(_CONTENT) - 1), st.binary(min_size=1, max_size=8))
def test_changed_bytes_give_a_program_or_an_input_error(position: int, noise: bytes) -> None:
    damaged = _CONTENT[:position] + noise + _CONTENT[position + len(noise) :]
    try:
        Program.from_bytes(damaged)
    except InputError as error:
        assert "\n" not in str(error)


@given(st.integers(0, len(_CONTENT) - 1))
def test_cut_files_are_refused(length: int) -> None:
    with pytest.raises(InputError):
        Program.from_bytes(_CONTENT[:length])


def _repack(**changes: Any) -> bytes:
    with zipfile.ZipFile(io.BytesIO(_CONTENT)) as archive:
        header = json.loads(archive.read("program.json"))
        constants = archive.read("constants.bin")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("program.json", json.dumps({**header, **changes}))
        archive.writestr("constants.bin", constants)
    return buffer.getvalue()


_OUTSIDE = {**json.loads(json.dumps(example().inputs[0].__dict__)), "offset": 17}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"format": 0}, "its format is version 0, this is version 1"),
        ({"program_offset": 8}, "the place of its command words is not a multiple of 16"),
        ({"program_bytes": 0}, "the place of its command words is not a multiple of 16"),
        ({"program_bytes": 32}, "its command words or constants reach beyond their region"),
        ({"region_sizes": [16, 64, 64, 0]}, "its command words or constants reach beyond their region"),
        ({"region_sizes": [32, 64]}, "it does not give 4 region sizes"),
        ({"inputs": [_OUTSIDE]}, "the tensor 'in' lies outside its region"),
        ({"tags": [{"layer": 1, "tile": ""}]}, "a tag names the layer 1, which does not exist"),
        ({"layers": []}, "a tag names the layer 0, which does not exist"),
        ({"tags": [{"layer": 0, "tile": ["rows"]}]}, "tile of a tag is ['rows']"),
        ({"tags": [{"layer": 0.0, "tile": ""}]}, "layer of a tag is 0.0"),
        ({"layers": [{"name": 7, "kind": "", "output": ""}]}, "'fused' is missing"),
        ({"layers": [{"name": 7, "kind": "", "output": "", "fused": []}]}, "name of a layer is 7"),
        ({"outputs": [{**_OUTSIDE, "offset": 0, "shape": [True]}]}, "shape of a binding is (True,)"),
        ({"config": {"rows": 1}}, "rows must be between 2 and 64, not 1"),
    ],
)
def test_contradictions_are_refused(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(InputError) as error:
        Program.from_bytes(_repack(**changes), "x.tsaw")
    assert str(error.value) == (
        f"'x.tsaw' is not a program that this version of tensaw can run: {reason}. Compile the network again."
    )


def test_a_compressed_file_is_refused() -> None:
    """Two kilobytes of it may become two gigabytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("program.json", "{}")
        archive.writestr("constants.bin", bytes(1 << 20))
    with pytest.raises(InputError) as error:
        Program.from_bytes(buffer.getvalue(), "x.tsaw")
    assert str(error.value) == (
        "'x.tsaw' is not a program that this version of tensaw can run: it is compressed, and could become any size. "
        "Compile the network again."
    )


@given(
    st.sampled_from(
        ["name", "config", "program_offset", "region_sizes", "inputs", "outputs", "layers", "tags", "notes"]
    ),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
        max_leaves=6,
    ),
)
def test_any_header_gives_a_program_or_an_input_error(key: str, value: Any) -> None:
    try:
        Program.from_bytes(_repack(**{key: value}))
    except InputError:
        pass


def test_a_missing_file() -> None:
    with pytest.raises(InputError) as error:
        Program.load("none.tsaw")
    assert str(error.value) == "The program 'none.tsaw' cannot be read: No such file or directory."
