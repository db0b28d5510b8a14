"""Texts that may be shown, whatever they quote."""

import pickle

from tensaw.compiler.frontends.verdict import OperatorVerdict
from tensaw.spec.errors import ModelError, TensawError
from tensaw.spec.names import printable, short_name


def test_what_a_terminal_would_obey_is_written_out() -> None:
    assert printable("conv\x1b[2J\nd\u202e\ud800 é漢") == r"conv\x1b[2J\nd\u202e\ud800 é漢"
    assert short_name("a;b") == "a" and short_name("\x07") == r"\x07"


def test_what_is_too_long_loses_its_middle() -> None:
    text = printable("begin " + "x" * 5000 + " end")
    assert len(text) == 2003 and text.startswith("begin xxx") and " … " in text and text.endswith("xxx end")


def test_errors_and_verdicts_are_printable() -> None:
    error = ModelError("The operator \x1b[31m is unknown.")
    assert str(error) == r"The operator \x1b[31m is unknown."
    assert str(pickle.loads(pickle.dumps(error))) == str(error) and isinstance(error, TensawError)
    verdict = OperatorVerdict(0, "P\x02", "name", False, "P\x02 is unknown", "replace P\x02")
    assert (verdict.type, verdict.reason, verdict.fix) == (r"P\x02", r"P\x02 is unknown", r"replace P\x02")
