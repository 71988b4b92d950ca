"""Which strategy to take, by what the suite measured: differences paired by seed, sets that share data as one witness."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from labelwise.bench.advice import Facts, Likeness, groups, nearest, outside
from labelwise.bench.leaderboard import DataSet, Leaderboard
from labelwise.checks import check_name
from labelwise.errors import InputError
from labelwise.functional.pooling import Weighed, near_mean, pooled, weighed
from labelwise.functional.ranking import ranks

RANDOM, MARGIN = "random", "margin"
RULES = ("cautious", "overall", "similar")
SHOWN = 5  # sets most like a pool that are told of, no two of the same data
LEAST = 5  # materials that anything clear, and the first place, must rest on: a few that happen to agree prove little

Gains = Mapping[str, Mapping[str, float]]  # strategy -> set -> mean difference, in [-1, 1]


@dataclass(frozen=True)
class Choice:
    """A strategy that can be taken, and its evidence. All differences are of AUBC, accuracy averaged over the budget.

    Attributes:
        name: of the strategy.
        expected: above margin, drawn towards the mean of all strategies by as much as few sets deserve; it ranks.
        gain, over_margin: above random and above margin, over the sets where it was measured.
        materials: how many groups of sets without data in common those are.
        on: above random on each of the sets most like the pool; None where it was not measured.
        worst: the least of these and the set; None where it was measured on none of them.
        rank: its mean rank there, 1 the best, and among how many on average; None likewise.
        seconds: to choose a batch there, mean; None where that is not known.
    """

    name: str
    expected: float
    gain: Weighed
    over_margin: Weighed
    materials: int
    on: Mapping[str, float | None]
    worst: tuple[str, float] | None
    rank: tuple[float, float] | None
    seconds: float | None


@dataclass(frozen=True)
class Recommendation:
    """What to take.

    Attributes:
        facts: of the pool.
        rule: by which they are ordered, a row of `RULES`.
        choices: the best first.
        margin: the evidence for margin, wherever it ranks; None where it cannot run or was not measured.
        above_random, above_margin: strategies that are clearly better: see `clearly_better`.
        near: the sets most like the pool, no two of the same data, the most like first.
        sets, materials: how many sets speak for such a pool, and how many of them without data in common.
        outside: sentences on where the pool lies outside of what was measured.
        barred: strategy -> why it cannot run there.
        refused: strategy -> why it takes too long or too much memory, of those that would have ranked.
        unknown: strategies that could run and that the suite has not measured.
    """

    facts: Facts
    rule: str
    choices: tuple[Choice, ...]
    margin: Choice | None
    above_random: tuple[str, ...]
    above_margin: tuple[str, ...]
    near: tuple[Likeness, ...]
    sets: int
    materials: int
    outside: tuple[str, ...]
    barred: Mapping[str, str]
    refused: Mapping[str, str]
    unknown: tuple[str, ...]


def speaks(one: DataSet, facts: Facts) -> bool:
    """Return whether a set says anything of a pool: it has runs of random and margin, and one modality or several alike.

    Where modalities are fused, other strategies lead, and margin, which all are held against, does worse: who was only
    measured there would look good everywhere.
    """
    return {RANDOM, MARGIN} <= set(one.methods) and (one.modalities > 1) == (facts.modalities > 1)


def gains(sets: Iterable[DataSet], against: str) -> dict[str, dict[str, float]]:
    """Return how far each strategy is above another one on each set, mean over the seeds that both have."""
    found: dict[str, dict[str, float]] = {}
    for one in sets:
        if against not in one.methods:
            continue
        other = dict(zip(one.methods[against].seeds, one.methods[against].aubc, strict=True))
        for name, method in one.methods.items():
            pairs = [
                a - other[seed] for seed, a in zip(method.seeds, method.aubc, strict=True) if seed in other
            ]
            if pairs:
                found.setdefault(name, {})[one.name] = float(np.mean(pairs))
    return found


def witnesses(
    gain: Mapping[str, float], grouped: Sequence[Sequence[str]], weights: Mapping[str, float]
) -> tuple[list[float], list[float]]:
    """Return a mean and a weight for each group of sets where a strategy was measured.

    Within a group sets count by their weight, and the group is worth its most like set: two sets of the same data are
    not two witnesses.
    """
    means, worth = [], []
    for names in grouped:
        there = [name for name in names if name in gain]
        if there:
            w = np.array([weights[name] for name in there])
            means.append(float(w @ [gain[name] for name in there] / w.sum()))
            worth.append(float(w.max()))
    return means, worth


def expected(
    over_margin: Gains, grouped: Sequence[Sequence[str]], weights: Mapping[str, float], rule: str
) -> dict[str, float]:
    """Return how far above margin each strategy is expected, drawn towards the mean of all.

    Margin is what all are held against, for it was measured on every set: above random, whoever was only measured where
    anything helps would look best. It is drawn as all are, or it would profit from being the one that is not.
    """
    check_name(rule, RULES, "rule")
    names = sorted(over_margin)
    if not names:
        return {}
    alike = dict.fromkeys(weights, 1.0)
    values = np.full((len(names), len(grouped)), np.nan)
    for i, name in enumerate(names):
        for g, group in enumerate(grouped):
            mean, _ = witnesses(over_margin[name], [group], alike)
            values[i, g] = mean[0] if mean else np.nan
    told = {}
    for name, mean in zip(names, pooled(values).means.tolist(), strict=True):
        told[name] = mean
        if rule == "similar":  # by likeness; the other rules let every group weigh alike
            told[name] = near_mean(*witnesses(over_margin[name], grouped, weights), mean)
    return {name: mean - told.get(MARGIN, 0.0) for name, mean in told.items()}


def order(told: Mapping[str, float], first: Iterable[str] = (), last: Iterable[str] = ()) -> list[str]:
    """Return strategies by what is expected of them; of equals margin first, for it costs least, then by name.

    Args:
        told: of each.
        first: strategies that stand before all others.
        last: strategies that stand behind all others.
    """
    before, behind = set(first), set(last)
    return sorted(
        told, key=lambda name: (name not in before, name in behind, -told[name], name != MARGIN, name)
    )


def thin(over: Gains, grouped: Sequence[Sequence[str]]) -> list[str]:
    """Return strategies that fewer than `LEAST` groups of sets, or not all where there are fewer, tell of."""
    wanted = min(LEAST, len(grouped))
    return [
        name
        for name, gain in over.items()
        if sum(any(one in gain for one in group) for group in grouped) < wanted
    ]


def clearly_better(over: Gains, grouped: Sequence[Sequence[str]], allowed: Iterable[str]) -> list[str]:
    """Return strategies whose interval over groups of sets lies above 0, at 5 % over as many as are looked at.

    Args:
        over: differences to random or to margin.
        grouped: sets that share data.
        allowed: strategies to look at.
    """
    alike = {name: dict.fromkeys(found, 1.0) for name, found in over.items()}
    found = {
        name: witnesses(over[name], grouped, alike[name])[0] for name in sorted(set(allowed) & set(over))
    }
    # what is held against itself differs nowhere, and is not looked at
    seen = {name: means for name, means in found.items() if len(means) >= LEAST and any(means)}
    told = {name: weighed(means, level=1 - 0.05 / len(seen)).low for name, means in seen.items()}
    return [name for name, low in told.items() if low is not None and low > 0]


def recommend(
    facts: Facts,
    board: Leaderboard,
    can: Iterable[str],
    *,
    barred: Mapping[str, str] | None = None,
    rule: str = "overall",
    top: int = 3,
    too_much: Callable[[str], str | None] | None = None,
) -> Recommendation:
    """Return the strategies that the suite speaks for, the best first.

    Args:
        facts: of the pool.
        board: what was measured.
        can: strategies that can run there.
        barred: why others cannot.
        rule: "overall": by what is expected over all groups of sets, which weigh alike; "similar": groups weigh by their
            likeness to the pool; "cautious": margin before all others, unless some strategy is clearly better than it.
        top: how many.
        too_much: told a strategy, says why it takes too long or too much memory there; None: it does not. It is asked
            of as few as it takes to find `top`.

    Raises:
        InputError: nothing that can run was measured.
    """
    sets = [one for one in board.sets.values() if speaks(one, facts)]
    allowed = set(can)
    if not sets:
        raise InputError(
            f"The suite holds no set of {'several modalities' if facts.modalities > 1 else 'one modality'} with runs of random "
            "and of margin: there is no evidence."
        )
    grouped = groups(sets)
    near = nearest(facts, sets)
    apart = independent(near, grouped)[:SHOWN]
    weights = {like.set.name: like.weight if rule == "similar" else 1.0 for like in near}
    over_random, over_margin = gains(sets, RANDOM), gains(sets, MARGIN)
    told = expected(over_margin, grouped, weights, rule)
    above_margin = clearly_better(over_margin, grouped, allowed)
    first = (above_margin or [MARGIN]) if rule == "cautious" else []
    ranked = [
        name
        for name in order(told, first, thin(over_margin, grouped))
        if name in allowed and name in over_random
    ]
    if not ranked:
        raise InputError(
            "No strategy that can run there was measured in the suite. "
            "Another --model may help: `labelwise recipes` lists them."
        )
    placed = {like.set.name: _placed(like.set) for like in apart}

    def choice(name: str) -> Choice:
        gain, worth = witnesses(over_random[name], grouped, weights)
        beside, its = witnesses(over_margin[name], grouped, weights)
        on = {like.set.name: over_random[name].get(like.set.name) for like in apart}
        there = [(value, which) for which, value in on.items() if value is not None]
        seen = [ranked[name] for ranked in placed.values() if name in ranked]
        took = [like.set.methods[name].seconds for like in apart if name in like.set.methods]
        known = [seconds for seconds in took if seconds is not None]
        return Choice(
            name,
            told[name],
            weighed(gain, worth),
            weighed(beside, its),
            len(gain),
            on,
            (min(there)[1], min(there)[0]) if there else None,
            (float(np.mean([r for r, _ in seen])), float(np.mean([of for _, of in seen]))) if seen else None,
            float(np.mean(known)) if known else None,
        )

    taken: list[str] = []
    refused: dict[str, str] = {}
    for name in ranked:
        if len(taken) == top:
            break
        if too_much is not None and (why := too_much(name)) is not None:
            refused[name] = why
        else:
            taken.append(name)
    if not taken:
        raise InputError(
            f"Every strategy that could be taken takes too long or too much memory here; the first, {ranked[0]}: "
            f"{refused[ranked[0]]}."
        )
    return Recommendation(
        facts, rule, tuple(map(choice, taken)), choice(MARGIN) if MARGIN in ranked else None,
        tuple(clearly_better(over_random, grouped, allowed)), tuple(above_margin), tuple(apart),
        len(sets), len(grouped), tuple(outside(facts, sets)), dict(barred or {}), refused,
        tuple(sorted(allowed - set(over_random))),
    )  # fmt: skip


def independent(near: Sequence[Likeness], grouped: Sequence[Sequence[str]]) -> list[Likeness]:
    """Return of each group the set most like the pool, the most like first."""
    of = {name: g for g, names in enumerate(grouped) for name in names}
    found: dict[int, Likeness] = {}
    for like in near:
        found.setdefault(of[like.set.name], like)
    return list(found.values())


def _placed(one: DataSet) -> dict[str, tuple[float, int]]:
    """Return the rank of each strategy on a set, and among how many."""
    names = sorted(one.methods)
    found = ranks([[float(np.mean(one.methods[name].aubc)) for name in names]])[0]
    return {name: (float(rank), len(names)) for name, rank in zip(names, found.tolist(), strict=True)}


def as_json(told: Recommendation) -> dict[str, Any]:
    """Return it as plain JSON values; differences of accuracy in [-1, 1]."""

    def interval(found: Weighed) -> dict[str, float | None]:
        return {
            "mean": found.mean, "low": found.low, "high": found.high, "next_low": found.next_low, "next_high": found.next_high
        }  # fmt: skip

    def of(choice: Choice) -> dict[str, Any]:
        return {
            "strategy": choice.name,
            "expected_over_margin": choice.expected,
            "over_random": interval(choice.gain),
            "over_margin": interval(choice.over_margin),
            "clearly_over_random": choice.name in told.above_random,
            "clearly_over_margin": choice.name in told.above_margin,
            "materials": choice.materials,
            "on": dict(choice.on),
            "worst": None if choice.worst is None else {"set": choice.worst[0], "over_random": choice.worst[1]},
            "rank": None if choice.rank is None else {"mean": choice.rank[0], "of": choice.rank[1]},
            "seconds": choice.seconds,
        }  # fmt: skip

    return {
        "facts": dict(vars(told.facts)),
        "rule": told.rule,
        "choices": [of(choice) for choice in told.choices],
        "margin": None if told.margin is None else of(told.margin),
        "near": [
            {"set": like.set.name, "steps": like.steps, "weight": like.weight, "apart": list(like.apart)}
            for like in told.near
        ],
        "sets": told.sets,
        "materials": told.materials,
        "outside": list(told.outside),
        "cannot_run": dict(told.barred),
        "too_much": dict(told.refused),
        "not_measured": list(told.unknown),
    }
