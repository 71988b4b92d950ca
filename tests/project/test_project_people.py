"""The five commands from end to end, as a person at a terminal uses them, on pictures and on a table."""

from __future__ import annotations

import csv
import io
import json
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet
import pytest
import typer
from click.testing import Result
from project_samples import truth, write_pictures
from typer.testing import CliRunner

from labelwise.cli import people
from labelwise.cli.new import new_command
from labelwise.cli.report import report_command
from labelwise.errors import InputError
from labelwise.events import Fitted, State
from labelwise.project import ask, batch
from labelwise.project.folder import Project, open_project
from labelwise.project.status import _measured, tally_words

app = typer.Typer(pretty_exceptions_enable=False)
app.command("report")(report_command)
app.command("new")(new_command)
for name in ("ask", "tell", "status", "export"):
    app.command(name)(getattr(people, f"{name}_command"))


# A `tell` that waits for its standard input, and says so; Ctrl-C is not ignored even where a shell started the tests.
INTERRUPTED = """
import io, signal, sys
from labelwise.cli import main

class Waiting(io.TextIOWrapper):
    @property
    def buffer(self):
        print("waiting", flush=True)
        return super().buffer

signal.signal(signal.SIGINT, signal.default_int_handler)
sys.stdin = Waiting(sys.stdin.detach())
sys.argv = ["labelwise", "tell", sys.argv[1], "-"]
main()
"""


def call(*words: object, code: int = 0, given: str | None = None) -> Result:
    """Run a command; labelwise's own errors come through as they are, for the boundary of the real command line."""
    result = CliRunner().invoke(app, [str(word) for word in words], input=given)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.stderr
    return result


def rows_of(result: Result) -> list[dict[str, str]]:
    """Return the CSV on standard output; anything else there would be no row of as many cells."""
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    assert all(None not in row and None not in row.values() for row in rows)
    return rows


def fill(path: Path, rows: list[dict[str, str]], label: str = "label") -> Path:
    """Write the batch as a person saves it: the labels filled in, nothing else changed."""
    with path.open("w", newline="") as file:
        out = csv.DictWriter(file, list(rows[0]))
        out.writeheader()
        out.writerows({**row, label: row[label] or truth(int(row["id"]))} for row in rows)
    return path


def test_pictures_from_a_folder_to_labels(tmp_path: Path):
    write_pictures(tmp_path / "photos", 40)
    birds, labels = tmp_path / "birds", tmp_path / "labels.csv"
    words = call(
        "new", birds, "--images", tmp_path / "photos", "--classes", "dark,bright", "--size", 8, "--recipe", "cnn",
        "--set", "recipe.epochs=4", "--start", 10, "--batch", 8, "--budget", 18,
    )  # fmt: skip
    assert words.stdout == ""
    assert "40 samples to choose from; 2 classes" in words.stderr and "labelled already" not in words.stderr

    first = call("ask", birds)
    asked = rows_of(first)
    assert list(asked[0]) == ["id", "file", "suggestion", "confidence", "label"]
    assert len(asked) == 10
    assert {row["suggestion"] for row in asked} == {""}  # nothing is known yet
    assert all((tmp_path / "photos" / row["file"]).is_file() for row in asked)
    assert "These are new (10 samples, round 0)" in first.stderr
    again = call("ask", birds, "-n", 3)
    assert again.stdout == first.stdout
    assert "Nothing new was chosen: these still wait (10 samples" in again.stderr

    bright = {row["id"]: "bright" if int(row["file"][-5]) % 2 else "dark" for row in asked}
    labels.write_text("id,label\n" + "".join(f"{i},{label}\n" for i, label in bright.items()))
    told = call("tell", birds, labels, "--annotator", "ada")
    assert told.stdout == ""
    assert "10 labels recorded; 0 samples still open." in told.stderr

    second = call("ask", birds, "-n", 5)
    asked = rows_of(second)
    assert len(asked) == 5
    assert {row["suggestion"] for row in asked} <= {"dark", "bright"}
    assert all(0.5 <= float(row["confidence"]) <= 1 for row in asked)  # the top of two classes
    assert call("ask", birds).stdout == second.stdout  # kept, not made again
    assert "Unknown: nothing measures it." in " ".join(call("status", birds).stdout.split())
    with pytest.raises(InputError, match="A report of .* needs the model's accuracy"):
        call("report", birds)


def test_a_table_with_text_and_numbers_from_start_to_end(made_mail: Path, tmp_path: Path):
    mail, table = tmp_path / "mail", made_mail / "mail.csv"
    words = call(
        "new", mail, "--table", table, "--text", "title", "--numbers", "price,weight", "--label-column", "kind",
        "--classes", "spam,ham", "--budget", 50, "--batch", 30,
    )  # fmt: skip
    # 200 rows, the first 60 labelled; a fifth of those only measures
    assert "140 samples to choose from, 48 labelled already, 12 more kept apart to measure" in words.stderr
    for size in (30, 20):
        asked = rows_of(call("ask", mail))
        assert len(asked) == size
        assert list(asked[0]) == ["id", "row", "text", "suggestion", "confidence", "label"]
        assert all(row["suggestion"] in ("spam", "ham") for row in asked)
        call("tell", mail, fill(tmp_path / "batch.csv", asked))
    done = call("ask", mail)
    assert done.stdout == "id,row,suggestion,confidence,label\n"
    assert "Finished: the budget is spent." in done.stderr
    now = json.loads(call("status", mail, "--json").stdout)
    assert (now["bought"], now["budget"], now["open"], now["left"], now["over"]) == (50, 50, 0, 90, True)
    assert sum(now["classes"].values()) == 50
    # text and price tell the class in this table: 98 labels must be enough for most of 12 samples
    measured = now["measured"]
    assert (measured["samples"], measured["n_labelled"]) == (12, 98)
    assert measured["low"] < measured["accuracy"] <= measured["high"] + 1e-12
    assert measured["accuracy"] > 0.7

    page = tmp_path / "mail.html"
    assert f"Report: {page}" in call("report", mail, "-o", page).stdout
    assert f"<h1>The model reaches {100 * measured['accuracy']:.1f}".removesuffix(".0") in page.read_text()

    exported = rows_of(call("export", mail))
    assert [list(row) for row in exported[:1]] == [["id", "file", "label", "annotator", "round", "at"]]
    assert [int(row["id"]) for row in exported] == sorted(int(row["id"]) for row in exported)
    assert all(row["label"] == truth(int(row["id"])) for row in exported)
    assert len(exported) == 50

    out = tmp_path / "all.parquet"
    call("export", mail, "-o", out, "--predictions")
    both = pyarrow.parquet.read_table(out).to_pylist()
    assert len(both) == 140  # the whole pool: 50 labelled, 90 predicted
    guessed = [row for row in both if row["label"] is None]
    assert len(guessed) == 90
    assert sum(row["prediction"] == truth(row["id"]) for row in guessed) > 70
    call("export", mail, "-o", tmp_path / "again.parquet", "--predictions")
    assert pyarrow.parquet.read_table(tmp_path / "again.parquet").to_pylist() == both  # the same model again


def test_bad_rows_are_refused_one_by_one_and_good_ones_kept(mail: Project, tmp_path: Path):
    asked = [int(row["id"]) for row in rows_of(call("ask", mail.folder))]
    stranger = next(i for i in range(60, 200) if i not in asked)
    path, refused = tmp_path / "labels.csv", tmp_path / "refused.csv"
    path.write_text(
        f"\ufeffid;label;annotator\r\n{asked[0]};spam;bob\r\n{asked[1]};spann;\r\n{stranger};ham;\r\n{asked[2]};?;\r\n"
        f"{asked[3]};;\r\n{asked[0]};spam;\r\n{asked[4]};1;\r\n=2+2;ham;\r\n",
        encoding="utf-8",
    )
    result = call("tell", mail.folder, path, "--json", "--annotator", "ada", "--refused", refused, code=3)
    said = json.loads(result.stdout)
    reasons = {row["line"]: row["why"] for row in said.pop("refused")}
    assert said == {"recorded": 2, "passes": 1, "known": 0, "unanswered": 1, "open": len(asked) - 3}
    assert reasons == {
        3: "'spann' is no class. Did you mean 'spam'? Known: ham, spam.",
        4: f"Sample {stranger} was never asked for.",
        7: f"Sample {asked[0]} was already answered on line 2 of this file.",
        9: "No sample has the id '=2+2'; ids run from 0 to 199.",
    }
    written = refused.read_text().splitlines()
    assert written[0] == "line,id,label,why"
    assert written[-1].startswith("9,'=2+2,ham,")  # not even a refused cell is a formula
    state = mail.state()
    assert {i: (a.label, a.annotator) for i, a in state.answers.items()} == {
        asked[0]: (0, "bob"),
        asked[2]: (None, "ada"),
        asked[4]: (1, "ada"),
    }
    words = call("tell", mail.folder, path, code=3)
    assert words.stdout == ""
    assert "0 labels recorded, 3 known already, 1 row not answered yet, 4 rows refused" in words.stderr
    assert "Did you mean 'spam'?" in " ".join(words.stderr.split())
    assert mail.state() == state  # telling again changed nothing


def test_the_command_line_ends_with_3_where_rows_were_refused_and_with_two_lines_of_words(
    mail: Project, tmp_path: Path
):
    asked = ask(mail)
    path = tmp_path / "labels.csv"
    path.write_text(f"id,label\n{asked.rows[0]['id']},spam\n{asked.rows[1]['id']},eggs\n")

    def real(*words: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "labelwise", *map(str, words)], capture_output=True, text=True, check=False
        )

    told = real("tell", mail.folder, path)
    assert (told.returncode, told.stdout) == (3, "")
    assert "1 label recorded, 1 row refused; 19 samples still open." in told.stderr
    path.unlink()
    wrong = real("tell", mail.folder, path)
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "labels.csv" in wrong.stderr
    assert "Traceback" not in wrong.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT to send")
def test_an_interrupted_command_says_that_nothing_is_lost(mail: Project):
    with subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, str(mail.folder)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as child:  # fmt: skip
        assert child.stdout is not None
        assert child.stdout.readline() == "waiting\n"
        child.send_signal(signal.SIGINT)
        _, words = child.communicate(timeout=60)
    assert child.returncode == 130
    assert "Nothing that was recorded is lost" in " ".join(words.split())


def test_a_correction_is_kept_beside_what_it_corrects(mail: Project, tmp_path: Path):
    first = rows_of(call("ask", mail.folder))[0]["id"]
    path = tmp_path / "labels.csv"
    for label, words in (("spam", ()), ("ham", ("--correct",)), ("ham", ("--correct",))):
        path.write_text(f"id,label\n{first},{label}\n")
        call("tell", mail.folder, path, *words)
    assert [row["label"] for row in rows_of(call("export", mail.folder))] == ["ham"]
    every = rows_of(call("export", mail.folder, "--all-answers"))
    assert [(row["label"], row["stands"]) for row in every] == [("spam", "no"), ("ham", "yes")]
    path.write_text(f"id,label\n{first},spam\n")
    assert "--correct" in call("tell", mail.folder, path, code=3).stderr


def test_a_file_that_is_no_table_of_labels_records_nothing(mail: Project, tmp_path: Path):
    first = rows_of(call("ask", mail.folder))[0]["id"]
    path = tmp_path / "labels.csv"
    path.write_text(f'id,label\n{first},spam\n"never closed,ham\n')
    with pytest.raises(InputError, match="no sound CSV: the row that begins on line 3"):
        call("tell", mail.folder, path)
    with pytest.raises(InputError, match="There is no"):
        call("tell", mail.folder, tmp_path / "nowhere.csv")
    with pytest.raises(InputError, match="is a folder"):
        call("tell", mail.folder, tmp_path)
    path.write_text(f"id,label\n{first},spam\n{first}1111,spam\n")
    with pytest.raises(InputError, match="would overwrite"):
        call("tell", mail.folder, path, "--refused", path)
    with pytest.raises(InputError, match="no folder .*nowhere for --refused"):
        call("tell", mail.folder, path, "--refused", tmp_path / "nowhere" / "refused.csv")
    assert mail.state().answers == {}


def test_seconds_beyond_all_numbers_cost_no_row(mail: Project, tmp_path: Path):
    one, two, *_ = rows_of(call("ask", mail.folder))
    path = tmp_path / "labels.csv"
    path.write_text(f"id,label,seconds\n{one['id']},spam,{'9' * 400}\n{two['id']},ham,7\n")
    call("tell", mail.folder, path)
    told = mail.state().answers
    assert [told[int(row["id"])].seconds for row in (one, two)] == [None, 7.0]


def test_labels_may_come_from_standard_input_and_an_export_can_be_told_back(mail: Project):
    asked = rows_of(call("ask", mail.folder))
    text = "id,label\n" + "".join(f"{row['id']},{truth(int(row['id']))}\n" for row in asked)
    assert "20 labels recorded" in call("tell", mail.folder, "-", given=text).stderr
    back = call("export", mail.folder).stdout
    assert "0 labels recorded, 20 known already" in call("tell", mail.folder, "-", given=back).stderr


def test_no_cell_of_a_batch_or_an_export_is_a_formula(tmp_path: Path):
    (tmp_path / "t.csv").write_text('words\n=1+1\n"@SUM(A1) and more"\n-3\n')
    project = tmp_path / "p"
    call("new", project, "--table", tmp_path / "t.csv", "--text", "words", "--classes", "=a,+b")
    asked = rows_of(call("ask", project))
    assert sorted(row["text"] for row in asked) == ["'-3", "'=1+1", "'@SUM(A1) and more"]
    labels = "id,label\n" + "".join(f"{row['id']},'=a\n" for row in asked)
    call("tell", project, "-", given=labels)
    assert {row["label"] for row in rows_of(call("export", project))} == {"'=a"}
    as_json = [json.loads(line) for line in call("export", project, "--format", "jsonl").stdout.splitlines()]
    assert {row["label"] for row in as_json} == {"=a"}


def test_a_suggestion_that_was_lost_is_made_again_as_it_was(mail: Project, monkeypatch: pytest.MonkeyPatch):
    first = call("ask", mail.folder)
    kept = mail.folder / "batches" / "0000.csv"
    kept.unlink()
    assert call("ask", mail.folder).stdout == first.stdout
    kept.write_text("somebody wrote into it")
    assert call("ask", mail.folder).stdout == first.stdout
    kept.unlink()
    monkeypatch.setattr(batch, "CHEAP_SECONDS", -1.0)
    dear = call("ask", mail.folder)
    assert {row["suggestion"] for row in rows_of(dear)} == {""}
    assert "would cost a training" in dear.stderr


def test_status_says_what_is_known_and_what_to_do_next(mail: Project, tmp_path: Path):
    def words() -> str:
        return " ".join(call("status", mail.folder).stdout.split())

    assert "0 of 140 bought" in words()
    assert "Not measured yet" in words()
    assert "Nothing waits: `labelwise ask" in words()
    asked = rows_of(call("ask", mail.folder))
    call("tell", mail.folder, fill(tmp_path / "b.csv", asked[:5]), "--annotator", "ada")
    text = words()
    assert "5 of 140 bought" in text
    assert "15 samples wait" in text
    assert "ada: 5" in text
    assert "on 12 validation samples, fitted on 48 labels" in text
    assert "5 labels came since; the next ask measures again" in text


def test_the_interval_of_the_accuracy_is_wilsons():
    fitted = Fitted(0, 20, 1, {"accuracy": 0.9}, {})
    measured = _measured(State(fits=(fitted,)), 10)
    # z = 1.96: centre (0.9 + z²/20) / (1 + z²/10) = 0.789, half width z sqrt(0.009 + z²/400) / (1 + z²/10) = 0.193
    assert measured is not None
    assert (round(measured.low, 3), round(measured.high, 3)) == (0.596, 0.982)


@pytest.mark.parametrize(
    "words, error, part",
    [
        (("new", "x", "--images", "."), InputError, "Name the classes"),
        (
            ("new", "x", "--images", ".", "--classes", "a,b", "--classes-from-folders"),
            InputError,
            "one of the two",
        ),
        (("new", "x", "--images", ".", "--classes", "a,,b"), InputError, "one of those given is empty"),
        (("new", "x", "--images", ".", "--classes", "nofile.txt"), InputError, "at least two classes"),
        (
            ("new", "x", "--images", ".", "--classes", "a,b", "--size", "2"),
            InputError,
            "--size must lie between 4 and 1024; it is 2.",
        ),
        (
            ("new", "x", "--images", ".", "--classes", "a,b", "--validation", "2"),
            InputError,
            "--validation must lie between 0 and 0.99",
        ),
        (("ask", "nowhere"), InputError, "is no labelwise project"),
        (("export", "nowhere", "--format", "xls"), InputError, "No format is named 'xls'"),
        (("export", "nowhere", "--format", "parquet"), InputError, "name a file with -o"),
        (("export", "nowhere", "-o", "labels.xlsx"), InputError, "labels.xlsx would be no xlsx"),
    ],
)
def test_wrong_words_are_answered_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], error: type[Exception], part: str
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error) as caught:
        call(*words)
    assert part in str(caught.value)


def test_a_strategy_that_measures_needs_labelled_samples_before_it_begins(tmp_path: Path):
    rows = [
        f"{'red' if i % 2 else 'green'} thing,{i},{('a', 'b')[i % 2] if i < 49 else ''}" for i in range(70)
    ]
    table = tmp_path / "items.csv"
    table.write_text("\n".join(["text,size,kind", *rows]) + "\n")
    words = ("--table", table, "--text", "text", "--numbers", "size", "--label-column", "kind")
    words = (*words, "--recipe", "multimodal", "--strategy", "rl-mba")
    with pytest.raises(InputError, match="kept apart, and there are none: 49 samples have a label. With 50"):
        call("new", tmp_path / "few", *words)
    assert not (tmp_path / "few").exists()
    table.write_text("\n".join(["text,size,kind", *rows[:49], "red thing,49,b", *rows[50:]]) + "\n")
    call("new", tmp_path / "enough", *words)
    recipe = open_project(tmp_path / "enough").settings.recipe
    assert (recipe["epochs"], recipe["batch_size"]) == (
        30,
        16,
    )  # many small steps, as for every network on few labels


def test_an_export_that_cannot_be_written_says_so(mail: Project, tmp_path: Path):
    with pytest.raises(InputError, match="there is no folder .*nowhere. Make it first"):
        call("export", mail.folder, "-o", tmp_path / "nowhere" / "labels.csv")


def test_predictions_need_a_label_to_learn_from(tmp_path: Path):
    (tmp_path / "t.csv").write_text("x\n1\n2\n")
    call("new", tmp_path / "p", "--table", tmp_path / "t.csv", "--numbers", "x", "--classes", "a,b")
    with pytest.raises(InputError, match="no label yet"):
        call("export", tmp_path / "p", "--predictions")


def test_a_sub_folder_that_is_almost_a_class_is_named(tmp_path: Path):
    write_pictures(tmp_path / "photos", 6)
    words = ("--images", tmp_path / "photos", "--classes", "dark,bright", "--size", 8, "--recipe", "logistic")
    assert "No class is called" not in call("new", tmp_path / "one", *words).stderr
    (tmp_path / "photos" / "more").rename(tmp_path / "photos" / "Dark")
    told = call("new", tmp_path / "two", *words).stderr
    assert "No class is called like 1 sub-folder of" in told and told.count("Dark") == 1


def test_a_model_that_cannot_serve_the_strategy_is_told_with_a_cure(tmp_path: Path):
    write_pictures(tmp_path / "photos", 6)
    with pytest.raises(
        InputError, match="badge cannot choose by what the model logistic tells: .*Networks give embeddings"
    ):
        call("new", tmp_path / "p", "--images", tmp_path / "photos", "--classes", "a,b", "--size", 8, "--recipe", "logistic",
             "--strategy", "badge")  # fmt: skip


def test_classes_may_be_the_folders_of_the_images(tmp_path: Path):
    write_pictures(tmp_path / "photos", 10)
    for k, place in enumerate(("dark", "bright")):
        (tmp_path / "photos" / place).mkdir()
        (tmp_path / "photos" / f"photo-00{k + 1}.png").rename(tmp_path / "photos" / place / "one.png")
    (tmp_path / "photos" / "more" / "photo-000.png").rename(tmp_path / "photos" / "photo-000.png")
    (tmp_path / "photos" / "more" / "photo-005.png").rename(tmp_path / "photos" / "photo-005.png")
    (tmp_path / "photos" / "more").rmdir()
    call("new", tmp_path / "p", "--images", tmp_path / "photos", "--classes-from-folders", "--recipe", "mlp")
    project = open_project(tmp_path / "p")
    assert project.settings.classes == ("bright", "dark")
    assert len(project.items.ids("given")) == 2


def test_counts_of_classes_that_are_numbers_can_be_read():
    assert tally_words({"0": 12, "1": 1200}) == "0: 12, 1: 1,200"
