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
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from figures import STYLE
from labelwise.bench.report.svg import ACCENT, GREY, GRID, INK, MUTED, PALETTE, figure, render
from labelwise.functional import scores
from labelwise.functional.importance import super_loss_weight
from record import DOCS

BLOCK = re.compile(r"```python\n(.*?)```\n(\n```text\n.*?```\n)?", re.DOTALL)
SHADES = LinearSegmentedColormap.from_list("shades", ["#E8F1F8", "#0072B2"])
WIDTH = 860


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
    for axes, (name, metric) in zip(fig.subplots(1, 4), named.items(), strict=True):
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
    ends = sorted(names["curve"], key=lambda name: names["curve"][name].mean(axis=0)[-1])
    height, gap = -np.inf, 2.2
    for name in ends:
        height = max(100 * names["curve"][name].mean(axis=0)[-1], height + gap)
        axes.text(names["labels"][-1] + 2, height, name, color=colours[name], va="center", fontsize=13)
    axes.set(xlabel="labels bought", ylabel="test accuracy, %", xticks=names["labels"])
    axes.set_xlim(names["labels"][0] - 2, names["labels"][-1] + 18)
    fig.tight_layout()


def curriculum(fig: Figure, _: dict[str, Any]) -> None:
    """What a labelled sample scores by the probability that the model gives its label."""
    axes = fig.subplots()
    p = np.geomspace(1e-3, 0.999, 400)
    norm = np.sqrt((1 - p) ** 2 + (1 - p) ** 2 / 9)
    for lam, colour, text in (
        (None, GREY, "without"),
        (1.0, PALETTE[0], "λ = 1"),
        (0.25, PALETTE[1], "λ = 0.25"),
    ):
        weight = 1.0 if lam is None else super_loss_weight(-np.log(p), float(np.log(10)), lam)
        axes.plot(p, norm * weight, color=colour, lw=2.4)
        top = np.argmax(norm * weight)
        at = (p[top], (norm * weight)[top]) if lam else (1.3e-3, norm[0])
        axes.annotate(
            text,
            at,
            (0, 7),
            textcoords="offset points",
            color=colour,
            fontsize=13,
            ha="left" if lam is None else "center",
        )
    axes.axvline(0.1, color=MUTED, lw=1, ls=(0, (4, 3)))
    axes.text(0.095, 2.45, "guessing", color=MUTED, ha="right", fontsize=12)
    axes.set_xscale("log")
    axes.set_xticks([0.001, 0.01, 0.1, 0.25, 1], ["0.001", "0.01", "0.1", "0.25", "1"])
    axes.minorticks_off()
    axes.set(
        xlabel="probability of the label that was told, ten classes",
        ylabel="score in the TrustSet",
        ylim=(0, 2.9),
    )
    fig.tight_layout()


def rounds(fig: Figure, names: dict[str, Any]) -> None:
    """What each half knew by itself, round by round, and what weight it got."""
    left, right = fig.subplots(1, 2)
    labels = names["labels"]
    for name, colour in zip(names["halves"], PALETTE, strict=False):
        left.plot(labels, 100 * np.array(names["alone"][name]), color=colour, lw=2.4)
        right.plot(names["asked_at"], names["weight"][name], color=colour, lw=2.4)
        left.text(labels[-1] + 1, 100 * names["alone"][name][-1], name, color=colour, va="center")
        right.text(names["asked_at"][-1] + 1, names["weight"][name][-1], name, color=colour, va="center")
    left.plot(labels, 100 * np.array(names["together"]), color=INK, lw=2.4)
    left.text(labels[-1] + 1, 100 * names["together"][-1], "both", color=INK, va="center")
    left.set_title("Accuracy of the heads, %", loc="left", fontsize=13)
    right.set_title("Weight in that round", loc="left", fontsize=13)
    right.set_ylim(0, 1)
    for axes in (left, right):
        axes.set_xlabel("labels")
        axes.set_xlim(right=labels[-1] + 14)
    fig.tight_layout()


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
    for name, colour in zip(names["bounds"][radii[0]]._fields, PALETTE, strict=False):
        y = [getattr(names["bounds"][r], name) for r in radii]
        axes.plot(radii, y, color=colour, lw=2)
        axes.text(radii[-1] + 0.01, y[-1], name.replace("_", " "), color=colour, va="center", fontsize=12)
    axes.axhline(names["clean"]["risk"], color=GRID, lw=1.5)
    axes.set(xlabel="ρ, how far each sensor moves", ylabel="mean loss, nats")
    axes.set_xlim(right=radii[-1] * 1.3)
    axes.legend(frameon=False, loc="upper left", fontsize=12)
    fig.tight_layout()


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
            with figure(title, WIDTH, height) as (fig, _):
                draw(fig, names)
                svg = render(fig, title, label)
            end = svg.index(">") + 1
            size = f'xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
            out = DOCS / "images" / f"{title}.svg"
            out.write_text(svg[:end].replace("<svg ", f"<svg {size}") + STYLE + svg[end:] + "\n")
            print(out)


if __name__ == "__main__":
    main()
