"""`labelwise select` and `labelwise strategies`, as a person types them."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from labelwise.cli import app
from labelwise.errors import LabelwiseError
from labelwise.selection import select

P = np.array([[0.9, 0.1], [0.5, 0.5], [0.75, 0.25]])


@pytest.fixture
def probs(tmp_path):
    np.save(tmp_path / "probs.npy", P)
    return str(tmp_path / "probs.npy")


def run(*words):
    return CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=True)


def test_picks_go_to_the_screen_as_csv(probs):
    done = run("select", "--strategy", "margin", "--probs", probs, "--budget", 2)
    assert done.exit_code == 0
    assert done.stdout == "id,row,score,rank\n1,1,0,1\n2,2,-0.5,2\n"


def test_picks_go_to_a_file_under_their_own_names(probs, tmp_path):
    (tmp_path / "items.csv").write_text("id,size\na.png,1\nb.png,2\nc.png,3\n")
    out = tmp_path / "picked.csv"
    done = run("select", "--strategy", "margin", "--probs", probs, "--budget", 1, "--ids", tmp_path / "items.csv",
               "--out", out)  # fmt: skip
    assert done.exit_code == 0
    assert done.stdout == ""
    assert "1 of 3 rows picked by margin" in done.stderr
    assert out.read_text() == "id,row,score,rank\nb.png,1,0,1\n"


def test_json_is_for_programs(probs):
    done = run("select", "--strategy", "entropy", "--probs", probs, "--budget", 1, "--json")
    assert json.loads(done.stdout) == {
        "strategy": "entropy", "rows": [1], "ids": [1], "scores": [pytest.approx(np.log(2))]
    }  # fmt: skip


def test_a_budget_beyond_the_pool_is_noticed(probs):
    done = run("select", "--strategy", "margin", "--probs", probs, "--budget", 9)
    assert done.stdout.count("\n") == 4
    assert done.stderr == "The pool has 3 rows, fewer than the budget of 9: all are picked.\n"


def test_random_needs_nothing_but_names(tmp_path):
    (tmp_path / "i.csv").write_text("id\n" + "".join(f"s{i}\n" for i in range(20)))
    done = run(
        "select", "--strategy", "random", "--ids", tmp_path / "i.csv", "--budget", 3, "--seed", 5, "--json"
    )
    wanted = select("random", {"ids": np.arange(20)}, 3, seed=5).tolist()
    assert json.loads(done.stdout)["ids"] == [f"s{row}" for row in wanted]


def test_an_array_of_an_archive_is_named_after_a_colon(tmp_path):
    np.savez(tmp_path / "a.npz", p=P, z=P)
    done = run("select", "--strategy", "margin", "--probs", f"{tmp_path / 'a.npz'}:p", "--budget", 1)
    assert done.stdout == "id,row,score,rank\n1,1,0,1\n"


@pytest.mark.parametrize(
    "words, wanted",
    [
        (["--strategy", "margn", "--budget", 1, "--probs", "{probs}"], "Did you mean 'margin'?"),
        (["--strategy", "margin", "--budget", 1], "Give an array of the pool: --probs"),
        (["--strategy", "margin", "--budget", 1, "--embeddings", "{probs}"], "margin needs probs of the pool samples"),
        (["--strategy", "margin", "--budget", 1, "--probs", "none.npy"], "There is no file none.npy."),
        (["--strategy", "margin", "--budget", 1, "--probs", "{probs}", "--ids", "{ids}"], "must name one id a row, 3; it names 1."),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_words(probs, tmp_path, words, wanted):
    (tmp_path / "i.csv").write_text("id\na\n")
    done = run("select", *[str(w).format(probs=probs, ids=tmp_path / "i.csv") for w in words])
    assert isinstance(done.exception, LabelwiseError)  # `labelwise` turns these into words and exit code 2
    assert wanted in str(done.exception)


def test_help_shows_an_example():
    done = run("select", "--help")
    assert "labelwise select --strategy margin" in " ".join(done.stdout.split())


def test_draws_scalars_parameters_and_bad_rows_are_options(tmp_path, probs):
    bad = P.copy()
    bad[0, 0] = np.nan
    np.save(tmp_path / "bad.npy", bad)
    words = ["select", "--strategy", "margin", "--budget", 3, "--json", "--probs", tmp_path / "bad.npy"]
    assert "row 0" in str(run(*words).exception)
    assert json.loads(run(*words, "--on-bad-sample", "quarantine").stdout)["rows"] == [1, 2]
    mixed = ["select", "--strategy", "mixed", "--budget", 2, "--json", "--probs", probs]
    picked = json.loads(run(*mixed, "--set", "share=0", "--set", "then=margin").stdout)
    assert picked["rows"] == [1, 2]
    assert "--set takes NAME=VALUE; it is 'share'" in str(run(*mixed, "--set", "share").exception)
    assert "cannot be made" in str(run(*mixed, "--set", "shore=1").exception)


def test_validation_draws_are_an_option(tmp_path):
    # draw s says class s of row 0 and of the target, and nothing of row 1
    np.save(tmp_path / "d.npy", [np.eye(2), [[0.5, 0.5]] * 2])
    np.save(tmp_path / "v.npy", np.eye(2)[None])
    words = ["select", "--strategy", "epig", "--budget", 2, "--json", "--draws", tmp_path / "d.npy"]
    done = run(*words, "--validation-draws", tmp_path / "v.npy", "--set", "target=validation")
    assert np.allclose(json.loads(done.stdout)["scores"], [np.log(2), 0])
