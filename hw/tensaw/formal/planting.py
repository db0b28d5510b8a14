"""Planted bugs: the hardware with a change in its source, to see that a proof notices."""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.util
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec, SourceFileLoader
from types import ModuleType

from tensaw.formal.bench import Planted

__all__ = ["planted_rtlil"]


def planted_rtlil(name: str, planted: Planted) -> str:
    """RTLIL of the proof ``name`` where the module ``planted.module`` has the bug.

    Raises ValueError if the text to be changed does not occur exactly once.
    """
    with _fresh_modules(planted):
        catalogue = importlib.import_module("tensaw.formal.catalogue")
        return catalogue.PROOFS[name].bench().rtlil()


class _Loader(SourceFileLoader):
    planted: Planted

    def get_data(self, path: str) -> bytes:
        data = super().get_data(path)
        if not path.endswith(".py"):
            raise OSError("no compiled files: they would hold the change, or lack it")
        old, new = self.planted.old.encode(), self.planted.new.encode()
        if data.count(old) != 1:
            raise ValueError(
                f"A bug planted in {self.planted.module} changes {self.planted.old!r}, which occurs {data.count(old)} "
                "times there: say in tensaw.formal what to change instead."
            )
        return data.replace(old, new)

    def set_data(self, path: str, data: object, *, _mode: int = 0) -> None:
        pass


class _Finder(importlib.abc.MetaPathFinder):
    def __init__(self, planted: Planted) -> None:
        self._planted = planted

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != self._planted.module:
            return None
        for place in path or ():
            source = f"{place}/{fullname.rpartition('.')[2]}.py"
            spec = importlib.util.spec_from_file_location(fullname, source)
            if spec is not None:
                loader = _Loader(fullname, source)
                loader.planted = self._planted
                return importlib.util.spec_from_file_location(fullname, source, loader=loader)
        return None


@contextmanager
def _fresh_modules(planted: Planted) -> Iterator[None]:
    """Within it, hardware and proofs are imported anew, with the change; afterwards all is as it was."""
    ours = ("tensaw.rtl", "tensaw.formal", planted.module)
    package, _, last = planted.module.rpartition(".")
    kept = {name: module for name, module in sys.modules.items() if name.startswith(ours)}
    for name in kept:
        del sys.modules[name]
    finder = _Finder(planted)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        for name in [name for name in sys.modules if name.startswith(ours)]:
            del sys.modules[name]
        sys.modules.update(kept)
        if planted.module in kept:
            setattr(sys.modules[package], last, kept[planted.module])
