"""One round of BRAL-T in the plane, drawn: what it knows, what it rehearses, what it expects, and what it asks for.

python benchmarks/bralt_round.py        # writes docs/images/bral-t-round.svg
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Polygon, Rectangle
from numpy.typing import NDArray
from scipy.spatial import ConvexHull
from sklearn.linear_model import LogisticRegression

from figures import STYLE
from labelwise import View
from labelwise.bench.report.svg import ACCENT, INK, MUTED, PALETTE, PAPER, figure, render
from labelwise.selection import proposal
from labelwise.strategies.trustset.cells import Cells, members
from labelwise.strategies.trustset.episodes import episode
from labelwise.strategies.trustset.strategy import BralT

OUT = Path(__file__).parent.parent / "docs" / "images" / "bral-t-round.svg"
LABEL = (
    "Four pictures of one round in the plane. First: labelled samples of four classes, the TrustSet ringed where classes "
    "meet. Second: a rehearsal, labelled samples cut into cells coloured by their distance to the TrustSet. Third: the pool "
    "cut into cells coloured by the reward that the network predicts. Fourth: the samples asked for, which lie in the best "
    "cells of each cluster."
)
WIDTH, HEIGHT = 860, 760
MEANS = np.array([[-1.9, 1.5], [1.3, 1.9], [2.1, -1.2], [-1.0, -1.6]])
COUNTS = (260, 170, 100, 70)  # of the pool, class by class: the last ones are rare
SHARE, BATCH = 3, 40  # one labelled sample for so many of the pool; samples asked for
MARKS = "osD^"
REWARDS = LinearSegmentedColormap.from_list("rewards", ["#0072B2", "#9AA3AD", "#E69F00"])
Points = NDArray[np.float64]
Rows = NDArray[np.int64]


class Watched(BralT):
    """BRAL-T that keeps for the picture what it saw."""

    best: NDArray[np.bool_]
    seen: tuple[Cells, Points]

    def trusted(self, *args: Any) -> NDArray[np.bool_]:
        self.best = super().trusted(*args)
        return self.best

    def _rows(self, view: View, cells: Cells, predicted: Points, taken: Rows, rng: Any) -> Rows:
        self.seen = cells, predicted
        return super()._rows(view, cells, predicted, taken, rng)


def world(rng: np.random.Generator, counts: tuple[int, ...]) -> tuple[Points, Rows]:
    """Return points of four clouds that overlap, and whose they are."""
    y = np.repeat(np.arange(len(counts)), counts)
    return MEANS[y] + rng.normal(size=(len(y), 2)), y


def shape(axes: Axes, points: Points, **look: Any) -> None:
    """Draw the smallest convex shape around points that do not lie on a line."""
    if len(points) > 2 and np.linalg.matrix_rank(points[1:] - points[0]) == 2:
        axes.add_patch(Polygon(points[ConvexHull(points).vertices], closed=True, **look))


def draw_cells(axes: Axes, points: Points, cells: Cells, values: Points, norm: Normalize) -> None:
    """Fill each cell by its value and outline each cluster; a cell without a value stays empty."""
    for rows, value in zip(members(cells.cell), values, strict=True):
        known = np.isfinite(value)
        colour = REWARDS(norm(value))[:3] if known else MUTED
        shape(axes, points[rows], fc=(*colour, 0.5) if known else "none", ec=MUTED, lw=0.5)
        axes.plot(*points[rows].T, "o", ms=3, mew=0, color=colour)
    for rows in members(cells.cluster):
        shape(axes, points[rows], fc="none", ec=INK, lw=1.3)


def ring(axes: Axes, points: Points) -> None:
    """Mark the TrustSet."""
    axes.plot(*points.T, "o", ms=9, mfc="none", mec=INK, mew=1.2)


def scale(axes: Axes) -> None:
    """Draw in a corner what the colours say, from the worst to the best."""
    for i, share in enumerate(np.linspace(0, 1, 9)):
        x = 0.02 + 0.028 * i
        axes.add_patch(
            Rectangle((x, 0.02), 0.028, 0.025, transform=axes.transAxes, color=REWARDS(share), lw=0)
        )
    for x, text in ((0.02, "far"), (0.2, "near the TrustSet")):
        axes.text(x, 0.06, text, transform=axes.transAxes, fontsize=11, color=MUTED)


def picture(fig: Figure) -> None:
    """Run the round and draw its four steps."""
    rng = np.random.default_rng(7)
    pool, _ = world(rng, COUNTS)
    x, y = world(rng, tuple(n // SHARE for n in COUNTS))
    probs = LogisticRegression().fit(x, y).predict_proba(x)
    strategy = Watched()
    labelled = {"embeddings": x, "probs": probs, "y": y}
    asked = proposal(strategy, {"embeddings": pool}, BATCH, labelled=labelled).rows
    cells, predicted = strategy.seen
    trusted = x[strategy.best]
    layout = strategy.layout(len(COUNTS))
    order = np.random.default_rng(0).permutation(len(x))  # as the first draw of the rehearsal below
    held = max(layout.labelled_clusters, int(strategy.labelled_share * len(x)))
    shown = episode(x, strategy.best, strategy.labelled_share, layout, np.random.default_rng(0))
    rewards = np.full(len(shown.cells.sizes), np.nan)
    rewards[shown.rewarded] = shown.rewards
    norm = Normalize(predicted.min(), predicted.max())

    (one, two), (three, four) = fig.subplots(2, 2, sharex=True, sharey=True)
    for c, mark in enumerate(MARKS):
        one.plot(*x[y == c].T, mark, ms=4.5, mew=0, color=PALETTE[c])
    ring(one, trusted)
    one.set_title(f"1. {len(x)} labelled samples, the TrustSet ringed", loc="left", fontsize=13)
    played = x[order[held:]]
    draw_cells(two, played, shown.cells, rewards, Normalize(np.nanmin(rewards), np.nanmax(rewards)))
    ring(two, played[strategy.best[order[held:]]])
    two.plot(*x[order[:held]].T, "x", ms=6, color=MUTED)
    two.set_title("2. A rehearsal: cells by their true reward", loc="left", fontsize=13)
    draw_cells(three, pool, cells, predicted, norm)
    three.set_title(f"3. {len(pool)} samples of the pool: by predicted reward", loc="left", fontsize=13)
    four.plot(*np.delete(pool, asked, axis=0).T, "o", ms=2.4, mew=0, color=MUTED, alpha=0.55)
    for rows in members(cells.cluster):
        shape(four, pool[rows], fc="none", ec=INK, lw=1.3)
    four.plot(*pool[asked].T, "o", ms=6, color=ACCENT, mec=PAPER, mew=0.8)
    four.set_title(f"4. The {len(asked)} samples asked for", loc="left", fontsize=13)
    for axes in (two, three):
        scale(axes)
    for axes in fig.axes:
        axes.set(xticks=[], yticks=[])
        axes.set_aspect("equal")
    one.set_ylim(bottom=one.get_ylim()[0] - 1)  # room for the scale of colours
    fig.tight_layout()


def main() -> None:
    with figure("bral-t-round", WIDTH, HEIGHT) as (fig, _):
        picture(fig)
        text = render(fig, "bral-t-round", LABEL)
    size = f'xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" '
    end = text.index(">") + 1
    OUT.write_text(text[:end].replace("<svg ", f"<svg {size}") + STYLE + text[end:] + "\n")
    print(OUT)


if __name__ == "__main__":
    main()
