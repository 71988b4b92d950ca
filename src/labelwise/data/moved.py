"""Test samples of the simulated task after shifts of known radius, and after its copula was broken."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from labelwise.checks import Array, check_number
from labelwise.data.base import Dataset, Ids, Labelled, Over
from labelwise.data.shaping import Shape
from labelwise.data.shifts import part_to_shift, shifted
from labelwise.data.splits import Samples, build
from labelwise.data.task import Shifted
from labelwise.data.truth import Simulation
from labelwise.data.weakening import weakened
from labelwise.errors import InputError
from labelwise.functional.copulas import BREAKS, LARGEST, Shift, broken
from labelwise.seeds import generator

Floats = NDArray[np.float64]
Moved = Callable[[Floats, Mapping[str, Shift], Ids], tuple[Sequence[Floats], NDArray[np.int64]]]
HOW = {
    "mean up": Shift("mean"),
    "mean down": Shift("mean", up=False),
    "scale": Shift("scale"),
    "mixture": Shift("mixture"),
}


def per_column(rho: float, width: int) -> float:
    """Return the χ² radius of each of several independent columns that make ρ together: (1 + ρ)^(1/d) - 1."""
    return float(np.expm1(np.log1p(rho) / width))


@dataclass(frozen=True, eq=False)
class Replaced(Over):
    """A dataset of which some samples have other values.

    Attributes:
        data: the samples as they were.
        rows: ids of the others, ascending.
        arrays: modality -> (len(rows), ...) their values.
    """

    rows: Ids
    arrays: Mapping[str, Array]

    def batch(self, ids: Ids) -> Mapping[str, Array]:
        batch = dict(self.data.batch(ids))
        at = np.searchsorted(self.rows, ids).clip(max=len(self.rows) - 1)
        inside = self.rows[at] == ids
        for name, values in self.arrays.items():
            batch[name] = batch[name].copy()
            batch[name][inside] = values[at[inside]]
        return batch


def with_radii(
    samples: Samples,
    shape: Shape,
    marginals: Mapping[str, str],
    radii: Sequence[float],
    u: Floats,
    moved: Moved,
) -> Simulation:
    """Return the simulated task with a shift of each kind and radius, of each modality alone and of all together.

    Args:
        samples: named by their numbers (`keys`), the test part last.
        shape: all parameters of `labelwise.data.splits.build`.
        marginals: modality -> its marginal.
        radii: above 0, distinct.
        u: (n, K, d) uniforms of the test part.
        moved: returns samples and labels of these uniforms and rows after shifts of modalities.

    Raises:
        InputError: the radii are no list of such numbers.
    """
    if isinstance(radii, str) or not isinstance(radii, Sequence) or not radii:
        raise InputError(f"radii must be a list of at least one number above 0; they are {radii!r}.")
    if any(check_number(rho, "A radius", 0, LARGEST) == 0 for rho in radii) or len(set(radii)) < len(radii):
        raise InputError(f"radii must be distinct and above 0; they are {list(radii)}.")
    seed = shape["seed"]
    plain: Shape = {**shape, "corrupt": None, "missing": None, "shifts": None}
    whole = build(samples, **plain)
    row = np.array(whole.keys).astype(np.int64)  # of each id
    classes = np.full(len(samples.classes), -1)
    classes[samples.y[row]] = whole.truth  # -1: left out by the shape of the task
    whole = replace(whole, keys=())

    def weak(data: Dataset) -> Simulation:
        as_it_is = replace(whole, task=replace(whole.task, data=data))
        return weakened(as_it_is, shape["corrupt"], shape["missing"], shape["missing_parts"], seed)

    clean = weak(whole.task.data)
    sound = not shape["corrupt"] and not shape["missing"]
    part = part_to_shift(whole.task, shape["shifts_size"], seed)
    rows = row[part.ids] - (len(samples.y) - len(u))
    made = []
    for name, modality, kind, rho, moves, uniforms in _moves(marginals, radii, u, seed):
        x, y = moved(uniforms, moves, rows)
        arrays = {m: values.astype(np.float32) for m, values in zip(marginals, x, strict=True)}
        data: Dataset = Replaced(whole.task.data, part.ids, arrays)
        stays = classes[y] >= 0
        made.append(
            Shifted(
                name,
                data if sound else weak(data).task.data,
                Labelled(part.ids[stays], classes[y[stays]]),
                modality,
                kind,
                rho=rho,
                before=part.ids[stays],
            )
        )
    clean = replace(clean, task=replace(clean.task, shifts=tuple(made)))
    return shifted(clean, shape["shifts"], shape["shifts_size"], seed)


def _moves(
    marginals: Mapping[str, str], radii: Sequence[float], u: Floats, seed: int
) -> Iterator[tuple[str, str | None, str, dict[str, float] | None, dict[str, Shift], Floats]]:
    """Give name, modality, kind, radius by modality, shifts and uniforms of every shift."""
    width, names = u.shape[2], tuple(marginals)
    groups: list[tuple[str, ...]] = [(name,) for name in names]
    if len(names) > 1:
        groups.append(names)
    for group in groups:
        who = group[0] if len(group) == 1 else "all"
        for kind, how in HOW.items():
            if kind == "mean down" and any(marginals[name] == "gamma" for name in group):
                continue  # its radius would be infinite
            for rho in map(float, radii):
                moves = {name: how._replace(rho=per_column(rho, width)) for name in group}
                modality = group[0] if len(group) == 1 else None
                yield f"{who} {kind} {rho:g}", modality, kind, dict.fromkeys(group, rho), moves, u
    for how_broken in BREAKS if len(names) > 1 else ():
        other = broken(u, how_broken, generator(seed, "data", "copula", "control"))
        yield f"control {how_broken}", None, "control", None, {}, other
