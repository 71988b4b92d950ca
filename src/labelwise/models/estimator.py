"""Any scikit-learn classifier as a recipe: images, tables and text become one matrix of features."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.base import BaseEstimator, clone
from sklearn.ensemble import ExtraTreesClassifier, HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from threadpoolctl import threadpool_limits

from labelwise.checks import Array, as_ids, as_labels, check_count, check_name
from labelwise.data.base import Dataset, Labelled
from labelwise.errors import InputError, MissingSignal, TrainingError
from labelwise.models.base import Ids, Progress
from labelwise.models.inputs import IMAGE, TEXT, Scale, absent_rows, kinds_of
from labelwise.signals import Needs, Signals

# name -> what builds it; your own classifier needs no row here
ESTIMATORS: dict[str, tuple[type[Any], dict[str, Any]]] = {
    "logistic": (LogisticRegression, {"max_iter": 1000}),
    "forest": (RandomForestClassifier, {"n_estimators": 200}),
    "extra-trees": (ExtraTreesClassifier, {"n_estimators": 200}),
    "boosting": (HistGradientBoostingClassifier, {}),
    "bayes": (GaussianNB, {}),
}
_WORDS = HashingVectorizer(ngram_range=(1, 2), n_features=2**18, norm="l2", dtype=np.float32)
_BLOCK_NUMBERS = 1 << 22  # numbers of the feature matrix held at once while answering: 16 MiB
_FORESTS = (RandomForestClassifier, ExtraTreesClassifier)  # their probabilities are the mean of their trees'


@dataclass(frozen=True, eq=False)
class EstimatorRecipe:
    """Fits a scikit-learn classifier on the labelled samples.

    Every modality becomes columns. Images: bytes / 255, flattened. Tables: standardised with mean and
    standard deviation of the training samples, missing values at the mean. Text: words and pairs of words
    hashed into 2^18 columns, rows of length 1. Several modalities stand side by side.

    A class that the training samples lack gets probability 0. If they hold a single class, that class is the
    answer for everything, and the notes say {"single_class": 1}.

    A forest, its own or yours, also gives draws: the probabilities of its trees, one draw a tree (n_estimators of
    them: n x S x C numbers lie in memory).

    Attributes:
        estimator: a row of `ESTIMATORS`, or a classifier with predict_proba. It is cloned, never changed,
            and every `random_state` inside it is drawn from the campaign's seed.
        params: set on the estimator, e.g. {"C": 0.1}.
        modalities: which ones to read; None: all.
        threads: for linear algebra and OpenMP while fitting and answering.

    Raises:
        InputError: a class instead of an instance, no classifier, or one without probabilities.
    """

    estimator: str | BaseEstimator = "logistic"
    params: Mapping[str, Any] = field(default_factory=dict)
    modalities: tuple[str, ...] | None = None
    threads: int = 1

    def __post_init__(self) -> None:
        check_count(self.threads, "threads", 1)
        if self.modalities is not None:
            object.__setattr__(self, "modalities", tuple(self.modalities))
        if isinstance(self.estimator, str):
            check_name(self.estimator, tuple(ESTIMATORS), "estimator")
        elif isinstance(self.estimator, type) or not hasattr(self.estimator, "fit"):
            raise InputError(
                "estimator must be a name or an instance of a scikit-learn classifier, such as "
                f"LogisticRegression(); it is {self.estimator!r}."
            )
        else:
            object.__setattr__(self, "estimator", clone(self.estimator))  # the caller's own may change later
        made = self.made()
        if not hasattr(made, "predict_proba"):
            raise InputError(
                f"estimator must give probabilities; {type(made).__name__} has no predict_proba. Wrap it, "
                "e.g. CalibratedClassifierCV(LinearSVC()), or take one that has it: LogisticRegression, "
                "RandomForestClassifier, GaussianNB, KNeighborsClassifier, MLPClassifier."
            )

    @property
    def gives(self) -> Needs:
        names = frozenset({"probs", "draws"} if isinstance(self.made(), _FORESTS) else {"probs"})
        return Needs(pool=names, labelled=names, validation=names)

    @property
    def warm(self) -> bool:
        """False: every fit starts afresh."""
        return False

    def made(self) -> Any:
        """Return an unfitted classifier with `params` set.

        Raises:
            InputError: it has no such parameter.
        """
        if isinstance(self.estimator, str):
            build, defaults = ESTIMATORS[self.estimator]
            made = build(**defaults)
        else:
            made = clone(self.estimator)
        try:
            return made.set_params(**self.params)
        except ValueError as error:
            raise InputError(
                f"params {dict(self.params)} do not suit {type(made).__name__}: {error}"
            ) from error

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
    ) -> EstimatorPredictor:
        check_count(len(train), "the number of training samples", 1)
        y = as_labels(train.y, n_classes, "train.y")
        features = Features.measure(data, train.ids, self.modalities)
        made = self.made()
        trees = made.n_estimators if isinstance(made, _FORESTS) else 0
        found = np.unique(y)
        if found.size == 1:
            notes = {"single_class": 1.0}
            return EstimatorPredictor(None, features, found, n_classes, notes, self.threads, trees)
        states = sorted(name for name in made.get_params() if name.split("__")[-1] == "random_state")
        made.set_params(**{name: int(rng.integers(2**32)) for name in states})
        name, x = type(made).__name__, features.read(data, train.ids)
        with threadpool_limits(self.threads), warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                made.fit(x, y)
            except (ValueError, TypeError) as error:
                raise TrainingError(
                    f"{name} could not be fitted on {len(y)} samples of {found.size} classes with "
                    f"{x.shape[1]} {'sparse ' if sparse.issparse(x) else ''}features: {error}"
                ) from error
        notes = {"classes": float(found.size), "features": float(x.shape[1])}
        for warning in caught:
            if issubclass(warning.category, ConvergenceWarning):
                notes["not_converged"] = (
                    1.0  # the answer is still usable, and a campaign fits a hundred times
                )
            else:
                warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
        classes = np.asarray(made.classes_)
        return EstimatorPredictor(made, features, classes, n_classes, notes, self.threads, trees)


@dataclass(frozen=True, eq=False)
class EstimatorPredictor:
    """A fitted classifier; it answers probs, and a forest draws.

    Attributes:
        fitted: the classifier; None where the training samples held a single class.
        features: how it reads samples.
        classes: (k,) the class indices it knows, in the order of its columns.
        n_classes: C.
        notes: what the fit had to say.
        threads: for linear algebra and OpenMP.
        trees: how many draws it answers; 0: none.
    """

    fitted: Any = field(repr=False)
    features: Features = field(repr=False)
    classes: NDArray[np.int64]
    n_classes: int
    notes: Mapping[str, float]
    threads: int = 1
    trees: int = 0

    def infer(
        self, data: Dataset, ids: Ids, names: frozenset[str], progress: Progress | None = None
    ) -> Signals:
        gives = {"probs", "draws"} if self.trees else {"probs"}
        if unknown := set(names) - gives:
            raise MissingSignal(
                f"{'A forest' if self.trees else 'An estimator'} gives {' and '.join(sorted(gives))}; asked for "
                f"{', '.join(sorted(unknown))}."
            )
        ids = as_ids(ids)
        axes = {"probs": (), "draws": (self.trees,)}
        parts: dict[str, Any] = {
            name: np.zeros((ids.size, *axes[name], self.n_classes), dtype=np.float32)
            for name in sorted(names)
        }
        block = max(1, min(4096, _BLOCK_NUMBERS // max(1, self.features.dense_width)))
        with threadpool_limits(self.threads):
            for start in range(0, ids.size if parts else 0, block):
                rows = slice(start, min(start + block, ids.size))
                x = None if self.fitted is None else self.features.read(data, ids[rows])
                for name, values in parts.items():
                    if x is None:
                        values[rows, ..., self.classes[0]] = 1.0
                    elif name == "probs":
                        values[rows, self.classes] = self._probs(x, ids[rows])
                    else:
                        for s, tree in enumerate(
                            self.fitted.estimators_
                        ):  # columns in the order of the forest's
                            values[rows, s, self.classes] = tree.predict_proba(x)
                if progress is not None:
                    progress(rows.stop, ids.size)
        return Signals(ids, **parts)

    def _probs(self, x: Any, ids: Ids) -> Array:
        probs = self.fitted.predict_proba(x)
        wrong = np.flatnonzero(~np.isfinite(probs).all(axis=1))
        if wrong.size:
            raise TrainingError(
                f"{type(self.fitted).__name__} must answer with numbers; sample {int(ids[wrong[0]])} gets "
                f"{probs[wrong[0]]}."
            )
        return np.asarray(probs)

    def state_dict(self) -> dict[str, Any]:
        return {}


@dataclass(frozen=True, eq=False)
class Features:
    """Makes one matrix of all modalities: dense, or sparse where there is text.

    Attributes:
        scales: modality -> its scale; None for text.
    """

    scales: Mapping[str, Scale | None]

    @classmethod
    def measure(cls, data: Dataset, ids: Ids, modalities: Sequence[str] | None) -> Features:
        """Return the features whose statistics are those of these samples."""
        batch = data.batch(ids)
        return cls(
            {
                name: None
                if kind == TEXT
                else Scale.measure(name, batch[name], absent_rows(data, batch, name), plain=kind == IMAGE)
                for name, kind in kinds_of(data, ids, modalities).items()
            }
        )

    @property
    def dense_width(self) -> int:
        """Columns of images and tables."""
        return sum(scale.width for scale in self.scales.values() if scale is not None)

    def read(self, data: Dataset, ids: Ids) -> Any:
        """Return (b, F) float32, an array or a CSR matrix."""
        batch = data.batch(ids)
        parts: list[Any] = []
        for name, scale in self.scales.items():
            absent = absent_rows(data, batch, name)
            if scale is None:
                parts.append(_WORDS.transform(_texts(batch[name], absent)))
                continue
            values = scale.read(name, batch[name], absent)
            if values.dtype == np.uint8:
                factor, offset = scale.factors()
                values = values * factor + offset
            parts.append(values.reshape(len(values), -1))
        if any(sparse.issparse(part) for part in parts):
            return (
                parts[0]
                if len(parts) == 1
                else sparse.hstack([sparse.csr_matrix(p) for p in parts], format="csr")
            )
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)


def _texts(values: Array, absent: NDArray[np.bool_] | None) -> list[str]:
    """Return texts as a list; one that is missing is empty."""
    gone = np.zeros(len(values), dtype=bool) if absent is None else absent
    return [
        text if isinstance(text, str) and not empty else "" for text, empty in zip(values, gone, strict=True)
    ]
