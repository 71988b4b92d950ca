"""One benchmark run: a campaign with a simulated annotator, kept in one file, resumed wherever it stopped."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from threadpoolctl import threadpool_limits

from labelwise import data, models, strategies
from labelwise.bench.places import FILES, digests, named, placed
from labelwise.bench.results import Run
from labelwise.bench.spec import Spec
from labelwise.campaign import Campaign, describe
from labelwise.data.task import Task
from labelwise.errors import Conflict, InputError
from labelwise.events import Opened
from labelwise.models.base import Recipe
from labelwise.oracle import SimulatedOracle
from labelwise.store.sql import SqlStore
from labelwise.strategies.cheating import told

# Told (labels bought, budget, phase) now and then.
Tell = Callable[[int, int, str], None]


def run_file(folder: Path, spec: Spec) -> Path:
    """Return the file in which a spec's run lies."""
    return folder / f"{spec.id}.db"


def run(spec: Spec, folder: Path, *, notes: dict[str, Any] | None = None, tell: Tell | None = None) -> Run:
    """Run a spec to its end, or finish what an earlier process began, and return the run.

    A finished run is read, not repeated. Killing the process at any moment loses nothing that was recorded, and the
    next call asks what the uninterrupted run would have asked.

    Args:
        spec: what to run. A bank or a policy that its strategy names is looked for in the folder.
        folder: where `<spec.id>.db` lies; made if missing.
        notes: kept with the opening, e.g. the command.
        tell: told (labels bought, budget, phase).

    Raises:
        Conflict: another process is running this spec in this folder right now.
        InputError: a bank or policy is not there, is none for this run, or is another one than when the run began.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = run_file(folder, spec)
    lock = FileLock(f"{path}.running")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise Conflict(f"Run {spec.id} is being run by another process; its file is {path}.") from error
    # BLAS results depend on the number of threads; recipes that want more say so in the spec.
    try:
        with closing(SqlStore(path)) as store, threadpool_limits(limits=1):
            simulation = data.make(spec.task.name, **spec.task.params)
            task = simulation.task
            budget = min(spec.plan.budget, len(task.pool))
            bought = 0

            def phase(what: str, done: int, total: int) -> None:
                if tell is not None:
                    tell(bought, budget, what)

            recipe, task = models.prepared(
                models.make(spec.recipe.name, **spec.recipe.params),
                task,
                folder,
                lambda done, total: phase("pretrain", done, total),
            )
            files = _files(spec, folder, recipe, task)
            params = placed(spec.strategy.params, folder)
            campaign = Campaign(
                task,
                recipe,
                told(strategies.make(spec.strategy.name, **params), simulation.truth),
                store,
                spec.plan,
                notes={"spec": spec.values(), **({"files": files} if files else {}), **(notes or {})},
                progress=phase,
            )
            _same_files(campaign.state.opened, files, path)
            bought = len(campaign.state.labels)  # more than 0 where an earlier process began
            oracle = SimulatedOracle(
                simulation.truth,
                task.n_classes,
                noise=spec.oracle.noise,
                passes=spec.oracle.passes,
                seed=spec.plan.seed,
            )
            while ids := campaign.ask():
                campaign.tell(oracle.answer(ids))
                bought = len(campaign.state.labels)
                phase("ask", 0, 0)
            state = campaign.state
    finally:
        lock.release()
    return Run(spec.id, spec.values(), state, path)


def _files(spec: Spec, folder: Path, recipe: Recipe, task: Task) -> dict[str, str]:
    """Return name -> digest of the files that the strategy names."""
    if not any(named(spec.strategy.params, what) for what in FILES):
        return {}
    protocol = Opened(spec.plan, {}, describe(recipe), task.fingerprint(), {}).protocol
    return digests(spec.strategy.params, folder, protocol, spec.plan.seed)


def _same_files(opened: Opened | None, files: dict[str, str], path: Path) -> None:
    began = opened.notes.get("files", {}) if opened is not None else {}
    for name, digest in files.items():
        if began.get(name) != digest:
            raise InputError(
                f"{name} is not what it was when this run began (then {began.get(name)}, now {digest}). Put the old "
                f"one back, or delete {path} to run it afresh."
            )


def spec_text(spec: Spec) -> str:
    """Return a spec as the JSON that `labelwise run -` reads."""
    return json.dumps(spec.values(), sort_keys=True)
