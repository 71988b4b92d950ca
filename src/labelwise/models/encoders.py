"""Encoders: a network's weights before its head, and how it reads images; trained or read once and then kept."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from labelwise.data.base import Dataset
from labelwise.models.base import Ids
from labelwise.models.inputs import Reader

VERSION = 1  # of the training and of the file: a change of either must miss what was kept
KEPT = 4  # encoders of this process that are remembered
_BLOCK = 4096  # samples hashed at once
_remembered: OrderedDict[str, Encoder] = OrderedDict()


@dataclass(frozen=True, eq=False)
class Encoder:
    """What fits start from.

    Attributes:
        weights: name -> array or number, as `labelwise.models.saved.to_plain` gives them, all but those of the head.
        reader: how it reads images; fits that start from it read them likewise.
        loss: of its training at the end; None where it came from a file.
    """

    weights: Mapping[str, Any] = field(repr=False)
    reader: Reader = field(repr=False)
    loss: float | None = None

    def save(self, path: Path) -> None:
        """Write it beside its place, then move it there: it is always whole."""
        about = {
            "inputs": {
                name: {part: np.asarray(value).tolist() for part, value in scale.items()}
                for name, scale in self.reader.state_dict().items()
            },
            "loss": self.loss,
        }
        # safetensors would write the memory of a strided array as it lies, without a word
        plain = {n: np.ascontiguousarray(a).reshape(np.shape(a)) for n, a in self.weights.items()}
        handle, draft = tempfile.mkstemp(dir=path.parent, prefix=".encoder-")
        os.close(handle)
        try:
            save_file(plain, draft, metadata={"labelwise-encoder": str(VERSION), "about": json.dumps(about)})
            Path(draft).replace(path)
        finally:
            Path(draft).unlink(missing_ok=True)

    @classmethod
    def load(cls, path: Path) -> Encoder | None:
        """Return what `save` wrote; None where there is no such file, or one that cannot be read."""
        try:
            with safe_open(path, framework="numpy") as file:
                about = json.loads((file.metadata() or {})["about"])
                arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
            weights = {name: a if a.ndim else a.item() for name, a in arrays.items()}
            return cls(weights, Reader.from_state(about["inputs"], tuple(about["inputs"])), about["loss"])
        except (OSError, SafetensorError, KeyError, TypeError, ValueError, AttributeError):
            return None


def fingerprint(data: Dataset, ids: Ids, names: tuple[str, ...], settings: Mapping[str, Any]) -> str:
    """Return a hash of every named value of these samples, in this order, and of how an encoder is trained on them."""
    digest = hashlib.sha256(json.dumps([VERSION, settings], sort_keys=True).encode())
    for start in range(0, ids.size, _BLOCK):
        batch = data.batch(ids[start : start + _BLOCK])
        for name in (*names, *(("present",) if "present" in batch else ())):
            values: NDArray[Any] = np.ascontiguousarray(batch[name])
            digest.update(f"{name} {values.dtype} {values.shape}".encode() + values.tobytes())
    return digest.hexdigest()[:24]


def kept(key: str, make: Callable[[], Encoder], folder: Path | None) -> Encoder:
    """Return the encoder of this key: remembered, or from the folder, or made and then put in both.

    Processes that want the same one at once wait for the first of them to make it.

    Args:
        key: from `fingerprint`; the same key is the same encoder.
        make: trains it.
        folder: where `encoders/<key>.safetensors` lies; None: nothing is written.
    """
    if key not in _remembered:
        if folder is None:
            found = make()
        else:
            place = Path(folder) / "encoders"
            place.mkdir(parents=True, exist_ok=True)
            file = place / f"{key}.safetensors"
            with FileLock(place / f".{key}.making"):
                if (read := Encoder.load(file)) is None:
                    read = make()
                    read.save(file)
                found = read
        _remembered[key] = found
    _remembered.move_to_end(key)
    while len(_remembered) > KEPT:
        _remembered.popitem(last=False)
    return _remembered[key]
