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
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forecast_curves import NAME, Curve, curves, group, material
from forecast_tables import AHEAD, LEVELS, METHODS, PAGE, covered, page
from labelwise.functional.extrapolation import LEAST, extrapolate, raw_forecast, raw_step
from labelwise.functional.forecast import Calibration, labels_needed, predict
from record import RESULTS, write

ROOT = Path(__file__).parent.parent
CONSTANTS = ROOT / "src" / "labelwise" / "functional" / "forecast_constants.py"
CUTS = 8  # of a curve, at most
Floats = NDArray[np.float64]


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
