"""No slipping back in size: `small` on an ECP5 against docs/sizes.json; the command looks at `base`, too."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tensaw.bench import sizes
from tensaw.bench.sizes import TRACKED, Size, count_cells, judge, main, measure, memory_homes, read_sizes, yosys_version
from tensaw.spec.config import PRESETS
from tensaw.spec.errors import InputError

MEANT = "If that is meant, run `python -m tensaw.bench.sizes --update`."
LOG = """
mapping memory tensaw_npu.scratchpad.bank0.mem via $__DP16KD_
mapping memory tensaw_npu.sequencer.queue_load.storage via $__PDPW16KD_
mapping memory tensaw_npu.store.buffer.storage via $__TRELLIS_DPR16X4_
using FF mapping for memory tensaw_npu.array.odd.mem
using FF mapping for memory tensaw_npu.$flatten\\registers.$auto$proc_rom.cc:155:do_switch$4792
"""


def test_small_is_as_large_as_is_kept(root: Path) -> None:
    path = root / "docs" / "sizes.json"
    kept = read_sizes(path)
    assert set(kept) == set(TRACKED)
    if yosys_version() != (of := json.loads(path.read_text())["yosys"]):
        pytest.skip(f"the sizes are those of {of}, and {yosys_version()} is installed")
    now = measure(PRESETS["small"])
    assert judge("small", kept, now.figures) == [], MEANT
    assert now.memories["registers"] == [] and now.memories["block RAM"] != []
    accumulators = ("array.accumulators.accumulated", "array.accumulators.output")
    for name in ("scratchpad", "ring", *accumulators, "output_stage.lanes.lookup"):
        assert not [memory for memory in now.memories["distributed RAM"] if memory.startswith(name)]


def test_cells_are_counted_as_nextpnr_does() -> None:
    cells = {"LUT4": 100, "CCU2C": 10, "TRELLIS_DPR16X4": 2, "TRELLIS_FF": 7, "MULT18X18D": 3, "DP16KD": 4, "PFUMX": 9}
    assert count_cells(cells) == {"LUT": 132, "FF": 7, "DSP": 3, "block RAM": 4}


def test_memories_are_found_in_the_log() -> None:
    assert memory_homes(LOG) == {
        "block RAM": ["scratchpad.bank0.mem", "sequencer.queue_load.storage"],
        "distributed RAM": ["store.buffer.storage"],
        "registers": ["array.odd.mem"],
    }


def test_sizes_are_judged() -> None:
    kept = {"small": {"LUT": 1000, "DSP": 0}}
    assert judge("small", kept, {"LUT": 1020, "DSP": 0}) == judge("small", kept, {"LUT": 980}) == []
    assert judge("small", kept, {"LUT": 1021}) == ["small: LUT grew by 2.1%, from 1,000 to 1,021."]
    assert judge("small", kept, {"LUT": 900}) == ["small: LUT shrank by 10.0%, from 1,000 to 900."]
    assert judge("small", kept, {"DSP": 1}) == ["small: DSP grew, from 0 to 1."]
    assert judge("base", kept, {}) == ["base: docs/sizes.json does not know this configuration."]


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    size = Size({"LUT": 1000}, memory_homes(LOG))
    monkeypatch.setattr(sizes, "measure", lambda config: size)
    file = tmp_path / "sizes.json"
    assert main(["--update", "--file", str(file)]) == 0
    assert read_sizes(file) == {"small": {"LUT": 1000}, "base": {"LUT": 1000}}
    assert "memories in registers: array.odd.mem" in capsys.readouterr().out
    size = Size({"LUT": 1100}, {})
    assert main(["--configs", "small", "--file", str(file)]) == 1
    assert capsys.readouterr().err == (
        "small: LUT grew by 10.0%, from 1,000 to 1,100. If that is meant, write the file anew with --update.\n"
    )
    assert main(["--update", "--configs", "small", "--file", str(file)]) == 0
    assert read_sizes(file) == {"small": {"LUT": 1100}, "base": {"LUT": 1000}}
    with pytest.raises(SystemExit):
        main(["--configs", "huge", "--file", str(file)])
    assert "there is no preset 'huge'; choose from nano, small, base, large" in capsys.readouterr().err
    with pytest.raises(InputError, match="cannot be read .*write them anew with `python -m tensaw.bench.sizes"):
        read_sizes(tmp_path / "none.json")
