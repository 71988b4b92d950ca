"""What encoders that err add to the robust risk, beside what was promised before they erred.

python benchmarks/robust_encoder.py             # some minutes on one core; --dry writes nothing, --smoke is seconds

The data and levels of error are those of the protocol mmdro/encoder: the columns of the task `copula` are what exact encoders
answer, noise on the test part is what worse ones do. Each model is fitted once, on exact samples. With z_k(x) its embedding of
modality k, the error is ε_k(x) = ‖z_k(x + noise) - z_k(x)‖, measured on the test samples before any shift. The promise for a
shift of radii ρ is E[l] + √B √Var(l) of the exact test samples, plus Σ_k L_k (E ε_k + √(ρ_k Var ε_k)) for the encoders; L_k is
the head's spectral norm, which is a bound, or the steepest gradient found on the test samples, which is not. What came is the
mean loss on the samples of that shift as the worse encoders see them. Coverage is the share of shifts within the promise.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from math import sqrt
from typing import Any

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from labelwise import data, models
from labelwise.bench.promises import coupling
from labelwise.bench.protocols import find
from labelwise.bench.spec import read_bench
from labelwise.data.base import Labelled
from labelwise.functional.ambiguity import Budgets, encoder_excess, modality_budgets
from labelwise.functional.lipschitz import empirical_lipschitz, spectral_lipschitz
from labelwise.functional.stress import capped_losses
from labelwise.functional.tightness import coverage
from labelwise.seeds import generator
from record import write

METHODS = ("erm", "mmdro", "variational")
NAMES = frozenset({"probs", "modal_embeddings"})


class Level:
    """The test samples of one level of error, before and after every shift of known radius, read once."""

    def __init__(self, spec: Any) -> None:
        self.simulation = data.make(spec.task.name, **spec.task.params)
        task = self.simulation.task
        self.names = task.data.modalities
        self.clean = _held([(task.data, task.unmoved())])
        known = [s for s in task.shifts if s.rho is not None]
        self.moved = _held([(s.data, s.part) for s in known])
        self.ends = np.cumsum([len(s.part) for s in known])
        self.rho = np.array([[s.rho.get(name, 0.0) for name in self.names] for s in known])
        gamma = coupling({"name": spec.task.name, **spec.task.params}, self.names)
        self.budgets = [modality_budgets(rho, gamma) for rho in self.rho]


def _held(parts: Sequence[tuple[Any, Labelled]]) -> tuple[Any, Any]:
    batches = [samples.batch(part.ids) for samples, part in parts]
    arrays = {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}
    return data.ArrayDataset(arrays), np.concatenate([part.y for _, part in parts])


def _told(predictor: Any, held: tuple[Any, Any]) -> tuple[Any, Any]:
    """Return the losses, and the embeddings of each modality."""
    found = predictor.infer(held[0], np.arange(len(held[1])), NAMES)
    return capped_losses(found.probs, held[1]), found.modal_embeddings


def slopes(predictor: Any, embeddings: list[Any], y: Any) -> tuple[Any, Any]:
    """Return L (K,) of the loss in each modality's embedding: by spectral norms, and the steepest gradient on samples."""
    network = predictor.network
    first, last = (layer.weight.detach().numpy() for layer in (network.trunk[0], network.head))
    side_by_side = np.hstack([float(share) * first for share in network.weights])
    spectral = spectral_lipschitz([side_by_side, last], [first.shape[1]] * len(network.weights))
    norms = []
    for several in embeddings:
        modal = torch.tensor(np.stack(several, axis=1), requires_grad=True)
        everything = torch.ones(modal.shape[:2], dtype=torch.bool)
        logits, *_ = network.fused(modal, modal, everything)
        (steep,) = torch.autograd.grad(cross_entropy(logits, torch.tensor(y), reduction="sum"), modal)
        norms.append(steep.norm(dim=2).numpy())
    return spectral, empirical_lipschitz(np.concatenate(norms))


def fitted(spec: Any, simulation: Any) -> Any:
    """Return a spec's predictor, from random labels of its seed."""
    task, seed = simulation.task, spec.plan.seed
    ids = generator(seed, "benchmarks", "encoder").choice(task.pool, spec.plan.start, replace=False)
    train = Labelled(ids, np.array([simulation.truth[i] for i in ids.tolist()]))
    recipe = models.make(spec.recipe.name, **spec.recipe.params)
    rng = generator(seed, "benchmarks", "encoder", "fit")
    return recipe.fit(task.data, train, np.setdiff1d(task.pool, ids), None, task.n_classes, rng)


def measured(predictor: Any, exact: Level, level: Level) -> dict[str, Any]:
    """Return what was promised from the exact samples, and what came on this level's."""
    losses, right = _told(predictor, exact.clean)
    theirs, wrong = _told(predictor, level.clean)
    mean, deviation = float(losses.mean()), float(losses.std())
    errors = np.stack([np.linalg.norm(a - b, axis=1) for a, b in zip(wrong, right, strict=True)], axis=1)
    both = slopes(predictor, [right, wrong], exact.clean[1])
    risks = [float(part.mean()) for part in np.split(_told(predictor, level.moved)[0], level.ends[:-1])]
    adds = {"none": np.zeros(len(risks))} | {
        name: np.array([encoder_excess(errors, rho, slope) for rho in level.rho])
        for name, slope in zip(("spectral", "empirical"), both, strict=True)
    }
    plain = np.array([[mean + sqrt(b) * deviation for b in budgets] for budgets in level.budgets])
    worst = int(np.argmax(risks))
    return {
        "risk": float(theirs.mean()),
        "error": errors.mean(axis=0).tolist(),
        "worst risk": risks[worst],
        "lipschitz": {"spectral": both[0].tolist(), "empirical": both[1].tolist()},
        "promise": {name: float(plain[worst, 0] + add[worst]) for name, add in adds.items()},
        "coverage": {
            name: {b: coverage(risks, plain[:, k] + add) for k, b in enumerate(Budgets._fields)}
            for name, add in adds.items()
        },
    }


def averaged(found: list[Any]) -> Any:
    """Return the mean over seeds of equal tables of numbers."""
    if isinstance(found[0], dict):
        return {key: averaged([one[key] for one in found]) for key in found[0]}
    return np.mean(found, axis=0).tolist()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--smoke", action="store_true", help="small sizes, to see that it runs")
    parser.add_argument("--dry", action="store_true", help="write nothing")
    asked = parser.parse_args()
    made = read_bench(find("mmdro/encoder"), "smoke" if asked.smoke else None)
    specs = {(c["error"], c["method"], s.plan.seed): s for s, c in zip(made.specs, made.cases, strict=True)}
    errors = list(dict.fromkeys(error for error, _, _ in specs))
    seeds = sorted({seed for _, _, seed in specs})
    torch.set_num_threads(1)
    levels = {error: Level(specs[error, METHODS[0], seeds[0]]) for error in errors}
    exact = levels[errors[0]]
    runs: dict[str, dict[str, list[Any]]] = {error: {method: [] for method in METHODS} for error in errors}
    for method in METHODS:
        for seed in seeds:
            predictor = fitted(specs[errors[0], method, seed], exact.simulation)
            for error, level in levels.items():
                runs[error][method].append(measured(predictor, exact, level))
    means = {error: {method: averaged(found) for method, found in by.items()} for error, by in runs.items()}
    for error, by in means.items():
        for method, one in by.items():
            held = {
                name: f"{100 * by_reading['first_order']:.0f} %"
                for name, by_reading in one["coverage"].items()
            }
            print(
                f"{error:10} {method:12} risk {one['risk']:.2f}, worst {one['worst risk']:.2f}; promised "
                f"{ {name: round(value, 2) for name, value in one['promise'].items()} }, held {held}",
                flush=True,
            )
    if not (asked.dry or asked.smoke):
        spec = next(iter(specs.values()))
        write(
            "robust-encoder",
            {
                "what": f"{spec.task.name}, {len(exact.rho)} shifts, {spec.task.params['shifts_size']} test samples, "
                f"{spec.plan.start} labels, {len(seeds)} seeds",
                "shifts": len(exact.rho), "labels": spec.plan.start, "seeds": len(seeds), "means": means, "all_runs": runs,
            },
        )  # fmt: skip


if __name__ == "__main__":
    main()
