"""How seconds and memory of robust objectives grow with K modalities, d numbers in each, and n training samples.

python benchmarks/robust_complexity.py          # about a minute on one core; --dry writes nothing, --quick is a smaller grid

Made-up samples of the task `copula`, recipe "multimodal" with small dense encoders. One of K, d and n varies at a time, the others
stay as in BASE. Fits of all objectives take turns, and the training loop alone is timed by the processor's clock, so that whatever
else the machine does falls on all; the ratio of each turn is taken to the ERM fit of the same turn, and the medians are what to
read. Growth is the slope of log seconds against log size between the smallest and the largest: 1 is linear. Memory is what the
process grew by during the loop at most, of a page's precision, and 0 where it could take back what an earlier fit had left.
"""

from __future__ import annotations

import argparse
import statistics
from math import log
from time import process_time
from typing import Any

from labelwise import data, models
from labelwise.seeds import generator
from record import write
from robust_cost import steps_of

OBJECTIVES: dict[str, Any] = {
    "erm": "erm",
    "earlyfusion_dro": {"name": "earlyfusion_dro", "rho": 0.2},
    "mmdro": {"name": "mmdro", "rho": 0.2},
    "variational": {"name": "variational", "rho": 0.2},
}
BASE = {"K": 3, "d": 8, "n": 512}
GRID = {"K": (2, 4, 8, 16), "d": (4, 16, 64, 256), "n": (256, 1024, 4096)}
QUICK = {"K": (2, 4), "d": (4, 16), "n": (128, 256)}


def point(sizes: dict[str, int], turns: int, epochs: int) -> dict[str, Any]:
    """Return what each objective takes at one size."""
    simulation = data.make(
        "copula", modalities=sizes["K"], width=sizes["d"], train=2 * sizes["n"], test=50, correlation=0.3
    )
    recipes = {
        name: models.make(
            "multimodal", objective=value, encoders=dict.fromkeys(simulation.task.data.modalities, "mlp"), width=16,
            projection=16, epochs=epochs, batch_size=64, lr=0.003,
        )
        for name, value in OBJECTIVES.items()
    }  # fmt: skip
    seconds: list[dict[str, float]] = []
    memory: dict[str, int] = dict.fromkeys(OBJECTIVES, 0)
    for turn in range(turns):
        order = generator(turn, "benchmarks", "turn").permutation(len(OBJECTIVES))
        took = {}
        for name in (list(OBJECTIVES)[i] for i in order):
            took[name], bytes_ = steps_of(recipes[name], simulation, sizes["n"])
            memory[name] = max(memory[name], bytes_)
        seconds.append(took)
    return {
        **sizes,
        "seconds": {name: statistics.median(t[name] for t in seconds) for name in OBJECTIVES},
        "ratio": {name: statistics.median(t[name] / t["erm"] for t in seconds) for name in OBJECTIVES},
        "bytes": memory,
        "all_runs": seconds,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that it runs")
    parser.add_argument("--dry", action="store_true", help="write nothing")
    asked = parser.parse_args()
    start = process_time()
    small = {"K": 2, "d": 4, "n": 128}
    point(small, 1, 1)  # imports
    found: dict[str, Any] = {}
    for letter, sizes in (QUICK if asked.quick else GRID).items():
        base = small if asked.quick else BASE
        points = [point({**base, letter: size}, asked.turns, asked.epochs) for size in sizes]
        stretch = log(sizes[-1] / sizes[0])
        growth = {
            name: log(points[-1]["seconds"][name] / points[0]["seconds"][name]) / stretch
            for name in OBJECTIVES
        }
        found[letter] = {"points": points, "growth": growth}
        for one in points:
            line = ", ".join(f"{name} {one['ratio'][name]:.2f}" for name in OBJECTIVES if name != "erm")
            print(
                f"{letter} = {one[letter]:5}: erm {one['seconds']['erm']:.2f} s; times that: {line}",
                flush=True,
            )
        print(f"{letter}: growth " + ", ".join(f"{n} {g:.2f}" for n, g in growth.items()), flush=True)
    print(f"{process_time() - start:.0f} s of processor time")
    if not (asked.dry or asked.quick):
        about = f"copula, batches of 64, {asked.epochs} epochs, medians of {asked.turns} turns, one thread"
        write("robust-complexity", {"what": about, "base": BASE, **found})


if __name__ == "__main__":
    main()
