"""The frame around all commands: help, exit codes, error paragraphs, files, JSON."""

from __future__ import annotations

import argparse
import errno
import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from tensaw.cli import files, frame
from tensaw.cli.main import COMMANDS, main, make_parser
from tensaw.spec.errors import InputError


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    assert f"example:\n  tensaw {command}" in capsys.readouterr().out


@pytest.mark.parametrize("command", COMMANDS)
def test_examples_are_accepted_by_the_parser(command: str) -> None:
    for line in COMMANDS[command].EXAMPLE.splitlines():
        assert make_parser().parse_args(line.split("|")[0].split()[1:]).command == command


def test_help_imports_nothing_heavy() -> None:
    code = "import sys; from tensaw.cli.main import make_parser; make_parser(); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"numpy", "rich", "amaranth", "onnx", "tomlkit", "tensaw.spec.config"} & set(loaded)


def test_help_is_quick() -> None:
    def once() -> float:
        """Seconds of processor time, which other work on the machine changes little."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-m", "tensaw.cli.main", "--help"], check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime

    assert min(once() for _ in range(5)) < 0.3


def test_no_command_prints_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert "commands:" in capsys.readouterr().out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("tensaw 0.")


def run_guarded(error: BaseException, debug: bool = False) -> int:
    def execute(_: argparse.Namespace) -> int:
        raise error

    return frame.guarded(execute, argparse.Namespace(debug=debug))


def test_a_mistake_is_one_wrapped_paragraph_and_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_guarded(InputError("word " * 60)) == frame.MISTAKE == 2
    captured = capsys.readouterr()
    lines = captured.err.splitlines()
    assert captured.out == "" and len(lines) > 2
    assert lines[0].startswith("tensaw: word") and all(0 < len(line) <= 100 for line in lines)


def test_paths_are_not_cut() -> None:
    path = "x" * 200
    assert path in frame.paragraph(f"The file {path} is not there.", 80)


def test_an_interruption_is_code_130(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_guarded(KeyboardInterrupt()) == 130
    assert capsys.readouterr().err == "tensaw: interrupted\n"


def test_a_bug_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError):
        run_guarded(ZeroDivisionError())


def test_debug_shows_every_traceback() -> None:
    with pytest.raises(InputError):
        run_guarded(InputError("text"), debug=True)


def test_a_reader_that_has_gone_is_no_error() -> None:
    command = f"{sys.executable} -m tensaw.cli.main info --config base | true; exit ${{PIPESTATUS[0]}}"
    result = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (0, "")


def test_write_leaves_nothing_but_the_file(tmp_path: Path) -> None:
    files.write(tmp_path / "a.txt", "one")
    files.write(tmp_path / "a.txt", b"two")
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "two"
    mask = os.umask(0)
    os.umask(mask)
    assert (tmp_path / "a.txt").stat().st_mode & 0o777 == 0o666 & ~mask


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    with pytest.raises(InputError, match="cannot be written"):
        files.write_all(tmp_path, {"b": "x", "c": "y"})
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_refusals_of_output_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'.*/none/a' cannot be written: the folder '.*/none' does not exist"):
        files.require_writable(tmp_path / "none" / "a")
    with pytest.raises(InputError, match="cannot be written: it is a folder. Give another path."):
        files.require_writable(tmp_path)
    with pytest.raises(InputError, match="is given for two outputs; give each a path of its own"):
        files.require_writable(tmp_path / "a", None, tmp_path / "." / "a")
    assert list(tmp_path.iterdir()) == []


def _like_proc(*_: object, **__: object) -> None:
    raise FileNotFoundError(errno.ENOENT, "No such file or directory")


def test_refusals_of_output_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be used: it is a file"):
        files.require_folder(tmp_path / "file")
    with pytest.raises(InputError, match="cannot be created: the folder .* does not exist; create it first"):
        files.require_folder(tmp_path / "none" / "new")
    monkeypatch.setattr(Path, "mkdir", _like_proc)
    with pytest.raises(InputError, match="new' cannot be created: No such file or directory"):
        files.require_folder(tmp_path / "new")
    monkeypatch.undo()
    files.require_folder(tmp_path / "new")
    assert (tmp_path / "new").is_dir()


def test_an_unwritable_folder_is_refused_before_any_work(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # As root every folder is writable, so the refusal of the operating system is played.
    def refuse(**_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(files.tempfile, "TemporaryFile", refuse)
    monkeypatch.setattr("tensaw.cli.calls.load_network", lambda path: pytest.fail("work was done"))
    monkeypatch.setattr("tensaw.cli.calls.operators", lambda path: pytest.fail("work was done"))
    output = str(tmp_path / "out")
    for command in (
        ["compile", "m.tflite", "-o", output],
        ["run", "m.tflite", "--output", output],
        ["run", "m.tflite", "--json", output],
        ["check", "m.tflite", "--json", output],
        ["disasm", "m.tflite", "-o", output],
        ["generate", "-o", str(tmp_path)],
    ):
        assert main(command) == 2
        text = " ".join(capsys.readouterr().err.split())
        assert "cannot be written: its folder cannot be written to (Permission denied). Give another path." in text


def test_json_goes_to_a_file_or_alone_to_stdout(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", "--config", "nano", "--json", "-"]) == 0
    captured = capsys.readouterr()
    values = json.loads(captured.out)
    assert "field" in captured.err
    assert main(["info", "--config", "nano", "--json", str(tmp_path / "i.json")]) == 0
    captured = capsys.readouterr()
    assert json.loads((tmp_path / "i.json").read_text()) == values
    assert "field" in captured.out and captured.err == ""
    assert (values["command"], values["fields"]["rows"]["value"]) == ("info", 4)
