"""The cocotb benches of all blocks, on all their configurations and simulators, with as many seeds as one likes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tensaw.regress.jobs import Job, Part, Result
from tensaw.spec.errors import InputError
from tensaw.verify.blocks import BLOCKS, block_named
from tensaw.verify.simulate import bench_directory, run_bench

__all__ = ["PART"]

_NAME = "benches"


def _jobs(amount: int, seed: int, options: Mapping[str, Any]) -> Iterator[Job]:
    """Every bench with ``amount`` seeds, from ``seed`` on. Raises InputError if the benches are not here."""
    if amount < 1:
        raise InputError(f"The number of seeds for the benches must be 1 or more, not {amount}.")
    bench_directory()
    for number in range(seed, seed + amount):
        for block in BLOCKS.values():
            runs = [(config, "icarus") for config in block.configs]
            runs += [(block.configs[0], simulator) for simulator in block.simulators if simulator != "icarus"]
            for config, simulator in runs:
                arguments = {"block": block.name, "config": config, "simulator": simulator, "seed": number}
                yield Job(_NAME, f"{block.name}-{config}-{simulator}-{number}", arguments)


def _run(job: Job) -> list[Result]:
    """A result for each test, and one for the whole run, which carries the coverage."""
    values = job.arguments
    run = run_bench(block_named(values["block"]), values["config"], values["simulator"], values["seed"])
    results = [
        Result(
            _NAME, f"{job.name}/{test.name}", "pass" if test.passed else "fail", test.text,
            f"{run.command} --test {test.name}", round(test.seconds, 3), {"cycles": test.cycles},
        )
        for test in run.tests
    ]  # fmt: skip
    facts = {"coverage": {values["block"]: run.coverage}}
    trouble = run.trouble or ("" if run.tests else "the bench has no tests")
    status = "fail" if trouble else "pass"
    return [*results, Result(_NAME, job.name, status, trouble, run.command, round(run.seconds, 3), facts)]


PART = Part(_NAME, "cocotb benches of the blocks", _jobs, _run)
