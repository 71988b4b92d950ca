"""What RL-MBA costs a round beside BADGE, by phases, and what fusing evidence by Dempster's rule costs.

python benchmarks/multimodal_speed.py             # a few minutes on two cores
python benchmarks/multimodal_speed.py --update    # seconds: what one update of the policy costs, the rest is kept

Threads are the caller's (OMP_NUM_THREADS); threads that wait for a busy core count as work, so use 1 on a busy machine.
Runs of RL-MBA and of BADGE take turns, so that whatever else the machine does falls on both; ratios are what to read.
Seconds of the processor, of all threads, are there beside those of the clock. "Reference BADGE,
factored" is its authors' code today, one pass over the pool a pick (selection.py). "Materialised" forms all gradients,
(n, C D), as the first codes, DeepAL+ and BMMAL do, and is given the quickest pass that there is, one product with the
newest centre: measured on a share of the pool and scaled, draws not counted. Subtracting the centre from all gradients,
as BMMAL does, takes several times as long.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Callable
from time import perf_counter, process_time
from typing import Any

import numpy as np

from labelwise import strategies
from labelwise.functional.batches import gradient_kmeans_pp
from labelwise.functional.evidence import dempster_shafer
from labelwise.functional.policy import plackett_luce, plackett_luce_gradient, plackett_luce_log_prob
from labelwise.seeds import generator
from labelwise.signals import Signals, View
from labelwise.strategies.balance.learning import Action, Loss, learn
from labelwise.strategies.balance.policy import PolicyNetwork, inputs_of
from labelwise.strategies.balance.state import width_of
from record import RESULTS, provenance, write
from selection import badge_factored, peak

TARGETS = {
    "badge": 1.5,
    "reference badge": 1 / 9,
    "dempster-shafer": 1.0,
    "update": 0.05,
}  # two ratios, then seconds
MODALITIES = 2
PASSES = 10  # of the materialised form


def world(n: int, width: int, classes: int) -> tuple[View, np.ndarray, np.ndarray]:
    """Return a round, and the fusion's probabilities and embeddings of its pool.

    Classes overlap, the first modality tells less of them, and spread falls along the axes as a network's does.
    """
    draws = generator(0, "benchmarks", "multimodal", n, width, classes)
    scale = (1 + np.arange(width)) ** -0.5
    centres = draws.normal(size=(MODALITIES, classes, width)) * scale

    def part(size: int, first: int, names: tuple[str, ...]) -> tuple[Signals, np.ndarray, list[np.ndarray]]:
        y = draws.integers(classes, size=size)
        rows, logits = [], []
        for m, noise in enumerate((1.6, 1.2)):
            x = centres[m][y] + noise * draws.normal(size=(size, width)) * scale
            rows.append(x.astype(np.float32))
            logits.append(x @ centres[m].T - np.square(centres[m]).sum(axis=1) / 2)
        each = np.stack(logits, axis=1)
        held: dict[str, Any] = {
            "evidence": np.logaddexp(0, each).astype(np.float32),
            "modal_probs": softmax(each).astype(np.float32),
            "probs": softmax(each.mean(axis=1)).astype(np.float32),
            "modal_embeddings": tuple(rows),
            "present": np.ones((size, MODALITIES), bool),
            "y": y,
        }
        told = {name: held[name] for name in names}
        return Signals(first + np.arange(size), **told), held["probs"], rows

    pool, probs, rows = part(n, 0, ("evidence", "modal_embeddings", "present"))
    known, _, _ = part(1000, n, ("probs", "modal_probs", "y"))
    view = View(pool, Signals(np.empty(0, np.int64)), known, classes, ("first", "second"), 1)
    return view, probs, np.concatenate(rows, axis=1)


def softmax(z: np.ndarray) -> np.ndarray:
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return np.asarray(e / e.sum(axis=-1, keepdims=True))


def clocked(work: Callable[[], Any]) -> tuple[dict[str, float], Any]:
    """Return seconds of the clock and of the processor, and what came out."""
    start, used = perf_counter(), process_time()
    found = work()
    return {"clock": perf_counter() - start, "processor": process_time() - used}, found


def round_of(n: int, width: int, classes: int, batch: int, repeats: int, share: float) -> dict[str, Any]:
    """Time RL-MBA and BADGE in turns, then the reference forms."""
    view, probs, embeddings = world(n, width, classes)

    def rl_mba() -> Any:
        return strategies.make("rl-mba").propose(view, batch, generator(1))

    def badge() -> Any:
        return gradient_kmeans_pp(probs, embeddings, batch, generator(1))

    rl_mba()  # imports
    runs: dict[str, list[dict[str, float]]] = {"rl-mba": [], "badge": []}
    phases = []
    for _ in range(repeats):
        seconds, found = clocked(rl_mba)
        runs["rl-mba"].append(seconds)
        phases.append(found.notes["seconds"])
        runs["badge"].append(clocked(badge)[0])
    middle = {
        name: {kind: statistics.median(run[kind] for run in of) for kind in ("clock", "processor")}
        for name, of in runs.items()
    }
    few = int(n * share)
    formed, passed = materialised(probs[:few], embeddings[:few])
    reference = {
        "factored": clocked(lambda: badge_factored(probs, embeddings, batch))[0],
        "materialised": {kind: n / few * (formed[kind] + passed[kind] * (batch - 1)) for kind in formed},
        "about": f"materialised: {PASSES} passes over {few} of {n} samples, scaled to {batch - 1} over all",
    }
    ours = middle["rl-mba"]
    return {
        "what": f"n = {n}, M = {MODALITIES}, D = {width} each, C = {classes}, b = {batch}",
        "mean top probability": float(probs.max(axis=1).mean()),
        "seconds": middle,
        "phases": {name: statistics.median(run[name] for run in phases) for name in phases[0]},
        "all_runs": runs,
        "extra_mb": peak(rl_mba),
        "reference badge": reference,
        "ratio": {
            "badge": {kind: ours[kind] / middle["badge"][kind] for kind in ours},
            **{f"reference badge, {form}": {kind: ours[kind] / reference[form][kind] for kind in ours}
               for form in ("factored", "materialised")},
        },
    }  # fmt: skip


def materialised(probs: np.ndarray, embeddings: np.ndarray) -> tuple[dict[str, float], dict[str, float]]:
    """Return seconds of forming all gradients, and of one pass over them."""
    residuals = probs.copy()
    residuals[np.arange(len(probs)), residuals.argmax(axis=1)] -= 1

    def form() -> tuple[np.ndarray, np.ndarray]:
        g = (residuals[:, :, None] * embeddings[:, None, :]).reshape(len(probs), -1)
        return g, np.vecdot(g, g)

    def passes(count: int) -> None:
        for pick in range(count):
            near[:] = np.minimum(near, squares + squares[pick] - 2 * (g @ g[pick]))

    formed, (g, squares) = clocked(form)
    near = squares.copy()
    passes(1)
    seconds, _ = clocked(lambda: passes(PASSES))
    return formed, {kind: value / PASSES for kind, value in seconds.items()}


def policy(candidates: int, batch: int, repeats: int) -> dict[str, Any]:
    """Time a draw by Plackett-Luce, its probability and its gradient."""
    z = generator(0, "benchmarks", "logits").normal(size=candidates)
    order = plackett_luce(z, batch, generator(1))
    parts = {
        "draw": lambda: plackett_luce(z, batch, generator(1)),
        "log-probability": lambda: plackett_luce_log_prob(z, order),
        "gradient": lambda: plackett_luce_gradient(z, order),
    }
    rows = {
        name: statistics.median(clocked(work)[0]["clock"] for _ in range(9 * repeats))
        for name, work in parts.items()
    }
    return {"what": f"K = {candidates}, b = {batch}", "seconds": rows}


def update(candidates: int, batch: int, repeats: int) -> dict[str, Any]:
    """Time one update of the policy: stored arrays to network, a step on all rounds that are kept, and back to arrays.

    It takes one thread, whatever torch may use.
    The first one in a process is told apart: it also imports what torch's optimisers need.
    """
    draws = generator(0, "benchmarks", "update")

    def action(t: int) -> Action:
        return Action(
            t, draws.normal(size=width_of(MODALITIES)).astype(np.float32),
            draws.random((candidates, MODALITIES + 3), np.float32), draws.permutation(candidates)[:batch],
            draws.random(candidates), 0.5, 0.01 * float(draws.normal()), 0.01, 0.0,
        )  # fmt: skip

    loss = Loss(
        policy=0.1, modality=0.5, difficulty=0.5, entropy=0.0, gamma=0.9, baseline=0.1, advantage=None
    )
    actions = [action(t) for t in range(10)]
    stored = PolicyNetwork(inputs_of(MODALITIES), 128, draws).state_dict()

    def once(rounds: int) -> dict[str, Any]:
        network = PolicyNetwork.from_state(stored)
        learn(network, actions[:rounds], 0.0, loss, lr=1e-3, weight_decay=1e-4, clip=1.0)
        return network.state_dict()

    first = clocked(lambda: once(1))[0]
    seconds = {}
    for rounds in (1, 6, 10):
        runs = [clocked(lambda rounds=rounds: once(rounds))[0] for _ in range(9 * repeats)]
        seconds[str(rounds)] = {
            kind: statistics.median(run[kind] for run in runs) for kind in ("clock", "processor")
        }
    return {"what": f"K = {candidates}, b = {batch}, by rounds kept", "first": first, "seconds": seconds}


def fusion(n: int, modalities: int, classes: int, repeats: int) -> dict[str, Any]:
    """Time Dempster's rule over a pool."""
    evidence = generator(0, "benchmarks", "evidence").standard_exponential(
        (n, modalities, classes), np.float32
    )
    dempster_shafer(evidence[:1000])
    runs = [clocked(lambda: dempster_shafer(evidence))[0] for _ in range(repeats)]
    middle = {kind: statistics.median(run[kind] for run in runs) for kind in runs[0]}
    return {"what": f"{n} x {modalities} x {classes}, float32", "seconds": middle, "all_runs": runs}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pool", type=int, default=20_000)
    parser.add_argument("--width", type=int, default=512, help="of each modality")
    parser.add_argument("--classes", type=int, default=100)
    parser.add_argument("--batch", type=int, default=500)
    parser.add_argument("--fused", type=int, default=100_000, help="samples of Dempster-Shafer fusion")
    parser.add_argument("--share", type=float, default=0.05, help="of the pool, for the materialised form")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument(
        "--update", action="store_true", help="time an update of the policy alone, and keep the rest"
    )
    parser.add_argument("--dry", action="store_true", help="write nothing")
    asked = parser.parse_args()
    import torch

    if asked.update:
        told = {**provenance(), **update(5 * asked.batch, asked.batch, asked.repeats)}
        print(told)
        if not asked.dry:
            file = RESULTS / "multimodal-speed.json"
            whole = {**json.loads(file.read_text()), "targets": TARGETS, "update": told}
            file.write_text(json.dumps(whole, indent=1) + "\n")
        return
    found = {
        "threads": torch.get_num_threads(),
        "targets": TARGETS,
        "round": round_of(asked.pool, asked.width, asked.classes, asked.batch, asked.repeats, asked.share),
        "policy": policy(5 * asked.batch, asked.batch, asked.repeats),
        "update": update(5 * asked.batch, asked.batch, asked.repeats),
        "dempster-shafer": fusion(asked.fused, 5, 100, asked.repeats),
    }
    for name in ("seconds", "phases", "ratio", "extra_mb", "reference badge", "mean top probability"):
        print(name, found["round"][name], flush=True)  # type: ignore[index]
    print(found["policy"], found["dempster-shafer"])
    if not asked.dry:
        write("multimodal-speed", found)


if __name__ == "__main__":
    main()
