"""What a report shows of a round of RL-MBA: weights, rewards, the policy, and every sample's reasons."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelwise.checks import Array
from labelwise.functional.evidence import conflict, vacuity
from labelwise.functional.policy import entropy_of_first_step, plackett_luce_log_prob
from labelwise.signals import View
from labelwise.strategies.balance.learning import Action
from labelwise.strategies.balance.state import Balance, Pool, modality_names

Floats = NDArray[np.float64]

SHOWN = 12  # samples that the notes tell of


def notes_of(
    view: View,
    balance: Balance,
    pool: Pool,
    action: Action,
    logits: Floats,
    agent: Mapping[str, Any],
    *,
    evidential: bool,
) -> dict[str, Any]:
    """Return the notes of a proposal.

    Args:
        view: the round.
        balance: what validation says.
        pool: what the pool holds.
        action: what was drawn.
        logits: (K,) of the candidates.
        agent: the state of the policy after the last update.
        evidential: whether opinions are read from evidence; else from probabilities.
    """
    names = modality_names(view, balance.gaps.size)
    last = agent["last"] or {}
    k = len(logits)
    likeliest = np.exp(logits - logits.max()).sum() ** -1  # its chance to be the first one drawn
    nothing = {"policy": None, "modality": None, "difficulty": None}
    return {
        "modality weights": told(names, balance.weights),
        "modality gaps": told(names, balance.gaps),
        "reward kind": agent["reward kind"],
        "reward": rounded(last.get("reward")),
        "smoothed reward": rounded(last.get("smoothed reward")),
        "baseline": rounded(last.get("baseline")),
        "advantage": rounded(last.get("advantage")),
        "losses": {name: rounded(value) for name, value in last.get("losses", nothing).items()},
        "updates": agent["updates"],
        "policy entropy": rounded(entropy_of_first_step(logits) / np.log(max(k, 2))),
        "policy preference": rounded(float(k * likeliest)),
        "policy log-probability": rounded(plackett_luce_log_prob(logits, action.order)),
        "candidates": k,
        "difficulty threshold": rounded(pool.threshold),
        "mean difficulty": rounded(float(pool.difficulty.mean())),
        "mean diversity": rounded(float(pool.diversity.mean())),
        "samples": _samples(view, names, balance, pool, action, logits, evidential=evidential),
    }


def told(names: list[str], values: Floats) -> dict[str, float]:
    """Return a value for each modality."""
    return dict(zip(names, (round(float(v), 6) for v in values), strict=True))


def rounded(value: float | None) -> float | None:
    """Return a number as a note holds it: six digits."""
    return None if value is None else float(f"{value:.6g}")


def _samples(
    view: View,
    names: list[str],
    balance: Balance,
    pool: Pool,
    action: Action,
    logits: Floats,
    *,
    evidential: bool,
) -> list[dict[str, Any]]:
    """Return what was known of the first samples asked for, in the order of asking."""
    places = action.order[:SHOWN]
    rows = pool.candidates[places]
    if not rows.size:
        return []
    chances = np.exp(logits - logits.max())
    chances /= chances.sum()
    present = np.asarray(view.pool.need("present"))[rows].astype(bool)
    if evidential:
        evidence = np.where(present[..., None], view.pool.need("evidence")[rows], 0).astype(np.float64)
        told_by = (evidence + 1) / (evidence + 1).sum(axis=-1, keepdims=True)
        against: Array | None = conflict(evidence)
        unclaimed: Array | None = vacuity(evidence)
    else:
        told_by = np.asarray(view.pool.need("modal_probs")[rows], np.float64)
        against = unclaimed = None
    found = []
    for i, (place, row) in enumerate(zip(places.tolist(), rows.tolist(), strict=True)):
        modalities = {
            name: {
                "present": bool(present[i, m]),
                "uncertainty": rounded(pool.uncertainty[row, m]),
                "vacuity": None if unclaimed is None else rounded(unclaimed[i, m]),
                "weight": round(float(balance.weights[m]), 6),
                "guess": int(told_by[i, m].argmax()) if present[i, m] else None,
                "belief": rounded(told_by[i, m].max()) if present[i, m] else None,
            }
            for m, name in enumerate(names)
        }
        found.append(
            {
                "id": int(view.pool.ids[row]),
                "probability": rounded(chances[place]),
                "score": rounded(pool.scores[row]),
                "difficulty": rounded(pool.difficulty[row]),
                "diversity": rounded(pool.diversity[row]),
                "conflict": None if against is None else rounded(against[i]),
                "modalities": modalities,
            }
        )
    return found
