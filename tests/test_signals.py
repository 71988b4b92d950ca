"""Signals, needs, views, seeds and checks: shapes and words."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from labelwise.checks import as_ids, as_labels
from labelwise.errors import InputError, MissingSignal, ShapeError, UnknownName
from labelwise.seeds import derived_seed, generator
from labelwise.signals import Needs, Signals, View

IDS = np.arange(1000, 1004)
PROBS = np.full((4, 3), 1 / 3)


def test_signals_are_read_only_views_without_a_copy():
    probs = PROBS.copy()
    signals = Signals(IDS, probs=probs)
    assert np.shares_memory(signals.probs, probs)
    assert not signals.probs.flags.writeable
    assert probs.flags.writeable  # the caller's own array stays his


def test_torch_tensors_become_arrays():
    tensor = torch.full((4, 3), 1 / 3, dtype=torch.bfloat16, requires_grad=True)
    assert Signals(IDS, probs=tensor).probs.dtype == np.float32


@pytest.mark.parametrize(
    "parts, words",
    [
        ({"probs": PROBS[:3]}, r"signals.probs must have shape \(n=4, C\); it has shape \(3, 3\)."),
        ({"probs": PROBS[:, 0]}, r"must have shape \(n=4, C\); it has shape \(4,\)"),
        ({"probs": PROBS, "logits": PROBS[:, :2]}, r"signals.logits must have shape \(n=4, C=3\)"),
        ({"probs": PROBS[:, :0]}, "at least one class"),
        ({"embeddings": np.array([["a"]] * 4)}, "must hold numbers"),
        ({"embeddings": [[1, 2], [3]]}, "rectangular"),
        ({"scalars": {"critic": np.zeros(3)}}, r"scalars\['critic'\] must have shape \(n=4\)"),
        ({"modal_embeddings": (np.zeros((4, 2)), np.zeros((3, 2)))}, r"modal_embeddings\[1\]"),
        ({"modal_probs": np.zeros((4, 2, 3)), "present": np.ones((4, 3), bool)}, "M=2"),
    ],
)
def test_wrong_shapes_are_refused_in_one_wording(parts, words):
    with pytest.raises(ShapeError, match=words):
        Signals(IDS, **parts)


def test_take_and_only():
    signals = Signals(IDS, probs=PROBS, embeddings=np.arange(8.0).reshape(4, 2), scalars={"critic": np.arange(4.0)},
                      modal_embeddings=(np.arange(4.0)[:, None],))  # fmt: skip
    some = signals.take(np.array([3, 1]))
    assert some.ids.tolist() == [1003, 1001]
    assert some.embeddings.tolist() == [[6, 7], [2, 3]]
    assert some.scalars["critic"].tolist() == [3, 1]
    assert some.modal_embeddings[0].ravel().tolist() == [3, 1]
    assert signals.only({"scalars.critic", "probs"}).names == {"probs", "scalars.critic"}
    with pytest.raises(MissingSignal, match="hold no draws; they hold embeddings, modal_embeddings, probs"):
        signals.need("draws")


def test_needs_speak_in_words():
    needs = Needs(pool=frozenset({"embeddings", "scalars.critic"}))
    with pytest.raises(MissingSignal) as error:
        needs.check(Needs(pool=frozenset({"probs"})), "waal", "the call")
    assert (
        str(error.value) == "waal needs embeddings, scalars.critic of the pool samples; the call gives probs."
    )
    with pytest.raises(UnknownName, match="Did you mean 'probs'"):
        Needs(pool=frozenset({"prob"}))


def test_a_view_is_cut_down_to_what_was_declared():
    empty = Signals(np.arange(0))
    view = View(Signals(IDS, probs=PROBS, embeddings=PROBS), empty, empty, 3)
    assert view.only(Needs(pool=frozenset({"embeddings"}))).pool.names == {"embeddings"}


def test_ids_and_labels_are_checked():
    with pytest.raises(InputError, match="7 stands there more than once"):
        as_ids([7, 1, 7])
    with pytest.raises(ShapeError, match="whole numbers"):
        as_ids([0.5])
    with pytest.raises(InputError, match="row 1 is label 3; with 3 classes labels run from 0 to 2"):
        as_labels([0, 3], 3)


def test_a_path_names_a_stream():
    # Literal: pins the derivation, so that a changed hash (and with it
    # every recorded run) is noticed. The numbers are what NumPy 2.4.6's PCG64 gave when the derivation was fixed.
    assert generator(0, "round", 3, "fit").integers(0, 10**6, 3).tolist() == [239573, 639093, 101309]
    assert derived_seed(1, "a") != derived_seed(1, "b")
    assert derived_seed(-1, "a") == derived_seed(-1, "a")


@given(st.integers(), st.integers(0, 100), st.integers(0, 100))
def test_different_paths_give_different_streams(seed, a, b):
    one, two = generator(seed, "x", a), generator(seed, "x", b)
    assert (one.integers(2**62) == two.integers(2**62)) == (a == b)


def test_numbers_and_words_are_different_paths():
    assert generator(0, "1").integers(2**62) != generator(0, 1).integers(2**62)
