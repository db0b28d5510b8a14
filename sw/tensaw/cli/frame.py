"""Around every command: what the user did wrong becomes a paragraph and exit code 2, an interruption exit code 130."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import textwrap
from collections.abc import Callable

from tensaw.spec.errors import TensawError

__all__ = ["FINE", "WRONG_RESULT", "MISTAKE", "INTERRUPTED", "guarded", "paragraph"]

FINE, WRONG_RESULT, MISTAKE, INTERRUPTED = 0, 1, 2, 130
"""Exit codes."""


def paragraph(text: str, width: int | None = None) -> str:
    """An error's text as one paragraph, wrapped to ``width`` (default: the terminal's, at most 100).

    Words are never cut, so that paths can be copied.
    """
    width = width or min(shutil.get_terminal_size().columns, 100)
    return textwrap.fill(
        f"tensaw: {' '.join(text.split())}", max(width, 40), break_long_words=False, break_on_hyphens=False
    )


def guarded(execute: Callable[[argparse.Namespace], int], arguments: argparse.Namespace) -> int:
    """Run a command and turn its end into an exit code.

    TensawError is the user's to mend and is shown as a paragraph on stderr. Any other exception is a bug and passes
    through with its traceback; so do all with ``--debug``.
    """
    try:
        code = execute(arguments)
        sys.stdout.flush()
        return code
    except TensawError as error:
        if arguments.debug:
            raise
        print(paragraph(str(error)), file=sys.stderr)
        return MISTAKE
    except KeyboardInterrupt:
        if arguments.debug:
            raise
        print("tensaw: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of our output (`| head`) has gone; without this Python complains once more while it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FINE
