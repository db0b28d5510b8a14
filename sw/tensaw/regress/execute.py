"""Doing jobs: on the cores of this machine, or on the workers of a Dask cluster."""

from __future__ import annotations

import multiprocessing
import signal
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool

from tensaw.regress.jobs import Job, Result, run_job
from tensaw.spec.errors import InputError, ToolError

__all__ = ["on_cluster", "on_this_machine"]

Done = Callable[[Job, list[Result]], None]
"""Told of every finished job."""


def _quiet_interrupt() -> None:
    """Ctrl-C reaches all processes of a terminal; the first one alone decides what to do."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def on_this_machine(jobs: Sequence[Job], processes: int, done: Done, deadline: float | None = None) -> None:
    """Do jobs in so many processes, in their order; begin none after ``deadline`` (of ``time.monotonic``).

    With one process they run in this one. Raises KeyboardInterrupt when interrupted: the jobs under way are ended.
    """
    if processes == 1:
        for job in jobs:
            if deadline is not None and time.monotonic() > deadline:
                return
            done(job, run_job(job))
        return
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(processes, context, _quiet_interrupt)
    waiting = list(reversed(jobs))
    running: dict[Future[list[Result]], Job] = {}
    try:
        while waiting or running:
            while waiting and len(running) < processes and (deadline is None or time.monotonic() < deadline):
                job = waiting.pop()
                running[pool.submit(run_job, job)] = job
            if not running:
                return
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                done(job := running.pop(future), _outcome(job, future))
                if isinstance(future.exception(), BrokenProcessPool):
                    pool = ProcessPoolExecutor(processes, context, _quiet_interrupt)
    except BaseException:
        for process in list((pool._processes or {}).values()):
            process.terminate()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _outcome(job: Job, future: Future[list[Result]]) -> list[Result]:
    error = future.exception()
    if error is None:
        return future.result()
    text = f"The process that did it ended: {error}" if isinstance(error, BrokenProcessPool) else repr(error)
    return [Result(job.part, job.name, "fail", text)]


def on_cluster(jobs: Sequence[Job], address: str, done: Done, deadline: float | None = None) -> None:
    """Do jobs on the workers of the Dask scheduler at ``address``; what is not done by the deadline is taken back.

    The workers need this version of tensaw. Raises ToolError without the package ``distributed``, and InputError if
    nothing answers at the address.
    """
    try:
        from distributed import Client, as_completed
    except ImportError:
        raise ToolError(
            "A cluster needs the Python package distributed, which is not installed: pip install 'tensaw[cluster]'."
        ) from None
    try:
        client = Client(address, timeout=10)
    except (OSError, ValueError, TimeoutError) as error:
        raise InputError(
            f"No Dask scheduler answers at {address!r} ({error}). Start one with `dask scheduler` and workers with "
            "`dask worker ADDRESS`, and give the address that it prints, such as tcp://10.0.0.1:8786."
        ) from None
    with client:
        futures = {client.submit(run_job, job, key=job.key, pure=False): job for job in jobs}
        left = None if deadline is None else max(deadline - time.monotonic(), 0.1)
        try:
            for future in as_completed(futures, timeout=left):
                job = futures[future]
                error = future.exception()
                done(job, future.result() if error is None else [Result(job.part, job.name, "fail", repr(error))])
        except TimeoutError:
            pass
        finally:
            client.cancel([future for future in futures if not future.done()])
