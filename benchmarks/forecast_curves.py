"""The committed learning curves that forecasts are measured on, and what their sets are made of."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from labelwise.functional.extrapolation import LEAST
from record import RESULTS

NAME = "forecast"  # its own results hold no curves
# What sets are made of. Whatever shares material with the held-out set is left out with it.
MADE_OF = {
    "fashion": ("fashion-mnist",), "mnist": ("mnist",), "fsdd": ("fsdd",), "sign-digits": ("sign-digits",),
    "digits": ("digits",), "digit-halves": ("digits",), "digit-pairs": ("mnist", "fsdd"),
    "digit-triples": ("mnist", "fsdd", "sign-digits"), "av-mnist": ("mnist", "fsdd"), "speech-sign": ("fsdd", "sign-digits"),
}  # fmt: skip
VARIED = re.compile(r"-(weak|missing|imb|few|mini|new-speaker|lt-\d+)$")


@dataclass(frozen=True)
class Curve:
    """One campaign's measurements, and the set it ran on."""

    set: str
    labels: tuple[float, ...]
    accuracy: tuple[float, ...]


def material(name: str) -> tuple[str, ...]:
    """Return what a set is made of; a set unknown here is its own material."""
    base = name
    while VARIED.search(base):
        base = VARIED.sub("", base)
    known = [key for key in MADE_OF if base == key or base.startswith(f"{key}-")]
    return MADE_OF[max(known, key=len)] if known else (base,)


def curves() -> list[Curve]:
    """Return every committed curve once, with at least one point to forecast; equal ones of one set count once."""
    found: dict[Curve, None] = {}
    for path in sorted(RESULTS.glob("*.json")):
        if path.stem == NAME:
            continue
        for curve in _curves_of(json.loads(path.read_text())):
            if len(curve.labels) == len(curve.accuracy) > LEAST and min(curve.labels) >= 1:
                found[curve] = None
    return list(found)


def _curves_of(result: Any) -> Iterable[Curve]:
    """Yield the curves in one file of results, in the three forms that they have there."""

    def curve(name: str, labels: Sequence[float], accuracy: Sequence[float]) -> Curve:
        return Curve(name, tuple(map(float, labels)), tuple(map(float, accuracy)))

    if not isinstance(result, dict):
        return
    runs = result.get("runs")
    for run in runs.values() if isinstance(runs, dict) else ():
        if isinstance(run, dict) and {"set", "labels", "accuracy"} <= set(run):
            yield curve(run["set"], run["labels"], run["accuracy"])
    settings = result.get("settings")
    for setting in settings if isinstance(settings, list) else ():
        for seen in setting.get("strategies", {}).values() if isinstance(setting, dict) else ():
            for one in seen["accuracy"]:
                yield curve(setting["shared"]["task"]["name"], seen["labels"], one)
    if "labels" in result and "task" in result:
        for seen in result["strategies"].values():
            for one in seen["accuracy"]:
                yield curve(result["task"]["name"], result["labels"], one)


def group(parts: Sequence[str]) -> str:
    return " and ".join(parts)
