"""A recipe whose signals are fixed by the ids it saw, and a task of 200 points: campaigns without training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from labelwise.data.base import ArrayDataset, Labelled
from labelwise.data.task import Task
from labelwise.seeds import generator
from labelwise.signals import Needs, Signals

SCALARS = ("boundary", "bim", "sharpness", "sharpness_rise", "predicted_loss", "discriminator", "critic")
MODAL = frozenset({"modal_probs", "modal_embeddings", "evidence", "coalitions", "present"})
EVERYTHING = frozenset(
    {"probs", "logits", "embeddings", "draws", *MODAL, *(f"scalars.{name}" for name in SCALARS)}
)


def task(
    n: int = 200, classes: int = 3, *, validation: int = 12, test: int = 30, features: bool = True
) -> Task:
    """A pool of n ids from 0, then validation and test; two table columns."""
    total = n + validation + test
    rng = generator(0, "tests", "fake")
    y = rng.integers(0, classes, total)
    x = rng.normal(size=(total, 2)) + y[:, None]
    ids = np.arange(total)
    return Task(
        "fake",
        ArrayDataset({"table": x}),
        tuple(f"class {c}" for c in range(classes)),
        ids[:n],
        Labelled(ids[n : n + validation], y[n : n + validation]),
        Labelled(ids[n + validation :], y[n + validation :]) if test else None,
        features=x.astype(np.float32) if features else None,
    )


def truth(n: int = 200, classes: int = 3, *, validation: int = 12, test: int = 30) -> np.ndarray:
    """The label of every id of `task` with the same arguments."""
    return generator(0, "tests", "fake").integers(0, classes, n + validation + test)


@dataclass(frozen=True)
class FakePredictor:
    mean: tuple[float, ...]
    seed: int
    counter: int
    notes: Mapping[str, float]

    def infer(self, data: Any, ids: Any, names: frozenset[str], progress: Any = None) -> Signals:
        x = np.asarray(data.batch(np.asarray(ids))["table"], dtype=float)
        scale = generator(self.seed, "scale").uniform(0.5, 1.5, len(self.mean))
        logits = x.sum(axis=1, keepdims=True) * scale * np.arange(len(self.mean)) - np.asarray(self.mean) ** 2
        shifts = generator(self.seed, "draws").normal(size=(4, len(self.mean)))
        moved = np.stack([logits, *(logits + shift for shift in shifts)], axis=1)
        e = np.exp(moved - moved.max(axis=-1, keepdims=True))
        probs = e / e.sum(axis=-1, keepdims=True)
        parts = {"probs": probs[:, 0], "logits": logits, "embeddings": x, "draws": probs[:, 1:]}
        if names & MODAL:
            parts |= self._modal(x, scale, parts["probs"])
        scalars = {n[8:]: x[:, 0] + len(n) * x[:, 1] for n in names if n.startswith("scalars.")}
        return Signals(ids, **{n: parts[n] for n in names if n in parts}, scalars=scalars)

    def _modal(self, x: np.ndarray, scale: np.ndarray, probs: np.ndarray) -> dict[str, Any]:
        """First and last column are two modalities, with evidence for the classes."""
        x = x[:, [0, -1]]
        evidence = np.log1p(np.exp(x[:, :, None] * scale * np.arange(len(self.mean))))  # (n, 2, C)
        modal = (evidence + 1) / (evidence + 1).sum(axis=-1, keepdims=True)
        nothing = np.full_like(probs, 1 / len(self.mean))
        return {
            "modal_probs": modal,
            "modal_embeddings": (x[:, :1], x[:, 1:]),
            "evidence": evidence,
            "coalitions": np.stack([nothing, modal[:, 0], modal[:, 1], probs], axis=1),
            "present": np.ones(x.shape, bool),
        }

    def state_dict(self) -> dict[str, Any]:
        return {"counter": self.counter, "mean": np.asarray(self.mean)}


@dataclass(frozen=True)
class FakeRecipe:
    """Fits class means; a warm one counts its rounds and lets the count move its predictions."""

    warm: bool = False
    gives: ClassVar[Needs] = Needs(EVERYTHING, EVERYTHING, EVERYTHING)

    def fit(
        self, data: Any, train: Any, unlabelled: Any, validation: Any, n_classes: int, rng: Any, *,
        previous: Any = None, progress: Any = None,
    ) -> FakePredictor:  # fmt: skip
        x = np.asarray(data.batch(train.ids)["table"]).sum(axis=1)
        counter = (int(previous["counter"]) if previous else 0) + 1 if self.warm else 0
        means = tuple(
            float(x[train.y == c].mean()) + 0.1 * counter if (train.y == c).any() else 0.0
            for c in range(n_classes)
        )
        return FakePredictor(means, int(rng.integers(2**31)), counter, {"loss": 1.0 / len(train)})
