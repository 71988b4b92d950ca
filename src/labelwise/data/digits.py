"""The embedded default: scikit-learn's 1,797 real handwritten digits, whole or as two halves; no download."""

from __future__ import annotations

from typing import Unpack

import numpy as np

from labelwise.data.draws import carve
from labelwise.data.shaping import Shape, shaped
from labelwise.data.splits import TEST, TRAIN, Samples, build
from labelwise.data.truth import Simulation
from labelwise.seeds import generator


def _samples(name: str, test: float) -> Samples:
    from sklearn.datasets import load_digits

    bunch = load_digits()
    y = bunch.target.astype(np.int64)
    images = np.rint(bunch.images * (255 / 16)).astype(np.uint8)  # source counts run from 0 to 16
    # The test part does not depend on the seed of the task: every seed is reported on the same samples.
    part = np.full(len(y), TRAIN, np.int8)
    part[carve(y, test, generator(0, "data", "digits", "test"), "test")] = TEST
    return Samples(
        name=name,
        arrays={"image": images},
        y=y,
        classes=tuple(str(k) for k in range(10)),
        part=part,
        features=(bunch.data / 16).astype(np.float32),
    )


@shaped(validation=0.1)
def digits(*, test: float = 0.25, **shape: Unpack[Shape]) -> Simulation:
    """Return handwritten digits: modality "image" uint8 (n, 8, 8), features (n, 64) pixels in [0, 1].

    Args:
        test: share (float) or number (int) of the test samples, stratified, the same for all seeds.
        shape: see `labelwise.data.splits.build`.

    Source:
        Alpaydin and Kaynak 1998, "Optical Recognition of Handwritten Digits", UCI; the test half that scikit-
        learn carries.
    """
    return build(_samples("digits", test), **shape)


@shaped(validation=0.1)
def digit_halves(*, test: float = 0.25, **shape: Unpack[Shape]) -> Simulation:
    """Return the digits as two modalities, "top" and "bottom": their halves, uint8 (n, 4, 8) each.

    The same samples in the same parts as `digits`.

    Args:
        test: as in `digits`.
        shape: see `labelwise.data.splits.build`.
    """
    whole = _samples("digit-halves", test)
    image = whole.arrays["image"]
    halves = Samples(
        name=whole.name,
        arrays={"top": np.ascontiguousarray(image[:, :4]), "bottom": np.ascontiguousarray(image[:, 4:])},
        y=whole.y,
        classes=whole.classes,
        part=whole.part,
        features=whole.features,
    )
    return build(halves, **shape)
