"""Line and toggle coverage: read as Verilator writes it, judged by line, branch and bit, with what is left out."""

from __future__ import annotations

from pathlib import Path

from tensaw.regress.cases import Case
from tensaw.regress.configs import CONFIGS
from tensaw.regress.parts import coverage
from tensaw.verify.faults.cases import FaultCase
from tensaw.verify.line_coverage import EXCLUSIONS, Exclusion, judge, measure, read_exclusions, read_points
from tensaw.verify.simulate import bench_directory

VERILOG = """module m;
always @* begin
  if (a)
    x = 1;
  else
    x = 2;
end
endmodule
"""


def _point(kind: str, line: int, what: str, lines: str, instance: str, count: int, file: str = "tensaw_npu.v") -> str:
    values = {"f": file, "l": line, "n": 3, "t": kind, "page": f"v_{kind}/m", "o": what, "S": lines, "h": instance}
    return "C '" + "".join(f"\x01{key}\x02{value}" for key, value in values.items()) + f"' {count}\n"


def _file(tmp_path: Path, name: str, *points: str) -> Path:
    path = tmp_path / name
    path.write_text("# SystemC::Coverage-3\n" + "".join(points))
    return path


def test_points_of_instances_and_files_are_one(tmp_path: Path) -> None:
    first = _file(
        tmp_path, "1.dat", _point("line", 2, "block", "2-3", "top.a", 1), _point("branch", 3, "if", "4", "top.a", 0),
        _point("branch", 3, "else", "6", "top.a", 0), _point("toggle", 1, "x[1]:0->1", "", "top.a", 0),
        _point("toggle", 1, "x[1]:1->0", "", "top.a", 2), _point("line", 1, "block", "1", "top", 0, "other.v"),
    )  # fmt: skip
    second = _file(tmp_path, "2.dat", _point("branch", 3, "else", "6", "top.b", 5))
    hits = read_points([first, second])
    assert sorted((place.kind, place.what, count) for place, count in hits.items()) == [
        ("branch", "else", 5), ("branch", "if", 0), ("line", "block", 1), ("toggle", "x[1]:0->1", 0),
        ("toggle", "x[1]:1->0", 2),
    ]  # fmt: skip
    found = judge(hits, VERILOG, [])
    assert (found.lines, found.lines_hit, found.branches, found.branches_hit) == (4, 3, 2, 1)
    assert (found.toggles, found.toggles_hit, found.excluded) == (2, 1, 0)
    assert found.missing == ("m: x = 1;",) and found.quiet == ("m: x (1 of 2)",)
    without = judge(hits, VERILOG, [Exclusion("line", "m", "x = 1;", ""), Exclusion("toggle", ".*", "x", "")])
    assert (without.lines, without.lines_hit, without.toggles, without.excluded) == (3, 3, 0, 3)
    assert not without.missing and not without.quiet


def test_exclusions_have_reasons() -> None:
    for each in read_exclusions(bench_directory() / EXCLUSIONS):
        assert each.kind in ("line", "toggle") and len(each.reason) > 20


def test_more_runs_cover_more() -> None:
    config = CONFIGS["r4c4b8"]
    faults = [FaultCase(2026, index, (config.name,)) for index in range(4)]
    few = measure(config, [Case(2026, 0, (config.name,))], [])
    more = measure(config, [Case(2026, index, (config.name,)) for index in range(6)], faults)
    assert 4000 < few.lines == more.lines and few.branches == more.branches and few.toggles == more.toggles
    assert 0.5 < few.lines_hit / few.lines < more.lines_hit / more.lines < 1
    assert few.toggles_hit < more.toggles_hit and few.branches_hit < more.branches_hit
    assert len(more.missing) == more.lines - more.lines_hit


def test_part_fails_below_its_limit(tmp_path: Path) -> None:
    good = judge(read_points([_file(tmp_path, "1.dat", _point("line", 2, "block", "2-7", "top", 1))]), VERILOG, [])
    bad = judge(read_points([_file(tmp_path, "2.dat", _point("line", 2, "block", "2-7", "top", 0))]), VERILOG, [])
    values = {"config": "nano", "seed": 3, "count": 10}
    assert coverage._result("nano-3", good, 1.0, values).status == "pass"
    result = coverage._result("nano-3", bad, 1.0, values)
    assert result.status == "fail" and result.text.startswith("0.0% of the lines ran, 95% should; those that did not:")
    assert result.command == "tensaw regress --coverage 10 --seed 3" and result.facts["measured"]["config"] == "nano"
    assert [job.name for job in coverage.PART.jobs(5, 1, {})] == ["nano-1", "r5c7b16-1"]
