"""Test samples after shifts that no training part knows of: every kind of corruption, at five severities."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Any, Literal, Required, TypedDict, get_args

import numpy as np

from labelwise.checks import Array, check_count, check_name, frozen
from labelwise.data.base import Ids, Labelled, Over
from labelwise.data.corruption import Missing
from labelwise.data.draws import stratified
from labelwise.data.kinds import KINDS, Kind, amount_of, fits, form_of
from labelwise.data.task import SEVEREST, Shifted, Task
from labelwise.data.truth import Simulation
from labelwise.data.weakening import check_modality, held, measured, worsened
from labelwise.errors import InputError, did_you_mean
from labelwise.seeds import derived_seed, generator

Asked = tuple[str, Kind, tuple[int, ...]]  # modality, kind, severities
SHIFTED = 500  # test samples that each shift is measured on
MOST_KEPT = 1 << 26  # bytes of the samples of one shift that stay in memory
EVERY = tuple(range(1, SEVEREST + 1))


class Shift(TypedDict, total=False):
    """A kind of shift as a spec writes it; all five severities unless it says which."""

    modality: Required[str]
    kind: Required[Kind]
    severities: Sequence[int]


@dataclass(frozen=True, eq=False)
class Kept(Over):
    """A dataset of which a few samples are asked for again and again: they are read once and kept.

    Where they would take more than 64 MiB they are read each time.

    Attributes:
        data: the samples.
        rows: ids of those that are kept, ascending; others cannot be asked for.
        lends: whether who asks for all of them is given the arrays themselves, read-only, and no copies: so shifts
            share what they leave as it is.
    """

    rows: Ids
    lends: bool = False

    @cached_property
    def _held(self) -> Mapping[str, Array] | None:
        one = self.data.batch(self.rows[:1])
        if sum(values.nbytes for values in one.values()) * len(self.rows) > MOST_KEPT:
            return None
        return {name: frozen(values) for name, values in self.data.batch(self.rows).items()}

    def batch(self, ids: Ids) -> Mapping[str, Array]:
        if self._held is None:
            return self.data.batch(ids)
        if self.lends and np.array_equal(ids, self.rows):
            return self._held
        at = np.searchsorted(self.rows, ids)
        return {name: values[at] for name, values in self._held.items()}


def part_to_shift(task: Task, size: int, seed: int) -> Labelled:
    """Return the test samples that shifts are measured on: ascending ids, stratified, the same for every shift.

    Args:
        task: with a test part.
        size: how many; all where there are fewer.
        seed: draws inside each class.

    Raises:
        InputError: the task has no test part, or `size` is no number of at least 1.
    """
    check_count(size, "shifts_size", 1)
    if task.test is None:
        raise InputError(f"Task {task.name!r} has no test part that could shift. Leave out shifts.")
    rows = stratified(task.test.y, size, generator(seed, "data", "shifts"))
    rows = rows[np.argsort(task.test.ids[rows])]
    return Labelled(task.test.ids[rows], task.test.y[rows])


def shifted(
    simulation: Simulation,
    shifts: Literal["all"] | Shift | Sequence[Shift] | None,
    size: int = SHIFTED,
    seed: int = 0,
) -> Simulation:
    """Return the simulation with `Task.shifts`: some test samples, one modality made worse in each of several ways.

    Nothing else changes: who is trained, asked and selected on sees none of it. A sample suffers the same at every
    reading, and at a larger severity what it suffered at a smaller one, and more. The samples of a shift are made when
    they are first asked for, and kept.

    Args:
        simulation: what has a test part.
        shifts: "all": every kind of corruption that fits each modality, at five severities; or one or several tables
            {modality, kind, severities}, the latter all five where it is left out; None: no shifts.
        size: how many test samples each shift is measured on, stratified; all where there are fewer.
        seed: of the draws.

    Raises:
        UnknownName: no such kind.
        InputError: the task has no test part, no such modality, a kind does not fit it, a severity is no number from
            1 to 5, or a table has an unknown key or lacks one.
    """
    if shifts is None:
        return simulation
    task, own = simulation.task, derived_seed(seed, "data", "shifts")
    part = part_to_shift(task, size, seed)
    bare = replace(simulation, task=replace(task, shifts=()))
    kept = Kept(task.data, part.ids, lends=True)
    values = cache(lambda modality: measured(task, modality))
    made = []
    for modality, kind, severities in _every(bare, values) if shifts == "all" else _listed(shifts, task):
        for severity in severities:
            amount = amount_of(kind, severity)
            data: Over
            if kind == "missing":
                hold = held(bare.task, {modality: amount}, own, part.ids)
                data = Missing(kept, hold)
            else:
                worse = worsened(bare, modality, kind, amount, own, part.ids, values(modality))
                data = replace(worse, data=kept)
            name = f"{modality} {kind} {severity}"
            made.append(
                Shifted(name, Kept(data, part.ids), part, modality, kind, severity=severity, before=part.ids)
            )
    return replace(simulation, task=replace(task, shifts=(*task.shifts, *made)))


def _every(simulation: Simulation, values: Callable[[str], Array]) -> Iterator[Asked]:
    """Give every kind that fits each modality, at five severities."""
    names = simulation.task.data.modalities
    for modality in names:
        form = form_of(values(modality), sound=modality in simulation.sounds)
        for kind in get_args(Kind):
            possible = kind != "missing" or len(names) > 1  # the only modality cannot be missing
            if possible and fits(kind, form, values(modality), asked=False):
                yield modality, kind, EVERY


def _listed(shifts: Any, task: Task) -> Iterator[Asked]:
    """Give the shifts that were asked for, checked."""
    several = [shifts] if isinstance(shifts, Mapping) else shifts
    shape = "a table {modality, kind, severities}, a list of such, or 'all'"
    if isinstance(several, str) or not isinstance(several, Sequence):
        raise InputError(f"shifts must be {shape}; they are {shifts!r}.")
    known = Shift.__annotations__
    for one in several:
        if not isinstance(one, Mapping):
            raise InputError(f"shifts must be {shape}; they hold {one!r}.")
        for key in one:
            if key not in known:
                raise InputError(f"shifts have no key {key!r}. {did_you_mean(str(key), known)}")
        for key in ("modality", "kind"):
            if key not in one:
                raise InputError(f"A shift must say its {key}; it says {sorted(one)}.")
        check_modality(task, one["modality"])
        check_name(one["kind"], tuple(KINDS), "kind of corruption")
        severities = one.get("severities", EVERY)
        if isinstance(severities, str) or not isinstance(severities, Sequence) or not len(severities):
            raise InputError(
                f"severities must be a list of at least one number from 1 to {SEVEREST}; they are {severities!r}."
            )
        yield one["modality"], one["kind"], tuple(severities)
