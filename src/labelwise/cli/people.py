"""`labelwise ask`, `tell`, `status` and `export`: people label by files, with any tool."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from labelwise.cli.progress import phase_bars
from labelwise.cli.running import counted

if TYPE_CHECKING:
    from labelwise.project.answers import Judged

REFUSED = 3  # exit code of `tell` where some rows were refused and the others kept
_SHOWN = 20

Folder = Annotated[Path, typer.Argument(help="The project's folder.", show_default=False)]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


def say(words: str = "") -> None:
    """Print words for the person, on standard error: standard output is data."""
    typer.echo(words, err=True)


@contextmanager
def _stdout() -> Iterator[object]:
    """Yield standard output as UTF-8 that writes line ends as given, whatever the system's habit."""
    sys.stdout.flush()
    stream = sys.stdout
    if hasattr(stream, "reconfigure"):
        stream.reconfigure(encoding="utf-8", newline="")
    yield stream
    stream.flush()


def ask_command(
    project: Folder,
    n: Annotated[
        int | None, typer.Option("--number", "-n", help="How many; default: the plan's batch.", min=1)
    ] = None,
) -> None:
    """Print the samples that are worth a label next, as CSV; fill in its column label and `tell` it.

    Example: labelwise ask birds -n 50 > batch.csv

    While some wait for an answer, asking again prints those and chooses no new ones.
    """
    from labelwise.project import ask, open_project, status
    from labelwise.project.sheet import write_rows
    from labelwise.project.status import advice

    opened = open_project(project)
    with phase_bars() as tell:
        batch = ask(opened, n, tell)
    with _stdout() as out:
        write_rows(out, batch.columns, batch.rows)  # type: ignore[arg-type]  # a text stream, by any name
    for note in batch.notes:
        say(note)
    if not batch.rows:
        for line in advice(opened, status(opened)):
            say(line)
        return
    what = "Nothing new was chosen: these still wait" if batch.again else "These are new"
    say(
        f"{what} ({counted(len(batch.rows), 'sample')}, round {batch.round}). Fill in the column label (a class, or "
        "pass for "
        f"'I cannot say'), then: labelwise tell {project} FILE"
    )


def tell_command(
    project: Folder,
    labels: Annotated[
        Path, typer.Argument(help="A CSV file with the columns id and label; - reads standard input.")
    ],
    annotator: Annotated[str, typer.Option(help="Who labelled, for rows without a column annotator.")] = "",
    correct: Annotated[bool, typer.Option("--correct", help="Answers given earlier may be changed.")] = False,
    refused_to: Annotated[
        Path | None,
        typer.Option("--refused", help="Also write refused rows, with reasons, to this CSV file."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Record the labels of a file; rows that are wrong are refused one by one, the good ones are kept.

    Example: labelwise tell birds batch.csv --annotator ada

    A label is a class, its number, or pass (or ?) for "I cannot say"; an empty
    one is not answered yet. Telling the same file again is harmless.

    Exit code 0: all is well; 3: some rows were refused.
    """
    from labelwise.errors import InputError
    from labelwise.project import open_project, tell
    from labelwise.project.disk import disk_error, whole_file
    from labelwise.project.sheet import read_lines, write_rows

    opened = open_project(project)
    try:
        raw = sys.stdin.buffer.read() if str(labels) == "-" else labels.read_bytes()
    except OSError as error:
        raise disk_error(labels, error, "read") from error
    if refused_to is not None and refused_to.resolve() == labels.resolve():
        raise InputError(f"--refused would overwrite {labels}; name another file.")
    if (
        refused_to is not None and not refused_to.absolute().parent.is_dir()
    ):  # said before anything is recorded
        raise InputError(f"There is no folder {refused_to.parent} for --refused. Make it first.")
    name = "standard input" if str(labels) == "-" else str(labels)
    judged, state = tell(opened, read_lines(raw, name, ("id", "label")), annotator=annotator, correct=correct)
    passes = sum(answer.label is None for _, answer in judged.good)
    rows = [{"line": r.line, "id": r.id, "label": r.label, "why": r.why} for r in judged.refused]
    if refused_to is not None and rows:
        with whole_file(refused_to) as file:
            write_rows(file, ("line", "id", "label", "why"), rows)
    if as_json:
        counts = {"recorded": len(judged.good) - passes, "passes": passes, "known": judged.known}
        counts |= {"unanswered": judged.skipped, "open": len(state.open_ids)}
        typer.echo(json.dumps({**counts, "refused": rows}, ensure_ascii=False))
    else:
        _tell_words(judged, passes, len(state.open_ids), state.room, project)
    if rows:
        raise typer.Exit(REFUSED)


def _tell_words(judged: Judged, passes: int, still_open: int, room: int, project: Path) -> None:
    parts = [f"{counted(len(judged.good) - passes, 'label')} recorded"]
    parts += [counted(passes, "pass", "passes") if passes else ""]
    parts += [f"{judged.known:,} known already" if judged.known else ""]
    parts += [f"{counted(judged.skipped, 'row')} not answered yet" if judged.skipped else ""]
    parts += [f"{counted(len(judged.refused), 'row')} refused" if judged.refused else ""]
    waiting = f"{counted(still_open, 'sample')} still open"
    say(", ".join(part for part in parts if part) + f"; {waiting}.")
    if judged.refused:
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        shown = Table("line", "id", "label", "why it was refused", box=None, pad_edge=False)
        for row in judged.refused[:_SHOWN]:
            shown.add_row(str(row.line), *(Text(cell[:20]) for cell in (row.id, row.label)), Text(row.why))
        Console(stderr=True, highlight=False).print(shown)
        if len(judged.refused) > _SHOWN:
            say(f"… and {len(judged.refused) - _SHOWN} more; --refused FILE or --json lists all.")
    if not still_open:
        say(f"Next: labelwise {f'ask {project} > batch.csv' if room else f'export {project} -o labels.csv'}")


def status_command(
    project: Folder,
    gain: Annotated[
        bool,
        typer.Option(
            "--gain",
            help="With --audit in `new`: fit models on as many random and chosen labels, and compare them.",
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Say where a project stands: labels bought, classes, what the model reaches, what to do next."""
    from labelwise.project import open_project, status
    from labelwise.project.advice import audit_words, gain_of, stop_rows
    from labelwise.project.status import accuracy_words, advice, tally_words
    from labelwise.project.status import as_json as plain

    opened = open_project(project)
    now = status(opened)
    bought = None
    if gain:
        with phase_bars() as tell:
            bought = gain_of(opened, tell)
    if as_json:
        typer.echo(
            json.dumps({**plain(opened, now), **({"gain": bought} if gain else {})}, ensure_ascii=False)
        )
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    facts = Table(box=None, pad_edge=False, show_header=False)
    facts.add_column(style="dim")
    facts.add_column()
    facts.add_row(
        "labels",
        f"{now.bought:,} of {now.budget:,} bought (rounds: {now.rounds}); {now.left:,} samples never asked "
        "for",
    )
    facts.add_row("open", f"{now.open:,} asked and not answered; {now.passes:,} passed")
    if now.given or now.validation:
        facts.add_row(
            "known",
            f"{now.given:,} labels at the start, {now.validation:,} more kept apart to measure the model",
        )
    facts.add_row("classes", Text(tally_words(now.classes)))
    if now.annotators:
        facts.add_row("people", Text(tally_words(now.annotators)))
    facts.add_row("accuracy", Text(accuracy_words(opened, now)))
    if now.audited is not None:
        facts.add_row("audited", Text(audit_words(now.audited)))
    if bought is not None:
        facts.add_row("gain", Text(bought["words"]))
    for place, line in enumerate(advice(opened, now)):
        facts.add_row("" if place else "next", Text(line))
    console.print(facts)
    if len(rows := stop_rows(now.stop)):
        advised = Table("stop advice", "now", "stop?", "since round", "source", box=None, pad_edge=False)
        for row in rows:
            advised.add_row(*map(Text, row))
        console.print("", advised)


def export_command(
    project: Folder,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The file to write; default: standard output.")
    ] = None,
    format: Annotated[
        str | None, typer.Option(help="csv, jsonl or parquet; default: by the file's ending.")
    ] = None,
    all_answers: Annotated[
        bool, typer.Option("--all-answers", help="Every answer ever given, passes and corrected ones too.")
    ] = False,
    predictions: Annotated[
        bool, typer.Option("--predictions", help="Also what the model says of samples without a label.")
    ] = False,
) -> None:
    """Write the labels: id, file, label, annotator, round and time.

    Example: labelwise export birds -o labels.csv

    In CSV, a cell that a spreadsheet would run as a formula gets a leading ';
    jsonl and parquet hold it as it is.
    """
    from labelwise.project import open_project
    from labelwise.project.export import format_of, table, write, write_text

    chosen = format_of(out, format)
    opened = open_project(project)
    with phase_bars() as tell:
        made = table(opened, all_answers=all_answers, predictions=predictions, progress=tell)
    if out is None:
        with _stdout() as stream:
            write_text(made, stream, chosen)  # type: ignore[arg-type]  # a text stream, by any name
        return
    write(made, out, chosen)
    say(f"{counted(len(made.rows), 'row')} written to {out}.")
