"""The parameters that shape every task, written down once for all the functions that take them."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypedDict, TypeVar, Unpack, cast

from labelwise.data.draws import Initial
from labelwise.data.shifts import Shift
from labelwise.data.splits import Samples, build
from labelwise.data.truth import Simulation
from labelwise.data.weakening import Corruption, Part

F = TypeVar("F", bound=Callable[..., Simulation])


class Shape(TypedDict, total=False):
    """The keyword parameters of `labelwise.data.splits.build`, which says what each does."""

    seed: int
    validation: float | None
    classes: Sequence[int | str] | None
    parity: bool
    pool: int | None
    test_size: int | None
    long_tail: float | None
    imbalance: bool
    initial: Initial | None
    initial_size: int
    corrupt: Corruption | Sequence[Corruption] | None
    missing: Mapping[str, float] | None
    missing_parts: Sequence[Part]
    shifts: Literal["all"] | Shift | Sequence[Shift] | None
    shifts_size: int


def shaped(**defaults: Unpack[Shape]) -> Callable[[F], F]:
    """Return a decorator for a function that ends in `**shape: Unpack[Shape]`: its signature lists them all.

    Whoever asks what the function takes (`data.make`, a spec, `labelwise tasks`) is told each parameter by its
    name, with its default, and a wrong one is refused before anything is read.

    Args:
        defaults: where they differ from those of `build`.
    """
    shared = [
        parameter.replace(default=cast("dict[str, Any]", defaults).get(name, parameter.default))
        for name, parameter in inspect.signature(build).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY
    ]

    def decorate(function: F) -> F:
        plain = inspect.signature(function)
        own = [p for p in plain.parameters.values() if p.kind is not p.VAR_KEYWORD]
        signature = plain.replace(parameters=[*own, *shared])

        @functools.wraps(function)
        def whole(*args: Any, **kwargs: Any) -> Simulation:
            bound = signature.bind(*args, **kwargs)
            bound.apply_defaults()
            return function(*bound.args, **bound.kwargs)

        whole.__signature__ = signature  # type: ignore[attr-defined]
        return cast("F", whole)

    return decorate


@dataclass(frozen=True)
class Builder:
    """A task builder: call it with the parameters of `build`, and it reads the samples and cuts the task.

    Attributes:
        load: reads the samples; what it needs is looked up when it is called.
        about: what the set holds, in a sentence, for `labelwise tasks`.
    """

    load: Callable[[], Samples]
    about: str = ""

    @shaped()
    def __call__(self, **shape: Unpack[Shape]) -> Simulation:
        return build(self.load(), **shape)
