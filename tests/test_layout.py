"""The rules that keep three source roots one package: each is one short test."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCE_ROOTS = ("hw", "sim", "sw")
PORTIONS = [path for root in SOURCE_ROOTS for path in sorted((ROOT / root / "tensaw").iterdir()) if path.is_dir()]
SUBPACKAGES = [path for path in PORTIONS if path.name != "__pycache__"]
NO_AMARANTH = ("spec", "model", "compiler")


def tracked() -> list[Path]:
    """Files under version control; skips where git does not know (an unpacked archive)."""
    result = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if result.returncode:
        pytest.skip("not a git work tree")
    return [path for name in result.stdout.split("\0") if name and (path := ROOT / name).is_file()]


def modules(portion: Path) -> Iterator[str]:
    """Importable names below a folder such as ``sw/tensaw/compiler``."""
    for path in sorted(portion.rglob("*.py")):
        parts = path.relative_to(portion.parent.parent).with_suffix("").parts
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> set[str]:
    """Full names of what a file imports, anywhere in it; ``from a import b`` counts as ``a`` and ``a.b``."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def importers(paths: list[Path], package: str) -> list[str]:
    """Which of these Python files import the package or a part of it."""
    return [
        str(path.relative_to(ROOT))
        for path in paths
        if any(name == package or name.startswith(package + ".") for name in imports(path))
    ]


def python(code: str, *arguments: str, cwd: Path, flags: tuple[str, ...] = ("-I",)) -> str:
    """Output of a fresh interpreter; fails the test with its error output."""
    result = subprocess.run([sys.executable, *flags, "-c", code, *arguments], cwd=cwd, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_the_namespace_has_no_init() -> None:
    assert not [str(path) for root in SOURCE_ROOTS for path in (ROOT / root).glob("tensaw/__init__.py")]


@pytest.mark.parametrize("portion", SUBPACKAGES, ids=lambda path: f"{path.parent.parent.name}-{path.name}")
def test_every_portion_is_typed(portion: Path) -> None:
    assert (portion / "py.typed").is_file()


def test_all_roots_are_in_both_lists() -> None:
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]
    assert build["dev-mode-dirs"] == list(SOURCE_ROOTS)
    assert build["targets"]["wheel"]["packages"] == [f"{root}/tensaw" for root in SOURCE_ROOTS]
    assert sorted(path.parent.name for path in ROOT.glob("*/tensaw")) == sorted(SOURCE_ROOTS)


def test_no_two_roots_own_the_same_subpackage() -> None:
    names = [path.name for path in SUBPACKAGES]
    assert len(names) == len(set(names))


def test_editable_install_imports_from_another_folder(tmp_path: Path) -> None:
    code = "import tensaw.spec.config, tensaw.model.graph, tensaw.cli.main; print(tensaw.spec.config.__file__)"
    assert Path(python(code, cwd=tmp_path).strip()) == ROOT / "hw/tensaw/spec/config.py"


def test_wheel_holds_all_and_imports_from_another_folder(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    inside = {path.relative_to(site).as_posix() for path in (site / "tensaw").rglob("*") if path.is_file()}
    wanted = {path.relative_to(ROOT).as_posix() for path in tracked()}
    wanted = {name.split("/", 1)[1] for name in wanted if re.match(r"(hw|sim|sw)/tensaw/", name)}
    assert wanted <= inside
    # Without site initialisation the editable install's path file is not read: only the wheel can be found.
    code = (
        "import sys; sys.path[:0] = sys.argv[1:3]\n"
        "import tensaw.spec.config, tensaw.model.graph, tensaw.compiler.ir, tensaw.cli.main as main\n"
        "print(list(sys.modules['tensaw'].__path__), main.__file__)"
    )
    output = python(code, str(site), sysconfig.get_path("purelib"), cwd=tmp_path, flags=("-I", "-S"))
    assert str(site / "tensaw/cli/main.py") in output and str(ROOT / "sw") not in output


def test_spec_model_and_compiler_do_without_amaranth(tmp_path: Path) -> None:
    names = [name for path in SUBPACKAGES if path.name in NO_AMARANTH for name in modules(path)]
    code = "import sys, importlib; sys.modules['amaranth'] = None; [importlib.import_module(n) for n in sys.argv[1:]]"
    python(code, *names, cwd=tmp_path)
    files = [file for path in SUBPACKAGES if path.name in NO_AMARANTH for file in path.rglob("*.py")]
    assert importers(files, "amaranth") == []


def test_model_does_not_import_the_rtl() -> None:
    assert importers(list((ROOT / "sim/tensaw/model").rglob("*.py")), "tensaw.rtl") == []


def test_nothing_imports_the_benches() -> None:
    assert importers([path for path in tracked() if path.suffix == ".py"], "tb") == []


def test_no_machine_paths() -> None:
    pattern = re.compile(r"(?<![\w.])/(?:work|root|tmp|home/\w+|Users/\w+)/")
    found = []
    for path in tracked():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # models, images
        if path != Path(__file__) and (match := pattern.search(text)):
            found.append(f"{path.relative_to(ROOT)}: {match[0]}")
    assert found == []


def test_files_keep_a_readable_length() -> None:
    lengths = {str(path.relative_to(ROOT)): path.read_text().count("\n") for path in tracked() if path.suffix == ".py"}
    assert {name: length for name, length in lengths.items() if length > 500} == {}
