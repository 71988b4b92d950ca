"""System C, whole: runs the demo and the `uncertainty/*` protocols, and writes their results, the docs' tables and pictures.

python benchmarks/uncertainty.py --jobs 2                 # everything: about three hours on one core
python benchmarks/uncertainty.py uncertainty/digits       # one protocol
python benchmarks/uncertainty.py --docs                   # only the docs' page, from the committed results

Finished runs are skipped, so it can be stopped and started at will.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from figures import write_curves
from kept import watch
from labelwise import data
from labelwise.bench.compare import compare
from labelwise.bench.diagnose import diagnose, simulate
from labelwise.bench.findings import Setting
from labelwise.bench.launch import launch
from labelwise.bench.outlook import as_json
from labelwise.bench.protocols import find, names
from labelwise.bench.report.forecast import ahead
from labelwise.bench.results import read_run
from labelwise.bench.run import run_file
from labelwise.bench.spec import read_bench
from labelwise.bench.words import points
from labelwise.functional.ranking import detectable
from record import DOCS, RESULTS, provenance, write

ORDER = (
    "digits", "mnist", "mnist-reinit", "mnist-0-4", "mnist-binary", "mnist-batch-size", "mnist-noise",
)  # fmt: skip


def load(spec: Any) -> Any:
    """Return the data of a spec."""
    task = dict(spec["task"])
    return data.make(task.pop("name"), **task)


def measure(protocol: str, folder: Path, jobs: int) -> Path:
    """Run a protocol and write its results."""
    bench = read_bench(find(protocol))
    cases = {spec.id: named for spec, named in zip(bench.specs, bench.cases, strict=True)}
    done = launch(
        bench.specs,
        folder / bench.name,
        jobs=jobs,
        notes={"bench": bench.name, "commit": provenance()["commit"]},
        cases=cases,
        watch=watch,
    )
    print()
    failed = [job.why for job in done if job.status != "done"]
    if failed:
        raise SystemExit(f"{protocol}: {len(failed)} runs did not finish: {failed[0]}")
    runs = [read_run(run_file(folder / bench.name, spec)) for spec in bench.specs]
    comparison = compare(runs, cases)
    settings = []
    for setting, group in zip(comparison.settings, comparison.groups, strict=True):
        simulation, why_not = simulate(group, load)
        classes = group.runs[setting.reference][0].state.opened.task["classes"]
        found = {d.strategy: d for d in diagnose(group, classes, simulation, setting.reference)}
        coming = ahead(setting, group)
        forecast = coming and {"of": coming[0], **as_json(coming[1])}
        settings.append({**condensed(setting, found), "forecast": forecast, "data_missing": why_not})
    commits = {str(run.state.opened.notes.get("commit", provenance()["commit"])) for run in runs}
    content = {
        "commit": ", ".join(sorted(commits)),  # of the code that made the runs
        "protocol": protocol, "about": bench.about, "headline": comparison.headline, "settings": settings,
        "run": f"labelwise bench --protocol {protocol}",
    }  # fmt: skip
    directory = DOCS / "images"
    directory.mkdir(exist_ok=True)
    if len(comparison.settings) <= 2:
        for k, setting in enumerate(comparison.settings):
            picture = directory / f"{protocol.replace('/', '-')}{'' if k == 0 else f'-{k + 1}'}.svg"
            write_curves(setting, picture)
    return write(protocol.replace("/", "-"), content)


def rounded(value: Any) -> Any:
    """Return numbers at six decimals: enough for every use, a tenth of the bytes."""
    if isinstance(value, float):
        return round(value, 6)
    if isinstance(value, dict):
        return {k: rounded(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(v) for v in value]
    return value


def condensed(setting: Setting, found: dict[str, Any]) -> dict[str, Any]:
    """Return what is quoted or could be asked for again: every run's curve, the summaries, differences, diagnoses."""
    strategies = {}
    for s in setting.strategies:
        d = found[s.name]
        strategies[s.name] = {
            "seeds": s.seeds,
            "labels": s.runs[0].labels,
            "accuracy": [r.accuracy for r in s.runs],
            "aubc": [s.aubc.mean, s.aubc.low, s.aubc.high],
            "final": [s.final.mean, s.final.low, s.final.high],
            "reach": [
                {"target": r.target, "reached": r.reached, "of": r.of, "labels": r.labels and r.labels.mean}
                for r in s.reach
            ],
            "seconds": dict(s.seconds),
            "scoring_ratio": s.scoring_ratio,
            "alarms": [
                {"seed": a.seed, "kind": a.kind, "labels": a.labels, "words": a.words} for a in d.alarms
            ],
            "signatures": d.signatures,
            "lowest_class_accuracy": lowest(d.per_class),
            "noisy": d.noisy
            and {"share": d.noisy.share, "low": d.noisy.low, "high": d.noisy.high, "base": d.noisy.base},
            "labelled_share": d.labelled_share,
        }
    pairs = [
        {
            "strategy": p.strategy, "against": p.against, "measure": p.measure, "mean": p.mean, "low": p.interval.low,
            "high": p.interval.high, "p_holm": p.p_holm, "clear": p.clear, "values": p.values,
        }
        for p in setting.pairs
    ]  # fmt: skip
    return rounded({
        "title": setting.title, "shared": dict(setting.shared), "headline": setting.headline, "detail": setting.detail,
        "strategies": strategies, "pairs": pairs,
        "crossings": {c.strategy: c.labels for c in setting.crossings},
    })  # fmt: skip


def lowest(per_class: Any) -> list[float]:
    """Return, at the end, the mean accuracy of the worst class, and which class it is."""
    last = [float(v) for v in per_class[-1]]
    return [min(last), last.index(min(last))]


def percent(value: float | None, digits: int = 1) -> str:
    """Return a share as the docs print it."""
    return "–" if value is None else f"{100 * value:.{digits}f}"


def table(setting: dict[str, Any]) -> list[str]:
    """Return a Markdown table of one setting."""
    by_pair = {(p["strategy"], p["measure"]): p for p in setting["pairs"] if p["against"] == "random"}
    noisy = any(s["noisy"] for s in setting["strategies"].values())
    head = [
        "strategy",
        "AUBC, %",
        "final, %",
        "AUBC - random, points",
        "random overtakes at",
        "worst class at the end, %",
    ]
    if noisy:
        head.append("noisy among asks, % (base)")
    lines = [f"| {' | '.join(head)} |", f"|:--{'|--:' * (len(head) - 1)}|"]
    for name, s in setting["strategies"].items():
        pair = by_pair.get((name, "aubc"))
        difference = "–"
        if pair is not None:
            text = f"{100 * pair['mean']:+.2f} [{100 * pair['low']:+.2f}, {100 * pair['high']:+.2f}]"
            difference = f"**{text}**" if pair["clear"] else text
        crossing = setting["crossings"].get(name)
        cells = [
            f"`{name}`", percent(s["aubc"][0], 2), percent(s["final"][0], 2), difference,
            "–" if name == "random" else "never" if crossing is None else f"{crossing:,.0f} labels",
            f"{percent(s['lowest_class_accuracy'][0])} (class {s['lowest_class_accuracy'][1]})",
        ]  # fmt: skip
        if noisy:
            n = s["noisy"]
            cells.append(
                f"{percent(n['share'])} [{percent(n['low'])}, {percent(n['high'])}] ({percent(n['base'])})"
                if n
                else "–"
            )
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def headline(setting: dict[str, Any]) -> str:
    """Return what was found; how small a difference the seeds can show, in the words of today's reports."""
    found, older, _ = str(setting["headline"]).partition(": with these seeds, ")
    if not older:
        return found
    values = [p["values"] for p in setting["pairs"] if (p["against"], p["measure"]) == ("random", "aubc")]
    sizes = sorted(detectable(np.std(v, ddof=1), len(v), alpha=0.05 / len(values)) for v in values)
    size = points(sizes[(len(sizes) - 1) // 2])
    return f"{found}: with {len(values[0])} seeds, true differences in AUBC under {size} points are mostly invisible."


def page() -> str:
    """Return the docs' page of results, from the committed JSON files alone."""
    lines = [
        "# System C: measured",
        "",
        "Made by `python benchmarks/uncertainty.py`; every number comes from `benchmarks/results/uncertainty-*.json`, which",
        "also hold every run's curve. AUBC is the mean accuracy over the labels bought. Differences are paired by seed, with",
        "their 95 % interval (Student's t); bold where it is clear after Holm's correction. Accuracy is on test data that nothing",
        "else sees. The settings are `mini`: small enough for two cores (a CNN of width 8, 4,000 candidates scored a round,",
        "2,000 test images); `--scale full` runs the larger ones.",
        "",
    ]
    for short in ORDER:
        path = RESULTS / f"uncertainty-{short}.json"
        if not path.exists():
            continue
        content = json.loads(path.read_text())
        lines += [f"## {short}", "", content["about"], "", f"`{content['run']}`", ""]
        several = len(content["settings"]) > 1
        for k, setting in enumerate(content["settings"]):
            seeds = len(next(iter(setting["strategies"].values()))["seeds"])
            if several:
                lines += [f"### {setting['title']}", ""]
            lines += [
                f"{headline(setting)} ({seeds} seeds.)"
                if "seeds" not in headline(setting)
                else headline(setting),
                "",
            ]
            picture = f"uncertainty-{short}{'' if k == 0 else f'-{k + 1}'}.svg"
            if (DOCS / "images" / picture).exists():
                lines += [f"![Learning curves: {setting['title']}](../images/{picture})", ""]
            lines += [*table(setting), ""]
            told = []
            for kind, words in (("lost", "lost a class"), ("ignored", "stopped asking for one")):
                counts = {
                    n: len({a["seed"] for a in s["alarms"] if a["kind"] == kind})
                    for n, s in setting["strategies"].items()
                }
                hit = ", ".join(f"`{n}` {c} of {seeds}" for n, c in counts.items() if c)
                told.append(f"runs that {words}: {hit or 'none'}")
            lines += [f"Alarms: {'; '.join(told)}.", ""]
    return "\n".join(lines).rstrip() + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "protocols",
        nargs="*",
        default=["demo", *(n for n in names() if n.removeprefix("uncertainty/") in ORDER)],
    )
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=Path("runs"))
    parser.add_argument("--docs", action="store_true")
    arguments = parser.parse_args()
    if not arguments.docs:
        for protocol in arguments.protocols:
            print(measure(protocol, arguments.folder, arguments.jobs))
    (DOCS / "systems" / "uncertainty-results.md").write_text(page())


if __name__ == "__main__":
    main()
