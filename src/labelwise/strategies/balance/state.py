"""What the policy of RL-MBA sees of a round: the state of the model, and every candidate of the pool."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil, log
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from labelwise.checks import Array, as_labels, check_shape
from labelwise.errors import InputError, ShapeError
from labelwise.functional.balance import amcb_weights, modality_gaps
from labelwise.functional.blocks import block_rows
from labelwise.functional.evidence import difficulty, weighted_fusion
from labelwise.functional.evidence_rows import check_evidence
from labelwise.functional.metrics import accuracy, ece, nll
from labelwise.functional.scores import entropy
from labelwise.functional.unified import candidate_rows, diversity, fused_features, min_max, unified_score
from labelwise.signals import Signals, View

Floats = NDArray[np.float64]

DIAGNOSTICS = ("loss average", "loss slope", "gradient norm")  # of the fit; 0 where the recipe tells none
BINS = 15  # of the calibration error


def width_of(modalities: int) -> int:
    """Return S, how many numbers a state has."""
    return 8 + 2 * modalities


class Balance(NamedTuple):
    """How good the model is on validation data, and what each modality is worth there."""

    metrics: Floats  # (3,) accuracy, nll / ln C at most 1, ece
    gaps: Floats  # (M,) accuracy of each modality's head, where it is there, minus that of the fusion
    weights: Floats  # (M,) sum to 1


@dataclass(frozen=True)
class Looks:
    """How a round is looked at; the names and defaults are those of `RlMba`."""

    weights: str
    sign: int
    temperature: float
    floor: float
    uncertainty: str
    normalise: bool
    features: str
    iterations: int
    beta: float
    kappa: float
    quantile: float


@dataclass(frozen=True, eq=False)
class Pool:
    """What a round's pool holds for the policy.

    Attributes:
        uncertainty: (n, M) u_m.
        difficulty: (n,) U.
        diversity: (n,) d.
        scores: (n,) q.
        candidates: (K,) rows of the pool, highest q first.
        inputs: (K, M + 3) q, then u_m, U and d from 0 to 1 over the pool, of the candidates.
        threshold: τ_u, the quantile of U.
        seconds: of features, clusters and score.
    """

    uncertainty: Floats
    difficulty: Floats
    diversity: Floats
    scores: Floats
    candidates: NDArray[np.int64]
    inputs: NDArray[np.float32]
    threshold: float
    seconds: dict[str, float] = field(default_factory=dict)


def check_validation(count: int) -> None:
    """Raise InputError where there is no validation sample."""
    if not count:
        raise InputError(
            "rl-mba measures on validation samples what each modality knows and what a batch bought; there is none. "
            "Give the task a validation part (validation=0.05 carves a share out of the training part), or `select` "
            "its arrays as validation=."
        )


def measure_balance(validation: Signals, n_classes: int, looks: Looks) -> Balance:
    """Return what the validation samples say of the model and of its modalities.

    Raises:
        InputError: there is no validation sample, or a label is out of range.
        ShapeError: `modal_probs` and `probs` do not fit together.
    """
    check_validation(len(validation))
    y = as_labels(validation.need("y"), n_classes, "y of the validation samples")
    probs = validation.need("probs")
    present = np.asarray(validation.need("present")).astype(bool)
    gaps = modality_gaps(validation.need("modal_probs"), probs, y, present)
    surprise = min(nll(probs, y) / log(n_classes), 1.0) if n_classes > 1 else 0.0
    metrics = np.array([accuracy(probs, y), surprise, ece(probs, y, BINS)])
    m = gaps.size
    even = np.full(m, 1 / m)
    if looks.weights == "equal":
        return Balance(metrics, gaps, even)
    if looks.floor * m > 1:
        raise InputError(f"floor must be at most 1 / {m} with {m} modalities; it is {looks.floor:g}.")
    weights = amcb_weights(gaps, temperature=looks.temperature, floor=looks.floor, sign=looks.sign)
    return Balance(metrics, gaps, weights)


def state_vector(
    balance: Balance, mean_difficulty: float, mean_diversity: float, fit: Mapping[str, Any]
) -> Floats:
    """Return s = [g | Δ | mean U, mean d | loss average, loss slope, gradient norm | w], (8 + 2 M,).

    Args:
        balance: g, Δ and w.
        mean_difficulty: mean of U over the pool.
        mean_diversity: mean of d over the pool.
        fit: the diagnostics of the training; one that is missing or not finite counts as 0.
    """
    told = [float(fit.get(name, 0.0)) for name in DIAGNOSTICS]
    diagnostics = [value if np.isfinite(value) else 0.0 for value in told]
    return np.concatenate(
        [balance.metrics, balance.gaps, [mean_difficulty, mean_diversity], diagnostics, balance.weights]
    )


def look(view: View, n: int, weights: Floats, looks: Looks, rng: np.random.Generator) -> Pool:
    """Return difficulty, diversity and score of the pool, and its candidates for a batch of n.

    Raises:
        ShapeError: the pool's arrays are of another number of modalities, or of unequal widths.
    """
    pool, m = view.pool, weights.size
    present = np.asarray(pool.need("present")).astype(bool)
    check_shape(present, "present of the pool samples", ("n", "M"), (len(pool), m))
    parts = pool.modal_embeddings or ()
    if len(parts) != m:
        raise ShapeError(
            f"modal_embeddings of the pool samples must be M={m} arrays, as in modal_probs of the validation "
            f"samples; there are {len(parts)}."
        )
    names = modality_names(view, m)
    widths = [part.shape[1] for part in parts]
    if looks.features == "mean" and len(set(widths)) > 1:
        told = ", ".join(f"{name} {width}" for name, width in zip(names, widths, strict=True))
        raise ShapeError(
            f'modal_embeddings of the pool samples must be equally wide with features="mean"; their columns are {told}. '
            'Project them to one width, or set features="concat".'
        )
    clock = [perf_counter()]
    features = fused_features(parts, weights, present=present, how=looks.features)
    clock.append(perf_counter())
    spread = diversity(features, min(n, len(pool)), rng, iterations=looks.iterations)
    clock.append(perf_counter())
    if looks.uncertainty == "evidential":
        each, fused = evidential(pool.need("evidence"), weights, present, names, normalise=looks.normalise)
    else:
        each = entropies(pool.need("modal_probs"), present)
        fused = each @ weights
    check_shape(each, "uncertainty of the pool samples", ("n", "M"), (len(pool), m))
    scores = unified_score(each, spread, weights, beta=looks.beta)
    wanted = round(min(looks.kappa * n, len(pool)), 6)  # 1.1 · 10 is a little more than 11
    candidates = candidate_rows(scores, ceil(wanted))
    inputs = np.column_stack([scores, min_max(each), min_max(fused), min_max(spread)])[candidates]
    clock.append(perf_counter())
    return Pool(
        each,
        fused,
        spread,
        scores,
        candidates,
        inputs.astype(np.float32),
        float(np.quantile(fused, looks.quantile)),
        dict(zip(("features", "clusters", "score"), np.diff(clock).tolist(), strict=True)),
    )


def modality_names(view: View, modalities: int) -> list[str]:
    """Return the modalities' names; numbers where the view tells none."""
    if len(view.modalities) == modalities:
        return list(view.modalities)
    return [f"modality {m}" for m in range(modalities)]


def evidential(
    evidence: Array,
    weights: Floats,
    present: NDArray[np.bool_],
    names: Sequence[str] = (),
    *,
    normalise: bool,
) -> tuple[Floats, Floats]:
    """Return u_m of each modality, (n, M), and U of the fused opinion, (n,); a missing modality is no evidence.

    Raises:
        ShapeError: `evidence` is not (n, M, C).
        InputError: evidence is negative or not finite; the message names row and modality.
    """
    check_shape(evidence, "evidence of the pool samples", ("n", "M", "C"), (*present.shape, None))
    n, m, c = evidence.shape
    each, fused = np.empty((n, m)), np.empty(n)
    step = block_rows(8 * m * c)
    for start in range(0, n, step):  # the fused evidence of a pool is never there as a whole
        here = slice(start, start + step)
        e, there = evidence[here], present[here]
        seen = np.where(there[..., None], e, 0)
        check_evidence(seen, start, "evidence of the pool samples", names)
        each[here] = difficulty(seen, normalise=normalise)
        fused[here] = difficulty(weighted_fusion(e, weights, present=there), normalise=normalise)
    return each, fused


def entropies(modal_probs: Array, present: NDArray[np.bool_]) -> Floats:
    """Return the entropy of each modality's probabilities over ln C, (n, M); 1 where it is missing."""
    check_shape(modal_probs, "modal_probs of the pool samples", ("n", "M", "C"), (*present.shape, None))
    c = modal_probs.shape[-1]
    if c == 1:
        return np.zeros(present.shape)
    columns = [entropy(modal_probs[:, m]) for m in range(present.shape[1])]
    return np.where(present, np.column_stack(columns) / log(c), 1.0)
