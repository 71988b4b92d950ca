"""One round of RL-MBA on digits in two halves, drawn: what it weighs, what it finds hard and new, what it draws, and why.

python benchmarks/rlmba_round.py        # writes docs/images/rl-mba-round.svg
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from figures import STYLE
from labelwise import Campaign, Plan, data, make, models
from labelwise.bench.report.svg import ACCENT, GRID, INK, MUTED, PALETTE, PAPER, figure, render
from labelwise.functional.unified import min_max
from labelwise.oracle import SimulatedOracle
from labelwise.store.memory import MemoryStore
from labelwise.strategies.balance import strategy as rl_mba
from labelwise.strategies.balance.state import Pool, look

OUT = Path(__file__).parent.parent / "docs" / "images" / "rl-mba-round.svg"
LABEL = (
    "Three pictures of one round of RL-MBA. First: accuracy of the upper half alone, of the lower half alone and of both, with "
    "the weights that follow. Second: the pool, by how unsure the modalities are and how far a sample is from what is typical; "
    "the candidates lie beyond a straight line, and the batch is drawn among them. Third: the first eight samples drawn, each "
    "with its two halves, how unsure each is, and how far the sample is from what is typical; a missing half is an empty box."
)
WIDTH, HEIGHT = 860, 640
START, BATCH, ROUNDS = 40, 20, 2  # the round that is drawn follows this many labelled batches
SHOWN = 8  # samples
Floats = NDArray[np.float64]


def round_seen() -> tuple[data.Simulation, Campaign, Pool, Floats]:
    """Run a campaign up to the round and return the data, the campaign, and the pool and weights that the round saw."""
    simulation = data.make("digit-halves", missing={"bottom": 0.3}, missing_parts=["train", "test"])
    task = simulation.task
    recipe = models.make(
        "multimodal",
        encoders={"top": "mlp", "bottom": "mlp"},
        width=32,
        projection=16,
        epochs=40,
        batch_size=32,
        lr=0.005,
    )
    plan = Plan(seed=1, start=START, batch=BATCH, budget=START + BATCH * (ROUNDS + 1))
    campaign = Campaign(task, recipe, make("rl-mba"), MemoryStore(), plan)
    oracle = SimulatedOracle(simulation.truth, task.n_classes)
    seen: list[tuple[Pool, Floats]] = []

    def watched(view: Any, n: int, weights: Floats, *rest: Any) -> Pool:
        seen.append((look(view, n, weights, *rest), weights))
        return seen[-1][0]

    with patch.object(rl_mba, "look", watched):
        for _ in range(ROUNDS + 1):
            campaign.tell(oracle.answer(campaign.ask()))
        campaign.ask()  # and leave it unanswered
    return simulation, campaign, *seen[-1]


def draw_weights(axes: Any, campaign: Campaign, weights: Floats) -> None:
    """Draw what each head knows on validation data, what all know together, and the weights."""
    fit, notes = campaign.state.fits[-1], campaign.state.asks[-1].notes
    together = fit.validation["accuracy"]
    names = list(notes["modality weights"])
    heights = [together + notes["modality gaps"][name] for name in names] + [together]
    axes.barh(range(3), heights, color=[*PALETTE[:2], MUTED], height=0.55)
    for k, (name, height) in enumerate(zip([*names, "both"], heights, strict=True)):
        words = f"{name}: {100 * height:.0f} %" + (f", weight {weights[k]:.2f}" if k < 2 else "")
        axes.text(0, k - 0.36, words, va="bottom", fontsize=12, color=INK)
    axes.set(xlim=(0, 1), ylim=(2.5, -0.75), yticks=[], xticks=[0, 0.5, 1])
    axes.set_xticklabels(["0", "50", "100 %"])
    axes.set_title("1. What each modality knows", loc="left", fontsize=13)
    axes.set_xlabel("accuracy on validation samples")


def draw_pool(
    axes: Any, campaign: Campaign, pool: Pool, weights: Floats, drawn: set[int], beta: float
) -> None:
    """Draw the pool by the two parts of its score; the candidates are what lies beyond one line."""
    hard, new = min_max(pool.uncertainty) @ weights, min_max(pool.diversity)
    candidate = np.zeros(len(hard), bool)
    candidate[pool.candidates] = True
    ids = np.setdiff1d(campaign.task.pool, [i for ask in campaign.state.asks[:-1] for i in ask.ids])
    asked = np.isin(ids, list(drawn))
    axes.plot(hard[~candidate], new[~candidate], "o", ms=2.6, mew=0, color=MUTED, alpha=0.5)
    axes.plot(*np.stack([hard, new])[:, candidate & ~asked], "o", ms=4.2, mew=0, color=PALETTE[1])
    axes.plot(hard[asked], new[asked], "o", ms=7, color=ACCENT, mec=PAPER, mew=0.8)
    least = pool.scores[pool.candidates].min()
    left, right = min(hard.min(), 0.95 * least) - 0.03, hard.max() + 0.03
    x = np.array([left, right])
    axes.plot(x, (least - x) / beta, "-", lw=1.2, color=INK)
    axes.set(xlim=(left, right), ylim=(-0.04, 1.04))
    axes.set_xlabel("how unsure the modalities are, Σ w ũ")
    axes.set_ylabel("how far from what is typical, d̃")
    counts = (len(hard) - candidate.sum(), candidate.sum(), asked.sum())
    axes.set_title(
        f"2. {len(hard):,} in the pool, {counts[1]} candidates, {counts[2]} drawn", loc="left", fontsize=13
    )


def draw_samples(
    fig: Figure, grid: Any, simulation: data.Simulation, notes: Mapping[str, Any], widest: float
) -> None:
    """Draw the first samples in the order of asking: their halves, how unsure these are, and how far out they lie."""
    samples = notes["samples"][:SHOWN]
    batch = simulation.task.data.batch(np.array([one["id"] for one in samples]))
    cells = grid.subgridspec(3, SHOWN, height_ratios=[1, 1, 0.9], hspace=0.12, wspace=0.25)
    for k, one in enumerate(samples):
        for row, (name, heard) in enumerate(one["modalities"].items()):
            axes = fig.add_subplot(cells[row, k])
            axes.set(xticks=[], yticks=[], xlim=(0, 8), ylim=(4, 0))
            axes.set_aspect("equal")
            axes.grid(False)
            if heard["present"]:
                pixels = np.kron(batch[name][k], np.ones((16, 16), np.uint8))
                axes.imshow(pixels, cmap="gray", vmin=0, vmax=255, extent=(0, 8, 4, 0), interpolation="none")
            else:
                axes.add_patch(Rectangle((0.05, 0.05), 7.9, 3.9, fc="none", ec=MUTED, lw=1, ls=(0, (3, 2))))
            if k == 0:
                axes.set_ylabel(name, fontsize=12, rotation=0, ha="right", va="center")
        axes = fig.add_subplot(cells[2, k])
        axes.set(xlim=(0, 1), ylim=(2.5, -0.5), xticks=[], yticks=[])
        axes.grid(False)
        unsure = [heard["uncertainty"] for heard in one["modalities"].values()]
        bars = [*zip(unsure, PALETTE, strict=False), (one["diversity"] / widest, MUTED)]
        for row, (length, colour) in enumerate(bars):
            axes.add_patch(Rectangle((0, row - 0.3), 1, 0.6, fc=GRID, lw=0))
            axes.add_patch(Rectangle((0, row - 0.3), length, 0.6, fc=colour, lw=0))
        if k == 0:
            for place, word in ((0.5, "unsure"), (2, "far")):
                axes.text(-0.08, place, word, fontsize=12, color=MUTED, ha="right", va="center")


def picture(fig: Figure) -> None:
    """Run the round and draw it."""
    simulation, campaign, pool, weights = round_seen()
    ask = campaign.state.asks[-1]
    outer = fig.add_gridspec(
        2, 1, height_ratios=[1.55, 1], hspace=0.42, left=0.09, right=0.985, top=0.95, bottom=0.06
    )
    above = outer[0].subgridspec(1, 2, width_ratios=[1, 2.1], wspace=0.22)
    draw_weights(fig.add_subplot(above[0]), campaign, weights)
    draw_pool(fig.add_subplot(above[1]), campaign, pool, weights, set(ask.ids), campaign.strategy.beta)
    present = simulation.task.data.batch(np.array(ask.ids))["present"][:, 1]
    print(f"{np.sum(~present)} of the {len(present)} drawn lack the bottom half")
    draw_samples(fig, outer[1], simulation, ask.notes, float(pool.diversity.max()))
    fig.text(0.03, 0.375, f"3. The first {SHOWN} samples drawn", fontsize=13, color=INK)


def main() -> None:
    with figure("rl-mba-round", WIDTH, HEIGHT) as (fig, _):
        picture(fig)
        text = render(fig, "rl-mba-round", LABEL).replace("xlink:href=", "href=")  # of the halves
    size = f'xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" '
    end = text.index(">") + 1
    OUT.write_text(text[:end].replace("<svg ", f"<svg {size}") + STYLE + text[end:] + "\n")
    print(OUT)


if __name__ == "__main__":
    main()
