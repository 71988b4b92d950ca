"""The contract of models: a recipe says how to fit, a predictor is what was fitted and answers with signals."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from labelwise.data.base import Dataset, Labelled
from labelwise.data.task import Task
from labelwise.signals import Needs, Signals

Ids = NDArray[np.int64]
# Told now and then how far a long step is: (done, total) in steps of work.
Progress = Callable[[int, int], None]


@runtime_checkable
class Predictor(Protocol):
    """A fitted model; it never changes.

    Attributes:
        notes: training diagnostics, e.g. {"loss": 0.12, "epochs": 20}; JSON numbers only.
    """

    notes: Mapping[str, float]

    def infer(
        self, data: Dataset, ids: Ids, names: frozenset[str], progress: Progress | None = None
    ) -> Signals:
        """Return the named signals of some samples, in one pass however many names are asked for."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Return what a warm recipe needs to continue from here (numbers, strings, arrays, nested dicts); {} if nothing."""
        ...


@runtime_checkable
class Recipe(Protocol):
    """How to fit: a frozen dataclass; the same arguments give the same predictor.

    Attributes:
        gives: the signals its predictors can answer with, per part of a view.
        warm: True if a fit continues from the predictor before it instead of starting afresh. The campaign then
            stores `predictor.state_dict()` in the same transaction as the ask and hands it to the next fit.
    """

    @property
    def gives(self) -> Needs: ...

    @property
    def warm(self) -> bool: ...

    def fit(
        self,
        data: Dataset,
        train: Labelled,
        unlabelled: Ids,
        validation: Labelled | None,
        n_classes: int,
        rng: np.random.Generator,
        *,
        previous: Mapping[str, Any] | None = None,
        progress: Progress | None = None,
    ) -> Predictor:
        """Return a predictor fitted on `train`; classes may be missing from it.

        Args:
            data: the samples.
            train: ids and labels to learn from; at least one.
            unlabelled: ids of pool samples, for recipes that use them without labels.
            validation: for early stopping; None where there is none.
            n_classes: C, whatever classes `train` holds.
            rng: the only source of randomness.
            previous: a warm recipe's former `state_dict()`; None at the first fit.
            progress: told (step, steps) now and then.
        """
        ...


@runtime_checkable
class Prepares(Protocol):
    """A recipe that learns something of a task's images before any label is there."""

    def prepared(
        self, task: Task, folder: Path | None = None, progress: Progress | None = None
    ) -> tuple[Recipe, Task]:
        """Return a recipe that holds what was learned, and the task with label-free features."""
        ...
