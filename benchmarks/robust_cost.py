"""What robust objectives cost a step of training, as ratios to the mean of the losses.

python benchmarks/robust_cost.py --dry      # a minute or two on one core; without --dry the numbers are kept

The real recipe: "multimodal" on digit-pairs (images and spectrograms of MNIST and FSDD; LABELWISE_DATA says where they
lie), or with --task digit-halves on what comes with the installation. Fits of all objectives take turns, and the
training loop alone is timed by the processor's clock, so that whatever else the machine does falls on all; the ratio of
each turn is taken to the ERM fit of the same turn, and their median is what to read. Threads are one.
"""

from __future__ import annotations

import argparse
import statistics
from time import process_time
from typing import Any

import numpy as np

from labelwise import data, models
from labelwise.data.base import Labelled
from labelwise.models.multimodal import recipe as multimodal
from labelwise.planning import resident
from labelwise.seeds import generator
from record import write

TARGETS = {"closed forms": 1.15, "variational": 1.6}
OBJECTIVES: dict[str, Any] = {
    "erm": "erm",
    "mmdro": {"name": "mmdro", "rho": 0.2},
    "dual": {"name": "dual", "rho": 0.2},
    "earlyfusion_dro": {"name": "earlyfusion_dro", "rho": 0.2},
    "cvar": {"name": "cvar", "alpha": 0.5},
    "group_dro": {"name": "group_dro"},
    "variational": {"name": "variational", "rho": 0.2},
}


def steps_of(recipe: Any, simulation: Any, labels: int) -> tuple[float, int]:
    """Return the processor's seconds of one fit's training loop, and by how many bytes the process grew in it at most."""
    task, found = simulation.task, []
    ids = task.pool[:labels]
    train = Labelled(ids, np.array([simulation.truth[i] for i in ids.tolist()]))
    loop = multimodal.run_training

    def timed(*args: Any, **kwargs: Any) -> Any:
        before, start = resident(reset=True), process_time()
        done = loop(*args, **kwargs)
        found.append((process_time() - start, resident() - before))
        return done

    multimodal.run_training = timed
    try:
        recipe.fit(task.data, train, task.pool[labels:], None, task.n_classes, generator(0, "cost"))
    finally:
        multimodal.run_training = loop
    return found[0]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--task", default="digit-pairs")
    parser.add_argument("--labels", type=int, default=512)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument(
        "--small", action="store_true", help="the small networks and batches of the protocols"
    )
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dry", action="store_true", help="write nothing")
    asked = parser.parse_args()
    simulation = data.make(asked.task)
    fields = {"width": 8, "projection": 32, "batch_size": 16, "lr": 0.003} if asked.small else {}
    recipes = {
        name: models.make("multimodal", objective=value, epochs=asked.epochs, device=asked.device, **fields)
        for name, value in OBJECTIVES.items()
    }
    steps_of(recipes["variational"], simulation, asked.labels)  # imports
    turns: list[dict[str, float]] = []
    for turn in range(asked.turns):
        order = generator(turn, "benchmarks", "turn").permutation(len(recipes))
        names = [list(recipes)[i] for i in order]
        turns.append({name: steps_of(recipes[name], simulation, asked.labels)[0] for name in names})
    size = recipes["erm"].batch_size
    steps = asked.epochs * -(-asked.labels // size)
    milliseconds = {name: 1000 / steps * statistics.median(turn[name] for turn in turns) for name in recipes}
    ratios = {name: statistics.median(turn[name] / turn["erm"] for turn in turns) for name in recipes}
    for name in recipes:
        print(
            f"{name:16} {milliseconds[name]:8.2f} ms a step, {ratios[name]:.3f} times that of erm", flush=True
        )
    if not asked.dry:
        about = f"{asked.task}, {asked.labels} labels, batches of {size}, {steps} steps a fit, {asked.device}, one thread"
        write(
            "robust-cost-small" if asked.small else "robust-cost",
            {"what": about, "targets": TARGETS, "milliseconds a step": milliseconds, "ratio": ratios, "all_runs": turns},
        )  # fmt: skip


if __name__ == "__main__":
    main()
