"""Results on disk, a line each as they come: what an interrupted regression goes on from, and what pages tell of."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tensaw.regress.jobs import Job, Result
from tensaw.spec.errors import InputError

__all__ = ["Store", "read_request"]

_FILE = "results.jsonl"


def read_request(folder: Path) -> dict[str, Any]:
    """What the regression of this folder was asked for. Raises InputError if there is none."""
    try:
        with open(folder / _FILE, encoding="utf-8") as file:
            return dict(json.loads(file.readline())["request"])
    except (OSError, ValueError, KeyError, TypeError):
        raise InputError(
            f"The folder {str(folder)!r} holds no record of a regression. Give the --work folder of one."
        ) from None


class Store:
    """The file ``results.jsonl`` of a folder: first what was asked for, then a line for each finished job.

    ``results`` of finished jobs, by the job's key. ``seconds`` on the clock of the sessions that ended in an orderly
    way.
    """

    def __init__(self, folder: Path, request: dict[str, Any], resume: bool) -> None:
        """Open the folder's file: anew, or with ``resume`` to go on. ``request`` is what the regression was asked for;
        one cannot go on with another.

        Raises InputError if the folder cannot be written, or holds another regression that is to be resumed.
        """
        self.folder = folder
        self.results: dict[str, list[Result]] = {}
        self.seconds = 0.0
        path = folder / _FILE
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if resume and path.exists():
                self._read(path, request)
                self._file = open(path, "a", encoding="utf-8")
            else:
                self._file = open(path, "w", encoding="utf-8")
                self._write({"request": request})
        except OSError as error:
            raise InputError(
                f"The folder {str(folder)!r} for the regression's results cannot be used: {error.strerror or error}. "
                "Give one that you may write to with --work."
            ) from None

    def _read(self, path: Path, request: dict[str, Any]) -> None:
        lines = path.read_text("utf-8").splitlines()
        try:
            before = json.loads(lines[0])["request"]
        except (IndexError, ValueError, KeyError, TypeError):
            raise InputError(
                f"{str(path)!r} is not the record of a regression, so there is nothing to resume; leave out --resume."
            ) from None
        if before != request:
            changed = ", ".join(sorted(key for key in {*before, *request} if before.get(key) != request.get(key)))
            raise InputError(
                f"{str(path)!r} records a regression that was asked for something else ({changed}). Resume it with the "
                "same options, or give another folder with --work."
            )
        for line in lines[1:]:
            try:
                entry = json.loads(line)
            except ValueError:
                continue  # cut off by whatever ended it
            if "job" not in entry:
                self.seconds += entry["seconds"]
                continue
            self.results[entry["job"]] = [Result.from_dict(values) for values in entry["results"]]
        if lines and not path.read_bytes().endswith(b"\n"):
            with open(path, "a", encoding="utf-8") as file:
                file.write("\n")

    def _write(self, entry: dict[str, Any]) -> None:
        self._file.write(json.dumps(entry) + "\n")
        self._file.flush()

    def add(self, job: Job, results: list[Result]) -> None:
        """Keep what a job gave."""
        self.results[job.key] = results
        self._write({"job": job.key, "results": [result.to_dict() for result in results]})

    def add_session(self, seconds: float) -> None:
        """Keep how long this session took on the clock."""
        self.seconds += seconds
        self._write({"seconds": round(seconds, 1)})

    def missing(self, jobs: Iterable[Job]) -> list[Job]:
        """Those that have no results yet."""
        return [job for job in jobs if job.key not in self.results]

    def close(self) -> None:
        self._file.close()
