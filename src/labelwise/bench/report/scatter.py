"""The latent space of a failing class as a figure, and the words beside it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from labelwise.bench.latent import NAMED, Latent
from labelwise.bench.report.figures import apart
from labelwise.bench.report.svg import GREY, INK, PAPER, figure, render
from labelwise.bench.words import count, percent
from labelwise.data.draws import stratified
from labelwise.seeds import generator

MOST = 500  # dots of a picture; the axes are those of all samples
FAILING = "#D55E00"
OTHERS = ("#56B4E9", "#009E73", "#CC79A7")  # classes that the failing one was taken for
SIDE = 400


def latent_cards(pictures: Sequence[Latent], classes: Sequence[str], name: str) -> list[dict[str, Any]]:
    """Return for each picture what the template shows: heading, figure and sentences.

    Args:
        pictures: of one setting.
        classes: their names.
        name: prefix of the figures' ids.
    """
    return [
        {
            "name": f"{p.strategy}, seed {p.seed}, {count(p.labels)} labels",
            "svg": Markup(scatter(p, classes, f"{name}-{k}")),  # noqa: S704 - see `why.safe`
            "words": " ".join(part for part in (p.why, p.taken, p.sibling) if part),
        }
        for k, p in enumerate(pictures)
    ]


def latent_caption(pictures: Sequence[Latent], part: str) -> str:
    """Return the sentences that say how to read the pictures."""
    if not pictures:
        return ""
    some = f" At most {MOST} samples are drawn." if any(len(p.y) > MOST for p in pictures) else ""
    return (
        f"Each dot is a sample of the {part} data, placed by the model's last hidden layer: the two directions in which "
        "these embeddings vary most (PCA). Orange: the class that fails; named in other colours: what it was taken for; "
        f"grey: the other classes.{some} Near in the plane need not mean near in all dimensions. The model was fitted "
        "again from the run's file."
    )


def _drawn(y: NDArray[np.int64], class_index: int) -> NDArray[np.int64]:
    """Return which samples are drawn: of many a stratified draw, a third of it of the failing class."""
    if len(y) <= MOST:
        return np.arange(len(y))
    failing, rest = np.flatnonzero(y == class_index), np.flatnonzero(y != class_index)
    mine = min(failing.size, MOST // 3)
    few = generator(0, "report", "latent", "failing").permutation(failing)[:mine]
    more = rest[stratified(y[rest], MOST - mine, generator(0, "report", "latent"))]
    return np.sort(np.concatenate([few, more]))


def scatter(picture: Latent, classes: Sequence[str], name: str) -> str:
    """Return the plane as an SVG: dots coloured by class, the failing class on top, named at its median."""
    taken = [int(k) for k in np.argsort(-picture.row, kind="stable") if picture.row[k] > 0]
    others = [k for k in taken if k != picture.class_index][:NAMED]
    colours = {picture.class_index: FAILING, **dict(zip(others, OTHERS, strict=False))}
    rows = _drawn(picture.y, picture.class_index)
    order = [k for k in range(len(classes)) if k not in colours] + [*reversed(others), picture.class_index]
    with figure(name, SIDE, SIDE) as (fig, titles):
        ax = fig.add_axes((0.06, 0.08, 0.92, 0.9))
        for k in order:
            mine = rows[picture.y[rows] == k]
            if not mine.size:
                continue
            gid, failing = f"class-{k}", k == picture.class_index
            titles[gid] = classes[k]
            ax.plot(
                picture.points[mine, 0], picture.points[mine, 1], "o", linewidth=0, gid=gid, markeredgewidth=0,
                color=colours.get(k, GREY), alpha=0.85 if failing else 0.75 if k in colours else 0.3,
                markersize=6 if failing else 4.5,
            )  # fmt: skip
        low, high = ax.get_ylim()
        named = [k for k in colours if (picture.y == k).any()]
        middles = [np.median(picture.points[picture.y == k], axis=0) for k in named]
        heights = apart([float(m[1]) for m in middles], 20 * (high - low) / (0.9 * SIDE), low, high)
        for k, middle, y in zip(named, middles, heights, strict=True):
            ax.text(
                middle[0], y, classes[k] if len(classes[k]) <= 18 else classes[k][:17] + "…", ha="center", va="center",
                color=INK, weight="bold", fontsize=13, zorder=6, clip_on=False,
                bbox={"facecolor": PAPER, "edgecolor": colours[k], "linewidth": 1.5, "pad": 2.5, "alpha": 0.9},
            )  # fmt: skip
        ax.set_xticks([])
        ax.set_yticks([])
        ax.set_xlabel(f"first axis: {percent(picture.shares[0], 0)} of the variance", loc="left", fontsize=12)
        ax.set_ylabel(
            f"second axis: {percent(picture.shares[1], 0)} of the variance", loc="bottom", fontsize=12
        )
        label = f"{picture.strategy}: {picture.y.size} embeddings on two principal axes, {classes[picture.class_index]} emphasised"
        return render(fig, name, label, titles)
