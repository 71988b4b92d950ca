"""Sets that do not fit into memory: pictures and sounds are read from their files, batch by batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from labelwise.checks import Array, check_name
from labelwise.data.audio import read_audio
from labelwise.data.base import Dataset, Ids, Over
from labelwise.data.images import decode_all
from labelwise.data.own import blame
from labelwise.data.shaping import Shape
from labelwise.data.shifts import shifted
from labelwise.data.splits import UNUSED, Samples, build
from labelwise.data.truth import Simulation
from labelwise.data.weakening import weakened
from labelwise.errors import InputError

Incomplete = Literal["keep", "leave out"]
BLOCK = 128  # samples that are decoded in one go


class Reader(Protocol):
    """Reads one modality of a set from its files."""

    def place(self, row: int) -> str:
        """Return the file or folder of a sample, for messages."""
        ...

    def read(self, rows: NDArray[np.int64], wanted: NDArray[np.bool_]) -> tuple[Array, Mapping[int, str]]:
        """Return the samples (b, ...), zeros where they are not wanted or cannot be read, and why, by their place
        among the rows.
        """
        ...


@dataclass(frozen=True, eq=False)
class Pictures:
    """Photographs, or videos as folders of frames, resized and then cropped to their centre.

    Attributes:
        places: (N,) of each sample its file, or the folder of its frames.
        frames: names of the frames in that folder, in their order; none: the samples are photographs.
        size: height = width of what is cropped.
        canvas: (height, width) that is resized to before.
        squeeze: whether all of a picture is squeezed into the canvas; else its sides keep their proportion.
    """

    places: Sequence[str]
    frames: tuple[str, ...]
    size: int
    canvas: tuple[int, int]
    squeeze: bool = False

    def place(self, row: int) -> str:
        return self.places[row]

    def read(self, rows: NDArray[np.int64], wanted: NDArray[np.bool_]) -> tuple[Array, Mapping[int, str]]:
        """Return uint8 (b, size, size, 3), of videos (b, frames, size, size, 3)."""
        each = max(1, len(self.frames))
        out = np.zeros((len(rows), each, self.size, self.size, 3), np.uint8)
        top, left = (round((side - self.size) / 2) for side in self.canvas)
        bad: dict[int, str] = {}
        for start in range(0, len(rows), BLOCK):
            files: list[Path | None] = []
            for row, is_wanted in zip(rows[start:][:BLOCK], wanted[start:][:BLOCK], strict=True):
                here = Path(self.places[row])
                several = [here / name for name in self.frames] or [here]
                files += several if is_wanted else [None] * each
            told = decode_all(files, self.canvas, squeeze=self.squeeze)
            cut = told.images[:, top : top + self.size, left : left + self.size]
            out[start : start + BLOCK] = cut.reshape(-1, *out.shape[1:])
            for at, why in told.bad:
                file = files[at]
                assert file is not None
                bad.setdefault(start + at // each, f"{file.name}: {why}")
        out[list(bad)] = 0
        return (out if self.frames else out[:, 0]), bad


class FromWave(Protocol):
    def __call__(self, waveform: Array, rate: int) -> NDArray[np.float32]: ...


@dataclass(frozen=True, eq=False)
class Sounds:
    """Sound files.

    Attributes:
        places: (N,) the file of each sample.
        shape: of what is made of a waveform.
        make: does so.
    """

    places: Sequence[str]
    shape: tuple[int, ...]
    make: FromWave

    def place(self, row: int) -> str:
        return self.places[row]

    def read(self, rows: NDArray[np.int64], wanted: NDArray[np.bool_]) -> tuple[Array, Mapping[int, str]]:
        """Return float32 (b, *shape)."""
        out = np.zeros((len(rows), *self.shape), np.float32)
        bad: dict[int, str] = {}
        for at in np.flatnonzero(
            wanted
        ).tolist():  # no threads: SciPy's reader is told to warn by the process
            try:
                out[at] = self.make(*read_audio(self.places[rows[at]]))
            except InputError as error:
                bad[at] = str(error)
        return out, bad


@dataclass(frozen=True, eq=False)
class OnDisk(Over):
    """A dataset some of whose modalities are read from files, batch by batch; what was read is not kept.

    A file that cannot be read when its sample is asked for is a missing modality: `present` says so, and the values
    are zeros. A sample of which nothing can be read any more is shown with black pictures, so that no round of a long
    campaign fails: `first` then counts as present.

    Attributes:
        data: the samples; of the modalities in `readers` it holds row numbers, (n,), and of all what is present.
        readers: modality -> how it is read.
        first: the modality that a sample keeps.
    """

    readers: Mapping[str, Reader]
    first: str

    def batch(self, ids: Ids) -> Mapping[str, Array]:
        batch = dict(self.data.batch(ids))
        there = batch["present"].copy()
        for name, reader in self.readers.items():
            column = there[:, self.modalities.index(name)]
            batch[name], bad = reader.read(batch[name], column)
            column[list(bad)] = False
        there[~there.any(axis=1), self.modalities.index(self.first)] = True
        return {**batch, "present": there}


def from_disk(
    samples: Samples,
    readers: Mapping[str, Reader],
    first: str,
    shape: Shape,
    *,
    incomplete: Incomplete,
    check: bool,
) -> Simulation:
    """Return the task of samples some of whose modalities are read from files.

    Args:
        samples: with keys and `present`; of the modalities in `readers` they hold the row numbers.
        readers: modality -> how it is read.
        first: see `OnDisk`.
        shape: all parameters of `labelwise.data.splits.build`.
        incomplete: "keep" counts what a sample lacks as a missing modality, and leaves out samples that lack all;
            "leave out" leaves out whoever lacks any.
        check: whether to read every file now, so that one that cannot be read is lacking from the start.

    Raises:
        InputError: no sample is left; the message says why the first ones are not.
    """
    check_name(incomplete, ("keep", "leave out"), "incomplete")
    assert samples.present is not None
    names = tuple(samples.arrays)
    there = samples.present.copy()
    reasons: dict[int, list[str]] = {}
    for column, name in enumerate(names):
        for row in np.flatnonzero(~there[:, column]).tolist():
            where = f" ({readers[name].place(row)})" if name in readers else ""
            reasons.setdefault(row, []).append(f"no {name}{where}")
    for name, reader in readers.items() if check else ():
        column = names.index(name)
        for start in range(0, len(there), BLOCK):
            rows = np.arange(start, min(start + BLOCK, len(there)))
            for at, why in reader.read(rows, there[rows, column])[1].items():
                there[start + at, column] = False
                reasons.setdefault(start + at, []).append(f"no {name} ({why})")
    good = there.any(axis=1) if incomplete == "keep" else there.all(axis=1)
    bad = tuple((samples.keys[row], "; ".join(reasons[row])) for row in np.flatnonzero(~good).tolist())
    blame(bad, "quarantine", len(there), samples.name)
    part = np.where(good, samples.part, UNUSED).astype(np.int8)
    # rows of files cannot be made worse
    plain: Shape = {**shape, "corrupt": None, "missing": None, "shifts": None}
    whole = build(replace(samples, part=part, present=there, bad=bad), **plain)
    data: Dataset = OnDisk(whole.task.data, readers, first)
    whole = replace(whole, task=replace(whole.task, data=data))
    seed = shape["seed"]
    weak = weakened(whole, shape["corrupt"], shape["missing"], shape["missing_parts"], seed)
    return shifted(weak, shape["shifts"], shape["shifts_size"], seed)
