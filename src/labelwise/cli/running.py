"""Runs many specs with one bar, an ETA, and a complaint at the end about what failed; and the banks that they need."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from labelwise.bench.launch import Job
    from labelwise.bench.spec import Spec
    from labelwise.strategies.balance.bank import Banks


def command_line() -> str:
    return shlex.join(["labelwise", *sys.argv[1:]])


def cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def counted(n: int, what: str, several: str = "") -> str:
    """Return a number with what it counts: "1 run", "1,200 runs", "2 passes"."""
    return f"{n:,} {what if n == 1 else several or what + 's'}"


def called(spec: Spec, cases: Mapping[str, Mapping[str, str]] | None) -> str:
    """Return what tells a run from the others of its bench: its cases, its strategy if no case says it, its seed."""
    of = (cases or {}).get(spec.id, {})
    return ", ".join(
        [*of.values(), *([] if "method" in of else [spec.strategy.name]), f"seed {spec.plan.seed}"]
    )


class TimeUp(Exception):  # no error: the user asked for it
    """A time limit ended a bench before all of its runs were started."""


class Pace:
    """How fast a bench goes on, over all that it has done since it began.

    A look at the last half minute, as bars have it, finds nothing in it where a round lasts longer; and a bar would count
    what an earlier process has done as the pace of this one.
    """

    def __init__(self) -> None:
        self.began: float | None = None
        self.first: dict[int, float] = {}  # share of each run that an earlier process has done

    def left(self, jobs: Sequence[Job], now: float) -> float | None:
        """Return the seconds that are left; None while nothing is known, or nothing is left to do."""
        began = self.began
        for job in jobs:
            key = id(job)
            if key not in self.first and (job.status == "done" or job.phase):
                self.first[key] = job.share if began is None or job.status != "done" else 0.0
        if began is None:
            self.began = now
            return None
        made = sum(job.share - self.first.get(id(job), job.share) for job in jobs)
        ahead = sum(1 - job.share for job in jobs if job.status in ("waiting", "running"))
        return ahead * (now - began) / made if made > 0 and ahead > 0 else None


def run_all(
    specs: Sequence[Spec],
    folder: Path,
    jobs: int,
    name: str,
    cases: Mapping[str, Mapping[str, str]] | None = None,
    until: float | None = None,
) -> None:
    """Run what is not finished, with one bar for all runs.

    Args:
        specs: the runs.
        folder: where their files lie.
        jobs: processes at a time.
        name: of the bench, kept with each opening.
        cases: run id -> axis -> case, likewise.
        until: reading of `time.monotonic` after which no run is started.

    Raises:
        TimeUp: the time was over before every run was started; those that were running are finished.
        LabelwiseError: some runs did not finish; what each of them said.
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    from labelwise.bench.launch import launch
    from labelwise.cli.plan import duration
    from labelwise.errors import LabelwiseError

    console = Console(stderr=True)
    quiet = not console.is_terminal
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[eta]}"),
        console=console,
        disable=quiet,
    )
    line = bar.add_task(f"{len(specs)} runs", total=1.0, eta="")
    pace = Pace()
    lines: dict[int, Any] = {}
    told: set[int] = set()

    def watch(jobs_now: Sequence[Job]) -> None:
        done = sum(job.status == "done" for job in jobs_now)
        share = sum(job.share for job in jobs_now) / len(jobs_now)
        left = pace.left(jobs_now, monotonic())
        eta = "" if left is None else f"ETA {duration(left)}"
        bar.update(line, completed=share, description=f"{done} of {len(jobs_now)} runs", eta=eta)
        for job in jobs_now:
            key = id(job)
            if job.status == "running":
                if key not in lines:
                    lines[key] = bar.add_task("", total=1.0, eta="")
                words = f"  {called(job.spec, cases)}: {job.bought} of {job.budget} labels"
                bar.update(lines[key], completed=job.share, description=words)
            elif key in lines:
                bar.remove_task(lines.pop(key))
                if quiet and key not in told:
                    told.add(key)
                    console.print(
                        f"{done} of {len(jobs_now)} runs; {job.status}: {called(job.spec, cases)}"
                        f"{f'; {eta}' if eta else ''}",
                        highlight=False,
                    )

    with bar:
        notes = {"command": command_line(), "bench": name}
        everything = launch(specs, folder, jobs=jobs, notes=notes, cases=cases, watch=watch, until=until)
    bad = [job for job in everything if job.status in ("failed", "busy")]
    if bad:
        listed = "\n".join(f"  {job.spec.id} ({called(job.spec, cases)}): {job.why}" for job in bad)
        raise LabelwiseError(
            f"{len(bad)} of {len(everything)} runs did not finish:\n{listed}\nThe others are kept."
        )
    if any(job.status == "waiting" for job in everything):
        raise TimeUp


def build_bank(
    specs: Sequence[Spec],
    folder: Path,
    out: Path,
    baselines: Sequence[str],
    jobs: int,
    name: str,
    until: float | None = None,
) -> Banks:
    """Run the baselines of some specs in the folder, and write and return what they scored.

    Raises:
        TimeUp: the time was over first; the bank is as it was.
    """
    from labelwise.bench.bank import baseline_specs, known, write_bank
    from labelwise.bench.results import read_run
    from labelwise.bench.run import run_file

    known(out)  # a file that is no bank is found before the runs, not after
    wanted = baseline_specs(specs, baselines)
    run_all(wanted, folder, jobs, name, until=until)
    return write_bank([read_run(run_file(folder, spec)) for spec in wanted], out)


def see_to_files(
    everything: Sequence[Spec], folder: Path, jobs: int, name: str, until: float | None = None
) -> None:
    """Build the banks that unfinished specs name and the folder lacks; refuse at once where a policy is not there.

    Raises:
        InputError: a policy is missing, or a bank outside of the folder.
        TimeUp: the time was over before the runs that a bank needs were finished.
    """
    import typer

    from labelwise.bench.bank import known, lacking, users, usual
    from labelwise.bench.launch import is_finished
    from labelwise.bench.places import BANK, POLICY, named
    from labelwise.errors import InputError, StoreError

    specs = []
    for spec in everything:
        with suppress(StoreError):  # of a damaged run the launcher complains
            if not is_finished(spec, folder):
                specs.append(spec)
    for policy in dict.fromkeys(one for spec in specs for one in named(spec.strategy.params, POLICY)):
        if not (folder / policy).exists():
            raise InputError(
                f"There is no policy {folder / policy}, which a strategy names. Train it first: labelwise policy train "
                f"FILE --out {shlex.quote(str(folder / policy))}"
            )
    for bank in dict.fromkeys(one for spec in specs for one in named(spec.strategy.params, BANK)):
        path = folder / bank
        there = known(path)
        missing = lacking(users(specs, bank), there)
        if not missing:
            continue
        if Path(bank).name != bank:  # a file from a stranger must not choose what is written where
            raise InputError(
                f"{path} is not there, or lacks the scores for {counted(len(missing), 'run')}. Make it: labelwise bank FILE "
                f"--folder {shlex.quote(str(folder))} --out {shlex.quote(str(path))}"
            )
        against = usual(missing, there)
        typer.echo(
            f"{path} lacks what {counted(len(missing), 'run')} would be compared with: running {', '.join(against)} first.",
            err=True,
        )
        build_bank(missing, folder, path, against, jobs, name, until)
