"""labelwise.select: arrays in, rows out, and what it says when something is wrong."""

import subprocess
import sys

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from labelwise.errors import EmptyPool, InputError, MissingSignal, ShapeError, UnknownName
from labelwise.functional.blocks import BLOCK_BYTES
from labelwise.seeds import generator
from labelwise.selection import proposal, select
from labelwise.signals import Needs, Signals
from labelwise.strategies.base import Proposal, Strategy
from labelwise.strategies.uncertainty import Margin

P = np.array([[0.9, 0.1], [0.5, 0.5], [0.7, 0.3]])


class Greedy(Strategy):
    """Records the view it is given, and proposes what it is told to."""

    needs = Needs(pool=frozenset({"probs"}), labelled=frozenset({"y"}))

    def __init__(self, rows):
        self.rows, self.view = rows, None

    def propose(self, view, n, rng):
        self.view = view
        return Proposal(np.array(self.rows, np.int64))


def test_rows_are_those_of_the_arrays_given():
    assert_array_equal(select("margin", {"probs": P}, 2), [1, 2])
    assert_array_equal(select("margin", Signals(np.array([1000, 1001, 1002]), probs=P), 2), [1, 2])
    assert_array_equal(select(Margin(), {"probs": P}, 2), [1, 2])


def test_a_budget_beyond_the_pool_takes_it_all():
    assert_array_equal(select("margin", {"probs": P}, 9), [1, 2, 0])


def test_the_result_is_the_callers_own():
    rows = select("margin", {"probs": P}, 2)
    rows[0] = 0
    assert_array_equal(rows, [0, 2])


def test_scores_come_with_a_proposal():
    assert_array_equal(proposal("margin", {"probs": P}, 1).scores, [0.1 - 0.9, 0, 0.3 - 0.7])


def test_a_strategy_sees_what_it_declared_and_nothing_else():
    greedy = Greedy([0])
    z = np.ones((3, 2))
    select(
        greedy,
        {"probs": P, "embeddings": z},
        1,
        labelled={"y": [0, 1], "embeddings": z[:2]},
        validation={"y": [1]},
    )
    assert greedy.view.pool.names == {"probs"}
    assert greedy.view.labelled.names == {"y"}
    assert greedy.view.validation.names == set()
    assert greedy.view.n_classes == 2


@pytest.mark.parametrize(
    "given, error, words",
    [
        ({"name": "margn"}, UnknownName, "No strategy is named 'margn'. Did you mean 'margin'?"),
        ({"signals": {"prob": P}}, UnknownName, "No signal is named 'prob'. Did you mean 'probs'?"),
        ({"signals": {"embeddings": P}}, MissingSignal, "margin needs probs of the pool samples; the call gives embeddings."),
        ({"n": 0}, InputError, "n must be a whole number of at least 1; it is 0."),
        ({"n": 2.0}, InputError, "n must be a whole number of at least 1; it is 2.0."),
        ({"seed": "7"}, InputError, "seed must be a whole number; it is '7'."),
        ({"signals": {"probs": P[:0]}}, EmptyPool, "signals holds no sample"),
        ({"signals": {}}, EmptyPool, "signals holds no sample"),
        ({"signals": P}, InputError, "it is a ndarray."),
        ({"signals": {"probs": P, "embeddings": P[:2]}}, ShapeError, "signals.embeddings must have shape (n=3, D); it has shape (2, 2)."),
        ({"signals": {"probs": P, "y": [0, 1, 0]}}, InputError, "signals must not hold y"),
        ({"labelled": {"probs": np.ones((2, 3)) / 3}}, ShapeError, "as many classes; they have probs of the pool samples: 2, probs of the labelled samples: 3."),
        ({"labelled": {"y": [0, 2]}}, InputError, "y holds label 2; with 2 classes labels run from 0 to 1."),
        ({"labelled": {"y": [0, -1]}}, InputError, "y of the labelled samples must be class indices of at least 0."),
        ({"name": 3}, InputError, "name must be a strategy's name or a Strategy; it is a int."),
        ({"name": Margin(), "blocks": 3}, InputError, "takes no parameters; it is given ['blocks']"),
        ({"blocks": 3}, InputError, "Strategy 'margin' cannot be made"),
        ({"name": Greedy([0])}, MissingSignal, "Greedy needs y of the labelled samples; the call gives nothing."),
        ({"name": Greedy([0, 7]), "labelled": {"y": [0]}}, InputError, "of 3 pool rows it must propose 1; it proposed 2, 1 of them outside the pool."),
        ({"signals": {"modal_embeddings": P}}, ShapeError, "must be a list of arrays, one a modality"),
        ({"signals": {3: P}}, InputError, "signals must map names to arrays; it has the key 3."),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_words(given, error, words):
    arguments = {"name": "margin", "signals": {"probs": P}, "n": 1} | given
    with pytest.raises(error) as caught:
        select(**arguments)
    assert words in str(caught.value)


def multimodal(rows=6, **changed):
    """A pool of two modalities, without opinions, and a validation part that knows nothing."""
    draws = generator(0, "selection")
    pool = {
        "evidence": np.ones((rows, 2, 3), np.float32),
        "modal_embeddings": [draws.normal(size=(rows, 4)) for _ in range(2)],
        "present": np.ones((rows, 2), bool),
    }
    even = np.full((3, 2, 3), 1 / 3)
    held = {"modal_probs": even, "probs": even[:, 0], "present": np.ones((3, 2), bool), "y": [0, 1, 2]}
    return {"name": "rl-mba", "signals": pool | changed, "n": 1, "validation": held}


def test_notes_call_modalities_by_the_names_given():
    notes = proposal(**multimodal(), modalities=["sound", "text"]).notes
    assert set(notes["modality weights"]) == set(notes["samples"][0]["modalities"]) == {"sound", "text"}
    assert set(proposal(**multimodal()).notes["modality gaps"]) == {"modality 0", "modality 1"}


def odd(value, rows=6, at=(4, 1, 2)):
    evidence = np.ones((rows, 2, 3), np.float32)
    evidence[at] = value
    return evidence


@pytest.mark.parametrize(
    "changed, error, words",
    [
        ({"evidence": odd(-1)}, InputError, "evidence of the pool samples: row 4, text holds -1.0;"),
        ({"evidence": odd(np.nan)}, InputError, "evidence of the pool samples: row 4 (id 4), text, holds a NaN"),
        ({"modal_embeddings": [np.ones((6, 4)), np.full((6, 4), np.inf)]}, InputError, "modal_embeddings of the pool samples: row 0 (id 0), text, holds"),
        ({"modal_embeddings": [np.ones((6, 4)), np.ones((5, 4))]}, ShapeError, "signals['modal_embeddings'], text, must have shape (n=6, D); it has shape (5, 4)."),
        ({"modal_embeddings": [np.ones((6, 4)), np.ones((6, 2))]}, ShapeError, 'equally wide with features="mean"; their columns are sound 4, text 2.'),
        ({"present": np.full((6, 2), 3)}, InputError, "row 0 holds 3 for sound."),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_modality_is_said_by_its_name(changed, error, words):
    with pytest.raises(error) as caught:
        select(**multimodal(**changed), modalities=("sound", "text"))
    assert words in str(caught.value)


def test_every_rule_of_evidence_names_the_modality():
    given = {"evidence": odd(-1), "present": np.ones((6, 2), bool)}
    for rule in ("difficulty", "conflict"):
        with pytest.raises(InputError, match="row 4, text holds -1"):
            select("evidential-uncertainty", given, 1, modalities=["sound", "text"], rule=rule)
    given["present"][4, 1] = False  # what is not there is not read
    assert select("evidential-uncertainty", given, 6).size == 6


def test_a_bad_row_is_named_by_its_number_in_the_pool_not_in_a_block():
    rows = BLOCK_BYTES // (8 * 2 * 3) + 50  # one block of evidence and a bit
    given = multimodal(rows, evidence=odd(-1, rows, (rows - 3, 0, 0)))
    with pytest.raises(InputError, match=f"row {rows - 3}, modality 0 holds -1"):
        select(**given)


@pytest.mark.parametrize(
    "names, words",
    [
        ("text", 'modalities must be a list of names, e.g. ["image", "text"]; it is \'text\'.'),
        ([1, 2], "modalities must be a list of names"),
        (["text", "text"], "Every modality needs a name of its own; they are ['text', 'text']."),
        (["a", "b", "c"], "modalities names 3 (a, b, c); present of the pool samples holds 2."),
    ],
)
def test_names_that_do_not_fit_are_refused(names, words):
    with pytest.raises(InputError) as caught:
        select(**multimodal(), modalities=names)
    assert words in str(caught.value)


def test_select_loads_no_torch():
    code = (
        "import sys, numpy as np; from labelwise.selection import select; "
        "select('entropy', {'probs': np.ones((3, 2)) / 2}, 1); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
