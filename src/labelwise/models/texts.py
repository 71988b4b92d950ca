"""How a network reads text: words and pairs of words hashed into columns."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import sqrt

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import HashingVectorizer

from labelwise.checks import Array
from labelwise.errors import ShapeError


@dataclass(frozen=True)
class Words:
    """How texts become numbers a network likes; nothing is learnt, so there is nothing to store but the size.

    The words of a text and the pairs of neighbours among them are hashed into columns and counted; then the row is
    scaled to the length sqrt(columns), so that its numbers have a mean square of 1, as those of a standardised table
    have. A text without words, or one that is missing, is a row of zeros. Words are what scikit-learn's vectorizers
    take for words: at least two letters or digits, in lower case.

    Attributes:
        columns: F, how many there are; words that meet in one are one to the network.
    """

    columns: int

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one sample, (F,)."""
        return (self.columns,)

    @property
    def width(self) -> int:
        """How many numbers a sample has."""
        return self.columns

    def read(self, name: str, values: Array, absent: NDArray[np.bool_] | None) -> NDArray[np.float32]:
        """Return texts as (b, F) float32.

        Args:
            name: the modality, for messages.
            values: (b,) texts.
            absent: (b,) samples that lack the modality; None if all have it.

        Raises:
            ShapeError: these are no texts.
        """
        if values.dtype.kind not in "TU" or values.ndim != 1:
            raise ShapeError(
                f"Modality {name!r} must be text (b,), as at the fit; it is {values.dtype} of shape {values.shape}."
            )
        if not len(values):
            return np.zeros((0, self.columns), dtype=np.float32)
        gone = np.zeros(len(values), dtype=bool) if absent is None else absent
        texts = [
            text if isinstance(text, str) and not empty else ""
            for text, empty in zip(values, gone, strict=True)
        ]
        counts = self._hashing.transform(texts)
        counts.data *= sqrt(self.columns)
        dense: NDArray[np.float32] = counts.toarray()
        return dense

    @cached_property
    def _hashing(self) -> HashingVectorizer:
        return HashingVectorizer(
            ngram_range=(1, 2), n_features=self.columns, alternate_sign=False, norm="l2", dtype=np.float32
        )
