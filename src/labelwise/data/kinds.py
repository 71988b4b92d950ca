"""What a modality is, and which corruptions there are: for what, how strong, and five severities of each."""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

import numpy as np

from labelwise.checks import Array, check_count, check_name
from labelwise.data.task import SEVEREST
from labelwise.errors import InputError

Form = Literal["image", "frames", "waveform", "spectrogram", "signal", "table", "text", "other"]
Kind = Literal[
    "noise",
    "blur",
    "contrast",
    "jpeg",
    "reverb",
    "clip",
    "word-dropout",
    "typos",
    "drift",
    "zeros",
    "missing",
]
_ALL = get_args(Form)
_SOUNDS: tuple[Form, ...] = ("waveform", "spectrogram")


class KindOf(NamedTuple):
    """A kind of corruption.

    Attributes:
        forms: the modalities that it is meant for, and that shifts of "all" kinds use it for.
        what: the same in words.
        most: the largest amount.
        severities: the amounts at severity 1 to 5.
        also: forms that it can be asked for beside.
    """

    forms: tuple[Form, ...]
    what: str
    most: float
    severities: tuple[float, float, float, float, float]
    also: tuple[Form, ...] = ()


# Contrast and JPEG as in ImageNet-C (Hendrycks, Dietterich 2019, "Benchmarking Neural Network Robustness to Common
# Corruptions and Perturbations", and its public code): contrast left 0.4, 0.3, 0.2, 0.1, 0.05; quality 25, 18, 15, 10, 7.
# Noise is theirs, 0.08 to 0.38 of the range, over a quarter (about the deviation of photographs' values), rounded. Their
# Gaussian blur, 1 to 6 pixels, is for 224 pixels; ours is for 28 to 64. All others are our choice.
# Beyond a noise of 100 nothing is left of a modality, and a wider blur costs memory for nothing.
KINDS: dict[str, KindOf] = {
    "noise": KindOf(
        ("image", "frames", *_SOUNDS, "signal", "table"), "bytes or floats", 100, (0.3, 0.5, 0.7, 1.0, 1.5)
    ),
    "blur": KindOf(
        ("image",), "images of bytes or floats", 100, (0.5, 1.0, 1.5, 2.0, 3.0), ("spectrogram", "signal")
    ),
    "contrast": KindOf(("image",), "images of bytes or floats", 1, (0.6, 0.7, 0.8, 0.9, 0.95)),
    "jpeg": KindOf(("image",), "images of bytes, grey or of three colours", 99, (75, 82, 85, 90, 93)),
    "reverb": KindOf(_SOUNDS, "sounds", 10, (0.1, 0.2, 0.4, 0.8, 1.6)),
    "clip": KindOf(_SOUNDS, "sounds", 80, (3, 6, 12, 20, 30)),
    "word-dropout": KindOf(("text",), "texts", 1, (0.1, 0.2, 0.4, 0.6, 0.8)),
    "typos": KindOf(("text",), "texts", 1, (0.1, 0.2, 0.4, 0.6, 0.8)),
    "drift": KindOf(
        ("table", "signal"), "tables, and signals of several channels", 100, (0.25, 0.5, 1.0, 1.5, 2.0)
    ),
    "zeros": KindOf(_ALL, "all modalities", 1, (0.1, 0.25, 0.5, 0.75, 1.0)),
    "missing": KindOf(_ALL, "all modalities", 1, (0.1, 0.25, 0.5, 0.75, 1.0)),
}


def form_of(values: Array, *, sound: bool) -> Form:
    """Return what samples of a modality are, by their type and shape.

    Args:
        values: (n, ...) some samples; floats (n, H, W) are images where all lie in [0, 1], and signals of several
            channels, (n, channels, steps), else.
        sound: whether the source says that they are sounds: waveforms (n, T), or spectrograms (n, bands, frames).
    """
    if values.dtype.kind in "TU":
        return "text"
    floats = values.dtype.kind == "f"
    if values.dtype != np.uint8 and not floats:
        return "other"
    if values.ndim == 2:
        return "waveform" if sound and floats else "table"
    if values.ndim == 3:
        if sound:
            return "spectrogram"
        inside = not floats or bool(((values >= 0) & (values <= 1)).all())
        return "image" if inside else "signal"
    return "image" if values.ndim == 4 else "frames"


def fits(kind: str, form: Form, values: Array, *, asked: bool = True) -> bool:
    """Return whether a kind of corruption is for such a modality.

    Args:
        kind: which.
        form: of the modality.
        values: (n, ...) some samples.
        asked: whether somebody asked for it by name.
    """
    of = KINDS[kind]
    if kind == "jpeg" and (
        values.dtype != np.uint8
        or (values.ndim == 4 and values.shape[-1] not in (1, 3))
        or not values[0].size
    ):
        return False
    return form in of.forms or (asked and form in of.also)


def amount_of(kind: str, severity: int) -> float:
    """Return the amount of a kind at a severity from 1 to 5.

    Raises:
        UnknownName: no such kind.
        InputError: no such severity.
    """
    check_name(kind, tuple(KINDS), "kind of corruption")
    if check_count(severity, f"severity of {kind}", 1) > SEVEREST:
        raise InputError(f"severity of {kind} must be 1 to {SEVEREST}; it is {severity}.")
    return float(KINDS[kind].severities[severity - 1])
