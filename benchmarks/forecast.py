"""How far forecasts of learning curves are off, and how often their intervals hold, on every committed curve.

python benchmarks/forecast.py          # a minute or two on one core; writes the constants, the results and the docs' tables
python benchmarks/forecast.py --docs   # only the docs' tables and the constants, from the committed results

Every learning curve in benchmarks/results is cut off at up to eight places; what came later is compared with the forecast.
Constants are learnt with all curves of the held-out material left out (all of Fashion-MNIST, for example, whatever its
imbalance), and the tables tell of the material left out. The constants in the package rest on all of them.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelwise.functional.extrapolation import LEAST, extrapolate, raw_forecast, raw_step
from labelwise.functional.forecast import Calibration, labels_needed, predict
from record import RESULTS, write

ROOT = Path(__file__).parent.parent
CONSTANTS = ROOT / "src" / "labelwise" / "functional" / "forecast_constants.py"
PAGE = ROOT / "docs" / "forecast.md"
NAME = "forecast"
LEVELS = (0.5, 0.8, 0.9, 0.95)
AHEAD = (0.1, 0.5, 1.0, 3.0)  # labels ahead per label there is
CALLED = {0.1: "+10 %", 0.5: "+50 %", 1.0: "× 2", 3.0: "× 4"}
CUTS = 8  # of a curve, at most
METHODS = ("ensemble", "power law", "last value")
# What sets are made of. Whatever shares material with the held-out set is left out with it.
MADE_OF = {
    "fashion": ("fashion-mnist",), "mnist": ("mnist",), "fsdd": ("fsdd",), "sign-digits": ("sign-digits",),
    "digits": ("digits",), "digit-halves": ("digits",), "digit-pairs": ("mnist", "fsdd"),
    "digit-triples": ("mnist", "fsdd", "sign-digits"), "av-mnist": ("mnist", "fsdd"), "speech-sign": ("fsdd", "sign-digits"),
}  # fmt: skip
VARIED = re.compile(r"-(weak|missing|imb|few|mini|new-speaker|lt-\d+)$")

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Curve:
    """One campaign's measurements, and the set it ran on."""

    set: str
    labels: tuple[float, ...]
    accuracy: tuple[float, ...]


def material(name: str) -> tuple[str, ...]:
    """Return what a set is made of; a set unknown here is its own material."""
    base = name
    while VARIED.search(base):
        base = VARIED.sub("", base)
    known = [key for key in MADE_OF if base == key or base.startswith(f"{key}-")]
    return MADE_OF[max(known, key=len)] if known else (base,)


def curves() -> list[Curve]:
    """Return every committed curve once, with at least one point to forecast; equal ones of one set count once."""
    found: dict[Curve, None] = {}
    for path in sorted(RESULTS.glob("*.json")):
        if path.stem == NAME:
            continue
        for curve in _curves_of(json.loads(path.read_text())):
            if len(curve.labels) == len(curve.accuracy) > LEAST and min(curve.labels) >= 1:
                found[curve] = None
    return list(found)


def _curves_of(result: Any) -> Iterable[Curve]:
    """Yield the curves in one file of results, in the three forms that they have there."""

    def curve(name: str, labels: Sequence[float], accuracy: Sequence[float]) -> Curve:
        return Curve(name, tuple(map(float, labels)), tuple(map(float, accuracy)))

    if not isinstance(result, dict):
        return
    runs = result.get("runs")
    for run in runs.values() if isinstance(runs, dict) else ():
        if isinstance(run, dict) and {"set", "labels", "accuracy"} <= set(run):
            yield curve(run["set"], run["labels"], run["accuracy"])
    settings = result.get("settings")
    for setting in settings if isinstance(settings, list) else ():
        for seen in setting.get("strategies", {}).values() if isinstance(setting, dict) else ():
            for one in seen["accuracy"]:
                yield curve(setting["shared"]["task"]["name"], seen["labels"], one)
    if "labels" in result and "task" in result:
        for seen in result["strategies"].values():
            for one in seen["accuracy"]:
                yield curve(result["task"]["name"], result["labels"], one)


def cuts(points: int) -> list[int]:
    """Return after how many points a curve is cut off: few early, all of them where there are few."""
    possible = list(range(LEAST, points))
    if len(possible) <= CUTS:
        return possible
    return sorted({possible[k] for k in np.round(np.geomspace(1, len(possible), CUTS)).astype(int) - 1})


def near(labels: Floats, now: float, ahead: float) -> int | None:
    """Return which measurement is nearest to some share ahead; None where none is near."""
    away = np.abs(np.log(labels / (now * (1 + ahead))))
    best = int(away.argmin())
    return best if away[best] <= (0.08 if ahead < 0.2 else 0.15) else None


def measure(found: Sequence[Curve]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return every forecast beside what came (rows), and every difference of two forecasts beside it (steps).

    Of a row: set, ahead, and for each method its error and the scale it claims. Steps have no baselines.
    """
    rows, steps = [], []
    for curve in found:
        labels, accuracy = np.array(curve.labels), np.array(curve.accuracy)
        for k in cuts(labels.size):
            whole = extrapolate(labels[:k], accuracy[:k])
            power = extrapolate(labels[:k], accuracy[:k], families=["pow3"])
            later, now = labels[k:], labels[k - 1]
            places = {a: k + place for a in AHEAD if (place := near(later, now, a)) is not None}
            if not places:
                continue
            at = labels[list(places.values())]
            told = {"ensemble": raw_forecast(whole, at), "power law": raw_forecast(power, at)}
            told["last value"] = (np.full(at.size, accuracy[k - 1]), np.ones(at.size))
            for i, (ahead, place) in enumerate(places.items()):
                rows.append({
                    "set": curve.set, "ahead": ahead,
                    **{m: (float(accuracy[place] - told[m][0][i]), float(told[m][1][i])) for m in METHODS},
                })  # fmt: skip
            for (_, start), (ahead, stop) in zip(
                list(places.items())[:-1], list(places.items())[1:], strict=True
            ):
                if start == stop:
                    continue
                mean, scale = raw_step(whole, labels[start], labels[stop])
                error = float(accuracy[stop] - accuracy[start] - mean)
                steps.append({"set": curve.set, "ahead": ahead, "ensemble": (error, scale)})
    return rows, steps


class Errors:
    """Errors in units of their scale, with what they are of."""

    def __init__(self, rows: Sequence[dict[str, Any]], method: str) -> None:
        self.error = np.array([row[method][0] for row in rows])
        self.scale = np.array([row[method][1] for row in rows])
        self.z = self.error / self.scale
        self.ahead = np.array([row["ahead"] for row in rows])
        self.made_of = [material(row["set"]) for row in rows]
        self.group = np.array([group(parts) for parts in self.made_of])
        self.set = np.array([row["set"] for row in rows])
        self.groups = sorted(set(self.group.tolist()))
        self._parts = dict(zip(self.group.tolist(), self.made_of, strict=True))

    def apart(self, held: str, among: Sequence[str]) -> list[str]:
        """Return the groups that share nothing with one."""
        return [other for other in among if not set(self._parts[other]) & set(self._parts[held])]


def group(parts: Sequence[str]) -> str:
    return " and ".join(parts)


def quantile(values: Floats, weights: Floats, share: float) -> float:
    """Return a weighted quantile."""
    order = np.argsort(values, kind="stable")
    running = np.cumsum(weights[order])
    return float(np.interp(share * running[-1], running - weights[order] / 2, values[order]))


def constants(errors: Errors, groups: Sequence[str], *, stretched: bool = True) -> tuple[Floats, Floats]:
    """Return shift (h,) and half widths (h, levels), every group weighing alike.

    Half widths never fall with the distance: little is known far ahead. Then they are stretched, per level, until the
    intervals of groups left out in turn hold as often as they should: quantiles over a few groups are too narrow for
    one more.
    """
    shift, half = np.zeros(len(AHEAD)), np.zeros((len(AHEAD), len(LEVELS)))
    missing = 0  # distances before the first known one
    for h, ahead in enumerate(AHEAD):
        here = (errors.ahead == ahead) & np.isin(errors.group, groups)
        if not here.any():
            if h == missing:
                missing += 1
            else:
                shift[h], half[h] = shift[h - 1], half[h - 1]
            continue
        z, weights = errors.z[here], _alike(errors.group[here])
        shift[h] = quantile(z, weights, 0.5)
        half[h] = [quantile(np.abs(z - shift[h]), weights, level) for level in LEVELS]
        if h:
            half[h] = np.maximum(half[h], half[h - 1])
    if missing < len(AHEAD):
        shift[:missing], half[:missing] = shift[missing], half[missing]
    if stretched:
        half *= _stretch(errors, groups)
    return shift, half


def _stretch(errors: Errors, groups: Sequence[str]) -> Floats:
    """Return by how much half widths must grow, (levels,), at least 1."""
    reach, weights = [], []
    for held in groups:
        rest = errors.apart(held, groups)
        if not rest:
            continue
        shift, half = constants(errors, rest, stretched=False)
        for h, ahead in enumerate(AHEAD):
            here = (errors.ahead == ahead) & (errors.group == held)
            if here.any():
                reach.append(np.abs(errors.z[here] - shift[h])[:, None] / half[h])
                weights.append(np.full(here.sum(), 1 / here.sum()))
    if not reach:
        return np.ones(len(LEVELS))
    whole, share = np.concatenate(reach), np.concatenate(weights)
    return np.array([max(1.0, quantile(whole[:, k], share, level)) for k, level in enumerate(LEVELS)])


def _alike(groups: NDArray[np.str_]) -> Floats:
    _, place, counts = np.unique(groups, return_inverse=True, return_counts=True)
    return 1.0 / counts[place]


def held_out(rows: Sequence[dict[str, Any]], method: str) -> list[dict[str, Any]]:
    """Return for each set and distance how often the intervals held, with its material left out of the constants."""
    errors, told = Errors(rows, method), []
    for held in errors.groups:
        shift, half = constants(errors, errors.apart(held, errors.groups))
        for name in sorted(set(errors.set[errors.group == held].tolist())):
            for h, ahead in enumerate(AHEAD):
                here = (errors.set == name) & (errors.group == held) & (errors.ahead == ahead)
                if not here.any():
                    continue
                away = np.abs(errors.z[here] - shift[h])
                told.append({
                    "set": name, "material": held, "ahead": ahead, "forecasts": int(here.sum()),
                    "covered": [round(float((away <= half[h, k]).mean()), 4) for k in range(len(LEVELS))],
                    "half": [round(float((half[h, k] * errors.scale[here]).mean()), 5) for k in range(len(LEVELS))],
                    "error": round(float(np.abs(errors.error[here] - shift[h] * errors.scale[here]).mean()), 5),
                    "raw error": round(float(np.abs(errors.error[here]).mean()), 5),
                })  # fmt: skip
    return told


def reached(found: Sequence[Curve], rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return for each material how often a target was first measured within its 90 % interval of labels.

    Of at most sixty curves of a set, cut off halfway; the target lies halfway between the last measurement and what is
    expected where the curve ends, so that no later measurement chose it.
    """
    errors, told = Errors(rows, "ensemble"), []
    for held in errors.groups:
        rest = constants(errors, errors.apart(held, errors.groups))
        shift, half = (tuple(map(tuple, part.tolist())) if part.ndim > 1 else tuple(part) for part in rest)
        learnt = Calibration(LEVELS, AHEAD, shift, half, shift, half, 0, (), (0.0,) * 3)
        mine = [curve for curve in found if group(material(curve.set)) == held]
        inside = []
        for name in sorted({curve.set for curve in mine}):
            of = [curve for curve in mine if curve.set == name]
            for curve in of[:: -(-len(of) // 60)]:
                labels, accuracy = np.array(curve.labels), np.array(curve.accuracy)
                k = max(LEAST, labels.size // 2)
                whole = extrapolate(labels[:k], accuracy[:k])
                end = min(labels[-1], labels[k - 1] * (1 + AHEAD[-1]))
                expected = float(predict(whole, [end], calibration=learnt).mean[0])
                if expected < accuracy[k - 1] + 0.002:
                    continue
                target = (expected + accuracy[k - 1]) / 2
                needed = labels_needed(whole, target, most=int(end), calibration=learnt)
                there = np.flatnonzero((accuracy[k:] >= target) & (labels[k:] <= end))
                if there.size:
                    first, before = labels[k + there[0]], labels[k + there[0] - 1]
                    early, late = needed.earliest, needed.latest
                    inside.append(early is not None and early <= first and (late is None or late > before))
                else:
                    inside.append(needed.latest is None)
        if inside:
            told.append(
                {"material": held, "forecasts": len(inside), "covered": round(float(np.mean(inside)), 4)}
            )
    return told


def shipped(result: dict[str, Any]) -> str:
    """Return the module of constants."""
    c = result["constants"]
    lines = [
        '"""Constants of `functional.forecast`, made by benchmarks/forecast.py from the committed curves; not written by hand."""',
        "",
        "from __future__ import annotations",
        "",
        "from typing import Any",
        "",
        "# fmt: off",
        "CONSTANTS: dict[str, Any] = {",
        *(f'    "{key}": {_tuple(c[key])},' for key in ("levels", "ahead", "shift", "half", "step_shift", "step_half")),
        f'    "curves": {c["curves"]},',
        '    "sources": (',
        *(f'        "{name}",' for name in c["sources"]),
        "    ),",
        f'    "covered": {covered(result)},',
        "}",
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def covered(result: dict[str, Any]) -> tuple[float, float, float]:
    """Return how often nominal 90 % held on material left out: the mean over materials, the least, the greatest."""
    ours, k = result["held out"]["ensemble"], LEVELS.index(0.9)
    every = [
        _mean([r for r in ours if r["material"] == name], lambda r: r["covered"][k])
        for name in sorted({r["material"] for r in ours})
    ]
    mean, least, greatest = (round(float(f(every)), 4) for f in (np.mean, min, max))
    return mean, least, greatest


def _tuple(value: Any) -> Any:
    return tuple(map(_tuple, value)) if isinstance(value, list) else value


def measured() -> dict[str, Any]:
    """Return all that is committed."""
    found = curves()
    rows, steps = measure(found)
    errors, between = Errors(rows, "ensemble"), Errors(steps, "ensemble")
    (shift, half), (step_shift, step_half) = (constants(e, e.groups) for e in (errors, between))

    def plain(values: Floats) -> Any:
        return np.round(values, 4).tolist()

    return {
        "what": "forecasts of the accuracy that the same campaign measured later: covered and half (width) by nominal level, mean "
        "absolute error of the forecast (error) and before its shift (raw error); accuracies in [0, 1]",
        "constants": {
            "levels": list(LEVELS), "ahead": list(AHEAD), "shift": plain(shift), "half": plain(half),
            "step_shift": plain(step_shift), "step_half": plain(step_half), "curves": len(found),
            "sources": sorted({part for curve in found for part in material(curve.set)}),
        },
        "held out": {method: held_out(rows, method) for method in METHODS},
        "steps": held_out(steps, "ensemble"),
        "reached": reached(found, rows),
    }  # fmt: skip


def _mean(rows: Sequence[dict[str, Any]], pick: Any) -> float:
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
        cells = [f"{100 * _mean(rows, lambda r, k=k: r['covered'][k]):.0f} %" for k in range(len(LEVELS))]
        half = 100 * _mean(rows, lambda r: r["half"][LEVELS.index(0.9)])
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
        f"{100 * _mean(result['reached'], lambda r: r['covered']):.0f} % of "
        f"{sum(r['forecasts'] for r in result['reached']):,} cases (materials: "
        f"{100 * min(r['covered'] for r in result['reached']):.0f} to {100 * max(r['covered'] for r in result['reached']):.0f} %).", "",
    ]  # fmt: skip
    k = LEVELS.index(0.9)
    by_material = {
        name: _mean([r for r in ours if r["material"] == name], lambda r: r["covered"][k])
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
            raw, own = (100 * _mean(rows, lambda r, key=key: r[key]) for key in ("raw error", "error"))
            half = 100 * _mean(rows, lambda r: r["half"][LEVELS.index(0.9)])
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


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--docs", action="store_true", help="measure nothing")
    if not parser.parse_args().docs:
        path = write(NAME, measured())
        whole = json.loads(path.read_text())
        # one row a line, for numbers under one another would be thousands of lines
        text = json.dumps(whole, indent=1)
        text = re.sub(r"\[\s+((?:-?[\d.e-]+,?\s+)+)\]", lambda m: f"[{' '.join(m[1].split())}]", text)
        text = re.sub(r'\{\s+("set": [^{}]*?)\s+\}', lambda m: f"{{{' '.join(m[1].split())}}}", text)
        path.write_text(text + "\n")
    CONSTANTS.write_text(shipped(json.loads((RESULTS / f"{NAME}.json").read_text())))
    if PAGE.exists():
        PAGE.write_text(page())


if __name__ == "__main__":
    main()
