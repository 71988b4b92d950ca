"""Tasks whose samples have several modalities by nature or by pairing, from the folder that LABELWISE_DATA names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Unpack

import numpy as np

from labelwise.checks import Array, check_name
from labelwise.data.draws import standardise
from labelwise.data.files import as_text, read_npz
from labelwise.data.imagesets import DIGITS, fsdd, mnist, set_file, sign_digits, take, where_test
from labelwise.data.shaping import Builder, Shape, shaped
from labelwise.data.splits import TEST, TRAIN, Samples, build
from labelwise.data.truth import Simulation
from labelwise.errors import InputError

SPEAKERS = {"official": "fsdd", "new": "fsdd_newspeaker"}
PAIRED = ("image", "speech", "sign")
DESCRIBED = {"image": "image", "text": "name", "tags": "tags", "french": "name_fr"}


def _chosen(modalities: Sequence[str], known: Sequence[str], task: str) -> tuple[str, ...]:
    if isinstance(modalities, str) or not modalities:
        raise InputError(
            f"modalities must be a list of at least one of {', '.join(known)}; it is {modalities!r}."
        )
    for name in modalities:
        check_name(name, known, f"modality of {task}")
    if len(set(modalities)) != len(modalities):
        raise InputError(f"modalities must be distinct; they are {list(modalities)}.")
    return tuple(modalities)


def _source(modality: str) -> tuple[Samples, Array]:
    """Return the set that a modality of the pairs is of, and its values."""
    samples = {"image": mnist, "speech": fsdd, "sign": sign_digits}[modality].load()
    return samples, next(iter(samples.arrays.values()))


@shaped()
def digit_pairs(
    *,
    modalities: Sequence[str] = ("image", "speech"),
    speakers: Literal["official", "new"] = "official",
    **shape: Unpack[Shape],
) -> Simulation:
    """Return digits that are written, spoken and signed: "image" uint8 (n, 28, 28) of MNIST, "speech" uint8
    (n, 40, 64) of FSDD (log-mel, 255 = 0 dB, 0 = -80 dB), "sign" uint8 (n, 48, 48) of the sign digits.

    Pairs are made by label: given the digit, modalities are independent. Recordings and photographs stand in many
    pairs of one part (so a validation pair may share its recording with a pair of the pool), and in none of the
    test part.

    Args:
        modalities: which of the three, in this order.
        speakers: "official", each speaker is heard in all parts; "new", the one of the test part in no other: a
            shift of one modality.
        shape: see `labelwise.data.splits.build`.

    Raises:
        InputError: a set is not there, or the pairs were not made for it: its labels differ.
    """
    chosen = _chosen(modalities, PAIRED, "digit-pairs")
    check_name(speakers, tuple(SPEAKERS), "way to choose speakers")
    columns = {"image": "mnist", "speech": SPEAKERS[speakers], "sign": "sign"}
    names = [
        f"{part}_{column}" for part in ("train", "test") for column in ("label", *map(columns.get, chosen))
    ]
    file = set_file("digit-pairs", "digit_pairs", "digit_pairs.npz", f"arrays {', '.join(names)}")
    pairs = dict(zip(names, take(read_npz(file), names, file), strict=True))
    y = np.concatenate([pairs["train_label"], pairs["test_label"]]).astype(np.int64)
    rows, sources = {}, {}
    for name in chosen:
        samples, sources[name] = _source(name)
        train, test = (pairs[f"{part}_{columns[name]}"].astype(np.int64) for part in ("train", "test"))
        if name == "image":  # the rows of MNIST are counted in each part from 0
            test = test + np.count_nonzero(samples.part == TRAIN)
        rows[name] = np.concatenate([train, test])
        wrong = (
            rows[name].min() < 0 or rows[name].max() >= len(samples.y) or (samples.y[rows[name]] != y).any()
        )
        if wrong or np.intersect1d(train, test).size:
            raise InputError(
                f"{file}: column {columns[name]!r} must name samples of {samples.name!r} with the label of their "
                "pair, other ones for training and for test; it does not. Fetch both sets anew."
            )
    part = where_test(np.arange(len(y)) >= len(pairs["train_label"]))
    sounds = tuple(name for name in chosen if name == "speech")
    return build(Samples("digit-pairs", rows, y, DIGITS, part, sources=sources, sounds=sounds), **shape)


def _phone_watch_har() -> Samples:
    names = ("phone", "watch", "label", "subject", "is_test", "subject_info", "class_names")
    file = set_file("phone-watch-har", "phone_watch_har", "phone_watch_har.npz", f"arrays {', '.join(names)}")
    phone, watch, y, subject, is_test, info, classes = take(read_npz(file), names, file)
    part = where_test(is_test)
    old = part != TEST

    def signals(values: Array) -> Array:
        """Scale each of the six channels by itself: metres a second squared would drown radians a second."""
        n, channels, steps = values.shape
        flat = np.moveaxis(values, 1, 2).reshape(-1, channels)
        scaled = standardise(flat, np.repeat(old, steps)).reshape(n, steps, channels)
        return np.ascontiguousarray(np.moveaxis(scaled, 2, 1))

    return Samples(
        "phone-watch-har",
        {"phone": signals(phone), "watch": signals(watch), "subject": standardise(info[subject], old)},
        y.astype(np.int64),
        tuple(map(str, classes)),
        part,
    )


@shaped()
def mulberry(
    *,
    modalities: Sequence[str] = ("image", "text"),
    fine: bool = False,
    **shape: Unpack[Shape],
) -> Simulation:
    """Return drawings and their words: "image" uint8 (n, 48, 48, 3), "text" the English name, "tags" a few English
    words, which two fifths of the drawings lack, "french" the French name.

    Args:
        modalities: which of the four, in this order; tags alone would leave some samples with nothing.
        fine: ask for 117 fine categories of all 3,431 drawings instead of 18 of the 3,133 that belong to a frequent
            one. One of the 117 has no drawing to train on and 17 have none in the test part.
        shape: see `labelwise.data.splits.build`.
    """
    chosen = _chosen(modalities, tuple(DESCRIBED), "mulberry")
    if chosen == ("tags",):
        raise InputError("mulberry: many drawings have no tags; take another modality beside 'tags'.")
    label, called = ("category", "category_names") if fine else ("label", "label_names")
    columns = [DESCRIBED[name] for name in chosen]
    holds = (*columns, label, "is_test", called)
    file = set_file("mulberry", "mulberry_symbols", "mulberry_symbols.npz", f"arrays {', '.join(holds)}")
    *values, y, is_test, names = take(read_npz(file), holds, file)
    used = y >= 0  # -1: of a category with few drawings
    arrays = {
        name: value[used] if name == "image" else as_text([str(text).strip() for text in value[used]])
        for name, value in zip(chosen, values, strict=True)
    }
    present = np.stack(
        [array != "" if name != "image" else np.ones(len(array), bool) for name, array in arrays.items()],
        axis=1,
    )
    samples = Samples(
        "mulberry",
        arrays,
        y[used].astype(np.int64),
        tuple(map(str, names)),
        where_test(is_test[used]),
        present=None if present.all() else present,
    )
    return build(samples, **shape)


# "phone", "watch" float32 (n, 6, 64): accelerometer x y z and gyroscope x y z at 50 Hz, each channel standardised;
# "subject" float32 (n, 5): age, sex, height, weight, left-handedness, standardised; test part of other subjects
phone_watch_har = Builder(
    _phone_watch_har,
    'Five activities by a phone and a watch: "phone", "watch" float32 (n, 6, 64), "subject" float32 (n, 5); test part of '
    "other subjects.",
)
