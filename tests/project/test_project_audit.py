"""Random picks and stop advice in a project: made with a share, told by `status`, alike to the people who label."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace

import pytest
import typer
from project_samples import truth, write_table
from typer.testing import CliRunner

from labelwise.cli import people
from labelwise.cli.new import new_command
from labelwise.data.columns import Columns
from labelwise.errors import InputError
from labelwise.functional.stopping import Advice
from labelwise.project import ask, open_project, status
from labelwise.project.advice import Audit, audit_words, gain_of, stop_rows
from labelwise.project.new import Wish, new
from labelwise.project.settings import read_settings

app = typer.Typer(pretty_exceptions_enable=False)
app.command("new")(new_command)
for name in ("ask", "tell", "status"):
    app.command(name)(getattr(people, f"{name}_command"))


def call(*words):
    result = CliRunner().invoke(app, [str(word) for word in words])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.fixture(scope="module")
def audited(tmp_path_factory):
    """A project with half of each batch at random, three rounds labelled."""
    home = tmp_path_factory.mktemp("audited")
    write_table(home / "mail.csv", 200, 60)
    folder = home / "mail"
    call("new", folder, "--table", home / "mail.csv", "--text", "title", "--numbers", "price,weight", "--label-column",
         "kind", "--classes", "spam,ham", "--batch", 20, "--audit", 0.5)  # fmt: skip
    for _ in range(3):
        made = call("ask", folder)
        rows = list(csv.DictReader(io.StringIO(made.stdout)))
        (home / "batch.csv").write_text(
            "id,label\n" + "".join(f"{r['id']},{truth(int(r['row']))}\n" for r in rows)
        )
        call("tell", folder, home / "batch.csv")
    return folder


def test_a_batch_does_not_tell_which_samples_are_random(audited):
    project = open_project(audited)
    asked = project.state().asks[-1]
    assert len(asked.audit) == 10
    kept = list(csv.DictReader(io.StringIO((audited / "batches" / "0002.csv").read_text())))
    assert [int(r["id"]) for r in kept] == list(asked.ids)
    assert all(r["suggestion"] and r["confidence"] for r in kept)  # of both kinds, in the same columns
    assert list(asked.ids)[:10] != list(asked.audit) != list(asked.ids)[10:]


def test_settings_keep_the_share_and_nothing_where_there_is_none(audited, mail):
    assert read_settings(audited).plan.audit == 0.5
    assert "audit = 0.5" in (audited / "project.toml").read_text()
    assert "audit" not in (mail.folder / "project.toml").read_text()


def test_status_tells_the_audited_accuracy_and_what_criteria_say(audited):
    told = " ".join(call("status", audited).stdout.split())
    now = status(open_project(audited))
    assert now.audited.picks == 30
    assert now.audited.rounds == (0, 2)
    assert f"audited {now.audited.accuracy:.1%} (95 % interval" in told
    assert "by 30 random picks of rounds 0 to 2" in told
    assert "stop advice now stop? since round source" in told
    for one in ("stabilising predictions", "overall uncertainty", "expected gain < cost"):
        assert one in told
    plain = json.loads(call("status", audited, "--json").stdout)
    assert plain["audited"]["picks"] == 30
    assert plain["stop"][0]["criterion"] == "stabilising predictions"


def test_until_random_picks_are_answered_status_says_what_will_tell(tmp_path):
    (tmp_path / "t.csv").write_text("x\n1\n2\n3\n")
    call("new", tmp_path / "p", "--table", tmp_path / "t.csv", "--classes", "a,b", "--audit", 0.2)
    told = " ".join(call("status", tmp_path / "p").stdout.split())
    assert "Not known yet: 20% of each batch from the second on are random picks" in told
    assert "A new project can" not in told  # this one can


def test_status_fits_models_to_tell_the_gain_on_request(audited):
    plain = json.loads(call("status", audited, "--gain", "--json").stdout)["gain"]
    assert plain["held_out"] is True  # 12 validation samples are too few to test on
    assert plain["low"] <= plain["gain"] <= plain["high"]
    assert "those that margin chose reach" in plain["words"]


def test_a_project_without_random_picks_says_how_to_get_them(mail, audited, tmp_path):
    assert status(mail).audited is None
    assert status(mail).stop == ()
    with pytest.raises(InputError, match="labelwise new --audit 0.1"):
        gain_of(mail)
    ask(mail)
    write_table(tmp_path / "m.csv", 80, 60)
    wish = Wish(table=tmp_path / "m.csv", columns=Columns(numbers=("price",), label="kind"), audit=0.1)
    early, _ = new(tmp_path / "early", replace(wish, classes=("spam", "ham")))
    assert gain_of(early)["words"].startswith("Not yet: There are no random picks")
    with pytest.raises(InputError, match=r"plan.audit must lie in \[0, 0.5\]"):
        new(tmp_path / "much", replace(wish, classes=("spam", "ham"), audit=0.9))


def test_words_of_one_round_and_of_advice_that_cannot_be_given_yet():
    one = Audit(0.9, 0.8, 0.95, 20, (3, 3), (0.95, 0.9, 0.97))
    assert "by 20 random picks of round 3," in audit_words(one)
    told = [Advice("a", None, "rule", None, None, None, "s"), Advice("b", 0.5, "rule", True, 4, 4, "t")]
    assert stop_rows(told)[:2] == [("a", "–", "–", "–", "s"), ("b", "0.5000", "yes", "4", "t")]
    assert stop_rows([]) == []
