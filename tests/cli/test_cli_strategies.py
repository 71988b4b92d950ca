"""`labelwise strategies`: a line each, a page each, and the docs' page made of them."""

import json

import pytest
from typer.testing import CliRunner

from labelwise.cli import app
from labelwise.cli.strategies import FIRST, SECTIONS, described, sections
from labelwise.errors import UnknownName
from labelwise.strategies import TABLE


def run(*words):
    return CliRunner().invoke(app, ["strategies", *words], env={"COLUMNS": "200"})


def test_a_docstring_is_taken_apart():
    found = sections("""Ask for the far.

More on it.

Formula:
    a
    b
Source:
    Somebody 2020.

    And somebody else.

Attributes:
    x: y
""")
    assert found == {"idea": "Ask for the far.", "more": "More on it.", "formula": "a b", "cost": "", "when": "",
                     "source": "Somebody 2020.\n\nAnd somebody else.", "deviations": ""}  # fmt: skip


@pytest.mark.parametrize("name", sorted(TABLE))
def test_every_strategy_has_a_whole_page(name):
    page = described(name)
    assert page["idea"].endswith("."), f"{name}: the idea is one sentence"
    missing = [title for title in SECTIONS if not page[title]]
    assert not missing, f"the docstring of {name} lacks {missing}"
    silent = [parameter["name"] for parameter in page["parameters"] if not parameter["about"]]
    assert not silent, f"the docstring of {name} does not say what {silent} are"


def test_they_are_listed_with_what_they_need():
    rows = {row["name"]: row for row in json.loads(run("--json").stdout)}
    assert set(rows) == set(TABLE)
    assert rows["margin"]["needs"]["pool"] == ["probs"]
    assert "Scheffer" in rows["margin"]["source"]
    table = run().stdout
    assert all(name in table for name in TABLE)


def test_what_is_recommended_exists():
    assert {name for names in FIRST.values() for name in names} <= set(TABLE)


def test_one_is_shown_in_full():
    shown = run("margin").stdout
    assert "best minus the second best" in shown
    assert 'labelwise.select("margin", {"probs": probs}, 10)' in shown
    assert json.loads(run("margin", "--json").stdout)["name"] == "margin"


def test_an_unknown_name_is_answered_with_the_nearest():
    failed = run("margni")
    assert isinstance(failed.exception, UnknownName) and "margin" in str(failed.exception)
