"""A task and, apart from it, the labels that nobody has told yet: what only a simulated labeller knows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labelwise.checks import as_labels, check_name, check_shape, frozen
from labelwise.data.base import NOBODY
from labelwise.data.task import Task
from labelwise.errors import InputError


@dataclass(frozen=True, eq=False)
class Simulation:
    """A task, and every label kept apart from it so that the task cannot give away the pool's labels.

    Hand `task` to the campaign and `truth` to the oracle, and to nobody else.

    Attributes:
        task: what campaign, recipe and strategy see.
        truth: (len(task.data),) class index of every sample.
        keys: (len(task.data),) a name for each sample (path below its folder, row of its table); empty if
            unnamed.
        bad: (key, reason) of samples that could not be read and were left out.
        sounds: modalities that are waveforms (n, T) or log spectrograms (n, bands, frames), which their type and shape
            cannot tell; see `labelwise.data.kinds`.

    Raises:
        ShapeError: truth has another length than the data.
        InputError: a label is out of range, a part of the task says otherwise than the truth, or a sound is no
            modality.
    """

    task: Task
    truth: NDArray[np.int64]
    keys: tuple[str, ...] = ()
    bad: tuple[tuple[str, str], ...] = ()
    sounds: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        truth = as_labels(self.truth, self.task.n_classes, "truth")
        check_shape(truth, "truth", ("n",), (len(self.task.data),))
        object.__setattr__(self, "truth", frozen(truth))
        if self.keys and len(self.keys) != len(truth):
            raise InputError(
                f"Every sample needs a key: there are {len(truth)} samples and {len(self.keys)} keys."
            )
        for name in self.sounds:
            check_name(name, self.task.data.modalities, f"modality of {self.task.name!r}")
        test = self.task.test if self.task.test is not None else NOBODY
        for name, part in (("validation", self.task.validation), ("test", test), ("given", self.task.given)):
            wrong = part.ids[truth[part.ids] != part.y]
            if wrong.size:
                raise InputError(
                    f"The truth must agree with the task; sample {int(wrong[0])} of the {name} part has "
                    "another label."
                )
