"""Trains a policy over many campaigns: each goes on with what the last one learned, and can be resumed at any point."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import fields, is_dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from labelwise.bench.bank import setting
from labelwise.bench.run import run_file
from labelwise.bench.spec import Spec, read_spec
from labelwise.errors import InputError
from labelwise.store.sql import SqlStore
from labelwise.strategies import make
from labelwise.strategies.balance.policy import load_policy, save_policy

FIRST_SEED = 1000  # benches count from 0: no policy is tested on a campaign that it was trained on
_USE = ("policy", "frozen", "greedy")  # how a policy is used, not how it learns


def learns(spec: Spec) -> bool:
    """Return True if the spec's strategy has a policy that can be kept in a file."""
    strategy = make(spec.strategy.name, **spec.strategy.params)
    return is_dataclass(strategy) and "policy" in {f.name for f in fields(strategy)}


def episodes_of(specs: Iterable[Spec], count: int, first_seed: int = FIRST_SEED) -> tuple[Spec, ...]:
    """Return one spec for each episode: the settings in turn, and a new seed after each turn; without any policy yet.

    Args:
        specs: those of the one method that is to learn; their seeds do not matter. Others are left out.
        count: N, episodes.
        first_seed: of the first turn.

    Raises:
        InputError: no method learns, or several do, or `count` is less than 1.
    """
    if count < 1:
        raise InputError(f"--episodes must be at least 1; it is {count}.")
    settings: dict[str, dict[str, Any]] = {}
    methods: dict[str, None] = {}
    for spec in specs:
        if not learns(spec):
            continue
        values = spec.values()
        values["strategy"] = {key: value for key, value in values["strategy"].items() if key not in _USE}
        methods[json.dumps(values["strategy"], sort_keys=True)] = None
        settings.setdefault(json.dumps(setting(values), sort_keys=True), values)
    if not methods:
        raise InputError(
            "No run has a strategy with a policy that can be kept in a file, such as rl-mba; there is nothing to train."
        )
    if len(methods) > 1:
        raise InputError(
            f"{len(methods)} methods have a policy ({'; '.join(methods)}); choose one of them with --only."
        )
    turns = tuple(settings.values())
    made = []
    for k in range(count):
        turn, place = divmod(k, len(turns))
        values = turns[place]
        made.append(read_spec(values | {"plan": values["plan"] | {"seed": first_seed + turn}}))
    return tuple(made)


def going_on(spec: Spec, policy: str | None) -> Spec:
    """Return the spec of an episode that starts with a policy; the name of its file, in the folder of the runs."""
    if policy is None:
        return spec
    values = spec.values()
    return read_spec(values | {"strategy": values["strategy"] | {"policy": policy}})


def begun_with(policy: Path, folder: Path) -> str:
    """Copy a policy into the folder under a name that its bytes give, and return the name.

    Raises:
        InputError: it is no policy.
    """
    load_policy(policy)
    name = f"{hashlib.sha256(policy.read_bytes()).hexdigest()[:12]}.policy"
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / name).exists():
        draft = folder / f".{name}.{os.getpid()}.draft"
        shutil.copyfile(policy, draft)
        draft.replace(folder / name)
    return name


def kept(done: Sequence[Spec], folder: Path, out: Path | None = None) -> str:
    """Write the policy that the last of some episodes ended with, and return the name of its file.

    Named by the episode's id, which hashes the policy that it began with, and so all episodes before: the same
    training finds its files again, another one makes others.

    Args:
        done: finished episodes, in order.
        folder: of their runs.
        out: write there; None: into the folder.

    Raises:
        InputError: the episode never proposed, so that there is nothing to keep.
    """
    last = done[-1]
    name = f"{last.id}.policy"
    with closing(SqlStore(run_file(folder, last), create=False, readonly=True)) as store:
        state: Mapping[str, Any] = store.state().get("strategy", {})
    about = {
        "labelwise": version("labelwise"),
        "strategy": done[0].values()["strategy"],
        "episodes": [
            {"task": one.task.name, **one.task.params, "seed": one.plan.seed, "run": one.id} for one in done
        ],
    }
    path = out or folder / name
    if out is None and path.exists():  # the next episode may have begun with these very bytes
        return name
    path.parent.mkdir(parents=True, exist_ok=True)
    save_policy(path, state, about)
    return name
