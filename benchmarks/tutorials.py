"""Writes what the code of the tutorials prints into their pages, and draws their pictures from what it computed.

python benchmarks/tutorials.py [uncertainty bral-t rl-mba robust]      # half a minute for all four
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import re
import tempfile
from collections.abc import Callable
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from figures import NARROW, alone
from labelwise.bench.report.svg import ACCENT, GREY, GRID, INK, MUTED, PALETTE, figure, render
from labelwise.functional import scores
from labelwise.functional.importance import super_loss_weight
from record import DOCS

BLOCK = re.compile(r"```python\n(.*?)```\n(\n```text\n.*?```\n)?", re.DOTALL)
SHADES = LinearSegmentedColormap.from_list("shades", ["#E8F1F8", "#0072B2"])
WIDTH = 860
NARROW_HEIGHTS = {
    "metrics": 380,
    "curves": 320,
    "curriculum": 300,
    "rounds": 540,
    "bounds": 340,
}  # pixels on a phone


def told(text: str) -> tuple[str, dict[str, Any]]:
    """Return a page with what each of its blocks prints beneath it, and the variables that they leave."""
    names: dict[str, Any] = {}

    def run(found: re.Match[str]) -> str:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(found.group(1), "tutorial", "exec"), names)
        below = f"\n```text\n{printed.getvalue().rstrip()}\n```\n" if printed.getvalue() else ""
        return f"```python\n{found.group(1)}```\n{below}"

    return BLOCK.sub(run, text), names


# -- pictures ----------------------------------------------------------------------------------------------------------


def narrow(fig: Figure) -> bool:
    """Return True if a picture is for a phone: its parts then stand below one another."""
    return bool(fig.get_figwidth() * fig.dpi < 500)


def name_ends(axes: Axes, ends: dict[str, tuple[float, str]], at: float, size: float = 13) -> None:
    """Name lines at their right ends, in ink, so far apart that no two names touch; a stroke leads from each to its line.

    The axis grows to the right where the names need it.

    Args:
        axes: laid out, with its limits set.
        ends: name -> (height of the line's end, colour).
        at: where the lines end.
    """
    box, (low, high), (left, right) = axes.get_window_extent(), axes.get_ylim(), axes.get_xlim()
    room = 22 + 0.6 * size * max(map(len, ends))
    right = max(right, left + (at - left) / (1 - room / box.width))
    axes.set_xlim(left, right)
    gap, pixel = (high - low) * 1.35 * size / box.height, (right - left) / box.width
    heights: list[float] = []
    for height, _ in sorted(ends.values()):
        heights.append(max(height, heights[-1] + gap) if heights else height)
    rising = sorted(ends.items(), key=lambda kept: kept[1])
    for (name, (height, colour)), shown in zip(rising, heights, strict=True):
        axes.plot([at + 2 * pixel, at + 14 * pixel], [height, shown], color=colour, lw=1)
        axes.text(at + 17 * pixel, shown, name, color=INK, va="center", fontsize=size)


def triangles(fig: Figure, _: dict[str, Any]) -> None:
    """How the four metrics see three classes: each corner is a sure answer."""
    steps = 60
    first, second = (a.ravel() for a in np.meshgrid(*[np.arange(steps + 1)] * 2))
    inside = first + second <= steps
    probs = np.stack([first, second, steps - first - second], axis=1)[inside] / steps
    x, y = probs[:, 1] + probs[:, 2] / 2, probs[:, 2] * np.sqrt(3) / 2
    named = {
        "least confidence": scores.least_confidence,
        "smallest margin": scores.smallest_margin,
        "largest margin": scores.largest_margin,
        "entropy": scores.entropy,
    }
    for axes, (name, metric) in zip(
        fig.subplots(*((2, 2) if narrow(fig) else (1, 4))).flat, named.items(), strict=True
    ):
        axes.tricontourf(x, y, metric(probs), levels=9, cmap=SHADES)
        axes.plot([0, 1, 0.5, 0], [0, 0, np.sqrt(3) / 2, 0], color=MUTED, lw=1)
        for text, place in zip(
            "ABC", ((-0.04, -0.09), (1.04, -0.09), (0.5, np.sqrt(3) / 2 + 0.03)), strict=True
        ):
            axes.text(*place, text, ha="center", fontsize=12, color=MUTED)
        axes.set_title(name, fontsize=13, pad=16)
        axes.set(xticks=[], yticks=[], xlim=(-0.1, 1.1), ylim=(-0.16, 1.0), aspect="equal")
        axes.grid(False)
    fig.tight_layout()


def learnt(fig: Figure, names: dict[str, Any]) -> None:
    """The curves of the tutorial on uncertainty: every seed thin, the mean thick, names at their ends."""
    axes = fig.subplots()
    colours = {"random": GREY, "margin": PALETTE[1], "entropy": PALETTE[2]}
    for name, curve in names["curve"].items():
        axes.plot(names["labels"], 100 * curve.T, color=colours[name], lw=0.8, alpha=0.45)
        axes.plot(names["labels"], 100 * curve.mean(axis=0), color=colours[name], lw=2.6)
    axes.set(xlabel="labels bought", ylabel="test accuracy, %", xticks=names["labels"])
    axes.set_xlim(names["labels"][0] - 2, names["labels"][-1])
    fig.tight_layout()
    ends = {name: (100 * curve.mean(axis=0)[-1], colours[name]) for name, curve in names["curve"].items()}
    name_ends(axes, ends, names["labels"][-1])


def curriculum(fig: Figure, _: dict[str, Any]) -> None:
    """What a labelled sample scores by the probability that the model gives its label."""
    axes = fig.subplots()
    first = 1e-2 if narrow(fig) else 1e-3
    p = np.geomspace(first, 0.999, 400)
    norm = np.sqrt((1 - p) ** 2 + (1 - p) ** 2 / 9)
    for lam, colour, text, where, side in (
        (None, GREY, "without", (0, 7), "left"),
        (1.0, PALETTE[0], "λ = 1", (3, -62), "left"),
        (0.25, PALETTE[1], "λ = 0.25", (8, 3), "left"),
    ):
        weight = 1.0 if lam is None else super_loss_weight(-np.log(p), float(np.log(10)), lam)
        axes.plot(p, norm * weight, color=colour, lw=2.4)
        top = np.argmax(norm * weight)
        at = (p[top], (norm * weight)[top]) if lam else (1.3 * first, norm[0])
        axes.annotate(text, at, where, textcoords="offset points", color=INK, fontsize=13, ha=side)
    axes.axvline(0.1, color=MUTED, lw=1, ls=(0, (4, 3)))
    axes.text(0.095, 2.45, "guessing", color=MUTED, ha="right", fontsize=12)
    axes.set_xscale("log")
    ticks = [tick for tick in (0.001, 0.01, 0.1, 0.25, 1) if tick >= first]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.set(
        xlabel="probability of the told label, ten classes",
        ylabel="score in the TrustSet",
        ylim=(0, 2.9),
    )
    fig.tight_layout()


def rounds(fig: Figure, names: dict[str, Any]) -> None:
    """What each half knew by itself, round by round, and what weight it got."""
    left, right = fig.subplots(*((2, 1) if narrow(fig) else (1, 2)))
    labels = names["labels"]
    for name, colour in zip(names["halves"], PALETTE, strict=False):
        left.plot(labels, 100 * np.array(names["alone"][name]), color=colour, lw=2.4)
        right.plot(names["asked_at"], names["weight"][name], color=colour, lw=2.4)
    left.plot(labels, 100 * np.array(names["together"]), color=INK, lw=2.4)
    left.set_title("Accuracy of the heads, %", loc="left", fontsize=13, pad=12)
    right.set_title("Weight in that round", loc="left", fontsize=13, pad=12)
    right.set_ylim(0, 1)
    for axes in (left, right):
        axes.set_xlabel("labels")
        axes.set_xlim(right=labels[-1])
        axes.set_xticks(labels)
    fig.tight_layout()
    tints = dict(zip(names["halves"], PALETTE, strict=False))
    alone = {name: (100 * names["alone"][name][-1], tint) for name, tint in tints.items()}
    name_ends(left, alone | {"both": (100 * names["together"][-1], INK)}, labels[-1])
    weights = {name: (names["weight"][name][-1], tint) for name, tint in tints.items()}
    right.set_xlim(left.get_xlim())
    name_ends(right, weights, names["asked_at"][-1])


def promised(fig: Figure, names: dict[str, Any]) -> None:
    """Risk under shifts of known radius, and what four readings of B promise."""
    axes = fig.subplots()
    radii = sorted({max(one["rho"].values()) for one in names["shifts"] if one["rho"]})
    found = {
        "one sensor moves": [o for o in names["shifts"] if o["rho"] and o["modality"]],
        "all move": [o for o in names["shifts"] if o["rho"] and not o["modality"]],
    }
    for (text, ones), colour, shape in zip(found.items(), (MUTED, ACCENT), "os", strict=True):
        x = [max(one["rho"].values()) for one in ones]
        axes.plot(x, [one["risk"] for one in ones], shape, ms=6, color=colour, mew=0, label=text)
    ends = {}
    for name, colour in zip(names["bounds"][radii[0]]._fields, PALETTE, strict=False):
        y = [getattr(names["bounds"][r], name) for r in radii]
        axes.plot(radii, y, color=colour, lw=2)
        ends[name.replace("_", " ")] = (y[-1], colour)
    axes.axhline(names["clean"]["risk"], color=GRID, lw=1.5)
    axes.set(xlabel="ρ, how far each sensor moves", ylabel="mean loss, nats")
    axes.set_xlim(right=radii[-1])
    axes.legend(
        frameon=False, loc="upper left", fontsize=12, labelcolor=INK, handletextpad=0, borderaxespad=0
    )
    fig.tight_layout()
    name_ends(axes, ends, radii[-1], 12)


Draw = Callable[[Figure, dict[str, Any]], None]
PICTURES: dict[str, list[tuple[str, int, Draw, str]]] = {
    "uncertainty": [
        (
            "metrics",
            250,
            triangles,
            "Four triangles whose corners are sure answers for one of three classes. Least confidence, smallest margin and "
            "entropy are darkest in the middle; the smallest margin is dark along the lines where two classes tie, too; the "
            "largest margin is dark in the middle only.",
        ),
        (
            "curves",
            360,
            learnt,
            "Learning curves of random, margin and entropy on handwritten digits, every seed thin and the mean thick.",
        ),
    ],
    "bral-t": [
        (
            "curriculum",
            320,
            curriculum,
            "The score of a labelled sample against the probability of its label: without curriculum it is highest where the "
            "model contradicts the label; with it the peak lies between guessing and one quarter and falls off to the left.",
        )
    ],
    "rl-mba": [
        (
            "rounds",
            330,
            rounds,
            "Left: accuracy of the upper half, the lower half and both over the labels. Right: the weights of the two halves.",
        )
    ],
    "robust": [
        (
            "bounds",
            360,
            promised,
            "Mean loss under shifts against their radius, with four lines of bounds above most of the points.",
        )
    ],
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("tutorial", nargs="*", metavar="NAME", help=f"of {', '.join(PICTURES)}; default: all")
    os.chdir(tempfile.mkdtemp())  # what the code writes is in nobody's way
    for name in parser.parse_args().tutorial or PICTURES:
        page = DOCS / "tutorials" / f"{name}.md"
        text, names = told(page.read_text())
        page.write_text(text)
        print(page)
        for picture, height, draw, label in PICTURES[name]:
            title = f"tutorial-{name}-{picture}"
            for suffix, width, tall in (("", WIDTH, height), ("-narrow", NARROW, NARROW_HEIGHTS[picture])):
                with figure(title, width, tall) as (fig, _):
                    draw(fig, names)
                    svg = render(fig, title, label)
                out = DOCS / "images" / f"{title}{suffix}.svg"
                out.write_text(alone(svg, width, tall))
                print(out)


if __name__ == "__main__":
    main()
