"""Whoever answers: an answer, and a simulated person who knows the labels but may err, or pass."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labelwise.checks import as_array, as_labels, check_shape
from labelwise.errors import InputError
from labelwise.seeds import generator


@dataclass(frozen=True)
class Answer:
    """One answer for one id.

    Attributes:
        id: the sample's global id.
        label: class index; None is a pass ("I cannot say").
        annotator: who answered.
        seconds: how long it took; None if unknown.
    """

    id: int
    label: int | None
    annotator: str = ""
    seconds: float | None = None


class SimulatedOracle:
    """Answers with known labels, wrong at a given rate.

    What it says about a sample is fixed by (seed, id): it depends neither on the order of asking nor on the strategy,
    so that strategies are compared under the same noise, and asking the same sample again gives the same answer.

    Args:
        truth: (N,) true class index of every id; -1 where it is unknown (such ids are always passed).
        n_classes: C.
        noise: share of samples answered wrongly, uniformly among the other classes (symmetric noise).
        passes: share of samples answered with "I cannot say".
        confusion: (C, C) rows sum to 1: how this annotator answers each true class; instead of `noise`.
        seed: derives every error.
        annotator: the name written on each answer.

    Raises:
        InputError: a rate outside [0, 1], noise and confusion together, a label out of range.

    Source:
        Symmetric noise of 0/10/20/40 %: specification of system C, check (b).
    """

    def __init__(
        self,
        truth: NDArray[np.int64],
        n_classes: int,
        *,
        noise: float = 0.0,
        passes: float = 0.0,
        confusion: NDArray[np.float64] | None = None,
        seed: int = 0,
        annotator: str = "simulated",
    ) -> None:
        for name, rate in (("noise", noise), ("passes", passes)):
            if not 0 <= rate <= 1:
                raise InputError(f"oracle.{name} must lie in [0, 1]; it is {rate}.")
        known = as_array(truth, "truth")
        as_labels(known[known >= 0], n_classes, "truth")
        self.annotator = annotator
        self.said = known.astype(np.int64)
        rng = generator(seed, "oracle")
        # One draw a sample and purpose, whoever is asked: common random numbers.
        passing, erring, other = (rng.random(known.size) for _ in range(3))
        if confusion is not None:
            if noise:
                raise InputError("An oracle takes noise or a confusion matrix; it was given both.")
            matrix = as_array(confusion, "oracle.confusion").astype(np.float64)
            check_shape(matrix, "oracle.confusion", ("C", "C"), (n_classes, n_classes))
            if matrix.min() < 0 or not np.allclose(matrix.sum(axis=1), 1, atol=1e-6):
                raise InputError("oracle.confusion: every row must be a distribution over the answers.")
            steps = np.cumsum(matrix, axis=1)[np.maximum(self.said, 0)]
            drawn = np.minimum((erring[:, None] >= steps).sum(axis=1), n_classes - 1)
            self.said = np.where(known >= 0, drawn, -1)
        elif noise:
            shift = 1 + np.floor(other * (n_classes - 1)).astype(np.int64)
            self.said = np.where((erring < noise) & (known >= 0), (known + shift) % n_classes, self.said)
        self.said = np.where(passing < passes, -1, self.said)

    def answer(self, ids: Iterable[int]) -> tuple[Answer, ...]:
        """Return one answer for each id.

        Raises:
            InputError: an id that this oracle does not know.
        """
        answers = []
        for i in ids:
            if not 0 <= i < self.said.size:
                raise InputError(f"The oracle knows samples 0 to {self.said.size - 1}; it was asked for {i}.")
            label = int(self.said[i])
            answers.append(Answer(int(i), None if label < 0 else label, self.annotator))
        return tuple(answers)
