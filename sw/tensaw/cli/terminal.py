"""What commands show: results on stdout, progress on stderr, JSON wherever ``--json`` says."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tensaw.cli.files import write
from tensaw.spec.names import short_name

if TYPE_CHECKING:
    import argparse

    from rich.console import Console

__all__ = ["Step", "progress", "output", "print_table", "short_name", "emit_json"]

DELAY = 1.0
"""Seconds before a progress bar appears: what is quicker needs none."""


class Step:
    """A piece of work under way; :meth:`update` is cheap and may be called from anywhere, as often as one likes."""

    def __init__(self, text: str, total: float | None = None) -> None:
        self.text = text
        self.total = total
        self.completed = 0.0
        self.note = ""

    def update(
        self, text: str | None = None, completed: float | None = None, total: float | None = None, note: str = ""
    ) -> None:
        """``text`` says what is being done, ``note`` how far it is where no total is known."""
        self.text = text or self.text
        self.completed = self.completed if completed is None else completed
        self.total = total or self.total
        self.note = note


@contextmanager
def progress(text: str, total: float | None = None) -> Iterator[Step]:
    """Show a bar (a spinner where no total is known) on stderr if the work takes longer than :data:`DELAY`.

    Nothing is shown where stderr is no terminal. The bar is drawn by a thread of its own, so that it also moves while
    the work is inside one long call.
    """
    step = Step(text, total)
    if not sys.stderr.isatty():
        yield step
        return
    ended = threading.Event()
    painter = threading.Thread(target=_paint, args=(step, ended), daemon=True)
    painter.start()
    try:
        yield step
    finally:
        ended.set()
        painter.join()


def _paint(step: Step, ended: threading.Event) -> None:
    if ended.wait(DELAY):
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[note]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(step.text, total=step.total, note=step.note)
        while not ended.wait(0.1):
            bar.update(task, description=step.text, total=step.total, completed=step.completed, note=step.note)


def output(arguments: argparse.Namespace) -> Console:
    """Where text for people goes: stdout, or stderr where ``--json -`` takes stdout."""
    from rich.console import Console

    class Output(Console):
        def on_broken_pipe(self) -> None:
            # Rich would end the process with code 1.
            raise BrokenPipeError

    stream = sys.stderr if getattr(arguments, "json", None) == "-" else sys.stdout
    # In a file or a pipe there is no width to keep to: tables shall not be cut.
    return Output(file=stream, soft_wrap=True, highlight=False, width=None if stream.isatty() else 160)


def print_table(
    console: Console, columns: Sequence[str], rows: Sequence[Sequence[Any]], title: str | None = None
) -> None:
    """A plain table; a column with numbers is set to the right, and they get thousands separators."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False)
    for index, column in enumerate(columns):
        numeric = any(isinstance(row[index], int | float) for row in rows)
        table.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(f"{value:,}" if type(value) is int else str(value)) for value in row))
    console.print(table)


def emit_json(arguments: argparse.Namespace, values: Mapping[str, Any]) -> None:
    """Write the result where ``--json`` says; nothing without it. Raises InputError if the file cannot be written."""
    if arguments.json is None:
        return
    text = json.dumps({"command": arguments.command, **values}, indent=2, allow_nan=False) + "\n"
    if arguments.json == "-":
        sys.stdout.write(text)
    else:
        from pathlib import Path

        write(Path(arguments.json), text)
