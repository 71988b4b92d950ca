"""Where strategies stand over many settings: mean ranks, whether they differ, wins, ties and losses."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from labelwise.bench.findings import Setting, Standing, common_seeds
from labelwise.functional.ranking import alike, critical_difference, friedman, ranks, win_tie_loss

LEAST = 3  # settings, strategies, and seeds of each
DIGITS = 12  # areas that differ by rounding alone share a rank


def standing(settings: Sequence[Setting]) -> Standing | None:
    """Return where strategies stand; None where no three settings share three strategies with three seeds each.

    Ranks need every strategy in every setting. Of the possible blocks the one with the most cells is counted:
    strategies that only some settings have, or settings that lack some strategies, are left out. Ranks are of means over
    the seeds that all strategies of the block have in a setting, where these are three or more.
    """
    known = [
        (setting, frozenset(s.name for s in setting.strategies if len(s.seeds) >= LEAST))
        for setting in settings
        if not setting.preliminary and setting.span[0] < setting.span[1]
    ]
    blocks = {a & b for _, a in known for _, b in known}
    if known:
        blocks.add(frozenset.intersection(*(names for _, names in known)))
    best: tuple[tuple[int, int, tuple[str, ...]], list[Setting]] | None = None
    for block in blocks:
        counted = [setting for setting, names in known if block <= names]
        if len(block) >= LEAST and len(counted) >= LEAST:
            size = (len(block) * len(counted), len(counted), tuple(sorted(block)))
            if best is None or size > best[0]:
                best = (size, counted)
    if best is None:
        return None
    (_, _, names), counted = best
    rows = []
    for one in counted:
        beside = [one.summary(name) for name in names]
        same = common_seeds(beside, LEAST)
        rows.append([summary.mean_area(same) for summary in beside])
    means = np.array(rows).round(DIGITS)
    mean_ranks = ranks(means).mean(axis=0)
    order = np.lexsort((np.arange(len(names)), mean_ranks))
    seeds = sorted({seed for s in counted for name in names for seed in s.summary(name).seeds})
    areas = np.full((len(counted), len(names), len(seeds)), np.nan)
    for k, setting in enumerate(counted):
        for a, name in enumerate(names):
            summary = setting.summary(name)
            for seed, area in zip(summary.seeds, summary.areas, strict=True):
                areas[k, a, seeds.index(seed)] = area
    outcomes = win_tie_loss(areas[:, order])
    difference = critical_difference(len(names), len(counted))
    return Standing(
        tuple(names[k] for k in order),
        tuple(mean_ranks[order].tolist()),
        tuple(setting.title for setting in counted),
        tuple(sorted({name for _, mine in known for name in mine} - set(names))),
        friedman(means),
        difference,
        tuple(alike(mean_ranks[order], difference)),
        tuple(map(tuple, outcomes.wins.tolist())),
        tuple(map(tuple, outcomes.ties.tolist())),
    )
