"""Views for any strategy, built from its needs alone: a new row of the table is covered without a word here."""

from __future__ import annotations

from typing import Any

import numpy as np

from labelwise.seeds import generator
from labelwise.signals import Needs, Signals, View
from labelwise.strategies import make
from labelwise.strategies.base import Strategy

WIDTH, MODALITIES, DRAWS = 8, 2, 4
KINDS = ("random", "duplicates", "constant", "sure")
# Parameters that make a strategy that trains something quick enough for hundreds of tests.
QUICK: dict[str, dict[str, Any]] = {
    "batch-bald": {"num_samples": 32},
    "epig": {"targets": 10, "answers": 50},
    # ids begin at 1000, and a test renames them sevenfold; label 0 is one however many classes there are
    "grand-oracle": {"truth": np.zeros(60_000, np.int64)},
    "uncertain-gcn": {"steps": 2, "width": 8, "candidates": 2_000},
    "core-gcn": {"steps": 2, "width": 8, "candidates": 2_000},
    "bral-t": {"pairs": 2, "steps": 2, "hidden": 8},
    "rl-mba": {"hidden": 8},
    "cdal-rl": {"steps": 2, "width": 4, "candidates": 50},
    "discriminative": {"parts": 3},
}


def signals(names: frozenset[str], n: int, classes: int, kind: str = "random", seed: int = 0) -> Signals:
    """Return n samples that hold just these signals, ids from 1000.

    `duplicates`: three different samples, over and over; `constant`: one; `sure`: all probability on one class.
    """
    rng = generator(seed, "tests", "views", kind)
    distinct = {"random": n, "duplicates": min(n, 3), "constant": min(n, 1), "sure": n}[kind]
    rows = np.arange(n) % max(distinct, 1)

    def simplex(*axes: int) -> np.ndarray:
        p = rng.dirichlet(np.full(classes, 0.5 if classes < 100 else 5), size=(distinct, *axes))
        if kind == "sure":
            p = np.eye(classes)[rng.integers(classes, size=(distinct, *axes))]
        return p[rows]

    def normal(*axes: int) -> np.ndarray:
        return rng.normal(size=(distinct, *axes)).astype(np.float32)[rows]

    held: dict[str, np.ndarray] = {}

    def last_layer() -> np.ndarray:  # logits as they come of the embeddings, where these are asked for, too
        if "embeddings" not in held:
            return normal(classes)
        return held["embeddings"] @ rng.normal(size=(WIDTH, classes)).astype(np.float32)

    makers: dict[str, Any] = {
        "probs": simplex,
        "logits": last_layer,
        "draws": lambda: simplex(DRAWS),
        "embeddings": lambda: held.setdefault("embeddings", normal(WIDTH)),
        "features": lambda: normal(WIDTH),
        "modal_probs": lambda: simplex(MODALITIES),
        "modal_embeddings": lambda: tuple(normal(WIDTH) for _ in range(MODALITIES)),
        "evidence": lambda: np.exp(normal(MODALITIES, classes)),
        "coalitions": lambda: simplex(2**MODALITIES),
        "present": lambda: np.ones((n, MODALITIES), bool),
        "el2n": lambda: np.abs(normal()),
        "y": lambda: rng.integers(classes, size=n),
    }
    parts = {name: makers[name]() for name in sorted(names) if not name.startswith("scalars.")}
    scalars = {
        name.removeprefix("scalars."): normal() for name in sorted(names) if name.startswith("scalars.")
    }
    return Signals(np.arange(1000, 1000 + n), **parts, scalars=scalars)


def view(needs: Needs, n: int, classes: int, kind: str = "random", seed: int = 0, labelled: int = 12) -> View:
    """Return a view that holds the needs and nothing else (law V)."""
    return View(
        signals(needs.pool, n, classes, kind, seed),
        signals(needs.labelled, labelled, classes, "random", seed + 1),
        # where modalities are measured on validation samples, there are some
        signals(
            needs.validation,
            max(labelled, int("modal_probs" in needs.validation)),
            classes,
            "random",
            seed + 2,
        ),
        classes,
        ("first", "second"),
        round=1,
    )


def state_of(strategy: Strategy) -> str:
    """Return what a strategy would store, to see whether it changed."""
    return repr(strategy.state_dict())


def made(name: str) -> Strategy:
    """Return the strategy as the tests use it."""
    return make(name, **QUICK.get(name, {}))
