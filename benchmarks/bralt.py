"""What BRAL-T costs: its phases on made embeddings, and its round beside those of rivals on Fashion-MNIST.

python benchmarks/bralt.py --part phases      # a few minutes on two cores
python benchmarks/bralt.py --part overhead    # ten minutes, most of them VAAL's; LABELWISE_DATA must hold fashion_mnist

Threads are the caller's (OMP_NUM_THREADS, OPENBLAS_NUM_THREADS). Run it with nothing else on the machine. Each part
replaces its own share of results/bralt.json.
"""

from __future__ import annotations

import argparse
import json
import statistics
from time import perf_counter
from typing import Any

import numpy as np

from labelwise import data, models, strategies
from labelwise.campaign.viewing import view_of
from labelwise.data.base import Labelled
from labelwise.seeds import generator
from labelwise.signals import Signals, View
from record import RESULTS, provenance
from selection import peak

TARGETS = {10: 4.0, 100: 20.0}  # seconds of all phases by number of classes, on two cores
SELECTION = 3.0  # seconds of the selection alone
NETWORK = {"network": "strided-cnn", "width": 8, "dropout": 0.2, "batch_size": 64, "lr": 0.003}
METHODS = {  # strategy: its recipe
    "bral-t": "strided-cnn",
    "loss-prediction": "learning-loss",
    "waal": "waal",
    "vaal": "vaal",
    "similar": "strided-cnn",
}


def world(classes: int, labelled: int, pool: int, width: int) -> View:
    """Return a round: classes that overlap, with a spread that falls along the axes as a network's embeddings have."""
    rng = generator(0, "benchmarks", "bralt", classes)
    scale = (1 + np.arange(width)) ** -0.5
    centres = rng.normal(size=(classes, width)) * scale

    def part(n: int) -> tuple[np.ndarray, np.ndarray]:
        y = rng.integers(classes, size=n)
        return y, (centres[y] + rng.normal(size=(n, width)) * scale).astype(np.float32)

    y, x = part(labelled)
    logits = -2 * np.square(x[:, None, :16] - centres[:, :16]).sum(axis=2)
    probs = np.exp(logits - logits.max(axis=1, keepdims=True))
    probs /= probs.sum(axis=1, keepdims=True)
    known = Signals(np.arange(labelled), embeddings=x, probs=probs, y=y)
    asked = Signals(labelled + np.arange(pool), embeddings=part(pool)[1])
    return View(asked, known, Signals(np.empty(0, np.int64)), classes, round=1)


def phases(labelled: int, pool: int, width: int, repeats: int) -> dict[str, Any]:
    """Time the phases of a round with the defaults."""
    rows: dict[str, Any] = {}
    for classes, target in TARGETS.items():
        view = world(classes, labelled, pool, width)

        def work() -> Any:
            return strategies.make("bral-t").propose(view, min(500, pool), generator(0))  # noqa: B023

        work()
        runs = [work().notes["seconds"] for _ in range(repeats)]
        alone = selection_alone(view, min(500, pool), repeats)
        rows[str(classes)] = {
            "seconds": {name: statistics.median(run[name] for run in runs) for name in runs[0]},
            "total": statistics.median(sum(run.values()) for run in runs),
            "target": target,
            "selection_alone": alone,
            "selection_target": SELECTION,
            "all_runs": runs,
            "extra_mb": peak(work),
        }
        print(classes, rows[str(classes)]["seconds"], "selection alone", alone, flush=True)
    return {"labelled": labelled, "pool": pool, "width": width, "rows": rows}


def selection_alone(view: View, n: int, repeats: int) -> float:
    """Return the median seconds of choosing with a kept agent, on all threads; nothing runs beside it."""
    kept = strategies.make("bral-t", reuse=(0,), pairs=1)
    kept.propose(view, n, generator(0))
    seconds = []
    for _ in range(repeats):
        found = kept.propose(view, n, generator(0)).notes["seconds"]
        if "network" in found:
            raise RuntimeError("The agent was not kept: selection did not run alone.")
        seconds.append(found["selection"])
    return statistics.median(seconds)


def overhead(sizes: list[int], pool: int, epochs: int) -> dict[str, Any]:
    """Time fit, inference and choice of each method on the same labelled sets and pool."""
    simulation = data.make("fashion-mnist", pool=max(sizes) + pool, test_size=2000)
    task = simulation.task
    ids = generator(0, "benchmarks", "bralt").permutation(np.asarray(task.pool))
    candidates = np.sort(ids[max(sizes) :])
    rows: dict[str, Any] = {}
    fit_of(simulation, "strided-cnn", ids[: min(sizes)], candidates, 1)  # imports and first touches
    strategies.make("bral-t", pairs=1).propose(world(2, 20, 20, 4), 2, generator(0))
    for size in sizes:
        plain, _, _ = fit_of(simulation, "strided-cnn", ids[:size], candidates, epochs)
        entry: dict[str, Any] = {"plain fit": plain, "methods": {}}
        for name, recipe in METHODS.items():
            strategy = strategies.make(name)
            fitted, predictor, train = fit_of(simulation, recipe, ids[:size], candidates, epochs)
            start = perf_counter()
            view = view_of(task, predictor, strategy.needs, candidates, train, 1)
            read = perf_counter() - start
            start = perf_counter()
            strategy.propose(view, 250, generator(0, "benchmarks", name))
            chosen = perf_counter() - start
            beside = fitted - plain if recipe != "strided-cnn" else 0.0
            entry["methods"][name] = {
                "fit": fitted, "inference": read, "selection": chosen, "adds": beside + chosen,
            }  # fmt: skip
            print(size, name, entry["methods"][name], flush=True)
        rows[str(size)] = entry
    return {"pool": pool, "epochs": epochs, "network": NETWORK, "batch": 250, "rows": rows}


def fit_of(
    simulation: Any, recipe: str, ids: np.ndarray, candidates: np.ndarray, epochs: int
) -> tuple[float, Any, Labelled]:
    """Return seconds of a fit, the predictor, and what it was fitted on."""
    task = simulation.task
    train = Labelled(np.sort(ids), np.asarray(simulation.truth[np.sort(ids)]))
    made = models.make(recipe, **NETWORK, epochs=epochs)
    start = perf_counter()
    predictor = made.fit(
        task.data, train, candidates, None, task.n_classes, generator(0, "benchmarks", "fit")
    )
    return perf_counter() - start, predictor, train


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--part", choices=["phases", "overhead"], required=True)
    parser.add_argument("--labelled", type=int, default=5_000, help="of phases")
    parser.add_argument(
        "--sizes", type=int, nargs="+", default=[500, 1_000, 2_500, 5_000], help="of overhead"
    )
    parser.add_argument("--pool", type=int, help="50,000 of phases, 10,000 of overhead by default")
    parser.add_argument("--width", type=int, default=512, help="of the embeddings of phases")
    parser.add_argument("--repeats", type=int, default=3, help="of phases")
    parser.add_argument("--epochs", type=int, default=6, help="of overhead")
    parser.add_argument("--dry", action="store_true", help="write nothing")
    asked = parser.parse_args()
    import torch

    if asked.part == "phases":
        found = phases(asked.labelled, asked.pool or 50_000, asked.width, asked.repeats)
    else:
        found = overhead(asked.sizes, asked.pool or 10_000, asked.epochs)
    if asked.dry:
        return
    file = RESULTS / "bralt.json"
    parts = json.loads(file.read_text()) if file.exists() else {}
    parts[asked.part] = {**provenance(), "threads": torch.get_num_threads(), **found}
    file.write_text(json.dumps(parts, indent=1) + "\n")


if __name__ == "__main__":
    main()
