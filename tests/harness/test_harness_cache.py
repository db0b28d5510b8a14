"""The cache of build results: by content, whole or absent, safe between processes."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from tensaw.harness.cache import cache_directory, cached, digest
from tensaw.spec.errors import ToolError


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("TENSAW_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_directory_follows_the_environment(monkeypatch):
    monkeypatch.setenv("TENSAW_CACHE", "/a/b")
    assert cache_directory() == Path("/a/b")
    monkeypatch.delenv("TENSAW_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/c")
    assert cache_directory() == Path("/c/tensaw")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_directory() == Path.home() / ".cache" / "tensaw"


def test_digest_separates_names_and_contents():
    assert digest({"a": "bc", "d": "e"}) == digest({"d": b"e", "a": b"bc"})
    assert len({digest({"a": "bc"}), digest({"ab": "c"}), digest({"a": "b", "c": ""}), digest({"a": "bcd"})}) == 4


def test_built_once(cache):
    calls = []

    def build(directory: Path) -> None:
        calls.append(directory)
        (directory / "result").write_text("42")

    for _ in range(2):
        assert (cached("kind", "key", build) / "result").read_text() == "42"
    assert len(calls) == 1
    assert sorted(path.name for path in (cache / "kind").iterdir()) == ["key", "key.lock"]


def test_failed_and_interrupted_builds_leave_nothing(cache):
    def fail(directory: Path) -> None:
        (directory / "half").write_text("")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cached("kind", "key", fail)
    assert not (cache / "kind" / "key").exists()
    # A process that was killed cannot clean up.
    left = cache / "kind" / "key.building"
    left.mkdir()
    (left / "half").write_text("")
    entry = cached("kind", "key", lambda directory: (directory / "whole").touch())
    assert [path.name for path in entry.iterdir()] == ["whole"]


def test_a_second_builder_waits_for_the_first():
    order = []

    def slow(directory: Path) -> None:
        order.append("begin")
        time.sleep(0.2)
        order.append("end")

    threads = [threading.Thread(target=cached, args=("kind", "key", slow)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert order == ["begin", "end"]


def test_builds_happen_without_blanks_in_the_path(tmp_path, monkeypatch):
    monkeypatch.setenv("TENSAW_CACHE", str(tmp_path / "with blanks"))
    seen = []

    def build(directory: Path) -> None:
        seen.append(str(directory))
        (directory / "result").write_text("42")

    assert (cached("kind", "key", build) / "result").read_text() == "42"
    assert " " not in seen[0]
    assert not Path(seen[0]).exists()


def test_an_unusable_cache_is_a_tool_error(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("TENSAW_CACHE", str(tmp_path / "file"))
    with pytest.raises(ToolError) as error:
        cached("kind", "key", lambda directory: None)
    assert str(error.value) == (
        f"The cache {str(tmp_path / 'file' / 'kind')!r} cannot be used: Not a directory. Set TENSAW_CACHE to a "
        "directory that you may write to and that has some 100 MB of room."
    )
