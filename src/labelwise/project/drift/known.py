"""How often a model errs on samples whose classes are known and that it has not learned from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labelwise.data.base import NOBODY, Ids, Labelled
from labelwise.data.task import Task
from labelwise.errors import InputError
from labelwise.models.base import Predictor, Recipe
from labelwise.seeds import generator

FOLDS = 5
LEAST_VALIDATION = 30  # with fewer, the labelled samples are measured fold by fold
LEAST_LABELS = 10
VALIDATION, OUT_OF_FOLD = "validation", "labelled, out of fold"
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, eq=False)
class Known:
    """Errors on known samples.

    Attributes:
        part: "validation", the project's model on the samples that only measure; or "labelled, out of fold", each
            labelled sample by a model taught on four fifths of the others. Those that a strategy chose are harder than
            most: then the error is too high rather than too low.
        ids: (n,) of the samples.
        errors: (n,) 1 where the model is wrong, else 0.
    """

    part: str
    ids: Ids
    errors: NDArray[np.float64]

    @property
    def error(self) -> float:
        return float(self.errors.mean())

    @property
    def variance(self) -> float:
        return float(self.errors.var())

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, eq=False)
class Fitting:
    """Fits one recipe on parts of the known labels, always in the same way.

    Attributes:
        task: the old samples.
        recipe: how.
        train: all known labels but those of the validation part.
        seed: of the fits.
        progress: told ("fit" or "cross-fit", done, total); None: nobody.
    """

    task: Task
    recipe: Recipe
    train: Labelled
    seed: int
    progress: Progress | None = None

    def whole(self) -> Predictor:
        """Return a model taught on all labels."""
        validation = self.task.validation if len(self.task.validation) else None
        return self._fit(self.train, NOBODY.ids, "all", validation, "fit", 0, 1)

    def without(self, apart: Ids) -> Predictor:
        """Return a model that has seen none of the samples kept apart.

        Raises:
            InputError: too few labels are left.
        """
        kept = self._but(apart)
        if len(kept) < LEAST_LABELS // 2:
            raise InputError(
                f"Drift is measured on old samples that the network has not learned from, and beside them only {len(kept)} "
                f"labels are left to teach it; it needs at least {LEAST_LABELS // 2}. Tell more answers, or compare the "
                "samples as they are (--reads inputs)."
            )
        return self._fit(kept, apart, "apart", None, "fit", 0, 1)

    def cross_fitted(self) -> NDArray[np.float64]:
        """Return probabilities (n, C) of the labelled samples, each by a model that has not learned from its fold."""
        ids = self.train.ids
        folds = generator(self.seed, "drift", "folds").permutation(np.arange(len(ids)) % FOLDS)
        probs = np.zeros((len(ids), self.task.n_classes))
        for fold in range(FOLDS):
            held = folds == fold
            model = self._fit(self._but(ids[held]), ids[held], f"fold {fold}", None, "cross-fit", fold, FOLDS)
            probs[held] = model.infer(self.task.data, ids[held], frozenset({"probs"})).need("probs")
        return probs

    def _but(self, apart: Ids) -> Labelled:
        kept = ~np.isin(self.train.ids, apart)
        return Labelled(self.train.ids[kept], self.train.y[kept])

    def _fit(
        self,
        train: Labelled,
        apart: Ids,
        path: str,
        validation: Labelled | None,
        phase: str,
        k: int,
        fits: int,
    ) -> Predictor:
        unlabelled = self.task.pool[~np.isin(self.task.pool, np.concatenate([train.ids, apart]))]
        rng = generator(self.seed, "drift", "fit", path)
        told = self.progress

        def tell(done: int, total: int) -> None:
            if told is not None:
                told(phase, k * total + done, fits * total)

        return self.recipe.fit(
            self.task.data, train, unlabelled, validation, self.task.n_classes, rng, progress=tell
        )


def known_errors(fitting: Fitting, predictor: Predictor) -> Known:
    """Return the errors of validation samples, or where there are fewer than 30, of labelled ones out of fold.

    Args:
        fitting: fits the folds.
        predictor: taught on all labels.

    Raises:
        InputError: too few labels.
    """
    task, train = fitting.task, fitting.train
    if len(task.validation) >= LEAST_VALIDATION:
        told = predictor.infer(task.data, task.validation.ids, frozenset({"probs"})).need("probs")
        return Known(VALIDATION, task.validation.ids, _errors(told, task.validation.y))
    if len(train) < LEAST_LABELS:
        raise InputError(
            f"What a drift may cost is told from known errors: {LEAST_VALIDATION} validation samples, or {LEAST_LABELS} "
            f"labelled ones in {FOLDS} folds; there are {len(task.validation)} and {len(train)}. Tell more answers first."
        )
    return Known(OUT_OF_FOLD, train.ids, _errors(fitting.cross_fitted(), train.y))


def _errors(probs: NDArray[np.float64], y: NDArray[np.int64]) -> NDArray[np.float64]:
    wrong: NDArray[np.float64] = (np.asarray(probs).argmax(axis=1) != y).astype(np.float64)
    return wrong
