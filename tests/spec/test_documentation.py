"""The generated tables are up to date, and each table is in a page."""

from pathlib import Path

import pytest

from tensaw.spec.documentation import PAGES, SECTIONS, main, update
from tensaw.spec.errors import InputError

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("page", PAGES)
def test_tables_are_up_to_date(page: str) -> None:
    text = (DOCS / page).read_text("utf-8")
    assert update(text) == text, "run: python -m tensaw.spec.documentation docs"


def test_every_table_stands_in_one_page() -> None:
    text = "".join((DOCS / page).read_text("utf-8") for page in PAGES)
    for name in SECTIONS:
        assert text.count(f"<!-- generated: {name} -->") == 1, name


def test_an_unknown_table() -> None:
    with pytest.raises(InputError) as error:
        update("<!-- generated: nothing -->\n<!-- end -->")
    assert str(error.value).startswith("There is no generated table 'nothing'; the tables are words.WEIGHT, ")


def test_the_command_rewrites_and_checks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for page in PAGES:
        (tmp_path / page).write_text("<!-- generated: errors -->\nold\n<!-- end -->\n", "utf-8")
    assert main(["--check", str(tmp_path)]) == 1
    assert main([str(tmp_path)]) == 0
    assert main(["--check", str(tmp_path)]) == 0
    assert capsys.readouterr().out.count("is out of date") == len(PAGES)
