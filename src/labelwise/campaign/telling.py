"""Which answers can be recorded: each is judged against what was asked and told before, and refused in words."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from labelwise.events import Answered, Event, State
from labelwise.oracle import Answer

_LONGEST = 1e9  # seconds: thirty years


@dataclass(frozen=True)
class Refused:
    """An answer that was not recorded, and why, in words."""

    answer: Answer
    why: str


def judge(
    given: Iterable[Any], state: State, samples: int, n_classes: int, *, correct: bool, at: str
) -> tuple[list[Answer], list[Refused], list[Event]]:
    """Return the answers that can be recorded, the refused ones, and the events of the former.

    Args:
        given: answers, or pairs (id, label), in the order they came; a later one for the same id is judged after the earlier.
        state: where the campaign stands.
        samples: how many ids exist.
        n_classes: C.
        correct: True lets an answer replace an earlier, different one.
        at: the time written on the events.
    """
    open_ids, told = set(state.open_ids), {i: a.label for i, a in state.answers.items()}
    good: list[Answer] = []
    refused: list[Refused] = []
    events: list[Event] = []
    for one in given:
        answer = _as_answer(one)
        if answer is None:
            why = f"An answer must be an Answer or a pair (id, label); it is {one!r}."
            refused.append(Refused(Answer(-1, None), why))
            continue
        why = _objection(answer, open_ids, told, samples, n_classes, correct)
        if why:
            refused.append(Refused(answer, why))
            continue
        i, label = int(answer.id), None if answer.label is None else int(answer.label)
        seconds = None if answer.seconds is None else float(answer.seconds)
        events.append(Answered(i, label, answer.annotator, seconds, correction=i in told, at=at))
        open_ids.discard(i)
        told[i] = label
        good.append(answer)
    return good, refused, events


def _objection(
    answer: Answer, open_ids: set[int], told: dict[int, int | None], samples: int, top: int, correct: bool
) -> str:
    i, label = answer.id, answer.label
    if not _whole(i) or not 0 <= i < samples:
        return f"Sample {i!r} does not exist; ids run from 0 to {samples - 1}."
    if label is not None and (not _whole(label) or not 0 <= label < top):
        return f"Sample {i}: {label!r} is no class; classes run from 0 to {top - 1}, None is a pass."
    if i in told:
        if told[i] == label:
            return f"Sample {i} was already told with this answer; nothing to do."
        if not correct:
            return f"Sample {i} was already told as {told[i]!r}; say that it is a correction to change it."
        return _misfit(answer)
    return _misfit(answer) if i in open_ids else f"Sample {i} was never asked for."


def _as_answer(given: Any) -> Answer | None:
    """Return the answer that is given, as itself or as a pair (id, label); None if it is neither."""
    if isinstance(given, Answer):
        return given
    pair = isinstance(given, tuple | list) or (isinstance(given, np.ndarray) and given.ndim == 1)
    return Answer(given[0], given[1]) if pair and len(given) == 2 else None


def _misfit(answer: Answer) -> str:
    """Return what keeps the rest of an answer from being stored: it would cost the whole file its good rows."""
    if not isinstance(answer.annotator, str):
        return f"Sample {answer.id}: annotator must be a text; it is {answer.annotator!r}."
    seconds = answer.seconds
    if seconds is None or (_whole(seconds) and 0 <= seconds < _LONGEST):
        return ""
    if isinstance(seconds, float | np.floating) and 0 <= seconds < _LONGEST:
        return ""
    return (
        f"Sample {answer.id}: seconds must be a number from 0 to {_LONGEST:.0e}, or None; it is {seconds!r}."
    )


def _whole(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)
