"""What a campaign costs beside training and inference: events, view, store, replay, on a pool of 50,000
of Fashion-MNIST, with the default CNN continued for one epoch and 1,000 labels a round.

A round is timed whole (`ask` and `tell`); fit, measure, infer and propose are timed inside; the rest is overhead.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
from pathlib import Path
from time import perf_counter

from labelwise import data, models, strategies
from labelwise.campaign import Campaign, Plan
from labelwise.oracle import SimulatedOracle
from labelwise.store.sql import SqlStore
from record import write


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--pool", type=int, default=50_000)
    rounds, pool = parser.parse_args().rounds, parser.parse_args().pool
    if "LABELWISE_DATA" not in os.environ:
        raise SystemExit("Set LABELWISE_DATA to the folder that holds fashion_mnist.")
    simulation = data.make("fashion-mnist", pool=pool, test_size=2000)
    recipe = models.make("cnn", epochs=1, warm=True)
    plan = Plan(seed=0, start=1000, batch=1000, budget=1000 * rounds)
    runs = []
    with tempfile.TemporaryDirectory() as folder:
        store = SqlStore(Path(folder) / "campaign.db")
        campaign = Campaign(simulation.task, recipe, strategies.make("margin"), store, plan)
        oracle = SimulatedOracle(simulation.truth, simulation.task.n_classes)
        while True:
            start = perf_counter()
            ids = campaign.ask()
            asked = perf_counter() - start
            answers = oracle.answer(ids)
            start = perf_counter()
            if ids:
                campaign.tell(answers)
            told = perf_counter() - start
            fits = campaign.state.fits
            if fits and (not runs or len(fits) > len([r for r in runs if r["phases"]])):
                runs.append(
                    {
                        "labels": fits[-1].n_labelled,
                        "ask": asked,
                        "tell": told,
                        "phases": dict(fits[-1].seconds),
                    }
                )
            if not ids:
                break
        store.close()
    for r in runs:
        r["overhead"] = r["ask"] + r["tell"] - sum(r["phases"].values())
        r["share"] = r["overhead"] / (r["ask"] + r["tell"])
    full = [r for r in runs if "propose" in r["phases"]]
    summary = {
        "median_share": statistics.median(r["share"] for r in full),
        "median_overhead_seconds": statistics.median(r["overhead"] for r in full),
        "pool": len(simulation.task.pool),
    }
    print(write("overhead", {"summary": summary, "runs": runs}), summary)


if __name__ == "__main__":
    main()
