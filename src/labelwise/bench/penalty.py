"""Who beats whom: the pairwise penalty matrix over a report's settings, with and without a test."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from labelwise.bench.findings import Penalty, Setting, common_seeds
from labelwise.bench.settings import RunCurve
from labelwise.functional.curves import penalty_matrix, win_counts

LEAST = 3  # strategies, and seeds of each


def penalty(settings: Sequence[Setting]) -> Penalty | None:
    """Return both forms of the penalty matrix; None where no setting has three strategies with three seeds each.

    A setting is looked at after its start and after each batch; runs whose rounds are uneven (passes) are read
    between their fits. Its reference says when curves have settled. The form without a test looks at means over the
    seeds that all its strategies have, where these are three or more.
    """
    counted = []
    for setting in settings:
        names = [s.name for s in setting.strategies if len(s.seeds) >= LEAST]
        if len(names) >= LEAST and setting.reference in names and setting.span[0] < setting.span[1]:
            counted.append((setting, names))
    if not counted:
        return None
    everyone = list(dict.fromkeys(name for _, names in counted for name in names))
    tested = np.zeros((len(everyone), len(everyone)))
    wins = np.zeros_like(tested, dtype=np.int64)
    met = np.zeros_like(tested, dtype=np.bool_)
    budgets = 0
    for setting, names in counted:
        batch = int(setting.shared["plan"]["batch"])
        first, last = setting.span
        grid = np.unique([*range(first, last, batch), last])
        accuracy = _accuracies(setting, names, grid.tolist())[None]  # (1, A, seeds, r)
        place = np.ix_(*[[everyone.index(name) for name in names]] * 2)
        tested[place] += penalty_matrix(accuracy, grid, batch, names.index(setting.reference))
        wins[place] += win_counts(accuracy[:, :, _of_all(setting, names)])
        met[place] = True
        budgets += grid.size
    order = sorted(range(len(everyone)), key=lambda k: (tested[:, k].mean(), wins[:, k].mean(), everyone[k]))
    both = np.ix_(order, order)
    references = {setting.reference for setting, _ in counted}
    return Penalty(
        tuple(everyone[k] for k in order),
        tuple(map(tuple, tested[both].tolist())),
        tuple(map(tuple, wins[both].tolist())),
        tuple(map(tuple, met[both].tolist())),
        len(counted),
        budgets,
        references.pop() if len(references) == 1 else "the reference",
    )


def _of_all(setting: Setting, names: Sequence[str]) -> list[int]:
    """Return the places, among all seeds in order, of those whose means are compared."""
    summaries = [setting.summary(name) for name in names]
    same = common_seeds(summaries, LEAST)
    return [k for k, seed in enumerate(sorted({s for one in summaries for s in one.seeds})) if seed in same]


def _accuracies(setting: Setting, names: Sequence[str], grid: Sequence[int]) -> NDArray[np.float64]:
    """Return (A, seeds, r) accuracies; NaN where a strategy has no finished run of a seed."""
    seeds = sorted({seed for name in names for seed in setting.summary(name).seeds})
    values = np.full((len(names), len(seeds), len(grid)), np.nan)
    for a, name in enumerate(names):
        summary = setting.summary(name)
        runs: dict[int, RunCurve] = {run.seed: run for run in summary.runs}
        for seed in summary.seeds:
            values[a, seeds.index(seed)] = np.interp(grid, runs[seed].labels, runs[seed].accuracy)
    return values
