"""Damaged files: always an ordinary error or a result; and what watches over that does notice."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pytest

from tensaw.regress.parts import fuzz
from tensaw.spec.errors import InputError, ModelError
from tensaw.verify.fuzz import attempt as attempt_module
from tensaw.verify.fuzz.__main__ import main
from tensaw.verify.fuzz.attempt import attempt, guarded
from tensaw.verify.fuzz.damage import DamagedFile
from tensaw.verify.fuzz.flatbuffer import layout_of
from tensaw.verify.fuzz.protobuf import parse, serialise
from tensaw.verify.fuzz.seeds import KINDS, seeds

SEED = 2026


@pytest.mark.parametrize("part", range(4))
def test_damaged_files(part: int) -> None:
    for index in range(500 * part, 500 * (part + 1)):
        case = DamagedFile(SEED, index)
        done = attempt(case)
        assert done.outcome != "bad", f"{done.text}\n{case.command}"


def test_some_damaged_files_can_be_read_and_some_cannot() -> None:
    for kind in range(len(KINDS)):
        outcomes = [attempt(DamagedFile(SEED, len(KINDS) * number + kind)).outcome for number in range(2, 60)]
        assert outcomes.count("read") > 2 and outcomes.count("refused") > 10


@pytest.mark.parametrize("kind", KINDS)
def test_whole_files_are_read(kind: str) -> None:
    for data in seeds(kind):
        attempt_module._READERS[kind](data, f"whole.{kind}")


def test_the_same_files_in_every_process() -> None:
    code = (
        "from tensaw.verify.fuzz.damage import DamagedFile; from hashlib import sha256;"
        "print(sha256(b''.join(DamagedFile(5, i).content for i in range(60))).hexdigest())"
    )
    told = {
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, check=True, env={**os.environ, "PYTHONHASHSEED": seed}
        ).stdout
        for seed in ("1", "2")
    }
    assert len(told) == 1


def test_the_structure_of_flatbuffers_is_found() -> None:
    layout = layout_of(seeds("tflite")[0])
    # At the least the model, its operator code, its subgraph, an operator with its options, two tensors, two buffers.
    assert len(layout.tables) >= 8 and len(layout.vectors) >= 8 and len(layout.fields) > 20
    assert len(layout.offsets) >= len(layout.tables) - 1 + len(layout.vectors)


def test_protobuf_is_written_as_it_was_read() -> None:
    for data in seeds("onnx"):
        fields = parse(data)
        assert serialise(fields) == data
        assert any(isinstance(field.value, list) and len(field.value) > 5 for field in fields)


# What watches -----------------------------------------------------------------------------------------------------


def _run_on() -> None:
    while True:
        try:
            time.sleep(0.01)
        except Exception:  # must not save it
            pass


def test_a_hang_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempt_module, "SECONDS", 0.2)
    done = guarded(_run_on)
    assert done.outcome == "bad" and done.text.startswith("it took more than 0 s: test_fuzz.py:") and done.seconds < 2


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc")
def test_too_much_memory_is_noticed() -> None:
    done = guarded(lambda: bytearray(2 * attempt_module.MEMORY))
    assert done.outcome == "bad" and done.text.startswith("it wanted more than 512 MB of memory")
    assert guarded(lambda: bytearray(1 << 20)).outcome == "read"


def test_other_exceptions_and_warnings_are_noticed() -> None:
    done = guarded(lambda: [][0])
    assert done.outcome == "bad" and done.text.startswith("IndexError: list index out of range: ")
    done = guarded(lambda: warnings.warn("overflow", RuntimeWarning, stacklevel=1))
    assert done.outcome == "bad" and done.text.startswith("RuntimeWarning: overflow: ")


def _raise(error: Exception) -> None:
    raise error


def test_an_error_without_a_sentence_is_noticed() -> None:
    assert guarded(lambda: _raise(ModelError("The file m is empty; copy it again."))).outcome == "refused"
    for text in ("no", "the file is damaged in some way"):
        done = guarded(lambda text=text: _raise(ModelError(text)))
        assert done.outcome == "bad" and done.text.startswith("the error is no sentence")


@pytest.mark.parametrize(
    ("code", "content", "told", "trouble"),
    [
        (0, "half", "", ""),
        (0, None, "", "exit code 0 left []"),
        (2, "half", "tensaw: It is wrong, so mend it.", "exit code 2 left ['out.bin']"),
        (2, None, "Traceback", "exit code 2 with 'Traceback"),
        (1, None, "", "exit code 1 with ''"),
    ],
)
def test_what_a_command_leaves_is_noticed(
    monkeypatch: pytest.MonkeyPatch, code: int, content: str | None, told: str, trouble: str
) -> None:
    def command(arguments: list[str]) -> int:
        if content is not None:
            Path(arguments[arguments.index("-o") + 1]).write_text(content)
        print(told, end="", file=sys.stderr)
        return code

    monkeypatch.setattr(attempt_module, "main", command)
    for index in range(len(KINDS)):
        case = DamagedFile(SEED, index)
        assert case.by_command
        done = attempt(case)
        assert (done.outcome, done.text[: len(trouble)]) == ("bad" if trouble else "read", trouble)


# The part of a regression -----------------------------------------------------------------------------------------


def test_part() -> None:
    jobs = list(fuzz.PART.jobs(2500, 3, {}))
    assert [job.arguments["count"] for job in jobs] == [1000, 1000, 500]
    with pytest.raises(InputError) as caught:
        list(fuzz.PART.jobs(0, 3, {}))
    assert str(caught.value) == "The number of damaged files must be 1 or more, not 0."


def test_part_tells_of_each_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(case: DamagedFile) -> attempt_module.Attempt:
        return attempt_module.Attempt("bad", "it fell over") if case.index == 3 else attempt_module.Attempt("read")

    monkeypatch.setattr(fuzz, "attempt", wrong)
    job = next(fuzz.PART.jobs(10, 3, {}))
    failure, whole = fuzz.PART.run(job)
    assert failure.status == whole.status == "fail"
    assert failure.text == "program: it fell over"
    assert failure.command == "python -m tensaw.verify.fuzz --seed 3 --index 3"
    assert whole.facts["files"] == 10 and whole.facts["files_read"] == 9


def test_command(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["--seed", "0", "--index", "5", "--keep", str(tmp_path / "kept.onnx")]) == 0
    told = capsys.readouterr().out
    assert told.startswith("onnx, ") and (" bytes: refused in " in told or " bytes: read in " in told)
    assert (tmp_path / "kept.onnx").read_bytes() == DamagedFile(0, 5).content
