"""Small multiples of modalities over the labels bought: contributions, own accuracy, weights, and how even they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup

from labelwise.bench.report.contributions import Contributions, Floats, Modal, bounds
from labelwise.bench.report.panels import small_multiple, spread

LEAST_SEEDS = 3  # of a band
Line = tuple[list[float], list[float]]
Band = tuple[list[float], list[float], list[float]]


def groups_of_panels(found: Modal, palette: Mapping[str, str], name: str) -> list[dict[str, Any]]:
    """Return groups of panels, each with its caption; only those that some strategy tells.

    Args:
        found: of a setting.
        palette: strategy -> colour.
        name: prefix of the figures' ids.
    """
    groups = []
    names = found.modalities
    best_last = list(reversed(found.strategies))  # drawn on top
    kinds: list[tuple[str, str, bool, float | None, str]] = [
        ("shapley", "φ", False, 0.0,
         "Shapley values φ of accuracy: what each modality adds to the accuracy of the fusion, averaged over the orders in "
         "which modalities can join; they sum to the accuracy with all less that with none. Measured on data that no strategy "
         "sees."),
        ("accuracy", "alone", True, None, "Accuracy of each modality's own head, without the others."),
        ("weights", "weight", False, 1 / len(names),
         "The weight that a strategy gave each modality; dashed: all alike. Strategies that note none are not drawn."),
    ]  # fmt: skip
    for kind, title, share, level, words in kinds:
        drawn = _panels(kind, title, best_last, names, palette, f"{name}-{kind}", share=share, level=level)
        if drawn and kind == "shapley":
            drawn.append(_dispersion(best_last, palette, f"{name}-dispersion"))
        if drawn:
            groups.append({"panels": drawn, "caption": words})
    return groups


def _panels(
    kind: str,
    title: str,
    told: Sequence[Contributions],
    names: Sequence[str],
    palette: Mapping[str, str],
    name: str,
    *,
    share: bool,
    level: float | None,
) -> list[Markup]:
    """Return one panel a modality, a line for each strategy that tells this."""
    known = {c.strategy: c for c in told if np.isfinite(getattr(c, kind)).any()}
    if not known:
        return []
    made = {s: _banded(getattr(c, kind)) for s, c in known.items()}
    low, high = _frame(list(made.values()))
    if level is not None and kind == "weights":
        low, high = min(low, level - 0.02), max(high, level + 0.02)
    panels = []
    for m, modality in enumerate(names):
        lines, bands = {}, {}
        for strategy, (centre, below, above) in made.items():
            if not np.isfinite(centre[:, m]).any():
                continue
            at = known[strategy].weight_labels if kind == "weights" else known[strategy].labels
            lines[strategy], bands[strategy] = _drawn(at, centre[:, m], below[:, m], above[:, m])
        if not lines:
            continue
        svg = small_multiple(
            f"{modality}: {title}", lines, palette, f"{name}-{m}", low=low, high=high, percent=share, bands=bands,
            level=level if level is not None and low < level < high else None, width=300, height=190,
        )  # fmt: skip
        panels.append(Markup(svg))  # noqa: S704 - see `why.safe`
    return panels


def _dispersion(told: Sequence[Contributions], palette: Mapping[str, str], name: str) -> Markup:
    made = {c.strategy: (c.labels, *_banded(c.dispersion)) for c in told if np.isfinite(c.dispersion).any()}
    low, high = _frame([part[1:] for part in made.values()])
    drawn = {strategy: _drawn(*part) for strategy, part in made.items()}
    svg = small_multiple(
        "D(φ): lower is more even", {s: line for s, (line, _) in drawn.items()}, palette, name, low=max(low, 0.0),
        high=high, percent=False, bands={s: band for s, (_, band) in drawn.items()}, width=300, height=190,
    )  # fmt: skip
    return Markup(svg)  # noqa: S704 - see `why.safe`


def _banded(values: Floats) -> tuple[Floats, Floats, Floats]:
    """Return mean, low and high over seeds; of two seeds no interval, which would fill the panel and say nothing."""
    centre, low, high = bounds(values)
    few = np.isfinite(values).sum(axis=0) < LEAST_SEEDS
    return centre, np.where(few, np.nan, low), np.where(few, np.nan, high)


def _drawn(at: Floats, centre: Floats, below: Floats, above: Floats) -> tuple[Line, Band]:
    known, wide = np.isfinite(centre), np.isfinite(below) & np.isfinite(centre)
    return (at[known].tolist(), centre[known].tolist()), (
        at[wide].tolist(),
        below[wide].tolist(),
        above[wide].tolist(),
    )


def _frame(made: Sequence[tuple[Floats, Floats, Floats]]) -> tuple[float, float]:
    """Return limits for means and bands; bands of few seeds are cut where they would flatten the lines."""
    low, high = spread([centre for centre, _, _ in made])
    room = 0.35 * (high - low)
    ends = np.concatenate([part.ravel() for _, *both in made for part in both])
    ends = ends[np.isfinite(ends)]
    if not ends.size:
        return low, high
    return max(low - room, min(low, float(ends.min()))), min(high + room, max(high, float(ends.max())))
