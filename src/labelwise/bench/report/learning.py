"""How a policy that learns as it goes has learnt: rewards, advantage, entropy and losses, round by round."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from labelwise.bench.findings import Setting
from labelwise.bench.report.health import MOST_SEEDS, mean
from labelwise.bench.report.noted import labels_before, number
from labelwise.bench.report.panels import small_multiple, spread
from labelwise.bench.results import Run
from labelwise.bench.settings import Group
from labelwise.bench.words import count, listed, seeds

ENTROPY, PREFERENCE, UPDATES, ADVANTAGE, REWARD, BASELINE = (
    "policy entropy",
    "policy preference",
    "updates",
    "advantage",
    "reward",
    "baseline",
)
# note -> (title, percent); losses lie in a table of their own under "losses"
PANELS = {
    REWARD: ("reward", True),
    BASELINE: ("baseline", True),
    ADVANTAGE: ("advantage", True),
    ENTROPY: ("entropy", False),
    PREFERENCE: ("preference", False),
    UPDATES: ("updates", False),
    "policy": ("loss: policy", False),
    "modality": ("loss: modalities", False),
    "difficulty": ("loss: difficulty", False),
    "mean difficulty": ("mean difficulty", False),
    "mean diversity": ("mean diversity", False),
    "difficulty threshold": ("hard from", False),
}
LOSSES = ("policy", "modality", "difficulty")
# note -> values that its axis shows in any case
SEEN = {REWARD: (0.0,), BASELINE: (0.0,), ADVANTAGE: (0.0,), ENTROPY: (0.95, 1.0), PREFERENCE: (1.0,)}
UNDECIDED = 0.98  # of the most entropy there is


@dataclass(frozen=True, eq=False)
class Learning:
    """What the runs of one strategy noted of their policy, NaN where a round says nothing.

    Attributes:
        strategy: its name in the report.
        kinds: of reward.
        rounds: (R,) in which any run noted an entropy or updates.
        labels: (S, R) labels bought before each.
        values: note -> (S, R).
    """

    strategy: str
    kinds: tuple[str, ...]
    rounds: tuple[int, ...]
    labels: NDArray[np.float64]
    values: Mapping[str, NDArray[np.float64]]


def learnings(setting: Setting, found: Group) -> list[Learning]:
    """Return one for each strategy that noted a policy's entropy or updates, best strategy first."""
    told = [learning(s.name, found.compared[s.name]) for s in setting.strategies]
    return [one for one in told if one.rounds]


def learning(strategy: str, runs: Sequence[Run]) -> Learning:
    """Return what some runs of a strategy, one a seed, noted; without rounds where they noted nothing of the kind."""
    noting = [
        [
            a
            for a in run.state.asks
            if number(a.notes, ENTROPY) is not None or number(a.notes, UPDATES) is not None
        ]
        for run in runs
    ]
    rounds = tuple(sorted({ask.round for asks in noting for ask in asks}))
    values = {name: np.full((len(runs), len(rounds)), np.nan) for name in PANELS}
    labels = np.full((len(runs), len(rounds)), np.nan)
    kinds: dict[str, None] = {}
    for k, (run, asks) in enumerate(zip(runs, noting, strict=True)):
        bought = labels_before(run)
        for ask in asks:
            column = rounds.index(ask.round)
            labels[k, column] = bought.get(ask.round, 0)
            losses = ask.notes.get("losses")
            for name in PANELS:
                table = losses if name in LOSSES else ask.notes
                value = number(table, name) if isinstance(table, Mapping) else None
                if value is not None:
                    values[name][k, column] = value
            if isinstance(kind := ask.notes.get("reward kind"), str) and kind:
                kinds[kind[:40]] = None
    return Learning(strategy, tuple(kinds)[:3], rounds, labels, values)


def shown(told: Sequence[Learning], palette: Mapping[str, str], name: str) -> dict[str, Any]:
    """Return what the template shows of the policies of a setting.

    Args:
        told: at least one.
        palette: strategy -> colour.
        name: prefix of the figures' ids.
    """
    some = " (thin: the first five)" if any(len(one.labels) > MOST_SEEDS for one in told) else " (thin)"
    several = any(len(one.labels) > 1 for one in told)
    lines = f"mean over seeds (thick), each seed{some}" if several else "one seed"
    return {
        "panels": [
            panel
            for k, note in enumerate(PANELS)
            if (panel := _panel(note, told, palette, f"{name}-{k}")) is not None
        ],
        "key": [{"name": one.strategy, "colour": palette[one.strategy]} for one in told],
        "readings": [reading(one) for one in told],
        "caption": f"What the policy noted when it chose, against the labels bought by then; {lines}. Reward, baseline and "
        "advantage are those of the last update, in validation accuracy; entropy is 1 where every candidate is as "
        "likely as any other, and preference how many times likelier the likeliest is than an even draw would make it; difficulty and diversity are means over the pool, and samples are hard from the threshold on. "
        "Rounds that note nothing are left out.",
    }


def reading(one: Learning) -> str:
    """Return one sentence that reads what a policy noted: how often it learnt, from what, and whether it decides."""
    made = one.values[UPDATES]
    each = [row[np.isfinite(row)] for row in made]
    most = [float(row.max()) for row in each if row.size]
    parts = []
    if most:
        size = f"{min(most):g}" if min(most) == max(most) else f"{min(most):g} to {max(most):g}"
        parts.append(f"{size} {'update' if size == '1' else 'updates'} a run ({seeds(len(most))})")
    if one.kinds:
        parts.append(f"reward: {listed(one.kinds)}")
    entropy = mean(one.values[ENTROPY])
    entropy = entropy[np.isfinite(entropy)]
    if entropy.size:
        first, last = float(entropy[0]), float(entropy[-1])
        went = (
            f"entropy {first:.2f}"
            if entropy.size == 1
            else f"entropy {first:.2f} at first, {last:.2f} at last"
        )
        verdict = (
            "it hardly prefers one candidate to another, so the draw is near chance among them"
            if last >= UNDECIDED
            else "it prefers some candidates to others"
        )
        parts.append(f"{went}: {verdict}")
    advantage = one.values[ADVANTAGE][np.isfinite(one.values[ADVANTAGE])]
    if advantage.size:
        above = int((advantage > 0).sum())
        parts.append(f"advantage above 0 in {count(above)} of {count(advantage.size)} rounds")
    return (
        f"{one.strategy}: {'; '.join(parts)}."
        if parts
        else f"{one.strategy}: nothing noted that can be read."
    )


def _panel(note: str, told: Sequence[Learning], palette: Mapping[str, str], name: str) -> Markup | None:
    """Return one panel; None where no run noted this."""
    title, percent = PANELS[note]
    lines, faint = {}, []
    ends = []
    for one in reversed(told):  # the best strategy is drawn last, on top
        values = one.values[note]
        if not np.isfinite(values).any():
            continue
        at, centre = mean(one.labels), mean(values)
        known = np.isfinite(centre)
        lines[one.strategy] = (at[known].tolist(), centre[known].tolist())
        ends.append(centre)
        for x, y in zip(one.labels[:MOST_SEEDS], values[:MOST_SEEDS], strict=True):
            if len(values) > 1:
                seen = np.isfinite(y)
                faint.append((one.strategy, x[seen].tolist(), y[seen].tolist()))
                ends.append(y)
    if not lines:
        return None
    low_end, high_end = spread([*ends, np.array(SEEN.get(note, ()))])
    if high_end - low_end < 1e-4:  # an axis that shows only rounding
        low_end, high_end = low_end - 0.5, high_end + 0.5
    at = np.concatenate([one.labels.ravel() for one in told])
    svg = small_multiple(
        title, lines, palette, name, low=low_end, high=high_end, percent=percent, faint=faint,
        level=0.0 if low_end < 0 < high_end else None, whole=note == UPDATES,
        span=(float(np.nanmin(at)), float(np.nanmax(at))),
    )  # fmt: skip
    return Markup(svg)  # noqa: S704 - see `why.safe`
