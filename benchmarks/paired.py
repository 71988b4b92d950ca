"""Kept runs beside one another: areas, differences paired by seed, ranks and penalties, and how they are told."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from kept import place_of
from labelwise.functional.curves import Difference, aubc, paired_difference, penalty_matrix, win_counts

LEAST = 5  # seeds, for an interval by resampling


class Table:
    """The committed runs, by set, method and seed.

    Args:
        runs: what is kept of each.
        ours: methods that are not among those that the best classical one is chosen from.
    """

    def __init__(self, runs: Iterable[dict[str, Any]], ours: Iterable[str] = ()) -> None:
        self.ours = (*ours, "random")
        self.runs = {place_of(row): row for row in runs}
        self.sets = list(dict.fromkeys(place[0] for place in self.runs))

    def methods(self, name: str) -> list[str]:
        """Return the methods with a run on a set."""
        return list(dict.fromkeys(place[1] for place in self.runs if place[0] == name))

    def seeds(self, name: str, method: str) -> list[int]:
        """Return the seeds of a method on a set."""
        return sorted(place[2] for place in self.runs if place[:2] == (name, method))

    def areas(self, name: str, method: str, seeds: Iterable[int]) -> np.ndarray:
        """Return the AUBC of each seed."""
        rows = [self.runs[name, method, seed] for seed in seeds]
        return np.array([aubc(row["labels"], row["accuracy"]) for row in rows])

    def last(self, name: str, method: str, seeds: Iterable[int]) -> np.ndarray:
        """Return the accuracy after the budget is spent, of each seed."""
        return np.array([self.runs[name, method, seed]["accuracy"][-1] for seed in seeds])

    def difference(self, name: str, method: str, against: str) -> Difference:
        """Return the mean difference in AUBC, over the seeds that both have, at least one."""
        both = sorted(set(self.seeds(name, method)) & set(self.seeds(name, against)))
        return paired_difference(self.areas(name, method, both), self.areas(name, against, both))

    def beside(self, method: str, against: str) -> tuple[int, int, int]:
        """Return on how many sets a method is clearly ahead of another, clearly behind it, and how many have both."""
        found = [
            self.difference(name, method, against)
            for name in self.sets
            if set(self.seeds(name, method)) & set(self.seeds(name, against))
        ]
        ahead, behind = (sum(clear(d) and d.mean * sign > 0 for d in found) for sign in (1, -1))
        return ahead, behind, len(found)

    def best_classical(self, name: str) -> str:
        """Return the best of the methods that are not ours, by AUBC beside random's of the same seeds."""
        rest = [m for m in self.methods(name) if m not in self.ours]
        return max(rest, key=lambda m: self.difference(name, m, "random").mean)

    def everywhere(self) -> list[str]:
        """Return the methods with enough seeds on all sets."""
        return [
            m
            for m in self.methods(self.sets[0])
            if all(len(self.seeds(name, m)) >= LEAST for name in self.sets)
        ]

    def ranks(self, methods: list[str], together: Iterable[Sequence[str]] | None = None) -> dict[str, float]:
        """Return each method's mean rank by AUBC over the sets, over seeds that all these methods have there.

        Args:
            methods: to be ranked.
            together: groups of sets, each of which counts once; None: every set counts.
        """
        counted: list[list[list[int]]] = []  # group, set, method
        for names in together or [(name,) for name in self.sets]:
            there = [
                (name, sorted(both))
                for name in names
                if (both := set.intersection(*(set(self.seeds(name, m)) for m in methods)))
            ]
            means = [[self.areas(name, m, both).mean() for m in methods] for name, both in there]
            if means:
                counted.append([[1 + sum(other > mine for other in row) for mine in row] for row in means])
        found = np.mean([np.mean(ranks, axis=0) for ranks in counted], axis=0)
        return dict(zip(methods, found.tolist(), strict=True))


def penalties(table: Table, methods: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return both forms of the penalty matrix over all sets, over seeds that all these methods have there."""
    tested, wins = np.zeros((len(methods), len(methods))), np.zeros((len(methods), len(methods)), np.int64)
    for name in table.sets:
        both = sorted(set.intersection(*(set(table.seeds(name, m)) for m in methods)))
        if len(both) < 2:
            continue
        labels = table.runs[name, methods[0], both[0]]["labels"]
        curves = np.array([[table.runs[name, m, s]["accuracy"] for s in both] for m in methods])
        tested += penalty_matrix(curves[None], labels, labels[1] - labels[0], methods.index("random"))
        wins += win_counts(curves[None])
    return tested, wins


def clear(found: Difference) -> bool:
    """Return whether a paired t-test over three seeds or more finds a difference (p < 0.05)."""
    return found.p is not None and found.p < 0.05 and found.n >= 3


def told(found: Difference, scale: float = 100) -> str:
    text = f"{scale * found.mean:+.2f}"
    if found.low is not None and found.high is not None and found.n >= LEAST:
        text += f" [{scale * found.low:+.2f}, {scale * found.high:+.2f}]"
    else:
        text += f" ({found.n} {'seed' if found.n == 1 else 'seeds'})"
    return f"**{text}**" if clear(found) else text


def counted(table: Table, method: str, against: str) -> str:
    """Return on how many sets a method is clearly ahead of another, and clearly behind, in words."""
    ahead, behind, sets = table.beside(method, against)
    return f"ahead on {ahead} of {sets} sets, behind on {behind}"


def beaten(table: Table) -> list[str]:
    """Return the penalty matrix over all sets, as a section of a page."""
    everywhere = table.everywhere()
    tested, wins = penalties(table, everywhere)
    order = np.argsort(tested.mean(axis=0), kind="stable")
    names = [everywhere[k] for k in order]
    lines = [
        "## Who beats whom", "",
        "Row beats column: left of the stroke, the share of checkpoints with a significant difference (p < 0.05), summed over "
        "sets; right of it, at how many budgets the row's mean is higher.", "",
        f"| | {' | '.join(f'`{m}`' for m in names)} |", f"|:--{'|--:' * len(names)}|",
    ]  # fmt: skip
    for i, k in enumerate(order):
        cells = [f"{tested[k, j]:.1f} / {wins[k, j]}" if j != k else "" for j in order]
        lines.append(f"| `{names[i]}` | {' | '.join(cells)} |")
    return [*lines, f"| **mean of the column** | {' | '.join(f'{tested[:, j].mean():.2f}' for j in order)} |", ""]  # fmt: skip
