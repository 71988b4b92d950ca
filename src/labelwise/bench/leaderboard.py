"""What the suite has measured so far, in small and inside the package: what advice rests on without any run at hand.

The file beside this one is written by `python benchmarks/leaderboard.py` from the committed results, never by hand.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from labelwise.errors import InputError

FILE = Path(__file__).with_suffix(".json")


@dataclass(frozen=True)
class Method:
    """A strategy on a set.

    Attributes:
        seeds: of its finished runs; runs of one seed started with the same samples whatever the strategy.
        aubc: (seeds,) area under accuracy against labels, divided by the labels: a mean accuracy, in [0, 1].
        last: (seeds,) accuracy when the budget is spent, in [0, 1].
        to_95: labels to 95 % of the set's `full`, mean over seeds; None where a run did not get there, or where random
            has it from the start.
        seconds: mean seconds to choose one batch, inference included; None where that is not known.
    """

    seeds: tuple[int, ...]
    aubc: tuple[float, ...]
    last: tuple[float, ...]
    to_95: float | None
    seconds: float | None


@dataclass(frozen=True)
class DataSet:
    """A set of the suite, how it was trained on, and every strategy that was run there.

    Attributes:
        name: in its protocol.
        task: as a spec writes it.
        material: what the set is made of; sets that share material are not independent.
        kind: "image", "text", "audio", "vectors", "signals", or "several" for more than one modality.
        classes, modalities, pool: how many.
        imbalance: the largest over the smallest class of the pool.
        dimension: numbers a sample, all modalities together, as the network reads it.
        start, batch, budget: labels at first, a round, and in all.
        recipe: what all strategies trained, as a spec writes it.
        protocol: that holds the set.
        full: accuracy with every label of the pool; where `full_runs` is 0 nobody measured it, and it is the best mean
            accuracy at the budget.
        full_runs: how many fits with every label measured it.
        methods: strategy -> what it reached. Cheats and variants of a strategy (ablations) are not here.
    """

    name: str
    task: Mapping[str, Any]
    material: tuple[str, ...]
    kind: str
    classes: int
    modalities: int
    pool: int
    imbalance: float
    dimension: int
    start: int
    batch: int
    budget: int
    recipe: Mapping[str, Any]
    protocol: str
    full: float
    full_runs: int
    methods: Mapping[str, Method]


@dataclass(frozen=True)
class Leaderboard:
    """Every set of the suite with finished runs, by name; `made_by` is the command that wrote it."""

    made_by: str
    sets: Mapping[str, DataSet]


def read(path: Path = FILE) -> Leaderboard:
    """Return the numbers in a file: those of the package, if none is given.

    Raises:
        InputError: the file is missing or not in the form of this version.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        sets = {name: _set(name, values) for name, values in content["sets"].items()}
        return Leaderboard(str(content["made_by"]), MappingProxyType(sets))
    except OSError as error:
        raise InputError(f"The leaderboard {path} cannot be read: {error.strerror}.") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path} is no leaderboard of this version ({error}). "
            "Write it anew: python benchmarks/leaderboard.py."
        ) from error


def _set(name: str, values: Mapping[str, Any]) -> DataSet:
    methods = {
        method: Method(
            tuple(seen["seeds"]), tuple(seen["aubc"]), tuple(seen["last"]), seen["to_95"], seen["seconds"]
        )
        for method, seen in values["methods"].items()
    }
    rest = {key: value for key, value in values.items() if key not in ("material", "methods")}
    return DataSet(name=name, material=tuple(values["material"]), methods=MappingProxyType(methods), **rest)
