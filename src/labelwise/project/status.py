"""Where a project stands, in numbers and words: what was bought, what the model reaches, what to do next."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from labelwise.events import State
from labelwise.functional.stopping import Advice
from labelwise.project.advice import Audit, audit_of, stop_advice
from labelwise.project.folder import Project


@dataclass(frozen=True)
class Measured:
    """Accuracy of the newest measured model on the validation samples.

    Attributes:
        accuracy: share of them that it gets right.
        low: lower end of the 95 % interval.
        high: upper end.
        samples: how many there are.
        n_labelled: labels that the model was fitted on, those known at the start included.
    """

    accuracy: float
    low: float
    high: float
    samples: int
    n_labelled: int


@dataclass(frozen=True)
class Status:
    """Where a project stands.

    Attributes:
        bought: labels told so far; a pass is none.
        budget: labels that may be bought in all.
        open: samples that wait for an answer.
        passes: samples somebody could not say.
        rounds: asks so far.
        pool: samples that could be asked for at the start.
        left: samples that were never asked for.
        given: labels that were there at the start and train the model.
        validation: labels that were there at the start and only measure it.
        classes: class -> labels bought.
        annotators: who -> answers that stand.
        measured: None where nothing was measured yet.
        audited: what random picks say of the model; None without any that was answered.
        stop: what each published criterion says of stopping, from the second fit on.
        over: True if the budget or the pool is spent.
    """

    bought: int
    budget: int
    open: int
    passes: int
    rounds: int
    pool: int
    left: int
    given: int
    validation: int
    classes: dict[str, int]
    annotators: dict[str, int]
    measured: Measured | None
    audited: Audit | None
    stop: tuple[Advice, ...]
    over: bool


def status(project: Project, state: State | None = None) -> Status:
    """Return where a project stands; neither model nor samples are touched."""
    state = state or project.state()
    counts = Counter(state.labels.values())
    pool = len(project.items.ids("pool"))
    return Status(
        bought=len(state.labels),
        budget=project.settings.plan.budget,
        open=len(state.open_ids),
        passes=len(state.passes),
        rounds=len(state.asks),
        pool=pool,
        left=pool - len(state.answers) - len(state.open_ids),
        given=len(project.items.ids("given")),
        validation=len(project.items.ids("validation")),
        classes={name: counts[k] for k, name in enumerate(project.settings.classes)},
        annotators=dict(Counter(a.annotator for a in state.answers.values() if a.annotator)),
        measured=_measured(state, len(project.items.ids("validation"))),
        audited=audit_of(state),
        stop=stop_advice(state),
        over=not state.open_ids and bool(state.asks) and state.room == 0,
    )


def _measured(state: State, samples: int) -> Measured | None:
    if not samples or not state.fits or "accuracy" not in state.fits[-1].validation:
        return None
    from scipy.stats import binomtest  # half a second to import

    newest = state.fits[-1]
    accuracy = float(newest.validation["accuracy"])
    interval = binomtest(round(accuracy * samples), samples).proportion_ci(0.95, "wilson")
    return Measured(accuracy, float(interval.low), float(interval.high), samples, newest.n_labelled)


def advice(project: Project, now: Status) -> list[str]:
    """Return what to do next, in sentences."""
    name = project.folder
    lines: list[str] = []
    if now.open:
        lines.append(
            f"{now.open:,} {'samples wait' if now.open > 1 else 'sample waits'}: `labelwise ask {name} > batch.csv` prints them, fill in the column "
            "label, then "
            f"`labelwise tell {name} batch.csv`."
        )
    elif now.over:
        why = "every sample was asked for" if now.left == 0 else "the budget is spent"
        lines.append(f"Finished: {why}. `labelwise export {name} -o labels.csv` writes the labels.")
    else:
        lines.append(f"Nothing waits: `labelwise ask {name} > batch.csv` chooses the next samples.")
    lacking = [label for label, count in now.classes.items() if count == 0]
    if now.bought and lacking and not now.given:
        shown = ", ".join(lacking[:3]) + (", …" if len(lacking) > 3 else "")
        what = "the classes" if len(lacking) > 1 else "the class"
        lines.append(f"No label yet of {what} {shown}: the model cannot know a class that it has never seen.")
    return lines


def accuracy_words(project: Project, now: Status) -> str:
    """Return one or two sentences on what is known of the model's accuracy, and how sure that is."""
    if now.measured is not None:
        m = now.measured
        newer = now.given + now.bought - m.n_labelled
        late = f" {newer} labels came since; the next ask measures again." if newer > 0 else ""
        return (
            f"{m.accuracy:.1%} (95 % interval {m.low:.1%} to {m.high:.1%}) on {m.samples} validation "
            "samples, fitted on "
            f"{m.n_labelled} labels. It holds for samples like those that were labelled at the start.{late}"
        )
    if now.validation:
        return (
            "Not measured yet: the first ask after an answer measures it, on "
            f"{now.validation} validation samples."
        )
    if now.audited is not None:
        return "Not measured on samples kept apart; what random picks say stands below."
    if audit := project.settings.plan.audit:
        return f"Not known yet: {audit:.0%} of each batch from the second on are random picks, and tell it once they are answered."
    place = (
        "the label column of the table"
        if project.settings.source.table
        else "subfolders named like the classes"
    )
    return (
        "Unknown: nothing measures it. A new project can: with `labelwise new --audit 0.2` a fifth of each later batch is "
        f"drawn at random and tells it; or with at least 50 labels in {place}, best of randomly drawn samples, of which a "
        "fifth is kept apart."
    )


def tally_words(counts: Mapping[str, int]) -> str:
    """Return how often each name occurs; names may be numbers, so a colon keeps the two apart: "0: 12, 1: 9"."""
    return ", ".join(f"{name}: {count:,}" for name, count in counts.items())


def as_json(project: Project, now: Status) -> dict[str, Any]:
    """Return the status as plain JSON values."""
    from dataclasses import asdict

    return {"project": project.settings.name, **asdict(now), "next": advice(project, now)}
