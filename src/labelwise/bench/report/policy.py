"""What a learned policy looked for and what it chose, for one run: its TrustSet, its cells, and their samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from labelwise.bench.findings import Setting
from labelwise.bench.report import explained, health, learning
from labelwise.bench.report.heats import Heat, HeatCell, HeatRow
from labelwise.bench.report.noted import Chosen, chosen, counts, labels_before, number, numbers, trust_set
from labelwise.bench.report.phases import phases
from labelwise.bench.report.samples import pictured, told
from labelwise.bench.results import Run
from labelwise.bench.settings import Group
from labelwise.bench.words import count
from labelwise.data.truth import Simulation
from labelwise.events import Asked

MOST_CLASSES = 20
MOST_CELLS = 8  # of a round
EACH = 4  # samples of a cell
SIDE = 48  # pixels of a cell's thumbnails
WEIGHTS, PREDICTED = "class weights", "predicted classes asked"


def policy(
    setting: Setting,
    found: Group,
    simulation: Simulation | None,
    palette: Mapping[str, str],
    classes: Sequence[str],
    name: str,
) -> dict[str, Any]:
    """Return what the template shows of the notes of a setting's runs; {} where they hold nothing of the kind.

    Args:
        setting: the comparison's part.
        found: the runs.
        simulation: the data that the runs saw; None: no thumbnails.
        palette: strategy -> colour.
        classes: their names.
        name: prefix of the figures' ids.
    """
    parts: dict[str, Any] = dict.fromkeys(
        ("health", "learning", "trust", "weighed", "chosen", "explained", "seconds")
    )
    if healths := health.healths(setting, found):
        parts["health"] = health.shown(healths, palette, f"{name}-policy")
    if learnings := learning.learnings(setting, found):
        parts["learning"] = learning.shown(learnings, palette, f"{name}-learning")
    if one := _plainest(setting, found, "TrustSet"):
        parts["trust"] = _trust(*one, simulation, classes)
    if one := _plainest(setting, found, PREDICTED):
        parts["weighed"] = _weighed(*one, classes)
    if one := _plainest(setting, found, "chosen"):
        parts["chosen"] = _chosen(*one, simulation, classes)
    if one := _plainest(setting, found, "samples"):
        asks = _three(explained.noting(one[1], len(classes)))
        parts["explained"] = explained.cards(*one, asks, simulation, classes)
    parts["seconds"] = phases(setting, found, palette)
    return parts if any(part is not None for part in parts.values()) else {}


def _plainest(setting: Setting, found: Group, note: str) -> tuple[str, Run] | None:
    """Return (name, its first seed's run) of the strategy with the fewest settings of its own that notes this."""
    first = [(k, s.name, found.compared[s.name][0]) for k, s in enumerate(setting.strategies)]
    noting: list[tuple[int, int, str, Run]] = [
        (len(run.spec["strategy"]), k, name, run)
        for k, name, run in first
        if any(note in ask.notes for ask in run.state.asks)
    ]
    return min(noting, key=lambda item: item[:2])[2:] if noting else None


def _three(asks: Sequence[Asked]) -> list[Asked]:
    """Return the first, the middle and the last, each once."""
    return [asks[k] for k in dict.fromkeys((0, len(asks) // 2, len(asks) - 1))] if asks else []


def _which(strategy: str, run: Run) -> str:
    return f"{strategy}, seed {run.seed}"


def _heading(run: Run, ask: Asked) -> str:
    return f"Round {ask.round}, {count(labels_before(run).get(ask.round, 0))} labels"


def _trust(
    strategy: str, run: Run, simulation: Simulation | None, classes: Sequence[str]
) -> dict[str, Any] | None:
    asks = _three([ask for ask in run.state.asks if trust_set(ask.notes)])
    if not asks:
        return None
    sets = [t for ask in asks if (t := trust_set(ask.notes))]
    groups = []
    for ask, held in zip(asks, sets, strict=True):
        items = [] if simulation is None else pictured(held.ids, simulation)
        for item, score in zip(items, held.scores, strict=False):
            _describe(item, run, simulation, classes, f"score {score:.4g}")
            item["caption"] = f"{item['label']} · {score:.2f}"
        if items:
            groups.append({"name": f"{_heading(run, ask)}: {count(held.size)} in the set", "things": items})
    some = f" The {MOST_CLASSES} classes with most, of {len(classes)}." if len(classes) > MOST_CLASSES else ""
    pictures = " Below, those of the highest scores, with class and score." if groups else ""
    return {
        "name": _which(strategy, run),
        "heat": _by_class(
            "TrustSet by class", [h.classes for h in sets], [a.round for a in asks], classes, places=0
        ),
        "groups": groups,
        "caption": f"The labelled samples that {_which(strategy, run)} took for its target (those which still teach "
        f"most, class by class): how many of each class in the first, the middle and the last round.{some}{pictures}",
    }


def _weighed(strategy: str, run: Run, classes: Sequence[str]) -> dict[str, Any] | None:
    noting = [ask for ask in run.state.asks if counts(ask.notes.get(PREDICTED))]
    if not noting:
        return None
    asks = _three(noting)
    own = sum(ask.round > 0 or bool(ask.notes) for ask in run.state.asks)  # without a common random start
    rounds = [ask.round for ask in asks]
    asked = [counts(ask.notes[PREDICTED]) for ask in asks]
    heats = [_by_class("Predicted classes asked", asked, rounds, classes, places=0)]
    weights = [numbers(ask.notes.get(WEIGHTS)) for ask in asks]
    if all(weights):
        heats.insert(0, _by_class("Class weights", weights, rounds, classes, places=2))
    some = f" The {MOST_CLASSES} largest, of {len(classes)}." if len(classes) > MOST_CLASSES else ""
    return {
        "heats": heats,
        "caption": f"{_which(strategy, run)}: the weight that each class has in the score, and what the predictor took "
        f"the asked samples for. It weighed so in {count(len(noting))} of {count(own)} rounds; shown: the first, the "
        f"middle and the last of them.{some}{_evenness(run)}",
    }


def _evenness(run: Run) -> str:
    """Return what a run noted of the classes that it predicted for the pool, round by round; "" where it did not."""
    found = [(ask.round, e) for ask in run.state.asks if (e := number(ask.notes, "evenness")) is not None]
    if not found:
        return ""
    values = ", ".join(f"{value:.2f}" for _, value in found[:MOST_CELLS])
    more = ", …" if len(found) > MOST_CELLS else ""
    return f" Evenness of the classes predicted for the pool, from round {found[0][0]}: {values}{more}."


def _by_class(
    title: str,
    columns: Sequence[Sequence[float]],
    rounds: Sequence[int],
    classes: Sequence[str],
    *,
    places: int,
) -> Heat:
    """Return a heat map of numbers by class (rows, at most so many) and round (columns)."""
    values = np.zeros((len(classes), len(columns)))
    for k, column in enumerate(columns):
        values[: len(column), k] = column[: len(classes)]
    rows = list(range(len(classes)))
    if len(classes) > MOST_CLASSES:
        rows = sorted(np.argsort(-values.sum(axis=1), kind="stable")[:MOST_CLASSES].tolist())
    most = max(1e-9, float(values.max()))
    cells = [tuple(HeatCell(f"{v:.{places}f}", f"{v / most:.3f}") for v in values[c].tolist()) for c in rows]
    return Heat(
        title,
        "round",
        tuple(map(str, rounds)),
        tuple(HeatRow(classes[c], row) for c, row in zip(rows, cells, strict=True)),
    )


def _chosen(
    strategy: str, run: Run, simulation: Simulation | None, classes: Sequence[str]
) -> dict[str, Any] | None:
    asks = _three([ask for ask in run.state.asks if chosen(ask.notes)])
    if not asks:
        return None
    rounds: list[dict[str, Any]] = [
        {
            "name": _heading(run, ask),
            "words": _share(ask, chosen(ask.notes)[:MOST_CELLS]),
            "rows": [_row(cell, run, simulation, classes) for cell in chosen(ask.notes)[:MOST_CELLS]],
        }
        for ask in asks
    ]
    return {
        "rounds": rounds,
        "pictures": any(row["things"] for one in rounds for row in one["rows"]),
        "caption": f"The cells of the pool that {_which(strategy, run)} chose, best first, in the first, the middle and the "
        "last round, and how many of each cell's samples were taken. The predicted reward says how much a cell looks like the TrustSet: higher, that is, nearer to 0, is more alike; “–” where nothing was "
        "learnt and cells were taken in a random order.",
    }


def _share(ask: Asked, cells: Sequence[Chosen]) -> str:
    total = ask.notes.get("cells")
    of = f" of {count(total)}" if isinstance(total, int) else ""
    return (
        f"{len(cells)} cells{of}, from which {count(sum(c.taken for c in cells))} of the {count(len(ask.ids))} "
        "samples of the round were taken."
    )


def _row(cell: Chosen, run: Run, simulation: Simulation | None, classes: Sequence[str]) -> dict[str, Any]:
    ids = cell.ids[: min(EACH, cell.taken)]
    items = [] if simulation is None else pictured(ids, simulation, SIDE)
    for item in items:
        _describe(item, run, simulation, classes, "")
        item["caption"] = item["label"]
    reward = "–" if cell.reward is None else f"{cell.reward:.3f}".replace("-", "−")
    return {
        "cluster": cell.cluster,
        "cell": cell.cell,
        "reward": reward,
        "taken": f"{count(cell.taken)} of {count(cell.samples)}",
        "things": items,
    }


def _describe(
    item: dict[str, Any], run: Run, simulation: Simulation | None, classes: Sequence[str], more: str
) -> None:
    """Add to a sample its label, whether that is wrong, and what is said instead of its picture."""
    assert simulation is not None  # there is no picture without data
    label, truth = told(run, item["id"], simulation, classes)
    item["label"] = label + (f" (is {truth})" if truth else "")
    item["wrong"] = bool(truth)
    item["alt"] = f"sample {item['id']}, labelled {label}" + (f", {more}" if more else "")
