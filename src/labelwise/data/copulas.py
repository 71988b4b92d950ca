"""Simulated samples whose modalities depend on one another by a copula, and whose test part may have shifted marginals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Unpack

import numpy as np
from numpy.typing import NDArray

from labelwise.checks import check_count, check_name, check_number
from labelwise.data.base import Ids
from labelwise.data.moved import per_column, with_radii
from labelwise.data.shaping import Shape, shaped
from labelwise.data.splits import TEST, TRAIN, Samples, build
from labelwise.data.truth import Simulation
from labelwise.errors import InputError, did_you_mean
from labelwise.functional.copulas import (
    BREAKS,
    MARGINALS,
    Break,
    Copula,
    Marginal,
    Shift,
    broken,
    copula_uniforms,
    quantiles,
)
from labelwise.seeds import generator

Floats = NDArray[np.float64]
_HIDDEN = 6  # functions of each modality that the rule adds up


@shaped()
def copula(
    *,
    modalities: int = 3,
    width: int = 4,
    correlation: float = 0.3,
    kind: Copula = "gaussian",
    marginals: Marginal | Sequence[Marginal] = "gaussian",
    labels: int = 2,
    noise: float = 0.2,
    train: int = 2000,
    test: int = 2000,
    shift: Mapping[str, Any] | None = None,
    control: Break | None = None,
    radii: Sequence[float] | None = None,
    **shape: Unpack[Shape],
) -> Simulation:
    """Return simulated samples: modalities "m1" to "mK", tables float32 (n, d), of two or five classes (or others).

    Column j of all modalities is drawn from a K-dimensional copula, other columns apart from it. The label is drawn from
    what a fixed nonlinear rule says of x: sines and tanhs of each modality, and products of neighbours. The rule and all
    draws depend on the seed; P(label | x) is the same in every part, whatever shifts. A shift moves the **test part only**,
    and sample by sample: the same seed without it gives the same samples before they moved.

    Args:
        modalities: K.
        width: d, columns of each modality.
        correlation: between the normal scores of any two modalities, from -1/(K - 1) to 1.
        kind: of copula, "gaussian" or "t" (4 degrees of freedom).
        marginals: "gaussian", "gamma" (shape 2) or "t" (5 degrees), for all modalities or one for each; all have mean 0
            and deviation 1.
        labels: number of classes.
        noise: temperature of the rule; at 0 the label is a function of x.
        train: samples of pool and validation.
        test: samples of the test part.
        shift: modality -> its χ² radius ρ, by which its mean rises, or a table {rho, kind, up} of
            `labelwise.functional.copulas.Shift`: kind "mean", "scale" or "mixture". Each of its d columns moves by the
            same radius, (1 + ρ)^(1/d) - 1. None: the test part is like the rest.
        control: breaks the copula of the test part and keeps its marginals: "independent" or "reversed"; shifts of
            robust training keep the copula, so this is what it does not promise anything about.
        radii: χ² radii ρ, such as 0.05, 0.1, 0.2, 0.5, 1, of `Task.shifts`: test samples (`shifts_size` of them) before
            which each modality alone, and all together, have their mean moved up and down, their scale raised, or their
            parts mixed anew, each by ρ; and both controls. The mean of a Gamma modality never falls (its radius would
            be infinite), nor that of all where one is Gamma. Labels are drawn anew by the same rule and the same
            numbers. None: no such shifts; with them neither `shift` nor `control`.
        shape: see `labelwise.data.splits.build`.

    Raises:
        UnknownName: no such copula, marginal, modality, kind of shift or control.
        InputError: a number is out of range, or `radii` go with `shift` or `control`.
    """
    names = tuple(f"m{m + 1}" for m in range(check_count(modalities, "modalities", 1)))
    n, tested = check_count(train, "train", 1), check_count(test, "test", 1)
    of = _marginals(marginals, names)
    moves = _shifts(shift, names, check_count(width, "width", 1))
    seed = shape.get("seed", 0)
    parts = []
    for part, size in (("train", n), ("test", tested)):
        rng = generator(seed, "data", "copula", part)
        parts.append(copula_uniforms(size, len(names), width, correlation, rng, kind))
    before = [quantiles(parts[0][:, m], of[m]) for m in range(len(names))]
    if control is not None:
        check_name(control, BREAKS, "way to break a copula")
        parts[1] = broken(parts[1], control, generator(seed, "data", "copula", "control"))
    after = [quantiles(parts[1][:, m], of[m], moves.get(name)) for m, name in enumerate(names)]
    rule = _Rule(before, check_count(labels, "labels", 2), seed)
    temperature = check_number(noise, "noise", 0)
    drawn = [
        generator(seed, "data", "copula", "labels", part).gumbel(size=(len(u), labels))
        for part, u in zip(("train", "test"), parts, strict=True)
    ]
    y = np.concatenate([rule.labels(x, temperature, g) for x, g in zip((before, after), drawn, strict=True)])
    arrays = {name: np.concatenate([before[m], after[m]]).astype(np.float32) for m, name in enumerate(names)}
    where = np.repeat(np.array([TRAIN, TEST], np.int8), [n, tested])
    features = np.concatenate(list(arrays.values()), axis=1)
    classes = tuple(str(c) for c in range(labels))
    if radii is None:
        return build(Samples("copula", arrays, y, classes, where, features=features), **shape)
    if shift is not None or control is not None:
        raise InputError(
            "radii shift the test part from where it is: leave out `shift` and `control`, or `radii`."
        )
    keys = tuple(map(str, range(n + tested)))  # by which the samples that shapes leave are found again
    samples = Samples("copula", arrays, y, classes, where, features=features, keys=keys)

    def moved(u: Floats, moves: Mapping[str, Shift], rows: Ids) -> tuple[list[Floats], NDArray[np.int64]]:
        """Return the test samples in these rows, and their labels, after their marginals have moved."""
        x = [quantiles(u[rows, m], of[m], moves.get(name)) for m, name in enumerate(names)]
        return x, rule.labels(x, temperature, drawn[1][rows])

    return with_radii(samples, shape, dict(zip(names, of, strict=True)), radii, parts[1], moved)


class _Rule:
    """Scores of the classes: Σ_k sines and tanhs of x_k, and products of neighbouring modalities' tanhs.

    Args:
        x: K arrays (n, d) of unshifted samples, on which each class's score is brought to mean 0 and deviation 1.
        classes: C.
        seed: of the weights.
    """

    def __init__(self, x: Sequence[Floats], classes: int, seed: int) -> None:
        rng = generator(seed, "data", "copula", "rule")
        k, d = len(x), x[0].shape[1]
        self.into = rng.standard_normal((k, d, 2 * _HIDDEN)) * np.sqrt(2 / d)
        self.out = rng.standard_normal((k, 2 * _HIDDEN, classes))
        self.joint = rng.standard_normal((max(k - 1, 1), _HIDDEN, classes))
        raw = self._raw(x)
        self.mean, self.deviation = raw.mean(axis=0), np.maximum(raw.std(axis=0), 1e-12)

    def _raw(self, x: Sequence[Floats]) -> Floats:
        bent = []
        for values, into in zip(x, self.into, strict=True):
            z = values @ into
            bent.append(np.concatenate([np.sin(z[:, :_HIDDEN]), np.tanh(z[:, _HIDDEN:])], axis=1))
        scores = sum(b @ out for b, out in zip(bent, self.out, strict=True))
        for one, other, joint in zip(bent, bent[1:], self.joint, strict=False):
            scores = scores + (one[:, _HIDDEN:] * other[:, _HIDDEN:]) @ joint
        return np.asarray(scores)

    def labels(self, x: Sequence[Floats], temperature: float, drawn: Floats) -> NDArray[np.int64]:
        """Return (n,) labels drawn from the softmax of the scores over the temperature; `drawn` are Gumbel, (n, C)."""
        scores = (self._raw(x) - self.mean) / self.deviation
        # the greatest of scores with Gumbel noise is a draw of the softmax
        return np.asarray((scores + temperature * drawn).argmax(axis=1), np.int64)


def _marginals(marginals: Any, names: tuple[str, ...]) -> tuple[Any, ...]:
    several = (marginals,) * len(names) if isinstance(marginals, str) else tuple(marginals)
    if len(several) != len(names):
        raise InputError(
            f"marginals must be one name, or one for each of {len(names)} modalities; there are {len(several)}."
        )
    for one in several:
        check_name(one, MARGINALS, "marginal")
    return several


def _shifts(shift: Any, names: tuple[str, ...], width: int) -> dict[str, Shift]:
    """Return modality -> how each of its columns shifts."""
    if shift is None:
        return {}
    if not isinstance(shift, Mapping):
        raise InputError(
            f"shift must be a table of modalities, such as {{m1 = 0.2}} or {{m1 = {{rho = 0.2, kind = 'scale'}}}}; "
            f"it is {shift!r}."
        )
    moves = {}
    for name, how in shift.items():
        check_name(name, names, "modality of the task 'copula'")
        values = dict(how) if isinstance(how, Mapping) else {"rho": how}
        for key in values:
            if key not in Shift._fields:
                raise InputError(f"shift.{name} has no key {key!r}. {did_you_mean(str(key), Shift._fields)}")
        if not isinstance(values.get("up", True), bool):
            raise InputError(f"shift.{name}.up must be true or false; it is {values['up']!r}.")
        whole = Shift(**values)
        rho = check_number(whole.rho, f"shift.{name}.rho", 0)
        moves[name] = whole._replace(rho=per_column(rho, width))
    return moves
