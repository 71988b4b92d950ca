"""What docs/forecast.md says of the forecasts, from the committed results."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from forecast_curves import NAME
from record import DOCS, RESULTS

PAGE = DOCS / "forecast.md"
LEVELS = (0.5, 0.8, 0.9, 0.95)
AHEAD = (0.1, 0.5, 1.0, 3.0)  # labels ahead per label there is
CALLED = {0.1: "+10 %", 0.5: "+50 %", 1.0: "× 2", 3.0: "× 4"}
METHODS = ("ensemble", "power law", "last value")


def covered(result: dict[str, Any]) -> tuple[float, float, float]:
    """Return how often nominal 90 % held on material left out: the mean over materials, the least, the greatest."""
    ours, k = result["held out"]["ensemble"], LEVELS.index(0.9)
    every = [
        over_materials([r for r in ours if r["material"] == name], lambda r: r["covered"][k])
        for name in sorted({r["material"] for r in ours})
    ]
    mean, least, greatest = (round(float(f(every)), 4) for f in (np.mean, min, max))
    return mean, least, greatest


def over_materials(rows: Sequence[dict[str, Any]], pick: Any) -> float:
    """Return the mean over materials of the mean over forecasts: sets of one material are one."""
    groups: dict[str, list[tuple[float, int]]] = {}
    for row in rows:
        groups.setdefault(row["material"], []).append((pick(row), row["forecasts"]))
    return float(np.mean([sum(v * n for v, n in g) / sum(n for _, n in g) for g in groups.values()]))


def tables(result: dict[str, Any]) -> str:
    """Return the tables of the docs' page."""
    held, c = result["held out"], result["constants"]
    ours = held["ensemble"]
    heads = [f"{100 * level:g} %" for level in LEVELS]

    def row_of(name: str, rows: list[dict[str, Any]]) -> str:
        cells = [
            f"{100 * over_materials(rows, lambda r, k=k: r['covered'][k]):.0f} %" for k in range(len(LEVELS))
        ]
        half = 100 * over_materials(rows, lambda r: r["half"][LEVELS.index(0.9)])
        return f"| {name} | {' | '.join(cells)} | {half:.1f} | {sum(r['forecasts'] for r in rows):,} |"

    def at(rows: list[dict[str, Any]], ahead: float) -> list[dict[str, Any]]:
        return [r for r in rows if r["ahead"] == ahead]

    materials = sorted({r["material"] for r in ours})
    sets = sorted({(r["material"], r["set"]) for r in ours})
    lines = [
        f"{c['curves']:,} curves of {len(sets)} sets, made of {len(c['sources'])} materials; "
        f"{sum(r['forecasts'] for r in ours):,} forecasts, each with everything made of the same material left out of the "
        "constants. Means over materials, which weigh alike. *Half* is the mean half width of the 90 % interval, in points.", "",
        f"| how far ahead | {' | '.join(heads)} | half | forecasts |", f"|:--|{'--:|' * (len(heads) + 2)}",
        *(row_of(CALLED[a], at(ours, a)) for a in AHEAD), row_of("**all**", ours),
        row_of("from one count ahead to a farther one", result["steps"]), "",
        "By what was held out, all distances together:", "",
        f"| held out | {' | '.join(heads)} | half | forecasts |", f"|:--|{'--:|' * (len(heads) + 2)}",
        *(row_of(name, [r for r in ours if r["material"] == name]) for name in materials), "",
        f"Labels until a target is first measured: within the 90 % interval in "
        f"{100 * over_materials(result['reached'], lambda r: r['covered']):.0f} % of "
        f"{sum(r['forecasts'] for r in result['reached']):,} cases (materials: "
        f"{100 * min(r['covered'] for r in result['reached']):.0f} to {100 * max(r['covered'] for r in result['reached']):.0f} %).", "",
    ]  # fmt: skip
    k = LEVELS.index(0.9)
    by_material = {
        name: over_materials([r for r in ours if r["material"] == name], lambda r: r["covered"][k])
        for name in materials
    }

    def named(chosen: list[str]) -> str:
        return ", ".join(f"{name} ({100 * by_material[name]:.1f} %)" for name in chosen) or "none"

    below, above = (
        [m for m, c in by_material.items() if wrong(c)] for wrong in (lambda c: c < 0.85, lambda c: c > 0.95)
    )
    lines += [
        f"Nominal 90 % hold less often than in 85 % of the cases on {named(below)}; more often than in 95 % on {named(above)}. "
        "By set, in nominal 90 % intervals, with their mean half width:", "",
        f"| set | {' | '.join(CALLED[a] for a in AHEAD)} |", f"|:--|{'--:|' * len(AHEAD)}",
    ]  # fmt: skip
    for _, name in sets:
        cells = []
        for a in AHEAD:
            found = next((r for r in at(ours, a) if r["set"] == name), None)
            cells.append("–" if found is None else f"{100 * found['covered'][k]:.0f} % ± {100 * found['half'][k]:.1f}")  # fmt: skip
        lines.append(f"| {name} | {' | '.join(cells)} |")
    lines += [
        "", "Mean absolute error in points, without the shift that calibration adds (with it in brackets), and the half width "
        "of 90 % intervals that were calibrated in the same way:", "",
        f"| how far ahead | {' | '.join(f'{m}: error | half' for m in METHODS)} |", f"|:--|{'--:|' * (2 * len(METHODS))}",
    ]  # fmt: skip
    for a in AHEAD:
        cells = []
        for m in METHODS:
            rows = at(held[m], a)
            raw, own = (
                100 * over_materials(rows, lambda r, key=key: r[key]) for key in ("raw error", "error")
            )
            half = 100 * over_materials(rows, lambda r: r["half"][LEVELS.index(0.9)])
            cells += [f"{raw:.1f} ({own:.1f})", f"{half:.1f}"]
        lines.append(f"| {CALLED[a]} | {' | '.join(cells)} |")
    return "\n".join(lines)


def page() -> str:
    """Return the docs' page with its tables anew, from the committed results."""
    result = json.loads((RESULTS / f"{NAME}.json").read_text())
    before, rest = PAGE.read_text().split("<!-- tables: ", 1)
    mark, rest = rest.split("-->\n", 1)
    _, after = rest.split("\n<!-- end of tables -->", 1)
    return f"{before}<!-- tables: {mark}-->\n{tables(result)}\n<!-- end of tables -->{after}"
