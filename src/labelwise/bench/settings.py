"""Which runs may be compared with which: settings, strategies, learning curves, and plain words about what is missing."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from labelwise.bench import classifiers
from labelwise.bench.axes import METHOD
from labelwise.bench.names import REFERENCE, Cases, method_labels, setting_titles, strategy_label
from labelwise.bench.results import Run
from labelwise.errors import InputError

PEOPLE = "people"  # name of the oracle of a campaign in which nobody was simulated


def of_people(shared: Mapping[str, Any]) -> bool:
    """Return whether people answered in the runs that share this part of a spec."""
    return bool(shared.get("oracle", {}).get("name") == PEOPLE)


@dataclass(frozen=True)
class RunCurve:
    """The learning curve of one run.

    Attributes:
        id: the run's id.
        seed: the plan's seed; runs of one seed started with the same samples.
        finished: True if the budget was spent and the last fit measured.
        labels: labels bought at each fit, ascending.
        accuracy: accuracy at each fit, in [0, 1].
        budget: labels the plan allows.
    """

    id: str
    seed: int
    finished: bool
    labels: tuple[int, ...]
    accuracy: tuple[float, ...]
    budget: int


@dataclass(frozen=True)
class Group:
    """Runs that differ in strategy and seed only, and in what some of them train beside the classifier.

    Attributes:
        key: hash of everything they share.
        title: what tells this setting from the others of a report.
        shared: the spec without strategy and seed; of several recipes the one that trains nothing beside the
            classifier.
        part: "test" or "validation": where accuracy was measured.
        runs: strategy label -> runs with at least one measured fit, by seed; one for each seed.
        compared: strategy label -> the runs that enter means and differences.
        span: (first, last) label count that every compared run covers.
        preliminary: True if no run of the setting is finished.
        caveats: what a reader must know before believing a number.
        recipes: strategy label -> its recipe, where that is not the shared one.
    """

    key: str
    title: str
    shared: Mapping[str, Any]
    part: str
    runs: Mapping[str, tuple[Run, ...]]
    compared: Mapping[str, tuple[Run, ...]]
    span: tuple[int, int]
    preliminary: bool
    caveats: tuple[str, ...]
    recipes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def shared_part(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Return a spec without strategy and seed: what makes two runs comparable."""
    plan = {key: value for key, value in spec["plan"].items() if key != "seed"}
    rest = {key: value for key, value in spec.items() if key not in ("strategy", "plan")}
    return {**rest, "plan": plan}


def curve_of(run: Run, part: str) -> RunCurve:
    """Return a run's learning curve on the given part; of two fits on the same labels the later one counts."""
    opened = run.state.opened
    given = int(opened.task.get("given", 0)) if opened is not None else 0
    points: dict[int, float] = {}
    for fit in run.fits:
        measured = fit.test if part == "test" else fit.validation
        if "accuracy" in measured:
            points[fit.n_labelled - given] = float(measured["accuracy"])
    labels = tuple(sorted(points))
    budget = int(run.spec["plan"]["budget"])
    if opened is not None:
        budget = min(budget, int(opened.task.get("pool", budget)))
    return RunCurve(run.id, run.seed, run.finished, labels, tuple(points[n] for n in labels), budget)


def group(runs: Iterable[Run], cases: Cases | None = None) -> tuple[Group, ...]:
    """Return the settings in some runs, in the order in which they first appear.

    Args:
        runs: any runs.
        cases: of a protocol: run id -> axis -> case; methods and settings are then called by their cases.

    Raises:
        InputError: there are no runs, or none of them was measured even once.
    """
    unique: dict[str, Run] = {}
    for run in runs:
        unique.setdefault(run.id, run)
    if not unique:
        raise InputError("A comparison needs at least one run; it was given none.")
    settings = _settings(list(unique.values()), cases or {})
    shared = [_shared(members) for members in settings]
    titles = setting_titles(settings, shared, cases or {})
    made = []
    for values, members, title in zip(shared, settings, titles, strict=True):
        found = _group(values, title, members, cases or {})
        if found is not None:
            made.append(found)
    if not made:
        raise InputError(
            f"None of the {len(unique)} runs has a measured fit yet; a comparison needs one. "
            "Let them run on, or give their tasks test or validation samples."
        )
    return tuple(made)


def _settings(runs: Sequence[Run], cases: Cases) -> list[list[Run]]:
    """Return the runs that may be compared with one another, setting by setting, in the order of appearance."""
    several = len({json.dumps(run.spec["recipe"], sort_keys=True) for run in runs}) > 1
    families: dict[str, list[Run]] = {}
    for key, members in _by_case(runs, cases).items() if several else ():
        families[key] = members
    of_methods = {run.id for members in families.values() for run in members}
    for run in runs:
        if run.id in of_methods:
            continue
        values = shared_part(run.spec)
        if several:
            values["recipe"] = classifiers.classifier(run.spec["recipe"]).values
        families.setdefault(json.dumps(values, sort_keys=True), []).append(run)
    found: list[list[Run]] = []
    for members in families.values():
        labels = [strategy_label(run.spec) for run in members]
        if several and classifiers.parted(labels, _recipes(members)):
            apart: dict[str, list[Run]] = {}
            for run in members:
                apart.setdefault(json.dumps(shared_part(run.spec), sort_keys=True), []).append(run)
            found += apart.values()
        else:
            found.append(members)
    place = {run.id: k for k, run in enumerate(runs)}
    return sorted(found, key=lambda members: place[members[0].id])


def _by_case(runs: Sequence[Run], cases: Cases) -> dict[str, list[Run]]:
    """Return the settings whose methods are ways to train: runs of a protocol that differ in these, one for each method."""
    families: dict[str, list[Run]] = {}
    for run in runs:
        mine = cases.get(run.id, {})
        if METHOD in mine:
            values = shared_part(run.spec)
            values["recipe"] = classifiers.untrained(run.spec["recipe"])
            values["cases"] = {axis: case for axis, case in mine.items() if axis != METHOD}
            families.setdefault(json.dumps(values, sort_keys=True), []).append(run)
    found = {}
    for key, members in families.items():
        trained: dict[str, set[str]] = {}
        for run in members:
            trained.setdefault(cases[run.id][METHOD], set()).add(
                json.dumps(run.spec["recipe"], sort_keys=True)
            )
        if len(set().union(*trained.values())) > 1 and max(map(len, trained.values())) == 1:
            found[key] = members
    return found


def _recipes(members: Sequence[Run]) -> list[classifiers.Classifier]:
    return [classifiers.classifier(run.spec["recipe"]) for run in members]


def _shared(members: Sequence[Run]) -> dict[str, Any]:
    shared = shared_part(members[0].spec)
    if any(run.spec["recipe"] != shared["recipe"] for run in members):
        shared["recipe"] = classifiers.shared_recipe(_recipes(members))
    return shared


def _group(shared: Mapping[str, Any], title: str, members: Sequence[Run], cases: Cases) -> Group | None:
    key = json.dumps(shared, sort_keys=True)
    specs = [run.spec for run in members]
    plain = method_labels(members, cases)
    labels = {
        run.id: label + more
        for run, label, more in zip(members, plain, classifiers.suffixes(plain, specs), strict=True)
    }
    part = "test" if any(fit.test for run in members for fit in run.fits) else "validation"
    runs: dict[str, list[Run]] = {}
    silent = 0
    for run in sorted(members, key=lambda r: (r.seed, r.id)):
        if not curve_of(run, part).labels:
            silent += 1
            continue
        mine = runs.setdefault(labels[run.id], [])
        if all(other.seed != run.seed for other in mine):
            mine.append(run)
    if not runs:
        return None
    ordered = dict(sorted(runs.items(), key=lambda item: (item[0] != REFERENCE, item[0])))
    preliminary = not any(run.finished for mine in ordered.values() for run in mine)
    compared = {
        label: tuple(r for r in mine if preliminary or r.finished)
        for label, mine in ordered.items()
        if preliminary or any(r.finished for r in mine)
    }
    curves = {run.id: curve_of(run, part) for mine in compared.values() for run in mine}
    # With passes, runs begin at slightly different counts; one that ends before another begins shares no span with it.
    begin = max(curve.labels[0] for curve in curves.values())
    compared = {
        label: kept
        for label, mine in compared.items()
        if (kept := tuple(run for run in mine if curves[run.id].labels[-1] >= begin))
    }
    span = (begin, min(curves[run.id].labels[-1] for mine in compared.values() for run in mine))
    people = of_people(shared)
    caveats = [
        "Accuracy is measured on labels that were there at the start and kept apart; it holds for samples like those."
    ]
    if not people:
        caveats = [*_unfinished(ordered, part, preliminary, span, silent), *_unlike(compared, members, part)]
    beside = {label: mine[0].spec["recipe"] for label, mine in ordered.items()}
    if said := classifiers.caveat(list(beside), _recipes([mine[0] for mine in ordered.values()])):
        caveats.append(said)
    return Group(
        hashlib.sha256(key.encode()).hexdigest()[:12],
        title,
        json.loads(key),
        part,
        {label: tuple(mine) for label, mine in ordered.items()},
        compared,
        span,
        preliminary and not people,
        tuple(caveats),
        {label: recipe for label, recipe in beside.items() if recipe != shared["recipe"]},
    )


def _unfinished(
    runs: Mapping[str, Sequence[Run]], part: str, preliminary: bool, span: tuple[int, int], silent: int
) -> Iterable[str]:
    everything = [(label, run) for label, mine in runs.items() for run in mine]
    late = [(label, curve_of(run, part)) for label, run in everything if not run.finished]
    if preliminary:
        yield f"No run is finished: every number is preliminary and stops at {span[1]:,} labels, where all runs are."
    elif late:
        listed = "; ".join(
            f"{label} seed {c.seed} ({c.labels[-1]:,} of {c.budget:,} labels)" for label, c in late[:6]
        )
        more = f"; and {len(late) - 6} more" if len(late) > 6 else ""
        one = len(late) == 1
        yield (
            f"{len(late)} of {len(everything)} runs {'is' if one else 'are'} unfinished and left out of every mean "
            f"and difference: {listed}{more}."
        )
    if silent:
        yield f"{silent} {'run has' if silent == 1 else 'runs have'} no measured fit yet and {'is' if silent == 1 else 'are'} not shown."


def _unlike(compared: Mapping[str, Sequence[Run]], members: Sequence[Run], part: str) -> Iterable[str]:
    if part == "validation":
        yield "There is no test set: accuracy is measured on validation data, which training and policies may have seen."
    seeds = {label: tuple(run.seed for run in mine) for label, mine in compared.items()}
    if len(set(seeds.values())) > 1:
        listed = "; ".join(f"{label}: {_counted(s)}" for label, s in seeds.items())
        yield f"Seeds are unequal ({listed}); differences use only the seeds that both sides have."
    if max(map(len, seeds.values())) == 1:
        yield "There is one seed: a mean over seeds has no interval, and no difference can be tested."
    prints = {r.state.opened.task["sha256"] for r in members if r.state.opened is not None}
    if len(prints) > 1:
        yield f"The runs saw {len(prints)} different versions of the data although their specs agree: do not compare them."
    versions = {
        json.dumps(dict(r.state.opened.versions), sort_keys=True)
        for r in members
        if r.state.opened is not None
    }
    if len(versions) > 1:
        yield f"The runs were made under {len(versions)} different sets of versions (listed at the end)."


def _counted(seeds: Sequence[int]) -> str:
    if len(seeds) > 2 and seeds == tuple(range(seeds[0], seeds[-1] + 1)):
        return f"{seeds[0]}–{seeds[-1]}"
    return ", ".join(map(str, seeds))
