"""A recommendation in sentences: what to take, how sure that is, what it does not cover, and the command to begin with."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from labelwise.bench.able import Able
from labelwise.bench.advice import about
from labelwise.bench.outlook import signed
from labelwise.bench.recommend import LEAST, MARGIN, RANDOM, Choice, Recommendation
from labelwise.bench.recommend_constants import CONSTANTS
from labelwise.bench.words import listed
from labelwise.functional.pooling import Weighed

SHOWN = 6  # names in a list that a person would read to its end
RULED = {
    "cautious": "margin first, unless some strategy is clearly better than it over all sets; then by the mean over all sets",
    "overall": "by the mean over all sets, drawn towards the mean of all strategies by as much as few sets deserve",
    "similar": "by the mean over all sets, those most like yours weighing most",
}


def sentences(told: Recommendation) -> list[str]:
    """Return what somebody wants to know: what to take, by how much it is better, and whether that is clear."""
    first = told.choices[0]
    lines = [f"Take {first.name}: {_why(told, first)}"]
    if first.name != RANDOM:
        mean = f"{signed(first.gain.mean)} points of accuracy above random, averaged over the budget"
        lines.append(f"On {_sets(first)} it was {mean}{_interval(first.gain)}.")
        if first.name not in told.above_random:
            counted = "Counting how many strategies were looked at, that" if _above(first.gain) else "That"
            lines.append(
                f"{counted} is not clearly better than random: random picks cost nothing and tell how good the model is."
            )
        elif first.gain.next_low is not None and first.gain.next_low < 0:
            lines.append(
                f"On one more set, such as yours, it may be anything from {signed(first.gain.next_low)} to "
                f"{signed(first.gain.next_high or 0.0)}: worse than random, too."
            )
    others = [
        c.name
        for c in told.choices[1:]
        if c.name != RANDOM and (c.name in told.above_margin) == (first.name in told.above_margin)
    ]
    if others:
        lines.append(
            f"It cannot be told apart from {listed(others)}: time, and how they did on sets like yours, may decide."
        )
    return lines


def _why(told: Recommendation, first: Choice) -> str:
    if first.name == MARGIN:
        return "nothing that can run here was clearly better than it, and it costs next to nothing."
    if first.name == RANDOM:
        return "no strategy that can run here is expected to do better."
    if told.margin is None:
        return "it leads what was measured and can run here; margin cannot."
    against = f"{signed(first.over_margin.mean)} points above margin{_interval(first.over_margin)}"
    if first.name in told.above_margin:
        return f"it is clearly better than margin, {against}."
    if abs(first.over_margin.mean) < 0.0005:  # what rounds to no tenth of a point
        return f"it leads by a hair, level with margin{_interval(first.over_margin)}."
    many = ", counting how many were looked at" if _above(first.over_margin) else ""
    return f"it leads, but not clearly{many}: {against}."


def _above(found: Weighed) -> bool:
    return found.low is not None and found.low > 0


def _sets(choice: Choice) -> str:
    return f"sets of {choice.materials} unrelated {'origin' if choice.materials == 1 else 'origins'}"


def _interval(found: Weighed) -> str:
    if found.low is None or found.high is None:
        return " (too few sets for an interval)"
    return f" (95 %: {signed(found.low)} to {signed(found.high)})"


def warnings(told: Recommendation) -> list[str]:
    """Return where the pool lies outside of what the suite has measured."""
    lines = [f"Outside of what was measured. {line}" for line in told.outside]
    far = told.near[0].steps
    if far >= 2:  # a quarter or less
        lines.append(
            f"No set is much like yours: the nearest, {told.near[0].set.name}, is {far:.1f} steps away "
            "(a factor of ten is a step, another kind of data is one)."
        )
    return lines


def caveats(told: Recommendation) -> list[str]:
    """Return what all of that rests on."""
    kind = "several modalities" if told.facts.modalities > 1 else "one modality"
    lines = [
        f"Order: {RULED[told.rule]}; who was measured on fewer than {min(LEAST, told.materials)} unrelated origins stands behind "
        f"the others. Rests on {told.sets} sets of {kind}, of {told.materials} unrelated origins; sets that share data count as "
        "one. Intervals are of Student's t over origins, the seeds of a set averaged."
    ]
    if told.unknown:
        lines.append(
            f"{len(told.unknown)} more strategies could run, and the suite has not measured them yet."
            if len(told.unknown) > 1
            else f"{told.unknown[0]} could run and was not measured."
        )
    return [*lines, _honest(told.rule)]


def _honest(rule: str) -> str:
    found = CONSTANTS["regret"]
    others = ", ".join(f"{name} {found[name][0]:.1f}" for name in ("margin", "random") if name != rule)
    return (
        f"How good such advice is: with each origin left out in turn, its pick ended {found[rule][0]:.1f} points below the best "
        f"strategy of the set in the mean ({others}). The best is known only afterwards."
    )


def reasons(barred: Mapping[str, str]) -> list[str]:
    """Return which strategies cannot run and why, one sentence for each reason."""
    by: dict[str, list[str]] = {}
    for name, why in barred.items():
        by.setdefault(why, []).append(name)
    return [
        f"Cannot run here: {listed(_some(names))} ({why})."
        for why, names in sorted(by.items(), key=lambda row: -len(row[1]))
    ]


def _some(names: Sequence[str]) -> list[str]:
    return [*names] if len(names) <= SHOWN + 1 else [*names[:SHOWN], f"{len(names) - SHOWN} more"]


def command(told: Recommendation, choice: Choice, able: Able, data: str | None) -> str:
    """Return the command that begins a project with a strategy.

    Args:
        told: of a pool.
        choice: the strategy.
        able: with what it runs.
        data: options that name the user's data, or None.
    """
    facts = told.facts
    pictures = facts.kind in (None, "image")
    words = ["labelwise new my-project", data or ("--images photos/" if pictures else "--table data.csv")]
    words += ["--classes first,second,…"] if data is None else []
    words += [f"--recipe {able.recipe}", f"--strategy {choice.name}"]
    words += [f"--set {shlex.quote(f'recipe.{key}={_toml(value)}')}" for key, value in able.fields.items()]
    words += [f"--start {facts.start} --batch {facts.batch} --budget {facts.budget}"]
    return " ".join(words)


def spec(told: Recommendation, choice: Choice, able: Able) -> str:
    """Return the same as tables of a spec, for `labelwise run`."""
    fields = "".join(f"\n{key} = {_toml(value)}" for key, value in able.fields.items())
    facts = told.facts
    return (
        f'[recipe]\nname = "{able.recipe}"{fields}\n\n[strategy]\nname = "{choice.name}"\n\n'
        f"[plan]\nstart = {facts.start}\nbatch = {facts.batch}\nbudget = {facts.budget}\n"
    )


def headline(told: Recommendation) -> str:
    """Return the pool in a line."""
    return f"Your pool: {about(told.facts)}."


def _toml(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value)
