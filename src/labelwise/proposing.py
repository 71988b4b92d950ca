"""What a strategy is asked and what it may answer: bad samples are kept from it, its proposal is held to the contract."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from labelwise.checks import Array, check_name
from labelwise.errors import InputError
from labelwise.functional.blocks import Kernel, block_rows, sweep
from labelwise.signals import Signals, View
from labelwise.strategies.base import Proposal, Strategy

OnBadSample = Literal["raise", "quarantine"]
BY_MODALITY = ("evidence", "modal_probs")  # (n, M, C)
NAMED = 20  # ids of bad samples that a proposal's notes name


def proposed(
    strategy: Strategy,
    view: View,
    n: int,
    rng: np.random.Generator,
    *,
    who: str,
    on_bad_sample: OnBadSample = "raise",
) -> Proposal:
    """Return what a strategy proposes of a view, held to its contract (laws V and B).

    Args:
        strategy: it sees the signals that it needs and no others.
        view: the round.
        n: how many rows.
        rng: for its draws.
        who: how messages call it.
        on_bad_sample: a sample with a NaN or an infinity in a signal that the strategy reads is refused ("raise"), or
            left out and named in the notes ("quarantine"): it is never asked for and nothing is learnt from it.

    Raises:
        InputError: a sample is bad and `on_bad_sample` is "raise"; no sample of the pool is good; the strategy broke
            its contract.
    """
    check_name(on_bad_sample, ("raise", "quarantine"), "on_bad_sample")
    seen = view.only(strategy.needs)
    bad = {
        part: _bad_rows(getattr(seen, part), part, who, on_bad_sample, view.modalities)
        for part in ("pool", "labelled", "validation")
    }
    if not any(rows.size for rows in bad.values()):
        found = strategy.propose(seen, n, rng)
        found.check(len(seen.pool), n, who)
        return found
    kept = {part: np.setdiff1d(np.arange(len(getattr(seen, part))), rows) for part, rows in bad.items()}
    if not kept["pool"].size:
        raise InputError(
            f"No sample of the pool is left to {who}: each has a NaN or an infinity in a signal it reads."
        )
    cut = replace(seen, **{part: getattr(seen, part).take(rows) for part, rows in kept.items()})
    found = strategy.propose(cut, n, rng)
    found.check(kept["pool"].size, n, who)
    scores = None
    if found.scores is not None:
        # whole numbers have no infinity
        scores = np.full(len(seen.pool), -np.inf, np.result_type(found.scores.dtype, np.float16))
        scores[kept["pool"]] = found.scores
    notes: dict[str, Any] = dict(found.notes)
    for part, rows in bad.items():
        if rows.size:
            notes[f"quarantined, {part}"] = int(rows.size)
            notes[f"quarantined ids, {part}"] = getattr(seen, part).ids[rows[:NAMED]].tolist()
    return Proposal(kept["pool"][found.rows], scores, notes)


def _bad_rows(
    signals: Signals, part: str, who: str, on_bad_sample: OnBadSample, modalities: Sequence[str]
) -> NDArray[np.int64]:
    """Return the rows that hold something not finite in any signal.

    Raises:
        InputError: there is one and `on_bad_sample` is "raise"; the message names signal, row and modality.
    """
    found: set[int] = set()
    for name in sorted(signals.names):
        value = signals.need(name)
        for k, array in enumerate(value if isinstance(value, tuple) else (value,)):
            rows = not_finite(array)
            if rows.size and on_bad_sample == "raise":
                others = f", as do {rows.size - 1} rows more" if rows.size > 1 else ""
                m = None
                if isinstance(value, tuple):
                    m = k
                elif name in BY_MODALITY:
                    m = int(np.isfinite(array[rows[0]]).all(axis=-1).argmin())
                which = "" if m is None else f", {modalities[m] if m < len(modalities) else f'modality {m}'},"
                raise InputError(
                    f"{name} of the {part} samples: row {rows[0]} (id {signals.ids[rows[0]]}){which} holds a NaN or an "
                    f"infinity{others}; {who} cannot read it. Mend or leave out these "
                    'samples, or let them be left out: on_bad_sample="quarantine".'
                    + (" Where a sample lacks the modality, write zeros." if m is not None else "")
                )
            found.update(rows.tolist())
    return np.array(sorted(found), dtype=np.int64)


def not_finite(array: Array) -> NDArray[np.int64]:
    """Return the rows of (n, ...) that hold a NaN or an infinity, in one pass over the memory."""
    if array.dtype.kind != "f" or array.size == 0:
        return np.empty(0, np.int64)
    bad = np.zeros(len(array), bool)
    width = array[0].size
    real = np.float32 if array.dtype.itemsize <= 4 else np.float64

    def make(rows: int) -> Kernel:
        ones = np.ones(width, real)

        def work(part: Array, first: int) -> None:
            flat = part.reshape(len(part), width).astype(real, copy=False)
            sums = np.vecdot(flat, ones)
            odd = np.flatnonzero(~np.isfinite(sums))  # finite numbers may overflow in the sum: look again
            bad[first + odd] = ~np.isfinite(flat[odd]).all(axis=1)

        return work

    sweep(array, make, rows=block_rows(width * np.dtype(real).itemsize))
    return np.flatnonzero(bad)
