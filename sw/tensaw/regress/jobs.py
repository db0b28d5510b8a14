"""What a regression consists of: parts make jobs, jobs run anywhere and give results.

A :class:`Job` is plain data, so that it can be sent to another process or another machine and be found again when a
regression is resumed.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

__all__ = ["Job", "Part", "Result", "Status", "run_job"]

Status = Literal["pass", "fail", "skip"]


@dataclass(frozen=True)
class Job:
    """A piece of work of some seconds to minutes: ``arguments``, JSON values, are all that ``part`` needs to do it.
    ``part/name`` is its name in files and on the screen; the same job always has the same name."""

    part: str
    name: str
    arguments: Mapping[str, Any]

    @property
    def key(self) -> str:
        return f"{self.part}/{self.name}"


@dataclass(frozen=True)
class Result:
    """What became of one check; a job may make many.

    ``skip``: it does not apply (a network that a configuration refuses, a missing tool), ``text`` says why. ``text`` of
    a failure is all that one needs to know to begin; ``command`` repeats it alone. ``facts``: JSON values for the
    summary of the part, such as cycles simulated.
    """

    part: str
    name: str
    status: Status
    text: str = ""
    command: str = ""
    seconds: float = 0.0
    facts: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Result:
        """From what :meth:`to_dict` gave."""
        return cls(**values)


@dataclass(frozen=True)
class Part:
    """A kind of checks: a module of ``tensaw.regress.parts``, registered there by one line.

    ``name`` on the command line and in files, ``title`` a few words for tables. ``jobs(amount, seed, options)`` gives
    the jobs that do ``amount`` checks and raises TensawError for options that do not do. ``run(job)`` does one, in any
    process; whatever it raises is a failed result.
    """

    name: str
    title: str
    jobs: Callable[[int, int, Mapping[str, Any]], Iterator[Job]]
    run: Callable[[Job], list[Result]]


def run_job(job: Job) -> list[Result]:
    """The results of a job, in this process; an exception becomes a failed result that holds its traceback."""
    from tensaw.regress.parts import PARTS

    try:
        return PARTS[job.part].run(job)
    except Exception as error:
        text = f"{type(error).__name__}: {error}\n{traceback.format_exc(limit=-6)}"
        return [Result(job.part, job.name, "fail", text)]
