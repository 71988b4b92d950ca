"""The page's part on why: classes gained and lost, what was asked, confusion, diversity, noise, time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup

from labelwise.bench.diagnose import NEAR, Diagnosis
from labelwise.bench.findings import Setting
from labelwise.bench.report import figures
from labelwise.bench.report.heats import Heat, HeatCell, HeatRow
from labelwise.bench.report.panels import small_multiple, spread
from labelwise.bench.words import count, listed, percent, ratio

MOST_PANELS = 12
MOST_CLASSES = 20
MOST_ROUNDS = 16


def safe(svg: str | None) -> Markup | None:
    """Return a figure as markup: matplotlib escapes every text that it draws, and `svg.render` every title."""
    return None if svg is None else Markup(svg)  # noqa: S704


def both_sizes(draw: Any, name: str) -> tuple[Markup, Markup] | None:
    """Return a figure drawn for wide and for narrow pages by draw(name, width); None if there is nothing to draw."""
    wide, narrow = safe(draw(f"{name}-w", 992)), safe(draw(f"{name}-n", 358))
    return None if wide is None or narrow is None else (wide, narrow)


def why(
    setting: Setting,
    diagnoses: Sequence[Diagnosis],
    classes: Sequence[str],
    palette: Mapping[str, str],
    unknown: str,
    name: str,
) -> dict[str, Any]:
    """Return what the template shows of a setting's diagnoses.

    Args:
        setting: the comparison's part.
        diagnoses: one a strategy.
        classes: their names.
        palette: strategy -> colour.
        unknown: what could not be said and why, or "".
        name: prefix of the figures' ids.
    """
    ordered = sorted(diagnoses, key=lambda d: [s.name for s in setting.strategies].index(d.strategy))
    diversity = [d for d in ordered if d.diversity]
    # Reversed: the best strategy's line is drawn last, on top.
    top_last = list(reversed(ordered))
    return {
        "signatures": _signatures(ordered),
        "per_class": _class_panels(top_last, classes, palette, name),
        "per_class_caption": _class_caption(classes),
        "counts": [_counts(d, classes) for d in ordered],
        "counts_caption": _counts_caption(ordered, classes),
        "confusions": [
            {"name": d.strategy, "tables": _confusion(d, classes)} for d in ordered if d.confusions
        ]
        if len(classes) <= MOST_CLASSES
        else [],
        "confusions_caption": "Percent of each true class (row) that was taken for each class (column), over all seeds, "
        f"on {setting.part} data: at the first, the middle and the last fit.",
        "diversity": _diversity_panels(list(reversed(diversity)), palette, name) if diversity else [],
        "diversity_caption": "Each round's batch, mean over seeds. Distances are Euclidean, between the task's features "
        "(or raw inputs: of several modalities all that are numbers, each divided by how far it varies; samples without any "
        f"are left out); a near copy is closer than {percent(NEAR)} of the pool's mean distance; evenness is the "
        "entropy of the classes that were answered over its maximum.",
        "noise": [
            {
                "name": d.strategy,
                "asked": f"{percent(d.noisy.share)} ({percent(d.noisy.low)} to {percent(d.noisy.high)})",
                "base": percent(d.noisy.base),
            }
            for d in ordered
            if d.noisy is not None
        ],
        "noise_caption": _noise(ordered),
        "phases": both_sizes(lambda n, w: figures.phases(setting.strategies, n, width=w), f"{name}-time"),
        "phase_key": [{"name": phase, "colour": colour} for phase, colour in figures.PHASES.items()],
        "phases_caption": _times(setting),
        "unknown": [unknown] if unknown else [],
    }


def _signatures(diagnoses: Sequence[Diagnosis]) -> list[str]:
    """Return one line for each strategy with an alarm, and one for those without."""
    lines = []
    for d in diagnoses:
        told = [*d.signatures]
        for alarm in d.alarms[:4]:
            end = d.per_class[-1, alarm.class_index]
            after = f"; its accuracy ends at {percent(end)}" if np.isfinite(end) else ""
            told.append(f"{alarm.words[:-1]} (seed {alarm.seed}, at {count(alarm.labels)} labels{after}).")
        if len(d.alarms) > 4:
            told.append(f"{len(d.alarms) - 4} more alarms of this kind are in results.json.")
        if told:
            lines.append(f"{d.strategy}: {' '.join(told)}")
    quiet = [d.strategy for d in diagnoses if not d.signatures and not d.alarms]
    if quiet:
        lines.append(f"No class was lost or forgotten, and no other sign of failure, with {listed(quiet)}.")
    return lines


def _class_panels(
    diagnoses: Sequence[Diagnosis], classes: Sequence[str], palette: Mapping[str, str], name: str
) -> list[Markup]:
    known = [d for d in diagnoses if np.isfinite(d.per_class).any()]
    if not known:
        return []
    shown = _worst(known, len(classes))
    low, high = spread([d.per_class[:, shown] for d in known], share=True)
    panels = []
    for c in shown:
        lines = {d.strategy: (d.fit_labels.tolist(), d.per_class[:, c].tolist()) for d in known}
        alarms = [(d.strategy, a.labels) for d in known for a in d.alarms if a.class_index == c]
        svg = small_multiple(
            classes[c], lines, palette, f"{name}-class{c}", low=low, high=high, alarms=alarms
        )
        panels.append(Markup(svg))  # noqa: S704 - see `safe`
    return panels


def _worst(diagnoses: Sequence[Diagnosis], n_classes: int) -> list[int]:
    """Return the classes to show: all of a few, else those that end worst with any strategy, in their own order."""
    if n_classes <= MOST_PANELS:
        return list(range(n_classes))
    ends = np.min([np.nan_to_num(d.per_class[-1], nan=1.0) for d in diagnoses], axis=0)
    return sorted(np.argsort(ends, kind="stable")[:MOST_PANELS].tolist())


def _class_caption(classes: Sequence[str]) -> str:
    which = (
        "" if len(classes) <= MOST_PANELS else f"The {MOST_PANELS} of {len(classes)} classes that end worst. "
    )
    return (
        f"{which}Accuracy of each class, mean over seeds, on common axes that start where the data are. A cross at the "
        "foot: a class was lost, or was no longer asked for."
    )


def _blocks(rounds: int) -> list[tuple[int, int]]:
    """Return [from, to) of at most MOST_ROUNDS blocks of rounds."""
    edges = np.unique(np.linspace(0, rounds, min(rounds, MOST_ROUNDS) + 1).astype(int))
    return list(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True))


def _counts(d: Diagnosis, classes: Sequence[str]) -> Heat:
    blocks = _blocks(len(d.counts))
    shown = list(range(len(classes)))
    if len(classes) > MOST_CLASSES:
        shown = sorted(np.argsort(-d.counts.sum(axis=0), kind="stable")[:MOST_CLASSES].tolist())
    values = np.array([[d.counts[a:b, c].mean() for a, b in blocks] for c in shown])
    most = max(1e-9, float(values.max()))
    places = 0 if (values == values.round()).all() or most >= 9.95 else 1  # the same in every cell
    rows = tuple(
        HeatRow(classes[c], tuple(HeatCell(f"{v:.{places}f}", f"{v / most:.3f}") for v in row))
        for c, row in zip(shown, values.tolist(), strict=True)
    )
    heads = tuple(str(a) if b == a + 1 else f"{a}–{b - 1}" for a, b in blocks)
    return Heat(d.strategy, "round", heads, rows)


def _counts_caption(diagnoses: Sequence[Diagnosis], classes: Sequence[str]) -> str:
    shares = [
        f"{d.strategy} {d.evenness[-1]:.2f}"
        for d in diagnoses
        if d.evenness.size and np.isfinite(d.evenness[-1])
    ]
    some = (
        ""
        if len(classes) <= MOST_CLASSES
        else f" The {MOST_CLASSES} classes most asked for, of {len(classes)}."
    )
    bought = diagnoses[0].labelled_share if diagnoses else 0.0
    return (
        f"Labels answered in each round by class, mean over seeds; round 0 is the common random start.{some} "
        f"In the end {percent(bought)} of the pool was labelled. Evenness of the labelled set (1: all classes alike): "
        f"{', '.join(shares)}."
    )


def _confusion(d: Diagnosis, classes: Sequence[str]) -> list[Heat]:
    tables = []
    for labels, matrix in d.confusions:
        rows = []
        for c, row in enumerate(matrix):
            total = row.sum()
            cells = []
            for k, v in enumerate(row.tolist()):
                share = v / total if total else 0.0
                text = "" if round(100 * share) == 0 else f"{100 * share:.0f}"
                cells.append(HeatCell(text, f"{share:.3f}", diagonal=c == k))
            rows.append(HeatRow(classes[c], tuple(cells)))
        tables.append(Heat(f"{count(labels)} labels", "true", tuple(classes), tuple(rows)))
    return tables


def _diversity_panels(diagnoses: Sequence[Diagnosis], palette: Mapping[str, str], name: str) -> list[Markup]:
    panels = []
    kinds = (
        ("distance", "mean distance in the batch", False),
        ("entropy", "evenness of classes", False),
        ("copies", "near copies in the batch", True),
    )
    for kind, title, share in kinds:
        lines = {}
        for d in diagnoses:
            known = np.isfinite(d.diversity[kind])
            lines[d.strategy] = (d.ask_labels[known].tolist(), d.diversity[kind][known].tolist())
        low, high = spread([d.diversity[kind] for d in diagnoses], share=share)
        svg = small_multiple(
            title, lines, palette, f"{name}-{kind}", low=low, high=high, percent=share, width=316, height=190
        )
        panels.append(Markup(svg))  # noqa: S704 - see `safe`
    return panels


def _noise(diagnoses: Sequence[Diagnosis]) -> str:
    found = [d for d in diagnoses if d.noisy is not None]
    if not found:
        return ""
    more = [
        d.strategy for d in found if d.noisy is not None and d.noisy.differs and d.noisy.share > d.noisy.base
    ]
    less = [
        d.strategy for d in found if d.noisy is not None and d.noisy.differs and d.noisy.share < d.noisy.base
    ]
    parts = []
    if more:
        parts.append(f"{listed(more)} asked for more wrong labels than chance would.")
    if less:
        parts.append(f"{listed(less)} asked for fewer.")
    if not parts:
        parts.append("No strategy asked for wrong labels more or less often than chance would.")
    return " ".join(parts) + " The common start is left out; 95 % Wilson interval over all seeds."


def _times(setting: Setting) -> str:
    known = [(s.name, s.scoring_ratio) for s in setting.strategies if s.scoring_ratio is not None]
    if not known:
        return ""
    parts = ", ".join(f"{name} {ratio(value)}" for name, value in known)
    return (
        f"Scoring (infer and propose) over training (fit): {parts}. Wall seconds, mean over rounds and seeds."
    )
