"""Why single samples were asked for: each modality as it was seen, how unsure it was, and what the policy made of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from labelwise.bench.report.noted import Explained, Heard, explained, labels_before, number
from labelwise.bench.report.samples import pictured, told
from labelwise.bench.results import Run
from labelwise.bench.words import count, listed
from labelwise.data.truth import Simulation
from labelwise.events import Asked

EACH = 6  # samples of a round
# note -> what it is called on a card
FACTS = {
    "score": "score",
    "difficulty": "difficulty",
    "diversity": "diversity",
    "conflict": "conflict",
    "probability": "chance of the first draw",
}


def noting(run: Run, n_classes: int) -> list[Asked]:
    """Return the asks whose samples a run explained."""
    return [ask for ask in run.state.asks if explained(ask.notes, n_classes)]


def cards(
    strategy: str, run: Run, asks: Sequence[Asked], simulation: Simulation | None, classes: Sequence[str]
) -> dict[str, Any] | None:
    """Return what the template shows of the explained samples of some rounds; None where there are none.

    Args:
        strategy: its name in the report.
        run: one of its runs.
        asks: of that run.
        simulation: the data that the run saw; None: what was said of the samples, without the samples.
        classes: their names.
    """
    if not asks:
        return None
    rounds: list[dict[str, Any]] = []
    for ask in asks:
        found = explained(ask.notes, len(classes))[:EACH]
        even = number(ask.notes, "candidates")
        items = [] if simulation is None else pictured([one.id for one in found], simulation)
        seen = {item["id"]: item for item in items}
        rounds.append(
            {
                "name": f"Round {ask.round}, {count(labels_before(run).get(ask.round, 0))} labels",
                "cards": [_card(one, seen.get(one.id), run, simulation, classes, even) for one in found],
            }
        )
    return {
        "rounds": rounds,
        "caption": f"The first samples, in the order of asking, that {strategy}, seed {run.seed}, asked for in the first, the "
        "middle and the last round that explains them. The bar of a modality is its uncertainty, from 0 to 1; vacuity is how "
        "much of its belief no evidence has claimed. Belief is the probability of its guess. Conflict is how far the modalities "
        "contradict one another; difficulty is the uncertainty after fusion. The chance is that among the candidates; in "
        "brackets that of an even draw.",
    }


def _card(
    one: Explained,
    item: Mapping[str, Any] | None,
    run: Run,
    simulation: Simulation | None,
    classes: Sequence[str],
    candidates: float | None,
) -> dict[str, Any]:
    answer = run.state.answers.get(one.id)
    label, truth = "", ""
    if item is not None and simulation is not None:
        label, truth = told(run, one.id, simulation, classes)
    elif answer is not None:
        label = "pass" if answer.label is None else classes[answer.label]
    pictures = {} if item is None else {part["modality"]: part for part in item["parts"]}
    names = list(dict.fromkeys([*pictures, *one.modalities]))
    return {
        "title": f"Sample {one.id}",
        "label": label and f"labelled {label}" + (f" (is {truth})" if truth else ""),
        "wrong": bool(truth),
        "words": _words(one.modalities, classes),
        "parts": [_part(name, one.modalities.get(name), pictures.get(name), classes) for name in names],
        "facts": [
            (called, _text(name, one.numbers[name], candidates))
            for name, called in FACTS.items()
            if name in one.numbers
        ],
    }


def _part(
    name: str, heard: Heard | None, picture: Mapping[str, Any] | None, classes: Sequence[str]
) -> dict[str, Any]:
    image, words = (None, None) if picture is None else (picture["image"], picture["words"])
    absent = heard is not None and not heard.present
    lines = []
    if heard is not None and not absent:
        if heard.guess is not None:
            belief = "" if heard.belief is None else f", belief {heard.belief:.2f}"
            lines.append(f"guess {classes[heard.guess]}{belief}")
        known = (("vacuity", heard.vacuity), ("weight", heard.weight))
        lines += [f"{what} {value:.2f}" for what, value in known if value is not None]
    shown = heard is not None and not absent and heard.uncertainty is not None
    return {
        "modality": name,
        "image": None if absent else image,
        "words": None if absent else words,
        "missing": absent or (picture is not None and image is None and words is None),
        "pictured": picture is not None or absent,
        "uncertainty": f"{heard.uncertainty:.2f}" if shown and heard is not None else None,
        "lines": lines,
    }


def _words(heard: Mapping[str, Heard], classes: Sequence[str]) -> str:
    """Return one sentence on what the modalities say, and whether they say the same."""
    says = {
        name: classes[part.guess] for name, part in heard.items() if part.present and part.guess is not None
    }
    if not says:
        return ""
    if len(says) == 1:
        [(name, guess)] = says.items()
        return f"Only {name} speaks: it says {guess}." if len(heard) > 1 else f"It says {guess}."
    if len(set(says.values())) == 1:
        both = "both" if len(says) == 2 else "all"
        return f"{listed(list(says))} {both} say {next(iter(says.values()))}."
    return f"They disagree: {listed([f'{name} says {guess}' for name, guess in says.items()])}."


def _text(name: str, value: float, candidates: float | None) -> str:
    if name == "probability":
        even = f" ({100 / candidates:.2f} %)" if candidates is not None and candidates >= 1 else ""
        return f"{100 * value:.2f} %{even}" if 0 <= value <= 1 else f"{value:.3g}"
    return f"{value:.2f}".replace("-", "−")
