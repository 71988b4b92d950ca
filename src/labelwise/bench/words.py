"""Findings as sentences and numbers as text: what can be said, against what, by how much, and what cannot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from labelwise.bench.findings import Pair, Power, Setting, Summary
from labelwise.bench.names import CHEATS, REFERENCE, REFERENCES


def percent(value: float, places: int = 1) -> str:
    """Return an accuracy as a person writes it: 0.9034 as "90.3 %", whole numbers without a decimal point."""
    text = f"{100 * value:.{places}f}"
    return f"{text.rstrip('0').rstrip('.') if '.' in text else text} %"


def points(value: float) -> str:
    """Return a difference of accuracies in percentage points, two digits that mean something: 0.0081 as "0.81"."""
    size = abs(100 * value)
    return f"{100 * value:.1f}" if size >= 0.95 else f"{100 * value:.2f}"


def count(value: float) -> str:
    """Return a number of labels: 1250.4 as "1,250"."""
    return f"{value:,.0f}"


def listed(names: Sequence[str]) -> str:
    """Return names as prose: "a", "a and b", "a, b and c"."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def ratio(value: float) -> str:
    """Return a ratio with two digits that mean something: 0.0031 as "0.0031", 0.42 as "0.42", 3.14 as "3.1"."""
    return f"{value:.1f}" if value >= 0.995 else f"{value:.2g}"


def seeds(n: int) -> str:
    """Return "1 seed" or "5 seeds"."""
    return f"{n} seed" if n == 1 else f"{n} seeds"


def spoken(setting: Setting) -> Setting:
    """Return the setting with verdict, headline and detail filled in."""
    verdict, headline, detail = _say(setting)
    if setting.preliminary:
        headline = f"Preliminary, to {count(setting.span[1])} labels: {headline}"
    said = (*detail, *_shown_by_seeds(setting, verdict))
    return replace(setting, verdict=verdict, headline=_capital(headline), detail=said)


def _shown_by_seeds(setting: Setting, verdict: str) -> list[str]:
    """Return what "mostly invisible" means, where there is a size to say; whole where the headline does not have it."""
    power = setting.power
    if power is None or power.difference >= 1:
        return []
    how = "(paired t-test at 5 % after Holm's correction, seeds that spread like the median strategy's)"
    if verdict in ("none", "worse"):
        return [
            f"A true difference of {points(power.difference)} points would be found in 4 of 5 such experiments {how}."
        ]
    return [
        f"With {seeds(power.seeds)}, true differences in {setting.area} under {points(power.difference)} points from {setting.reference} are "
        f"mostly invisible here: one of that size would be found in 4 of 5 such experiments {how}."
    ]


def overall(settings: Sequence[Setting]) -> str:
    """Return the one sentence of a report."""
    if len(settings) == 1:
        return settings[0].headline
    better = [s for s in settings if s.verdict == "better"]
    worse = [s for s in settings if s.verdict == "worse"]
    tested = [s for s in settings if s.verdict not in ("untested", "alone")]
    if not tested:
        return f"Nothing can be told apart in these {len(settings)} settings: differences need two or more seeds of two strategies."
    reference = {s.reference for s in tested}
    against = reference.pop() if len(reference) == 1 else "the reference"
    if better:
        gain = max(better, key=lambda s: _gain(s))
        where = f"{len(better)} of {len(settings)} settings"
        return f"Some strategy is better than {against} in {where}; most clearly in {gain.title}: {gain.headline}"
    lost = f" In {len(worse)} of them some strategy is worse." if worse else ""
    powers = [s.power for s in tested if s.power is not None]
    blind = f": {_blind(max(powers, key=lambda one: one.difference))}" if powers else ""
    return f"No strategy is better than {against} in any of {len(settings)} settings{blind}.{lost}"


def _blind(power: Power | None, area: str = "AUBC") -> str:
    """Return how small a difference may be and still be seen; from 1 on none that accuracies can have."""
    if power is None or power.difference >= 1:
        return "so few seeds cannot show any difference, however large; five make a useful interval"
    size = points(power.difference)
    return f"with {seeds(power.seeds)}, true differences in {area} under {size} points are mostly invisible"


def _gain(setting: Setting) -> float:
    pair = setting.pair(setting.strategies[0].name, "aubc")
    return 0.0 if pair is None else pair.mean


def _areas(setting: Setting) -> list[Pair]:
    return [p for p in setting.pairs if p.measure == "aubc" and p.against == setting.reference]


def _say(setting: Setting) -> tuple[str, str, list[str]]:
    best, detail = setting.strategies[0], []
    if len(setting.strategies) == 1:
        if setting.by_people:
            text = f"The model reaches {percent(best.final.mean)} with {count(setting.span[1])} labels bought"
            if not setting.one_fit:
                text += f"; it began at {percent(best.curve[0].mean)} with {count(setting.span[0])}"
            return "alone", f"{text}.", []
        return (
            "alone",
            _alone(setting, best),
            [f"There is nothing to compare {best.name} with: run {REFERENCE} as well."],
        )
    pairs = _areas(setting)
    if setting.reference not in REFERENCES:
        detail.append(
            f"There is no {REFERENCE} run: the others are compared with the weakest, {setting.reference}."
        )
    if all(p.p_holm is None for p in pairs):
        listing = "; ".join(f"{s.name} {percent(s.aubc.mean)}" for s in setting.strategies)
        return (
            "untested",
            f"One seed tells nothing about which {setting.noun} is better: "
            f"{'accuracy' if setting.one_fit else 'mean accuracy over the curve'} is {listing}.",
            [*detail, f"Run two or more seeds of each {setting.noun}; five make a useful interval."],
        )
    better = [p for p in pairs if p.clear and p.mean > 0]
    worse = [p for p in pairs if p.clear and p.mean < 0]
    if worse:
        detail.append(
            f"{_capital(listed([p.strategy for p in worse]))} {'is' if len(worse) == 1 else 'are'} worse than {setting.reference}."
        )
    if better:
        fair = [p for p in better if CHEATS not in p.strategy] or better
        first = next((p for p in fair if p.strategy == best.name), fair[0])
        others = [p.strategy for p in better if p is not first]
        if others:
            detail.insert(
                0,
                f"{_capital(listed(others))} {'is' if len(others) == 1 else 'are'} better than {setting.reference}, too.",
            )
        if len(setting.strategies) > 2 and setting.bold["aubc"] is None:
            detail.append("The best and the second best cannot be told apart with these seeds.")
        return "better", _better(setting, first), detail
    if not any(value for p in pairs for value in p.values):
        return (
            "none",
            f"Every {setting.noun} has the same accuracy here with every seed: there is nothing to tell apart.",
            detail,
        )
    blind, noun = _blind(setting.power, setting.area), setting.noun
    if worse:
        return "worse", f"No {noun} is better than {setting.reference} here: {blind}.", detail
    return "none", f"No {noun} differs from {setting.reference} here: {blind}.", detail


def _alone(setting: Setting, best: Summary) -> str:
    reach = [r for r in best.reach if r.labels is not None]
    n = seeds(len(best.seeds))
    if not reach:
        return f"{best.name} ended at {percent(best.final.mean)} with {count(setting.span[1])} labels ({n})."
    last = reach[-1]
    assert last.labels is not None
    spread = "" if last.labels.high is None else f" ± {count(last.labels.high - last.labels.mean)}"
    return f"{best.name} reached {percent(last.target)} with {count(last.labels.mean)}{spread} labels ({n})."


def _better(setting: Setting, area: Pair) -> str:
    """Return the sentence for a strategy that is clearly better: in labels where they say it, else in area."""
    both = [setting.summary(name) for name in (area.strategy, setting.reference)]
    labels = setting.pair(area.strategy, "labels")
    # Numbers that stand beside their difference must be of the seeds that it is of, or they do not add up.
    same = both[0].seeds == both[1].seeds
    if setting.target is not None and labels is not None and labels.clear and labels.mean > 0 and same:
        mine = _mean_needed(setting, area.strategy)
        theirs = _mean_needed(setting, setting.reference)
        if mine is not None and theirs is not None and labels.half is not None:
            return (
                f"{area.strategy} reached {percent(setting.target)} with {count(mine)} labels; {setting.reference} "
                f"needed {count(theirs)} ({seeds(len(labels.seeds))}, difference {count(round(theirs) - round(mine))} ± "
                f"{count(labels.half)})."
            )
    assert area.half is not None  # a clear pair has three seeds
    return (
        f"{area.strategy} is better than {setting.reference} "
        f"{f'with {count(setting.span[1])} labels: accuracy' if setting.one_fit else 'along the curve: mean accuracy'} "
        f"{' against '.join(percent(one.mean_area(area.seeds)) for one in both)} ({seeds(len(area.seeds))}, difference "
        f"{points(area.mean)} ± {points(area.half)} points)."
    )


def _mean_needed(setting: Setting, name: str) -> float | None:
    found = next((r for r in setting.summary(name).reach if r.target == setting.target), None)
    return None if found is None or found.labels is None else found.labels.mean


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
