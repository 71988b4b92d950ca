"""What `ask` hands out, the open samples with what the model thinks of them, and what `tell` records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from labelwise.errors import Conflict, InputError
from labelwise.events import Answered, Event, State, replay
from labelwise.project.answers import Judged, judge
from labelwise.project.disk import whole_file
from labelwise.project.folder import BATCHES, Progress, Project
from labelwise.project.sheet import Line, read_lines, write_rows

if TYPE_CHECKING:
    from labelwise.campaign import Campaign

# A suggestion that was lost (killed between asking and printing) is made again if the fit took no longer
# than this.
CHEAP_SECONDS = 10.0
TEXT_WIDTH = 200


@dataclass(frozen=True)
class Batch:
    """Samples that wait for an answer.

    Attributes:
        columns: of the batch file, in order.
        rows: column -> value, one row a sample, in the order of asking.
        round: the round they belong to; -1 when nothing waits.
        again: True if they were asked earlier and not now.
        notes: what the person should know, in words.
    """

    columns: tuple[str, ...]
    rows: tuple[Mapping[str, Any], ...]
    round: int
    again: bool
    notes: tuple[str, ...] = ()


def ask(project: Project, n: int | None = None, progress: Progress | None = None) -> Batch:
    """Return the samples that wait for an answer, asking for new ones if none does.

    The suggestion is the top class of the model that chose the samples, and its confidence the probability
    it gives that class. There is none in a round without any label to learn from. They are kept in batches/,
    so that asking again costs no training.

    Args:
        project: whose.
        n: how many to ask for instead of the plan's batch; ignored while some are open.
        progress: told (what, done, total) during long steps.

    Raises:
        InputError: image files of the project are gone.
    """
    gone = project.missing()
    if gone:
        raise InputError(
            f"{len(gone)} of the project's {len(project.items)} files are no longer in "
            f"{project.settings.source.images}: "
            f"{', '.join(gone[:3])}{', …' if len(gone) > 3 else ''}. Put them back. "
            "Everything told so far is kept, and can be told and exported meanwhile."
        )
    notes: list[str] = []
    added = project.added()
    if added:
        notes.append(
            f"{len(added)} {'file' if len(added) == 1 else 'files'} came into the folder later, not part of "
            f"this project ({added[0]}{', …' if len(added) > 1 else ''}); `labelwise new` makes one that has them."
        )
    with project.campaign(progress) as campaign:
        again = bool(campaign.state.open_ids)
        ids = campaign.ask(n)
        state = campaign.state
        if not ids:
            return Batch(_columns(project, text=False), (), -1, again=False, notes=tuple(notes))
        text = "text" in campaign.task.data.modalities
        suggested = _suggestions(project, campaign, state, notes)
        texts = (
            [_clamp(str(t)) for t in campaign.task.data.batch(np.array(ids))["text"]]
            if text
            else [""] * len(ids)
        )
    columns = _columns(project, text=text)
    rows = tuple(
        {
            "id": i,
            columns[1]: project.items.keys[i],
            "text": words,
            "suggestion": suggested.get(i, (None, None))[0],
            "confidence": suggested.get(i, (None, None))[1],
            "label": None,
        }
        for i, words in zip(ids, texts, strict=True)
    )
    return Batch(columns, rows, state.asks[-1].round, again, tuple(notes))


def _columns(project: Project, *, text: bool) -> tuple[str, ...]:
    name = "file" if project.settings.source.images else "row"
    return ("id", name, *(["text"] if text else []), "suggestion", "confidence", "label")


def _clamp(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= TEXT_WIDTH else line[: TEXT_WIDTH - 1] + "…"


def _suggestions(
    project: Project, campaign: Campaign, state: State, notes: list[str]
) -> dict[int, tuple[str, str]]:
    """Return id -> (class, confidence) of the newest round, from its file or from the model that chose it."""
    asked = state.asks[-1]
    if not state.fits or state.fits[-1].round != asked.round:
        return {}  # drawn at random, before there was any label
    path = project.folder / BATCHES / f"{asked.round:04d}.csv"
    kept = _read(path)
    if kept is not None and set(kept) == set(asked.ids):
        return kept
    predictor, fitted = campaign.predictor, state.fits[-1]
    if predictor is None:
        if campaign.recipe.warm or fitted.seconds.get("fit", 0.0) > CHEAP_SECONDS:
            notes.append(
                "The model's suggestions for this round were lost; they would cost a training, so none are "
                "given."
            )
            return {}
        predictor = campaign.fit(replay(campaign.store.read()[: fitted.seen]))
    ids = np.array(asked.ids, dtype=np.int64)
    probs = predictor.infer(campaign.task.data, ids, frozenset({"probs"})).need("probs")
    names = project.settings.classes
    top = probs.argmax(axis=1)
    made = {
        int(i): (names[k], f"{probs[row, k]:.3f}")
        for row, (i, k) in enumerate(zip(ids.tolist(), top, strict=True))
    }
    with whole_file(path) as file:
        write_rows(
            file,
            ("id", "file", "suggestion", "confidence"),
            (
                {"id": i, "file": project.items.keys[i], "suggestion": name, "confidence": confidence}
                for i, (name, confidence) in made.items()
            ),
        )
    return made


def _read(path: Path) -> dict[int, tuple[str, str]] | None:
    """Return what a kept batch suggests; None if it is not there or somebody changed it beyond reading."""
    try:
        lines = read_lines(path.read_bytes(), path.name, ("id", "suggestion", "confidence"))
        return {int(line.cells["id"]): (line.cells["suggestion"], line.cells["confidence"]) for line in lines}
    except (OSError, ValueError, KeyError):  # InputError is a ValueError
        return None


def tell(
    project: Project, lines: Sequence[Line], *, annotator: str = "", correct: bool = False
) -> tuple[Judged, State]:
    """Record every answer of a file that can be, in one transaction; return the judgement and the new state.

    Once it has returned, the answers are on the disk. Telling a file twice is harmless: what is known is not
    recorded again. Neither model nor samples are touched.

    Args:
        project: whose.
        lines: rows with the columns id and label, and perhaps annotator and seconds.
        annotator: the name for rows that carry none.
        correct: answers that differ from recorded ones replace them.
    """
    with project.store() as store:
        while True:
            state = replay(store.read())
            judged = judge(
                lines, state, project.classes, len(project.items), annotator=annotator, correct=correct
            )
            now = datetime.now(UTC).isoformat(timespec="milliseconds")
            events: list[Event] = [
                Answered(a.id, a.label, a.annotator, a.seconds, correction=a.id in state.answers, at=now)
                for _, a in judged.good
            ]
            if not events:
                return judged, state
            try:
                store.append(events, after=state.seen)
            except Conflict:
                continue  # somebody asked or told meanwhile: judge against what they wrote
            return judged, replay(events, state)
