"""Seconds of scoring a pool of 10,000, 100,000 and 1,000,000, beside inference on it and training the default CNN.

Run: LABELWISE_DATA=... python benchmarks/scaling.py (about a minute and a half). Writes results/scaling.json.

Training is a fresh fit of the default `cnn` on 1,000 labels, on one thread as a run does it. Inference is timed on
at most `--infer` samples and its seconds for a larger pool are marked as extrapolated: it is linear in samples.
Scoring and picking 1,000 is timed on all of the pool, 10 classes and 100.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np

from labelwise import strategies
from labelwise.data.base import ArrayDataset, Labelled
from labelwise.models import make
from labelwise.seeds import generator
from labelwise.signals import Signals, View
from record import write
from scoring import made
from training import images

POOLS, LABELS, PICK = (10_000, 100_000, 1_000_000), 1_000, 1_000
NAMES = ("random", "least-confidence", "margin", "largest-margin", "entropy")


def seconds(function: Callable[[], Any], repeats: int) -> float:
    """Return the median of some runs, after one to warm up."""
    function()
    runs = []
    for _ in range(repeats):
        began = perf_counter()
        function()
        runs.append(perf_counter() - began)
    return median(runs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--infer", type=int, default=20_000)
    parser.add_argument("--repeats", type=int, default=5)
    asked = parser.parse_args()
    source, x, y = images(asked.infer)
    recipe, data = make("cnn", device="cpu"), ArrayDataset({"image": x})
    began = perf_counter()
    predictor = recipe.fit(
        data, Labelled(np.arange(LABELS), y[:LABELS]), np.empty(0, np.int64), None, 10, generator(0, "fit")
    )
    training = perf_counter() - began
    ids = np.arange(len(x))
    inference = seconds(lambda: predictor.infer(data, ids, frozenset({"probs"})), 1) / len(x)
    rows = []
    for classes in (10, 100):
        probs = made(max(POOLS), classes)
        nothing = Signals(np.empty(0, np.int64))
        for n in POOLS:
            view = View(Signals(np.arange(n), probs=probs[:n]), nothing, nothing, classes)
            for name in NAMES:
                strategy = strategies.make(name)
                cut = view.only(strategy.needs)
                took = seconds(
                    lambda strategy=strategy, cut=cut: strategy.propose(cut, PICK, generator(0, "scaling")),
                    asked.repeats,
                )
                rows.append(
                    {
                        "classes": classes,
                        "pool": n,
                        "strategy": name,
                        "scoring_seconds": round(took, 5),
                        "to_training": round(took / training, 5),
                        "to_inference": round(took / (inference * n), 5),
                    }
                )
                print(rows[-1], flush=True)
    inferring = {
        str(n): {"seconds": round(inference * n, 2), "extrapolated": n > len(x), "to_training": round(inference * n / training, 2)}
        for n in POOLS
    }  # fmt: skip
    print(
        write(
            "scaling",
            {
                "what": f"score a pool and pick {PICK}; fit the default cnn on {LABELS} labels; infer the pool",
                "images": source,
                "training": {
                    "labels": LABELS,
                    "epochs": predictor.notes["epochs"],
                    "seconds": round(training, 2),
                },
                "inference": inferring,
                "scoring": rows,
            },
        )
    )


if __name__ == "__main__":
    main()
