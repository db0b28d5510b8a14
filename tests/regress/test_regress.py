"""The random tests themselves: repeatable, and able to find and to describe what is wrong."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest

from tensaw.compiler.ir import Lookup
from tensaw.compiler.pipeline import compile_graph
from tensaw.model.graph import run_graph
from tensaw.regress import bench as bench_module
from tensaw.regress.bench import Bench
from tensaw.regress.cases import GROUP, Case, prefix
from tensaw.regress.configs import CONFIGS, LARGEST, random_config
from tensaw.regress.locate import describe_byte
from tensaw.regress.parts import random_cases
from tensaw.regress.shrink import shrink
from tensaw.runtime.placement import place
from tensaw.spec.config import PRESETS
from tensaw.spec.errors import InputError


def test_random_configurations_are_legal_and_differ() -> None:
    configs = {random_config(np.random.default_rng(seed)) for seed in range(200)}
    assert len(configs) > 190
    assert max(config.macs_per_cycle for config in configs) <= LARGEST
    for side in ("rows", "columns"):
        sizes = [getattr(config, side) for config in configs]
        assert {min(sizes), max(sizes)} == {2, 64} and 8 > np.median(sizes) > 4  # all sizes, more of the small ones
    assert all(name == config.name for name, config in CONFIGS.items())


def test_a_case_is_repeatable_whatever_there_is_to_choose_from() -> None:
    several = Case(3, 5, tuple(CONFIGS))
    one = Case(3, 5, (several.config.name,))
    assert several.config == one.config and several.timing == one.timing and several.options == one.options
    assert [op.name for op in several.graph.ops] == [op.name for op in one.graph.ops]
    for name, value in several.inputs.items():
        np.testing.assert_array_equal(value, one.inputs[name])
    assert several.command == one.command == f"tensaw regress --seed 3 --index 5 --configs {one.config.name}"


def test_neighbours_share_any_configuration() -> None:
    configs = [Case(3, index).config for index in range(2 * GROUP)]
    assert len(set(configs)) == 2 and configs[0] == configs[GROUP - 1] != configs[GROUP]
    assert Case(3, 5).command == "tensaw regress --seed 3 --index 5"


def test_unknown_configuration() -> None:
    with pytest.raises(InputError) as caught:
        Case(0, 0, ("r1c1b1",))
    names = ", ".join((*CONFIGS, *PRESETS))
    assert str(caught.value) == f"There is no configuration 'r1c1b1'; choose from {names}, any."


@pytest.mark.parametrize("index", range(12))
def test_prefixes_compute_what_the_whole_network_does(index: int) -> None:
    case = Case(4, index)
    golden = run_graph(case.whole_graph, {p.tensor: case.inputs[p.tensor] for p in case.whole_graph.inputs}, keep=True)
    for count in range(1, len(case.whole_graph.ops) + 1):
        part = prefix(case.whole_graph, count)
        for name, value in run_graph(part, case.shrunk(count, None).inputs).items():
            np.testing.assert_array_equal(value, golden[name])


def test_a_wrong_operator_is_found_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    # The compiler is given another table than the golden operators use.
    index = next(i for i in range(100) if isinstance(Case(5, i).graph.ops[-1], Lookup) and Case(5, i).graph.ops[1:])
    true_compile = bench_module.compile_graph

    def wrong_compile(graph, config, options):
        ops = [dataclasses.replace(o, table=o.table ^ 1) if isinstance(o, Lookup) else o for o in graph.ops]
        return true_compile(dataclasses.replace(graph, ops=ops), config, options)

    monkeypatch.setattr(bench_module, "compile_graph", wrong_compile)
    with Bench(rtl=False) as bench:
        outcome = bench.run(Case(5, index))
        assert outcome.kind == "program"
        smaller = shrink(bench, outcome)
    ops = smaller.case.graph.ops
    assert sum(isinstance(op, Lookup) for op in ops) == 1 and isinstance(ops[-1], Lookup)
    assert f"of tensor {ops[-1].output!r} are not those of the golden operators; the first at" in smaller.text


def test_where_a_byte_comes_from() -> None:
    case = Case(6, 0, ("r16c16b8",))
    program = compile_graph(case.graph, case.config, case.options)
    placement = place(program)
    before = np.zeros(placement.size, np.uint8)
    found, expected = before.copy(), before.copy()
    output = program.outputs[0]
    position = placement.regions[output.region] - placement.base + output.offset
    expected[position] = 7
    text = describe_byte(program, placement, before, position, found, expected)
    assert text.startswith(f"the first at byte {output.offset} of the outputs of {output.tensor!r} (0, ")
    assert "0 instead of 7 (not written); stored by layer " in text
    text = describe_byte(program, placement, before, 3, found, expected)
    assert (
        text == f"the first outside all regions, at bus address 0x{placement.base + 3:x}: 0 instead of 0 (not written)."
    )


def test_a_wrong_write_of_the_hardware_is_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The hardware inverts what it stores.
    true_verilog = bench_module.npu_verilog

    def wrong_verilog(config, trace):
        files = true_verilog(config, trace=trace)
        (name,) = files
        wrong, count = re.subn(r"(assign axi__wdata = )(.*;)", r"\1~\2", files[name])
        assert count
        return {name: wrong}

    monkeypatch.setattr(bench_module, "npu_verilog", wrong_verilog)
    job = next(random_cases.PART.jobs(1, 5, {"configs": ["r4c4b8"], "waves": str(tmp_path / "waves")}))
    (result,) = random_cases.PART.run(job)
    assert result.status == "fail" and result.command == "tensaw regress --seed 5 --index 0 --configs r4c4b8"
    assert "\nhardware: run 1: " in result.text
    found = re.search(
        r"the first of them is written in cycle (\d+); waves of cycles (\d+) to (\d+) are in (\S+)", result.text
    )
    assert found and int(found[2]) <= int(found[1]) <= int(found[3])
    assert Path(found[4]).stat().st_size > 1000
