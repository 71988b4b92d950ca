"""A task made of samples: who is in the pool, who validates, who tests; all disjoint; and what may shift."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from labelwise.checks import (
    Array,
    as_array,
    as_ids,
    as_labels,
    check_count,
    check_number,
    check_shape,
    frozen,
)
from labelwise.data.base import NOBODY, Dataset, Ids, Labelled
from labelwise.errors import EmptyPool, InputError

SEVEREST = 5  # of the severities of a shift, from 1


@dataclass(frozen=True, eq=False)
class Shifted:
    """Test samples after something moved that no training part knows of.

    Attributes:
        name: of the shift, unique in a task: "speech noise 3".
        data: the moved samples; modalities as the task's.
        part: ids of these data, and labels; at least one.
        modality: the one that moved; None where several or all did.
        kind: how it moved: "noise", "blur", "mean", "missing", "control" and the like.
        severity: 1 (slight) to 5 (severe); None where the kind has no such scale.
        rho: modality -> the χ² radius by which it moved; None where that is not known.
        before: (n,) ids in the task's own data of these samples before they moved, of its test part; None where there
            are no such.

    Raises:
        InputError: there is no sample, the severity is out of range, or a radius is negative.
        ShapeError: `before` has another length than the part.
    """

    name: str
    data: Dataset
    part: Labelled
    modality: str | None
    kind: str
    severity: int | None = None
    rho: Mapping[str, float] | None = None
    before: Ids | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise InputError(f"A shift must have a name; it is {self.name!r}.")
        if not len(self.part):
            raise InputError(f"Shift {self.name!r} must have at least one test sample; it has none.")
        if self.part.ids.min() < 0 or self.part.ids.max() >= len(self.data):
            raise InputError(f"Shift {self.name!r} holds ids outside [0, {len(self.data)}).")
        if self.severity is not None and check_count(self.severity, f"severity of {self.name}", 1) > SEVEREST:
            raise InputError(f"severity of {self.name!r} must be 1 to {SEVEREST}; it is {self.severity}.")
        if self.rho is not None:
            for name, radius in self.rho.items():
                check_number(radius, f"rho of {name} in {self.name}", 0)
        if self.before is not None:
            object.__setattr__(self, "before", frozen(as_ids(self.before, f"before of {self.name}")))
            check_shape(self.before, f"before of {self.name}", ("n",), (len(self.part),))

    def facts(self) -> dict[str, Any]:
        """Return what is known of the shift without any sample, as a campaign records it."""
        rho = None if self.rho is None else dict(self.rho)
        facts = {"name": self.name, "modality": self.modality, "kind": self.kind, "severity": self.severity}
        return {**facts, "rho": rho}


@dataclass(frozen=True, eq=False)
class Task:
    """Data, classes, and which ids are pool, validation and test.

    Attributes:
        name: shown in reports.
        data: the samples.
        classes: names, in the order of class indices.
        pool: ids that may be asked for.
        validation: labelled samples that never enter the pool: early stopping, policies' rewards,
            status. May be empty.
        test: labelled samples used for reports only; None where there are none.
        given: labelled samples known before the first ask. May be empty.
        features: (len(data), F) label-free vectors, fixed for the campaign; None where there are none.
        shifts: test samples after shifts, used for reports only; no strategy and no fit ever sees them.

    Raises:
        EmptyPool: the pool holds no id.
        InputError: two parts share an id, an id is out of range, a label is out of range; or a shift has other
            modalities, a name that another has, or no test part to compare it with.
    """

    name: str
    data: Dataset
    classes: tuple[str, ...]
    pool: Ids
    validation: Labelled = NOBODY
    test: Labelled | None = None
    given: Labelled = NOBODY
    features: Array | None = None
    shifts: tuple[Shifted, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "pool", frozen(as_ids(self.pool, "task.pool")))
        if self.pool.size == 0:
            raise EmptyPool(f"Task {self.name!r} has an empty pool: there is nothing to ask for.")
        if not isinstance(self.classes, tuple | list) or not all(
            isinstance(name, str) for name in self.classes
        ):
            raise InputError(f"task.classes must be a tuple of texts; it is {self.classes!r}.")
        for name, part in (("validation", self.validation), ("test", self.test), ("given", self.given)):
            if not (isinstance(part, Labelled) or (name == "test" and part is None)):
                raise InputError(f"task.{name} must be a Labelled; it is a {type(part).__name__}.")
        if len(self.classes) < 2 or len(set(self.classes)) != len(self.classes):
            raise InputError(f"A task needs at least two distinct classes; got {list(self.classes)}.")
        parts = {"pool": self.pool, "validation": self.validation.ids, "given": self.given.ids}
        if self.test is not None:
            parts["test"] = self.test.ids
        seen: dict[str, Ids] = {}
        for name, ids in parts.items():
            if ids.size and (ids.min() < 0 or ids.max() >= len(self.data)):
                raise InputError(f"task.{name} holds ids outside [0, {len(self.data)}).")
            for other, there in seen.items():
                both = np.intersect1d(ids, there)
                if both.size:
                    raise InputError(
                        f"Sample {int(both[0])} stands in both the {other} and the {name} part of the task."
                    )
            seen[name] = ids
        for name, part in (("validation", self.validation), ("test", self.test), ("given", self.given)):
            if part is not None:
                as_labels(part.y, len(self.classes), f"task.{name}.y")
        if self.features is not None:
            object.__setattr__(self, "features", frozen(as_array(self.features, "task.features")))
            check_shape(self.features, "task.features", ("n", "F"), (len(self.data), None))
        self._check_shifts()

    def _check_shifts(self) -> None:
        object.__setattr__(self, "shifts", tuple(self.shifts))
        if self.shifts and self.test is None:
            raise InputError(
                f"Task {self.name!r} has shifts and no test part: there is nothing to compare them with."
            )
        names: set[str] = set()
        for shift in self.shifts:
            if shift.name in names:
                raise InputError(f"Every shift needs a name of its own; two are called {shift.name!r}.")
            names.add(shift.name)
            if shift.data.modalities != self.data.modalities:
                raise InputError(
                    f"Shift {shift.name!r} must have the modalities {list(self.data.modalities)} of the task; it has "
                    f"{list(shift.data.modalities)}."
                )
            as_labels(shift.part.y, len(self.classes), f"labels of shift {shift.name}")
            if shift.before is not None and self.test is not None:
                others = np.setdiff1d(shift.before, self.test.ids)
                if others.size:
                    raise InputError(
                        f"Shift {shift.name!r} may move samples of the test part only; sample {int(others[0])} is none."
                    )

    @property
    def n_classes(self) -> int:
        return len(self.classes)

    def unmoved(self) -> Labelled:
        """Return the test samples that the shifts move, as they were; all of the test part where none says which.

        What is measured on them is what measures on the shifts compare with.
        """
        if self.test is None:
            return NOBODY
        known = [shift.before for shift in self.shifts if shift.before is not None]
        if not known:
            return self.test
        rows = np.isin(self.test.ids, np.concatenate(known))
        return Labelled(self.test.ids[rows], self.test.y[rows])

    def fingerprint(self) -> dict[str, Any]:
        """Return what a campaign remembers of its task: sizes, classes, a hash of parts and a data sample.

        The hash covers every id and label of the parts and up to 256 evenly spread samples of the data, so
        that a campaign reopened on other data is refused at once. Shifts are told by their names.
        """
        digest = hashlib.sha256()
        test = self.test if self.test is not None else NOBODY
        for ids in (self.pool, self.validation.ids, test.ids, self.given.ids):
            digest.update(np.ascontiguousarray(ids).tobytes() + b"|")
        for y in (self.validation.y, test.y, self.given.y):
            digest.update(np.ascontiguousarray(y).tobytes() + b"|")
        some = np.unique(np.linspace(0, len(self.data) - 1, num=min(256, len(self.data))).astype(np.int64))
        for name, values in sorted(self.data.batch(some).items()):
            raw = (
                json.dumps([str(v) for v in values]).encode()
                if values.dtype.kind in "TUO"
                else values.tobytes()
            )
            digest.update(name.encode() + np.ascontiguousarray(values.shape).tobytes() + raw)
        return {
            "name": self.name,
            "classes": list(self.classes),
            "modalities": list(self.data.modalities),
            "pool": len(self.pool),
            "validation": len(self.validation),
            "test": len(test),
            "given": len(self.given),
            "sha256": digest.hexdigest(),
            # no key where there are none: campaigns opened before tasks had shifts go on
            **({"shifts": [shift.name for shift in self.shifts]} if self.shifts else {}),
        }
