"""Runs of a protocol, kept: what is committed of each, what is still to be run, and the file that holds them."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from labelwise.bench.launch import is_finished, launch
from labelwise.bench.results import Run, read_run
from labelwise.bench.run import run_file
from labelwise.bench.spec import Bench
from record import RESULTS, provenance, write

# what BRAL-T notes of every ask
HEALTH = ("reward correlation", "reward correlation within clusters", "share of clusters without TrustSet")

Row = Callable[[Run, dict[str, str]], dict[str, Any]]


def row_of(run: Run, cases: dict[str, str]) -> dict[str, Any]:
    """Return what is kept of one run."""
    opened = run.state.opened
    health = [[ask.notes.get(name) for name in HEALTH] for ask in run.state.asks if HEALTH[0] in ask.notes]
    seconds: dict[str, float] = {}
    for fit in run.fits:
        for phase, value in fit.seconds.items():
            seconds[phase] = seconds.get(phase, 0.0) + value
    return {
        **cases,
        "seed": run.seed,
        "commit": str(opened.notes.get("commit", "")) if opened is not None else "",
        "labels": [fit.n_labelled for fit in run.fits],
        "accuracy": [round(fit.test["accuracy"], 5) for fit in run.fits],
        "train_accuracy": [round(fit.fit["accuracy"], 4) for fit in run.fits if "accuracy" in fit.fit],
        "seconds": {phase: round(value, 2) for phase, value in seconds.items()},
        **({"health": health} if health else {}),
    }


def held(name: str) -> dict[str, dict[str, Any]]:
    """Return the committed runs by the id of their spec."""
    file = RESULTS / f"{name}.json"
    return dict(json.loads(file.read_text())["runs"]) if file.exists() else {}


def measure(
    name: str, bench: Bench, folder: Path, jobs: int, collect: bool, about: dict[str, Any], row: Row = row_of
) -> None:
    """Run what is neither committed nor finished (unless only collecting), and write everything, `about` before the runs."""
    known = held(name)
    if not collect:
        wanted = [spec for spec in bench.specs if spec.id not in known]
        done = launch(
            wanted,
            folder,
            jobs=jobs,
            notes={"bench": bench.name, "commit": provenance()["commit"]},
            watch=watch,
        )
        print()
        for job in done:
            if job.status != "done":
                print(f"{job.spec.id}: {job.why}")
    for spec, cases in zip(bench.specs, bench.cases, strict=True):
        if spec.id not in known and is_finished(spec, folder):
            known[spec.id] = row(read_run(run_file(folder, spec)), dict(cases))
    runs = dict(sorted(known.items(), key=lambda item: place_of(item[1])))
    path = write(name, {**about, "runs": runs})
    # one run a line: numbers of a curve under one another would be thousands of lines
    lines = [f'  "{key}": {json.dumps(row)}' for key, row in runs.items()]
    whole = json.loads(path.read_text())
    head = {key: value for key, value in whole.items() if key != "runs"}
    path.write_text(json.dumps(head, indent=1)[:-2] + ',\n "runs": {\n' + ",\n".join(lines) + "\n }\n}\n")


def place_of(row: dict[str, Any]) -> tuple[str, str, int]:
    """Return set, method and seed of what is kept of a run."""
    return row["set"], row["method"], row["seed"]


def arguments(about: str | None) -> argparse.ArgumentParser:
    """Return a parser of what all scripts that keep runs are asked for."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="where runs lie; default: runs/NAME of the protocol")
    parser.add_argument("--only", action="append", default=[], help="a set or a method; may be repeated")
    parser.add_argument("--collect", action="store_true", help="run nothing: take in what the folder holds")
    return parser


def watch(jobs: Any) -> None:
    """Say how far the runs are, on one line."""
    done = sum(job.status == "done" for job in jobs)
    print(
        f"\r{done} of {len(jobs)} runs, {sum(job.share for job in jobs) / len(jobs):.1%}", end="", flush=True
    )
