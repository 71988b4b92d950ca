"""Banks: how accurate the baselines of a relative reward were, by protocol, seed and number of labels."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from reprlib import repr as short
from typing import Any

import numpy as np

from labelwise.errors import InputError

FORMAT = "labelwise-bank/1"
CURE = "`labelwise bank` makes one; see docs/compare.md"
AFRESH = "Delete it, and `labelwise bank` makes it afresh from the runs beside it"
LARGEST = 2**26  # bytes; a bank of a hundred protocols and seeds has a few million

# seed -> strategy -> labels of the fit -> validation accuracy
Scores = Mapping[str, Mapping[str, Mapping[str, float]]]


@dataclass(frozen=True)
class Baseline:
    """How accurate some strategies were on validation data, under one protocol and one seed.

    Attributes:
        curves: strategy -> labels of each fit (those given beforehand included), ascending -> accuracy in [0, 1].
    """

    curves: Mapping[str, Mapping[int, float]]

    def at(self, n_labelled: int) -> float:
        """Return the mean accuracy of all strategies with so many labels; between two fits, in proportion.

        Raises:
            InputError: some strategy was never fitted on so few, or so many.
        """
        told = []
        for name, curve in self.curves.items():
            labels = list(curve)
            if not labels[0] <= n_labelled <= labels[-1]:
                raise InputError(
                    f"The bank knows {name!r} with {labels[0]:,} to {labels[-1]:,} labels; it was asked for "
                    f"{n_labelled:,}. Its run met another number of answers: {CURE}."
                )
            told.append(float(np.interp(n_labelled, labels, list(curve.values()))))
        return float(np.mean(told))

    @property
    def digest(self) -> str:
        """Return twelve digits that name these very numbers."""
        text = json.dumps({name: list(curve.items()) for name, curve in sorted(self.curves.items())})
        return hashlib.sha256(text.encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Banks:
    """The banks in one file.

    Attributes:
        path: the file.
        about: protocol -> what it is, in words and settings.
        scores: protocol -> seed -> strategy -> number of labels -> validation accuracy.
    """

    path: Path
    about: Mapping[str, Mapping[str, Any]]
    scores: Mapping[str, Scores]

    def of(self, protocol: str, seed: int) -> Baseline:
        """Return what belongs to a campaign; see `labelwise.events.Opened.protocol`.

        Raises:
            InputError: the file has no bank of this protocol, or none of this seed.
        """
        if protocol not in self.scores:
            others = ", ".join([*self.scores][:3]) + (", ..." if len(self.scores) > 3 else "")
            raise InputError(
                f"{self.path} holds no bank of protocol {protocol}: recipe, data or plan are not those that it was "
                f"made with; it holds {others or 'none'}. {CURE}."
            )
        seeds = self.scores[protocol]
        if str(seed) not in seeds:
            raise InputError(
                f"{self.path} holds no scores of seed {seed} under protocol {protocol}; it holds those of "
                f"{', '.join(seeds) or 'none'}. {CURE}."
            )
        return Baseline(
            {
                name: {n: curve[str(n)] for n in sorted(map(int, curve))}
                for name, curve in seeds[str(seed)].items()
            }
        )


def read_bank(path: str | Path) -> Banks:
    """Return the banks in a file.

    Raises:
        InputError: there is no such file, it is no bank, or it holds what is no accuracy.
    """
    file = Path(path)
    try:
        size = file.stat().st_size
        content = json.loads(file.read_text(encoding="utf-8")) if size <= LARGEST else None
    except FileNotFoundError as error:
        raise InputError(f"There is no bank {file}: {CURE}.") from error
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:  # JSON and text that cannot be read are ValueErrors
        raise InputError(f"{file} is no bank: {error}. {AFRESH}.") from error
    if size > LARGEST:
        raise InputError(f"{file} is no bank: it has {size:,} bytes; a bank has up to {LARGEST:,}. {AFRESH}.")
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise InputError(f'{file} is no bank: it must be a JSON object with "format": {FORMAT!r}. {AFRESH}.')
    about, scores = {}, {}
    for protocol, bank in _table(content.get("banks"), file, "banks").items():
        held = _table(bank, file, protocol)
        about[protocol] = _table(held.get("about"), file, f"{protocol}.about")
        scores[protocol] = _scores(held.get("scores"), file, f"{protocol}.scores")
    return Banks(file, about, scores)


def _scores(value: Any, file: Path, where: str) -> dict[str, dict[str, dict[str, float]]]:
    found: dict[str, dict[str, dict[str, float]]] = {}
    for seed, strategies in _table(value, file, where).items():
        _whole(seed, file, where)
        found[seed] = {}
        for name, curve in _table(strategies, file, f"{where}.{seed}").items():
            points = _table(curve, file, f"{where}.{seed}.{name}")
            for n, accuracy in points.items():
                _whole(n, file, f"{where}.{seed}.{name}")
                right = type(accuracy) in (int, float) and isfinite(accuracy) and 0 <= accuracy <= 1
                if not right:
                    raise InputError(
                        f"{file}: {where}.{seed}.{name}.{n} must be an accuracy in [0, 1]; it is {short(accuracy)}. {AFRESH}."
                    )
            if not points:
                raise InputError(f"{file}: {where}.{seed}.{name} holds no accuracy. {AFRESH}.")
            found[seed][name] = dict(points)
        if not found[seed]:
            raise InputError(f"{file}: {where}.{seed} holds no strategy. {AFRESH}.")
    return found


def _table(value: Any, file: Path, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise InputError(f"{file}: {where} must be an object; it is {short(value)}. {AFRESH}.")
    return value


def _whole(text: str, file: Path, where: str) -> None:
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(text) <= 20 and str(int(text)) == text):
        raise InputError(f"{file}: {where} must have whole numbers as keys; it has {short(text)}. {AFRESH}.")
