"""Compares new samples with old ones, modality by modality: by their means, their spread, and by what is missing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import NamedTuple

import numpy as np

from labelwise.checks import Array
from labelwise.errors import InputError
from labelwise.functional.coupling import LEAST as LEAST_COUPLED
from labelwise.functional.coupling import coupling
from labelwise.functional.drift import Basis, Radius, basis, holm, moved_radius, usual_width
from labelwise.functional.robust import Floats
from labelwise.project.drift.seeing import Seen
from labelwise.seeds import generator

LEAST = 20  # samples that have a modality, on either side
MEANS, SPREAD, ABSENCE = "means", "spread", "absence"


@dataclass(frozen=True)
class Moved:
    """One modality of new data beside the old.

    Attributes:
        name: the modality.
        old, new: samples compared, which have it.
        share_old, share_new: how many of all samples compared have it.
        measured: ρ̂, by the means, or by the spread where only that gave a shift away.
        chance_low, chance_median, chance_high: 5 %, 50 % and 95 % of the radii that chance alone shows.
        rho: measured less the median of chance, at least 0.
        by: what gave a shift away, after Holm's correction over all tests: "means", "spread" or "absence"; "" if nothing.
        p: least corrected p-value of its tests.
    """

    name: str
    old: int
    new: int
    share_old: float
    share_new: float
    measured: float
    chance_low: float
    chance_median: float
    chance_high: float
    rho: float
    by: str
    p: float

    @property
    def moved(self) -> bool:
        """Whether it has, by more than chance would show."""
        return bool(self.by)

    @property
    def counted(self) -> float:
        """The radius that costs are counted with: 0 unless a shift of what is there was found."""
        return self.rho if self.by in (MEANS, SPREAD) else 0.0

    @property
    def hidden(self) -> float:
        """The radius that a shift may have and not be seen: what chance shows in 95 of 100, less its median."""
        return self.chance_high - self.chance_median


class _Test(NamedTuple):
    name: str
    by: str
    p: float
    radius: Radius | None = None


def compared(
    old: Seen,
    new: Seen,
    *,
    draws: int,
    level: float,
    seed: int,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Moved, ...]:
    """Return each modality of the new samples beside the old.

    Args:
        old: samples that no network learned from.
        new: new ones.
        draws: of chance; more are taken where Holm's correction could otherwise call nothing.
        level: of all tests together.
        seed: of folds and draws.
        progress: told (radii measured, radii in all).

    Raises:
        InputError: a modality is there in fewer than 20 samples of a side.
    """
    gaps = not (old.there.all() and new.there.all())
    tests = len(old.names) * (3 if gaps else 2)
    draws = max(draws, ceil(tests / level))
    total, done = 2 * len(old.names) * (draws + 1), 0

    def tick() -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, total)

    _check_enough(old, new)
    found: list[_Test] = []
    for m, name in enumerate(old.names):
        p, q = old.parts[m][old.there[:, m]], new.parts[m][new.there[:, m]]
        along = basis(np.concatenate([p, q]), usual_width(len(p), len(q)))
        for by in (MEANS, SPREAD):
            rng = generator(seed, "drift", "radius", name, by)
            radius = moved_radius(
                along.of(p), along.of(q), rng, draws=draws, squares=by == SPREAD, progress=tick
            )
            found.append(_Test(name, by, radius.p, radius))
        if gaps:
            found.append(_Test(name, ABSENCE, _absence(old.there[:, m], new.there[:, m])))
    corrected = dict(zip(found, holm([test.p for test in found]).tolist(), strict=True))
    return tuple(
        _told(m, name, old, new, {t.by: (t, p) for t, p in corrected.items() if t.name == name}, level)
        for m, name in enumerate(old.names)
    )


def _told(
    m: int, name: str, old: Seen, new: Seen, tests: Mapping[str, tuple[_Test, float]], level: float
) -> Moved:
    by = next(
        (by for by, (_, p) in tests.items() if p <= level), ""
    )  # means first: their radius is less noisy
    radius = tests[by if by == SPREAD else MEANS][0].radius
    assert radius is not None
    return Moved(
        name=name,
        old=int(old.there[:, m].sum()),
        new=int(new.there[:, m].sum()),
        share_old=float(old.there[:, m].mean()),
        share_new=float(new.there[:, m].mean()),
        measured=radius.measured,
        chance_low=radius.chance(0.05),
        chance_median=radius.chance(0.5),
        chance_high=radius.chance(0.95),
        rho=radius.rho,
        by=by,
        p=min(p for _, p in tests.values()),
    )


def _check_enough(old: Seen, new: Seen) -> None:
    for m, name in enumerate(old.names):
        for side, seen in (("Old data", old), ("New data", new)):
            have = int(seen.there[:, m].sum())
            if have < LEAST:
                cure = (
                    "Take more samples, or leave the modality out of a new project."
                    if have or side == "Old data"
                    else "Is it there under another name?"
                )
                raise InputError(
                    f"{side} hold {name} in {have} of {len(seen.there)} samples that are compared; drift is measured from "
                    f"{LEAST} on. {cure}"
                )


def _absence(old: Array, new: Array) -> float:
    from scipy.stats import fisher_exact

    table = [[int(side.sum()), int((~side).sum())] for side in (old, new)]
    return float(fisher_exact(table).pvalue)


def joint_basis(old: Seen, new: Seen, names: Sequence[str]) -> tuple[Floats, Floats]:
    """Return some modalities of old and new samples side by side, along common directions; what is missing is 0.

    Which modalities a sample has are columns, too, where samples differ in that.
    """
    columns = [old.names.index(name) for name in names]
    sides = []
    for m in columns:
        p, q = old.parts[m][old.there[:, m]], new.parts[m][new.there[:, m]]
        along = basis(np.concatenate([p, q]), usual_width(len(p), len(q)))
        sides.append([_filled(along, side, m) for side in (old, new)])
    for m in columns:
        flags = [side.there[:, [m]].astype(float) for side in (old, new)]
        if not all(flag.all() for flag in flags):
            sides.append(flags)
    x, z = (np.concatenate(parts, axis=1) for parts in zip(*sides, strict=True))
    whole = basis(np.concatenate([x, z]), usual_width(len(x), len(z)))
    return whole.of(x), whole.of(z)


def _filled(along: Basis, side: Seen, m: int) -> Floats:
    told = np.zeros((len(side.there), along.directions.shape[1]))
    told[side.there[:, m]] = along.of(side.parts[m][side.there[:, m]])
    return told


def coupled(old: Seen) -> Floats:
    """Return Γ (M, M), the Gaussian copula's correlations between modalities, by the samples that have all of them.

    All 1, the most there can be, where these are fewer than four.
    """
    whole = old.there.all(axis=1)
    if whole.sum() < LEAST_COUPLED:
        return coupling(old.parts, "one")
    parts = [part[whole] for part in old.parts]
    n = int(whole.sum())
    return coupling([basis(part, usual_width(n, n)).of(part) for part in parts], "gaussian_copula")
