"""Small multimodal views for the tests of RL-MBA, and policies whose weights are known."""

from __future__ import annotations

from typing import Any

import numpy as np

from labelwise.seeds import generator
from labelwise.signals import Needs, Signals, View
from labelwise.strategies import make
from labelwise.strategies.balance.strategy import RlMba
from labelwise.strategies.base import Outcome


def rng(*path: Any) -> np.random.Generator:
    return generator(0, "tests", "balance", *path)


def part(n: int, classes: int = 3, modalities: int = 2, width: int = 4, seed: int = 0) -> dict[str, Any]:
    """Return every array that an RL-MBA may read of n samples; modalities tell of the labels, the first one more."""
    draws = rng("part", n, classes, modalities, seed)
    y = draws.integers(classes, size=n)
    evidence = draws.exponential(size=(n, modalities, classes))
    for m in range(modalities):
        evidence[np.arange(n), m, y] += 2.0 / (m + 1)
    probs = (evidence + 1) / (evidence + 1).sum(axis=-1, keepdims=True)
    return {
        "evidence": evidence.astype(np.float32),
        "modal_probs": probs.astype(np.float32),
        "probs": probs.mean(axis=1).astype(np.float32),
        "modal_embeddings": tuple(
            draws.normal(size=(n, width)).astype(np.float32) for _ in range(modalities)
        ),
        "present": np.ones((n, modalities), bool),
        "y": y,
    }


def signals(arrays: dict[str, Any], names: frozenset[str], first: int = 1000) -> Signals:
    held = {name: arrays[name] for name in names}
    return Signals(np.arange(first, first + len(arrays["present"])), **held)


def view(
    n: int = 60,
    classes: int = 3,
    modalities: int = 2,
    *,
    t: int = 1,
    seed: int = 0,
    fit: dict[str, float] | None = None,
    needs: Needs | None = None,
    pool: dict[str, Any] | None = None,
    validation: dict[str, Any] | None = None,
) -> View:
    needs = needs or RlMba().needs
    pool = part(n, classes, modalities, seed=seed) if pool is None else pool
    validation = part(30, classes, modalities, seed=seed + 100) if validation is None else validation
    return View(
        signals(pool, needs.pool),
        Signals(np.empty(0, np.int64)),
        signals(validation, needs.validation, first=5000),
        classes,
        tuple(f"m{i}" for i in range(modalities)),
        t,
        fit or {},
    )


def outcome(t: int, after: float, before: float = 0.5, n_labelled: int = 30) -> Outcome:
    return Outcome(t, n_labelled, {"accuracy": before}, {"accuracy": after})


def made(**params: Any) -> RlMba:
    strategy = make("rl-mba", **{"hidden": 8, **params})
    assert isinstance(strategy, RlMba)
    return strategy


def played(strategy: RlMba, rewards: list[float], *, n: int = 5, after: bool = False, **views: Any) -> RlMba:
    """Let a strategy choose and hear of what it chose, round by round; `after`: and see the last round's view."""
    for t, reward in enumerate(rewards, start=1):
        strategy.propose(view(t=t, seed=t, **views), n, rng("propose", t))
        strategy.learn(outcome(t, 0.5 + reward))
    if after:
        strategy.propose(view(t=len(rewards) + 1, seed=len(rewards) + 1, **views), n, rng("last"))
    return strategy


def with_weights(strategy: RlMba, view_: View, change: Any) -> RlMba:
    """Return the strategy with network weights that `change` maps from name -> array."""
    strategy.propose(view_, 1, rng("weights"))
    state = strategy.state_dict()
    network = {k: v if k == "steps" else np.zeros_like(v) for k, v in state["network"].items()}
    change(network)
    strategy.load_state_dict({**state, "network": network, "actions": []})
    return strategy


def bank(tmp_path: Any, opened: Any, scores: dict[str, Any]) -> str:
    import json

    from labelwise.strategies.balance.bank import FORMAT

    banks = {opened.protocol: {"about": {}, "scores": scores}}
    path = tmp_path / "bank.json"
    path.write_text(json.dumps({"format": FORMAT, "banks": banks}))
    return str(path)
