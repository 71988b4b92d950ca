"""Which answers can be recorded: each is judged against what was asked and told before, and refused in words."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from labelwise.events import Answered, Event, State
from labelwise.oracle import Answer


@dataclass(frozen=True)
class Refused:
    """An answer that was not recorded, and why, in words."""

    answer: Answer
    why: str


def judge(
    given: Iterable[Answer], state: State, samples: int, n_classes: int, *, correct: bool, at: str
) -> tuple[list[Answer], list[Refused], list[Event]]:
    """Return the answers that can be recorded, the refused ones, and the events of the former.

    Args:
        given: answers in the order they came; a later one for the same id is judged after the earlier.
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
    for answer in given:
        why = _objection(answer, open_ids, told, samples, n_classes, correct)
        if why:
            refused.append(Refused(answer, why))
            continue
        i, label = int(answer.id), None if answer.label is None else int(answer.label)
        events.append(Answered(i, label, answer.annotator, answer.seconds, correction=i in told, at=at))
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
        return ""
    return "" if i in open_ids else f"Sample {i} was never asked for."


def _whole(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)
