"""What a project can be told without a label more: accuracy by random picks, gain over chance, and when to stop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from labelwise.campaign.auditing import audited
from labelwise.campaign.measuring import watches
from labelwise.errors import InputError
from labelwise.events import State
from labelwise.functional.audit import pooled, whole, windows
from labelwise.functional.stopping import Advice, advice
from labelwise.project.folder import Progress, Project

FEWEST_FITS = 2  # criteria compare successive models


@dataclass(frozen=True)
class Audit:
    """What the newest random picks say of the model.

    Attributes:
        accuracy: share of them that it had right before it learned them: its accuracy on what is left of the pool.
        low: lower end of the 95 % interval.
        high: upper end.
        picks: how many there are.
        rounds: (first, last) in which they were asked.
        pool: (accuracy, low, high) of the whole pool's labels if the model filled in what people have not told.
    """

    accuracy: float
    low: float
    high: float
    picks: int
    rounds: tuple[int, int]
    pool: tuple[float, float, float]


def audit_of(state: State) -> Audit | None:
    """Return what the newest random picks say; None where none was answered."""
    made = windows(audited(state))
    if not made:
        return None
    newest = made[-1]
    found, last = pooled(newest), newest[-1]
    return Audit(
        found.accuracy,
        found.low,
        found.high,
        found.n,
        (newest[0].round, last.round),
        whole(found, last.labels, last.left),
    )


def audit_words(now: Audit) -> str:
    """Return what random picks say, in a sentence for each number."""
    first, last = now.rounds
    when = f"of round {last}" if first == last else f"of rounds {first} to {last}"
    value, low, high = now.pool
    return (
        f"{now.accuracy:.1%} (95 % interval {now.low:.1%} to {now.high:.1%}) of what is left of the pool, by {now.picks} "
        f"random picks {when}, which the model answered before it learned them. If it labelled the rest, {value:.1%} of "
        f"all labels would be right ({low:.1%} to {high:.1%})."
    )


def stop_advice(state: State) -> tuple[Advice, ...]:
    """Return what each criterion says of stopping; () before the second fit."""
    found = watches(state)
    return advice(found) if len(found) >= FEWEST_FITS else ()


def stop_rows(told: Sequence[Advice], price: Advice | None = None) -> list[tuple[str, str, str, str, str]]:
    """Return (criterion, value now, says stop?, since which round, source) of each; [] where there is no advice yet.

    Args:
        told: what criteria say that need no price.
        price: what the one says that does; None: a row that says where to ask for it.
    """
    rows = [
        (
            one.criterion,
            "–" if one.value is None else f"{one.value:.4f}",
            "–" if one.stop is None else "yes" if one.stop else "no",
            "–" if one.since is None else str(one.since),
            one.source,
        )
        for one in (*told, *([] if price is None else [price]))
    ]
    if price is None and rows:
        rows.append(("expected gain < cost", "–", "–", "–", "labelwise forecast --cost --value"))
    return rows if told else []


def gain_of(project: Project, progress: Progress | None = None) -> dict[str, Any]:
    """Return what the strategy's labels bought over random ones, at the same number, as JSON values and "words".

    Args:
        project: made with a share of random picks.
        progress: told ("fit", done, total).

    Raises:
        InputError: the project has none.
    """
    from labelwise.campaign.shadow import gain_words, shadow_gain

    if not project.settings.plan.audit:
        raise InputError(
            "--gain compares with random picks, and this project has none; `labelwise new --audit 0.1` makes one that has."
        )
    with project.campaign() as campaign:
        try:
            found = shadow_gain(
                campaign.task,
                campaign.recipe,
                campaign.state,
                progress=None if progress is None else lambda done, total: progress("fit", done, total),
            )
        except InputError as error:
            return {"words": f"Not yet: {error}"}
    return {**asdict(found), "words": gain_words(found, project.settings.strategy["name"])}
