"""What more labels would buy a campaign, in numbers and in sentences that somebody with a budget can act on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from labelwise.bench.words import count, percent
from labelwise.errors import InputError
from labelwise.events import State
from labelwise.functional.extrapolation import LEAST, Extrapolation, extrapolate
from labelwise.functional.forecast import (  # fmt: skip
    CALIBRATION,
    FURTHEST,
    Forecast,
    Needed,
    Step,
    labels_needed,
    predict,
    step,
)
from labelwise.functional.stopping import Advice, worth

LEVEL = 0.9
PARTS = ("validation", "test")


@dataclass(frozen=True)
class Option:
    """What some labels more would buy.

    Attributes:
        more: labels more than now.
        accuracy: what is then expected; each of its arrays holds one number.
        gain: how much more than the last measurement that is.
        further: how much more than after the option before; None for the first.
        cost: of these labels; None without a price.
        cost_of_point: of one point of accuracy more; None without a price, or where no gain is expected.
        back: whether they bring back what they cost; None where nobody said what a point is worth.
    """

    more: int
    accuracy: Forecast
    gain: Step
    further: Step | None
    cost: float | None
    cost_of_point: float | None
    back: Advice | None = None


@dataclass(frozen=True)
class Outlook:
    """What is expected of a campaign.

    Attributes:
        found: the curve and its continuations.
        part: where accuracy was measured: "validation" or "test".
        samples: how many samples measured it.
        options: fewest labels first.
        target: an accuracy to reach; None without.
        needed: labels until then.
        left: samples that were never asked for.
        price: of a label; None without.
    """

    found: Extrapolation
    part: str
    samples: int
    options: tuple[Option, ...]
    target: float | None
    needed: Needed | None
    left: int
    price: float | None


def curve_of(state: State, part: str | None = None) -> tuple[list[int], list[float], str]:
    """Return labels, accuracy and where it was measured; of several fits on as many labels the newest.

    Args:
        state: of the campaign.
        part: "validation" or "test"; None: validation where it was measured, for a real campaign has no other.

    Raises:
        InputError: accuracy was never measured there.
    """
    measured = [p for p in PARTS if any("accuracy" in getattr(fit, p) for fit in state.fits)]
    if part is not None and part not in PARTS:
        raise InputError(f"measure must be validation or test; it is {part!r}.")
    if not measured or (part is not None and part not in measured):
        where = "anywhere" if part is None else f"on {part} data"
        other = f" It was on {measured[0]} data." if measured else ""
        raise InputError(
            f"Accuracy was never measured {where}, so there is no curve to continue.{other} A project measures it from "
            "the second round on where `labelwise new` found at least 50 labels: a fifth of them is kept apart for that."
        )
    chosen = part or measured[0]
    told = {
        fit.n_labelled: float(getattr(fit, chosen)["accuracy"])
        for fit in state.fits
        if "accuracy" in getattr(fit, chosen) and fit.n_labelled > 0
    }
    labels = sorted(told)
    return labels, [told[n] for n in labels], chosen


def usual(now: int, left: int) -> list[int]:
    """Return how many labels more are worth a look: about a quarter, half and all of those there are, round numbers."""

    def rounded(value: float) -> int:
        unit = 10 ** max(0, int(np.log10(value)) - 1) if value >= 1 else 1
        return max(1, round(value / unit) * unit)

    return sorted({min(rounded(share * now), left) for share in (0.25, 0.5, 1.0)})


def outlook(
    state: State,
    *,
    part: str | None = None,
    more: Sequence[int] = (),
    target: float | None = None,
    price: float | None = None,
    value: float | None = None,
) -> Outlook:
    """Return what more labels would buy a campaign that goes on as it is.

    Args:
        state: of the campaign.
        part: see `curve_of`.
        more: how many labels more; none: a quarter, half and as many as there are, as far as the pool goes.
        target: an accuracy to reach, in (0, 1].
        price: of one label.
        value: of one point of accuracy, in the same currency; it takes a price.

    Raises:
        InputError: accuracy was measured fewer than four times, or a number makes no sense.
    """
    labels, accuracy, chosen = curve_of(state, part)
    if len(labels) < LEAST:
        raise InputError(
            f"A forecast needs at least {LEAST} measurements of {chosen} accuracy; here {'is' if len(labels) == 1 else 'are'} "
            f"{len(labels)}. Each further round adds one."
        )
    if target is not None and not 0 < target <= 1:
        raise InputError(f"target must be an accuracy above 0 and up to 1, like 0.95; it is {target:g}.")
    if price is not None and not (0 <= price < np.inf):
        raise InputError(f"cost must be the price of one label, 0 or more; it is {price:g}.")
    if value is not None and not (price and 0 <= value < np.inf):
        raise InputError(
            f"value must be what one point of accuracy is worth, 0 or more, beside a cost of labels above 0; it is {value:g}."
        )
    if any(n < 1 for n in more):
        raise InputError(f"labels must be at least 1 more; it is {min(more)}.")
    found = extrapolate(labels, accuracy)
    assert state.opened is not None  # a campaign that was fitted was opened
    left = int(state.opened.task["pool"]) - len(state.answers) - len(state.open_ids)
    asked = sorted(set(more)) or (usual(int(found.now), left) if left > 0 else [])
    options, before = [], 0
    for n in asked:
        gain = step(found, found.now + n, level=LEVEL)
        cost = None if price is None else price * n
        points = 100 * gain.mean
        options.append(
            Option(
                n,
                predict(found, [found.now + n], level=LEVEL),
                gain,
                step(found, found.now + n, start=found.now + before, level=LEVEL) if before else None,
                cost,
                None if cost is None or points < 0.005 else cost / points,
                None
                if value is None or price is None
                else worth(points, n, price, value, state.fits[-1].round),
            )
        )
        before = n
    newest = next(getattr(fit, chosen) for fit in reversed(state.fits) if "accuracy" in getattr(fit, chosen))
    samples = int(newest.get("count", state.opened.task.get(chosen, 0)))
    needed = None if target is None else labels_needed(found, target, level=LEVEL)
    return Outlook(found, chosen, samples, tuple(options), target, needed, left, price)


def signed(value: float, places: int = 1) -> str:
    """Return a difference of accuracies in points with its sign: "+1.2", "−0.3", "0.0"."""
    text = f"{abs(100 * value):.{places}f}"
    return text if float(text) == 0 else f"{'+' if value > 0 else '−'}{text}"


def about(found: Step) -> str:
    """Return a difference with its interval: "+1.2 ± 0.6", or with both ends where 100 % cuts one."""
    half = (found.high - found.low) / 2
    places = 1 if half >= 0.0095 else 2
    if abs(found.high + found.low - 2 * found.mean) < 5e-4:
        return f"{signed(found.mean, places)} ± {100 * half:.{places}f}"
    return f"{signed(found.mean, places)} ({signed(found.low, places)} to {signed(found.high, places)})"


def money(value: float) -> str:
    """Return an amount: 200 as "200", 0.4 as "0.40", 1234.5 as "1,234"."""
    return f"{value:,.0f}" if value >= 100 or value == round(value) else f"{value:,.2f}"


def sentences(told: Outlook) -> list[str]:
    """Return what a budget holder wants to know, one sentence or two for each question."""
    lines = []
    found = told.found
    now = f"{percent(found.last)} with {count(found.now)} labels"
    if told.options:
        first = told.options[0]  # it is decided upon first; the others stand in the table
        text = f"Another {count(first.more)} {'label' if first.more == 1 else 'labels'}: "
        then, gain = percent(float(first.accuracy.mean[0])), first.gain
        if gain.mean > 0:
            text += f"{about(gain)} points (90 %), from {now} to {then}"
        else:
            text += f"no gain expected (90 %: {signed(gain.low)} to {signed(gain.high)} points), {then} after {now}"
        if first.cost is not None:
            text += f". They cost {money(first.cost)}"
            text += "" if first.cost_of_point is None else f", {money(first.cost_of_point)} a point"
        lines.append(f"{text}.")
        if gain.low <= 0 < gain.mean:
            lines[-1] += " The interval holds 0: they may buy nothing that can be measured."
        if first.back is not None and first.back.value is not None:
            lines.append(
                f"For each unit spent on them {max(0.0, first.back.value):.2f} is expected back: "
                + (
                    "less than they cost, a reason to stop."
                    if first.back.stop
                    else "they pay for themselves."
                )
            )
    else:
        lines.append(f"No sample is left to label: it ends at {now}.")
    if told.target is not None and told.needed is not None:
        lines.append(_target(told, told.target, told.needed))
    return lines


def _target(told: Outlook, target: float, needed: Needed) -> str:
    now, wanted = int(told.found.now), percent(target)
    if told.found.last >= target:
        return f"{wanted} is reached: {percent(told.found.last)} was measured with {count(now)} labels."
    if needed.expected is None:
        at_best = (
            " not even at the upper end of the interval"
            if needed.earliest is None
            else f" at the earliest with {count(needed.earliest)}"
        )
        return (
            f"{wanted} is not expected within {count(needed.furthest)} labels, as far as can be said;{at_best} "
            "(90 %)."
        )
    late = f"later than {count(needed.furthest)}" if needed.latest is None else count(needed.latest)
    early = "now" if needed.earliest is None or needed.earliest <= now else count(needed.earliest)
    text = f"{wanted} needs about {count(needed.expected)} labels in all, {count(needed.expected - now)} more (90 %: {early} to {late})"
    if told.price is not None:
        text += f", for {money(told.price * (needed.expected - now))}"
    text += "."
    if needed.expected - now > told.left:
        text += f" Only {count(told.left)} samples are left to ask for."
    return text


def caveats(told: Outlook) -> list[str]:
    """Return what all of that rests on."""
    found = told.found
    lines = [
        f"Rests on {found.labelled.size} measurements, from {count(found.labelled[0])} to {count(found.now)} labels, of accuracy on "
        f"{count(told.samples)} {told.part} samples, and is about what the same samples will show. It holds for a campaign "
        "that goes on as it is: same strategy, same model, same kind of samples.",
        f"Intervals: how far forecasts were off on {count(CALIBRATION.curves)} curves of {len(CALIBRATION.sources)} data sets. On data "
        f"sets that they had not seen, {percent(CALIBRATION.covered[0], 0)} of what was measured lay in 90 % intervals, "
        f"{100 * CALIBRATION.covered[1]:.0f} to {percent(CALIBRATION.covered[2], 0)} by data set.",
    ]
    if any(option.more > FURTHEST * found.now for option in told.options):
        lines.append(
            f"No known curve says how sure a forecast is beyond {count((1 + FURTHEST) * found.now)} labels, four times as "
            "many as there are: there, take intervals as too narrow."
        )
    if any(option.more > told.left for option in told.options):
        lines.append(f"Only {count(told.left)} samples were never asked for.")
    if told.options and not any(np.diff(found.accuracy) > 0):
        lines.append("The curve has not risen once: look at the data and the model before buying labels.")
    return lines


def as_json(told: Outlook) -> dict[str, Any]:
    """Return it as plain JSON values; accuracies and gains in [0, 1]."""

    def of(step: Step | None) -> Any:
        return None if step is None else {"mean": step.mean, "low": step.low, "high": step.high}

    found = told.found
    return {
        "measure": told.part,
        "samples": told.samples,
        "labels": found.labelled.astype(int).tolist(),
        "accuracy": found.accuracy.tolist(),
        "level": LEVEL,
        "options": [
            {
                "more": o.more,
                "labels": int(found.now) + o.more,
                "accuracy": {
                    key: float(getattr(o.accuracy, key)[0]) for key in ("mean", "low", "high")
                },
                "gain": of(o.gain),
                "further": of(o.further),
                "cost": o.cost,
                "cost_of_point": o.cost_of_point,
                "back": None if o.back is None else o.back.value,
            }
            for o in told.options
        ],
        "target": None
        if told.needed is None
        else {
            "accuracy": told.target,
            "reached": bool(told.target is not None and found.last >= told.target),
            "labels": told.needed.expected,
            "low": told.needed.earliest,
            "high": told.needed.latest,
            "furthest": told.needed.furthest,
        },
        "shapes": dict(found.weights),
        "left": told.left,
        "says": [*sentences(told), *caveats(told)],
    }  # fmt: skip
