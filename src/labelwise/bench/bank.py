"""Builds banks: runs the baselines of a relative reward under the same protocol, and keeps what they scored."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

from filelock import FileLock

from labelwise.bench.places import BANK, named
from labelwise.bench.results import Run
from labelwise.bench.spec import Named, Spec
from labelwise.checks import check_name
from labelwise.errors import InputError
from labelwise.strategies import TABLE
from labelwise.strategies.balance.bank import FORMAT, Banks, Scores, read_bank

BASELINES = ("core-gcn", "badge", "bmmal")  # GCNAL, BADGE and BMMAL
NAME = "bank.json"
_SHARED = ("task", "recipe", "plan", "oracle")


def users(specs: Iterable[Spec], name: str | None = None) -> tuple[Spec, ...]:
    """Return the specs whose strategy names a bank; with a name, only that one."""
    return tuple(
        spec
        for spec in specs
        if (names := named(spec.strategy.params, BANK)) and (name is None or name in names)
    )


def baseline_specs(specs: Iterable[Spec], baselines: Sequence[str] = BASELINES) -> tuple[Spec, ...]:
    """Return one spec for each task, recipe, plan, oracle and baseline, in the order of appearance.

    Raises:
        InputError: a baseline is no strategy, or there is none.
    """
    if not baselines:
        raise InputError("A bank needs at least one baseline.")
    for name in baselines:
        check_name(name, tuple(TABLE), "strategy")
    found: dict[str, Spec] = {}
    for spec in specs:
        for name in baselines:
            one = spec.model_copy(update={"strategy": Named(name=name)})
            found.setdefault(one.id, one)
    return tuple(found.values())


def setting(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a spec shares with every spec of its protocol: task, recipe, oracle, and plan without the seed."""
    shared: dict[str, Any] = json.loads(json.dumps({key: values[key] for key in _SHARED}))
    del shared["plan"]["seed"]
    return shared


def lacking(specs: Iterable[Spec], banks: Banks | None) -> tuple[Spec, ...]:
    """Return the specs for whose task, recipe, plan, oracle and seed a file has no scores; all where there is no file."""
    return tuple(spec for spec in specs if str(spec.plan.seed) not in _held(spec, banks))


def usual(specs: Iterable[Spec], banks: Banks | None) -> tuple[str, ...]:
    """Return the baselines that a file compares the specs' settings with already; GCNAL, BADGE and BMMAL where none.

    A seed that is added to a bank is compared with what its other seeds are compared with.
    """
    names = {name for spec in specs for scores in _held(spec, banks).values() for name in scores}
    return tuple(sorted(names)) or BASELINES


def _held(spec: Spec, banks: Banks | None) -> Scores:
    """Return seed -> strategy -> curve of a spec's task, recipe, plan and oracle; the newest, where data changed."""
    if banks is None:
        return {}
    mine = setting(spec.values())
    found = [p for p, about in banks.about.items() if {key: about.get(key) for key in _SHARED} == mine]
    return banks.scores[found[-1]] if found else {}


def known(path: Path) -> Banks | None:
    """Return the banks in a file; None where there is no file yet.

    Raises:
        InputError: the file is no bank.
    """
    return read_bank(path) if path.exists() else None


def write_bank(runs: Sequence[Run], path: Path) -> Banks:
    """Write what finished runs of baselines scored, beside what the file holds already, and return the whole.

    What the file has of other protocols and other seeds stays. It is replaced whole or not at all.

    Raises:
        InputError: a run is unfinished or has no validation accuracy, runs of one setting differ in their protocol,
            two settings share a protocol, seeds of a protocol would have other baselines than the rest, or the file is
            there and no bank.
        OSError: it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # two that write at once lose nothing of each other's
    with FileLock(path.with_name(f".{path.name}.lock")):
        return _write_bank(runs, path)


def _write_bank(runs: Sequence[Run], path: Path) -> Banks:
    banks: dict[str, dict[str, Any]] = {}
    if (before := known(path)) is not None:
        for protocol, scores in before.scores.items():
            banks[protocol] = {"about": dict(before.about[protocol]), "scores": dict(scores)}
    settings: dict[str, str] = {}
    fresh: set[tuple[str, str]] = set()
    for run in runs:
        protocol, seed = _protocol(run), str(run.seed)
        about = setting(run.spec)
        text = json.dumps(about, sort_keys=True)
        if settings.setdefault(text, protocol) != protocol:
            raise InputError(
                f"Runs of one setting have the protocols {settings[text]} and {protocol}: the data or labelwise "
                f"changed between them. Delete the older runs in {run.path.parent}."
            )
        bank = banks.setdefault(protocol, {"about": {}, "scores": {}})
        # the one thing that no protocol tells
        if bank["about"] and bank["about"].get("oracle") != about["oracle"]:
            raise InputError(
                f"{path} has a bank of protocol {protocol} already, with another oracle ({bank['about'].get('oracle')}, "
                f"now {about['oracle']}): write the two to two files."
            )
        if (protocol, seed) not in fresh:  # other baselines than before: none of the old ones stays
            bank["scores"][seed] = {}
            fresh.add((protocol, seed))
        bank["scores"][seed][run.strategy] = _curve(run)
        bank["about"] = about | {"labelwise": version("labelwise")}
    for bank in banks.values():
        seeds = sorted(bank["scores"], key=int)
        if len(against := {tuple(sorted(bank["scores"][seed])) for seed in seeds}) > 1:
            raise InputError(
                f"Seeds of one protocol would be compared with different baselines: {' or '.join(map(', '.join, sorted(against)))}. "
                f"Give the same --baselines to all of them, or another file to these; {path} stays as it is."
            )
        bank["scores"] = {seed: dict(sorted(bank["scores"][seed].items())) for seed in seeds}
    _write(path, json.dumps({"format": FORMAT, "banks": banks}, indent=1, allow_nan=False) + "\n")
    return read_bank(path)


def _protocol(run: Run) -> str:
    opened = run.state.opened
    if opened is None or not run.finished:
        raise InputError(f"Run {run.id} ({run.strategy}, seed {run.seed}) is not finished: {run.path}.")
    return opened.protocol


def _curve(run: Run) -> dict[str, float]:
    curve: dict[str, float] = {}
    for fit in run.fits:
        if "accuracy" not in fit.validation:
            raise InputError(
                f"Task {run.spec['task']['name']!r} has no validation samples, and a bank holds validation accuracy: "
                'set "task.validation", e.g. to 0.1.'
            )
        curve[str(fit.n_labelled)] = float(fit.validation["accuracy"])
    if not curve:
        raise InputError(f"Run {run.id} ({run.strategy}, seed {run.seed}) was never measured: {run.path}.")
    return curve


def _write(path: Path, text: str) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}.draft")
    try:
        with draft.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        with suppress(OSError):  # moved by now, or never made
            draft.unlink(missing_ok=True)
