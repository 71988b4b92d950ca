"""How a network reads text: words and pairs of words hashed into columns, or the tokens of a tokeniser of yours."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from math import sqrt

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import HashingVectorizer

from labelwise.checks import Array
from labelwise.errors import InputError, ShapeError

MOST_TOKENS = 1 << 24  # whole numbers below it are exact in float32, as which samples are held


def _plain(name: str, values: Array, absent: NDArray[np.bool_] | None) -> list[str]:
    """Return texts as a list; one that is missing is empty.

    Raises:
        ShapeError: these are no texts.
    """
    if values.dtype.kind not in "TU" or values.ndim != 1:
        raise ShapeError(
            f"Modality {name!r} must be text (b,), as at the fit; it is {values.dtype} of shape {values.shape}."
        )
    gone = np.zeros(len(values), dtype=bool) if absent is None else absent
    return [
        text if isinstance(text, str) and not empty else "" for text, empty in zip(values, gone, strict=True)
    ]


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
        texts = _plain(name, values, absent)
        if not texts:
            return np.zeros((0, self.columns), dtype=np.float32)
        counts = self._hashing.transform(texts)
        counts.data *= sqrt(self.columns)
        dense: NDArray[np.float32] = counts.toarray()
        return dense

    @cached_property
    def _hashing(self) -> HashingVectorizer:
        return HashingVectorizer(
            ngram_range=(1, 2), n_features=self.columns, alternate_sign=False, norm="l2", dtype=np.float32
        )


@dataclass(frozen=True)
class Tokens:
    """How texts become the numbers of tokens that an encoder of somebody's own looks up.

    Attributes:
        tokenise: n texts -> (n, L) whole numbers in [0, 2^24), the same L for all texts.
        length: L.
    """

    tokenise: Callable[[list[str]], Array]
    length: int

    @classmethod
    def of(cls, name: str, tokenise: Callable[[list[str]], Array]) -> Tokens:
        """Return the reading with this tokeniser; an empty text tells how many tokens it makes."""
        return cls(tokenise, _numbers(name, tokenise, [""]).shape[1])

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one sample, (L,)."""
        return (self.length,)

    @property
    def width(self) -> int:
        """How many numbers a sample has."""
        return self.length

    def read(self, name: str, values: Array, absent: NDArray[np.bool_] | None) -> NDArray[np.float32]:
        """Return texts as the numbers of their tokens, (b, L) float32; arguments as of `Words.read`.

        Raises:
            ShapeError: these are no texts.
            InputError: the tokeniser answers something else than (b, L) whole numbers in range.
        """
        texts = _plain(name, values, absent)
        if not texts:
            return np.zeros((0, self.length), dtype=np.float32)
        tokens = _numbers(name, self.tokenise, texts)
        if tokens.shape[1] != self.length:
            raise InputError(
                f"The tokeniser of modality {name!r} must make the same number of tokens of all texts, {self.length} as "
                f"of an empty one; it made {tokens.shape[1]}. Let it pad and cut them."
            )
        return tokens.astype(np.float32)


def _numbers(name: str, tokenise: Callable[[list[str]], Array], texts: list[str]) -> Array:
    tokens = np.asarray(tokenise(texts))
    if tokens.ndim != 2 or len(tokens) != len(texts) or not tokens.shape[1] or tokens.dtype.kind not in "iu":
        raise InputError(
            f"The tokeniser of modality {name!r} must make whole numbers (n, L) of n texts; of {len(texts)} it made "
            f"{tokens.dtype} of shape {tokens.shape}."
        )
    if tokens.min() < 0 or tokens.max() >= MOST_TOKENS:
        raise InputError(
            f"The tokeniser of modality {name!r} must make numbers in [0, {MOST_TOKENS:,}); they run from "
            f"{tokens.min()} to {tokens.max()}."
        )
    return tokens
