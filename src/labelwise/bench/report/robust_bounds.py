"""Figures of what was promised: risk by the radius of a shift with its bounds, and bounds against what came."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup

from labelwise.bench.promises import Promise
from labelwise.bench.report.figures import apart, axes, clip
from labelwise.bench.report.panels import spread
from labelwise.bench.report.svg import INK, MUTED, figure, render
from labelwise.bench.robustness import Robust
from labelwise.functional.ambiguity import Budgets

Promised = Mapping[str, Sequence[Sequence[Promise]]]
Line = tuple[list[float], list[float]]
Dots = Mapping[tuple[str | None, float], Sequence[tuple[float, Budgets]]]
TOGETHER = "all together"
NAMES = ("first order", "product", "precision", "perfect")  # in the order of Budgets
FRAMED = (0, 1, 3)  # the precision form may be many times the others, or infinite: it may leave the frame
SIZE = (320, 220)
_DASHES: tuple[Any, ...] = ((0, (5, 2)), (0, (1.5, 1.5)), (0, (7, 2, 1.5, 2)), (0, (3, 3)))


def by_radius(one: Robust, promised: Sequence[Sequence[Promise]], colour: str, name: str) -> list[Markup]:
    """Return one panel a modality, and one for all together: risk over radius, and the bounds.

    Args:
        one: a method.
        promised: for each of its seeds.
        colour: of the method.
        name: prefix of the figures' ids.
    """
    clean = float(np.mean([found.risk for found in one.shifts]))
    together = any(p.moved.modality is None for mine in promised for p in mine)
    places: list[str | None] = [*one.shifts[0].modalities, *([None] if together else [])]
    made = {place: _held(place, promised, clean) for place in places}
    ends = [y for worst, _, bounds in made.values() for _, y in (worst, *(bounds[k] for k in FRAMED))]
    low, high = min(v for y in ends for v in y), max(v for y in ends for v in y if np.isfinite(v))
    limits = low - 0.06 * (high - low), high + 0.06 * (high - low)
    return [
        _panel(f"{place or TOGETHER}: risk", one.method, held, colour, limits, f"{name}-{k}")
        for k, (place, held) in enumerate(made.items())
    ]


def _held(
    place: str | None, promised: Sequence[Sequence[Promise]], clean: float
) -> tuple[Line, dict[str, Line], list[Line]]:
    """Return risk over radius of the worst kind, of each kind, and each bound; means over seeds."""
    mine = [[p for p in seed if p.moved.modality == place] for seed in promised]
    flat = [p for seed in mine for p in seed]
    worst: list[tuple[float, float]] = []
    for seed in mine:
        most: dict[float, float] = {}
        for p in seed:
            most[_radius(p)] = max(p.moved.risk, most.get(_radius(p), p.moved.risk))
        worst += most.items()
    kinds = {
        kind: _line(((_radius(p), p.moved.risk) for p in flat if p.moved.kind == kind), clean)
        for kind in dict.fromkeys(p.moved.kind for p in flat)
    }
    bounds = [_line(((_radius(p), p.bounds[k]) for p in flat), clean) for k in range(len(NAMES))]
    return _line(worst, clean), kinds, bounds


def _radius(promise: Promise) -> float:
    return promise.moved.radius or 0.0


def _line(points: Iterable[tuple[float, float]], clean: float) -> Line:
    """Return the mean at each radius, from the risk without a shift on."""
    by: dict[float, list[float]] = {0.0: [clean]}
    for radius, value in points:
        by.setdefault(radius, []).append(value)
    at = sorted(by)
    return at, [float(np.mean(by[radius])) for radius in at]


def _panel(
    title: str,
    method: str,
    held: tuple[Line, dict[str, Line], list[Line]],
    colour: str,
    limits: tuple[float, float],
    name: str,
) -> Markup:
    from matplotlib.ticker import MaxNLocator

    (width, height), (low, high) = SIZE, limits
    worst, kinds, bounds = held
    with figure(name, width, height) as (fig, titles):
        ax = axes(fig, 36, 84, 24, 40)
        for k, (kind, line) in enumerate(kinds.items()):
            titles[f"kind-{k}"] = kind
            ax.plot(*line, color=colour, linewidth=0.9, alpha=0.55, zorder=2, gid=f"kind-{k}")
        titles["worst"] = f"{method}, worst kind"
        ax.plot(*worst, color=colour, linewidth=2.4, zorder=4, gid="worst")
        ends = {}
        for k, (at, y) in enumerate(bounds):
            if np.isfinite(y).all():
                titles[f"bound-{k}"] = f"bound, {NAMES[k]}"
                ax.plot(at, y, color=MUTED, linewidth=1.3, linestyle=_DASHES[k], zorder=3, gid=f"bound-{k}")
                ends[NAMES[k]] = y[-1]
        ax.set_ylim(low, high)
        ax.set_xlim(0, worst[0][-1] or 1)
        _name_ends(ax, ends, worst[0][-1], limits, height - 64)
        ax.set_title(clip(title, narrow=True), loc="left", fontsize=12.5, color=INK, pad=6, weight="bold")
        ax.xaxis.set_major_locator(MaxNLocator(4))
        ax.yaxis.set_major_locator(MaxNLocator(4))
        ax.tick_params(labelsize=11)
        ax.grid(visible=False, axis="x")
        ax.set_xlabel("radius ρ of each", loc="left", fontsize=12)
        words = f"Risk of {method} by radius of the shift, with bounds: {title}"
        return Markup(render(fig, name, words, titles))  # noqa: S704 - see `why.safe`


def _name_ends(
    ax: Any, ends: Mapping[str, float], last: float, limits: tuple[float, float], pixels: float
) -> None:
    """Write the names of bounds at their right ends, one above another where these meet."""
    low, high = limits
    pixel = (high - low) / pixels
    inside = {name: float(np.clip(value, low, high)) for name, value in ends.items()}
    for name, y in zip(inside, apart(list(inside.values()), 13 * pixel, low, high), strict=True):
        ax.annotate(
            name, (last, inside[name]), xytext=(8, (y - inside[name]) / pixel), textcoords="offset pixels",
            va="center", fontsize=11, color=MUTED, annotation_clip=False,
        )  # fmt: skip


def scatter(
    methods: Sequence[Robust], promised: Promised, palette: Mapping[str, str], name: str
) -> list[Markup]:
    """Return one panel a reading of B: the bound across, the risk under the worst kind of shift up.

    Args:
        methods: in the order of drawing.
        promised: method -> for each seed.
        palette: method -> colour.
        name: prefix of the figures' ids.
    """
    dots: dict[str, dict[tuple[str | None, float], list[tuple[float, Budgets]]]] = {}
    for r in methods:
        for seed in promised.get(r.method, ()):
            worst: dict[tuple[str | None, float], Promise] = {}
            for p in seed:
                place = p.moved.modality, _radius(p)
                if place not in worst or p.moved.risk > worst[place].moved.risk:
                    worst[place] = p
            for place, p in worst.items():
                dots.setdefault(r.method, {}).setdefault(place, []).append((p.moved.risk, p.bounds))
    limits = spread(
        [np.array([np.mean([risk for risk, _ in dot]) for dot in by.values()]) for by in dots.values()]
    )
    return [_dots(k, dots, palette, limits, f"{name}-{k}") for k in range(len(NAMES))]


def _dots(
    k: int, dots: Mapping[str, Dots], palette: Mapping[str, str], limits: tuple[float, float], name: str
) -> Markup:
    from matplotlib.ticker import MaxNLocator

    (width, height), (low, most) = SIZE, limits
    with figure(name, width, height) as (fig, titles):
        ax = axes(fig, 36, 12, 24, 40)
        for j, (method, by) in enumerate(dots.items()):
            means = [np.mean([(bounds[k], risk) for risk, bounds in seen], axis=0) for seen in by.values()]
            known = np.array([dot for dot in means if np.isfinite(dot[0])])
            if not known.size:
                continue
            most = max(most, float(known[:, 0].max()))
            titles[f"dots-{j}"] = method
            ax.plot(
                known[:, 0], known[:, 1], "o", color=palette[method], markersize=4, alpha=0.8,
                markeredgewidth=0, linewidth=0, gid=f"dots-{j}",
            )  # fmt: skip
        ax.plot(limits, limits, color=INK, linewidth=1, zorder=1)
        ax.set_ylim(*limits)
        ax.set_xlim(low, most + 0.03 * (most - low))
        ax.set_title(NAMES[k], loc="left", fontsize=12.5, color=INK, pad=6, weight="bold")
        ax.xaxis.set_major_locator(MaxNLocator(4))
        ax.yaxis.set_major_locator(MaxNLocator(4))
        ax.tick_params(labelsize=11)
        ax.set_xlabel("bound", loc="left", fontsize=12)
        words = f"Bound by {NAMES[k]} against the risk under the worst shift"
        return Markup(render(fig, name, words, titles))  # noqa: S704 - see `why.safe`
