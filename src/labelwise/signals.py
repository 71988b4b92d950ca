"""What strategies read: named arrays about samples, what a strategy needs of them, and one round's view.

Letters in every shape: n samples, C classes, D embedding width, F feature width, M modalities, S draws.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelwise.checks import Array, as_array, as_ids, check_name, check_shape, frozen
from labelwise.errors import MissingSignal, ShapeError

NO_SCALARS: Mapping[str, Array] = MappingProxyType({})
_LETTERS: dict[str, tuple[str, ...]] = {
    "probs": ("n", "C"),
    "logits": ("n", "C"),
    "draws": ("n", "S", "C"),
    "embeddings": ("n", "D"),
    "features": ("n", "F"),
    "modal_probs": ("n", "M", "C"),
    "evidence": ("n", "M", "C"),
    "coalitions": ("n", "K", "C"),
    "present": ("n", "M"),
    "el2n": ("n",),
    "y": ("n",),
}
NAMES: tuple[str, ...] = ("probs", "logits", "draws", "embeddings", "features", "modal_probs", "modal_embeddings",
                          "evidence", "coalitions", "present", "el2n", "y")  # fmt: skip


@dataclass(frozen=True, eq=False)
class Signals:
    """What is known of n samples; None where nothing was asked for.

    Arrays are kept as read-only views without copying (memory maps welcome, torch tensors converted); shapes are
    checked here, values by the functions that read them.

    Attributes:
        ids: (n,) global ids, distinct.
        probs: (n, C) class probabilities, rows sum to 1.
        logits: (n, C) before the softmax.
        draws: (n, S, C) posterior samples of probs.
        embeddings: (n, D) of the fitted predictor, before its last layer.
        features: (n, F) label-free and fixed for the campaign; there from round 0.
        modal_probs: (n, M, C) of the unimodal heads.
        modal_embeddings: M arrays (n, D_m).
        evidence: (n, M, C) non-negative; Dirichlet alpha = evidence + 1.
        coalitions: (n, 2^M, C) class probabilities of the fusion where it reads some modalities only: bit m of the
            coalition's number is set where it reads modality m, so [:, 0] is of none and [:, -1] is probs.
        present: (n, M) which modalities the sample has.
        el2n: (n,) error L2 norm of labelled samples.
        y: (n,) class index; never present in the pool part of a view.
        scalars: (n,) named extras of companion recipes.

    Raises:
        ShapeError: an array has the wrong axes or another n.
    """

    ids: NDArray[np.int64]
    probs: Array | None = None
    logits: Array | None = None
    draws: Array | None = None
    embeddings: Array | None = None
    features: Array | None = None
    modal_probs: Array | None = None
    modal_embeddings: tuple[Array, ...] | None = None
    evidence: Array | None = None
    coalitions: Array | None = None
    present: Array | None = None
    el2n: Array | None = None
    y: NDArray[np.int64] | None = None
    scalars: Mapping[str, Array] = field(default_factory=lambda: NO_SCALARS)

    def __post_init__(self) -> None:
        ids = as_ids(self.ids, "signals.ids")
        object.__setattr__(self, "ids", frozen(ids))
        n, classes, modalities = ids.size, None, None
        for name, letters in _LETTERS.items():
            value = getattr(self, name)
            if value is None:
                continue
            array = as_array(value, f"signals.{name}")
            sizes = [{"n": n, "C": classes, "M": modalities}.get(letter) for letter in letters]
            check_shape(array, f"signals.{name}", letters, sizes)
            if "C" in letters:
                classes = array.shape[-1]
                if classes == 0:
                    raise ShapeError(
                        f"signals.{name} must have at least one class; it has shape {array.shape}."
                    )
            if "M" in letters:
                modalities = array.shape[1]
            object.__setattr__(self, name, frozen(array))
        if self.modal_embeddings is not None:
            if not isinstance(self.modal_embeddings, list | tuple):
                kind = type(self.modal_embeddings).__name__
                raise ShapeError(f"signals.modal_embeddings must be a list of arrays; it is a {kind}.")
            parts = tuple(as_array(part, "signals.modal_embeddings") for part in self.modal_embeddings)
            for m, part in enumerate(parts):
                check_shape(part, f"signals.modal_embeddings[{m}]", ("n", "D"), (n, None))
            object.__setattr__(self, "modal_embeddings", tuple(frozen(part) for part in parts))
        if not isinstance(self.scalars, Mapping):
            raise ShapeError(
                f"signals.scalars must map names to arrays; it is a {type(self.scalars).__name__}."
            )
        scalars = {
            name: as_array(value, f"signals.scalars[{name!r}]") for name, value in self.scalars.items()
        }
        for name, array in scalars.items():
            check_shape(array, f"signals.scalars[{name!r}]", ("n",), (n,))
        object.__setattr__(self, "scalars", MappingProxyType({k: frozen(v) for k, v in scalars.items()}))

    def __len__(self) -> int:
        return int(self.ids.size)

    @property
    def names(self) -> frozenset[str]:
        """The signals that are there; a scalar `critic` is named "scalars.critic"."""
        here = {name for name in NAMES if getattr(self, name) is not None}
        return frozenset(here | {f"scalars.{name}" for name in self.scalars})

    def need(self, name: str) -> Array:
        """Return a signal that must be there.

        Raises:
            MissingSignal: it is not.
        """
        value = self.scalars.get(name[8:]) if name.startswith("scalars.") else getattr(self, name, None)
        if value is None:
            raise MissingSignal(f"These signals hold no {name}; they hold {_listed(self.names)}.")
        return value

    def take(self, rows: NDArray[np.int64]) -> Signals:
        """Return the signals of some rows, in that order."""
        parts: dict[str, Any] = {"ids": self.ids[rows]}
        for name in self.names:
            if name == "modal_embeddings":
                parts[name] = tuple(part[rows] for part in self.modal_embeddings or ())
            elif not name.startswith("scalars."):
                parts[name] = getattr(self, name)[rows]
        return Signals(**parts, scalars={name: value[rows] for name, value in self.scalars.items()})

    def only(self, names: Iterable[str]) -> Signals:
        """Return the same samples with nothing but the named signals (law V)."""
        wanted = set(names)
        parts = {f.name: getattr(self, f.name) for f in fields(self) if f.name in wanted}
        extras = {name: value for name, value in self.scalars.items() if f"scalars.{name}" in wanted}
        return Signals(self.ids, **parts, scalars=extras)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "nothing"


@dataclass(frozen=True)
class Needs:
    """The names of the signals that a strategy requires, per part of a view."""

    pool: frozenset[str] = frozenset()
    labelled: frozenset[str] = frozenset()
    validation: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        for part in ("pool", "labelled", "validation"):
            names = frozenset(getattr(self, part))
            object.__setattr__(self, part, names)
            for name in names:
                if not name.startswith("scalars."):
                    check_name(name, NAMES, "signal")
        if "y" in self.pool:
            raise MissingSignal("No strategy can need y of the pool: pool labels are what it asks for.")

    def check(self, given: Needs, who: str, giver: str) -> None:
        """Raise unless `given` covers these needs.

        Args:
            given: what the other side can give.
            who: the strategy's name, for the message.
            giver: who gives, for the message.

        Raises:
            MissingSignal: in words, e.g. "badge needs embeddings of the pool samples; the call gives probs."
        """
        for part in ("pool", "labelled", "validation"):
            missing = getattr(self, part) - getattr(given, part)
            if missing:
                raise MissingSignal(
                    f"{who} needs {_listed(missing)} of the {part} samples; {giver} gives "
                    f"{_listed(getattr(given, part))}."
                )


@dataclass(frozen=True, eq=False)
class View:
    """One round as a strategy sees it: nothing else is within its reach.

    Attributes:
        pool: signals of the candidates; `y` is never there.
        labelled: signals of the labelled samples.
        validation: signals of the validation samples.
        n_classes: C.
        modalities: their names, in the order of every M axis.
        round: the round that asks, from 0.
        fit: the training's diagnostics.
    """

    pool: Signals
    labelled: Signals
    validation: Signals
    n_classes: int
    modalities: tuple[str, ...] = ()
    round: int = 0
    fit: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.pool.y is not None:
            raise ShapeError("The pool part of a view must not hold y: pool labels are what is asked for.")

    def only(self, needs: Needs) -> View:
        """Return the view cut down to what `needs` declares (law V)."""
        return View(
            self.pool.only(needs.pool),
            self.labelled.only(needs.labelled),
            self.validation.only(needs.validation),
            self.n_classes,
            self.modalities,
            self.round,
            self.fit,
        )
