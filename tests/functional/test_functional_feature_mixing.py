"""Mixing and dropout against their formulas, sample by sample and anchor by anchor."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from labelwise.errors import InputError, ShapeError
from labelwise.functional import feature_mixing as module
from labelwise.functional.batches.candidates import kmeans_among
from labelwise.functional.batches.clustered import kmeans_batch
from labelwise.functional.clusters import partition as clusters
from labelwise.functional.feature_mixing import class_means, dropout_changes, mixing_flips
from labelwise.seeds import generator


def layer(n, classes=4, width=5, seed=0):
    """Embeddings, logits, and the layer between them."""
    rng = generator(seed, "tests", "feature mixing")
    z, w, b = rng.normal(size=(n, width)), rng.normal(size=(classes, width)), rng.normal(size=classes)
    return z, z @ w.T + b, w, b


def softmax(logits):
    e = np.exp(logits - logits.max())
    return e / e.sum()


def mixes(z, w, b, anchor, epsilon):
    """The mix of one sample and one anchor by the paper's closed form, coordinate by coordinate."""
    guess = int(np.argmax(w @ z + b))
    error = softmax(w @ z + b)
    error[guess] -= 1
    slope = np.array([sum(error[c] * w[c, d] for c in range(len(w))) for d in range(len(z))])
    distance = sum((anchor[d] - z[d]) ** 2 for d in range(len(z))) ** 0.5
    cap = epsilon / len(z) ** 0.5
    mixed = np.empty(len(z))
    for d in range(len(z)):
        alpha = cap * distance / sum(slope**2) ** 0.5 * slope[d] / (anchor[d] - z[d])
        mixed[d] = (1 - alpha) * z[d] + alpha * anchor[d]
    return mixed, guess


@pytest.mark.parametrize("classes, width", [(2, 1), (2, 4), (4, 5), (9, 3)])
@pytest.mark.parametrize("epsilon", [0.05, 0.2, 0.3])
def test_a_sample_flips_where_the_mix_with_some_anchor_is_predicted_otherwise(classes, width, epsilon):
    z, logits, w, b = layer(80, classes, width)
    anchors = generator(1, "tests", "anchors").normal(size=(6, width)) * [[0.1], [1], [1], [2], [0.5], [3]]
    wanted = []
    for sample in z:
        found = [mixes(sample, w, b, anchor, epsilon) for anchor in anchors]
        wanted.append(any(np.argmax(w @ mixed + b) != guess for mixed, guess in found))
    assert 0 < sum(wanted) < 80
    assert_array_equal(mixing_flips(z, logits, w, anchors, epsilon=epsilon), wanted)


def test_the_mean_of_all_anchors_flips_nothing_more():
    z, logits, w, _ = layer(300)
    anchors = generator(2, "tests", "anchors").normal(size=(5, 5))
    for weights in generator(3, "tests", "mixtures").dirichlet(np.ones(5), size=20):
        one = mixing_flips(z, logits, w, (weights @ anchors)[None])
        assert not (one & ~mixing_flips(z, logits, w, anchors)).any()


def test_a_step_reaches_the_boundary_at_its_distance():
    """Two classes, logits ±z/2, z = 2: the way to 0 is 2; a mean at distance d is stepped to by ε d, D = 1."""
    w, z = np.array([[0.5], [-0.5]]), np.array([[2.0]])
    for anchor, flips in ((2 + 9.9, False), (2 - 9.9, False), (2 + 10.1, True), (2 - 10.1, True)):
        assert mixing_flips(z, z @ w.T, w, [[anchor]], epsilon=0.2).tolist() == [flips]


def test_a_sample_as_sure_as_can_be_flips_alike():
    """Logits of 800: the gradient is 0 in any float, its direction is not."""
    w, z = np.array([[200.0], [-200.0]]), np.array([[2.0]])
    assert mixing_flips(z, z @ w.T, w, [[13.0]]).tolist() == [True]
    assert mixing_flips(z, z @ w.T, w, [[11.0]]).tolist() == [False]


def test_a_coordinate_in_which_sample_and_anchor_agree_is_stepped_along_as_next_to_it():
    z, logits, w, _ = layer(60)
    anchor = z.mean(axis=0) + 3
    z[:, 2] = anchor[2]
    logits = z @ w.T
    near = anchor + np.array([0, 0, 1e-9, 0, 0])
    found = mixing_flips(z, logits, w, anchor[None])
    assert 0 < found.sum() < 60
    assert_array_equal(found, mixing_flips(z, logits, w, near[None]))


def test_nothing_flips_without_anchors_or_other_classes_or_differences():
    z, logits, w, _ = layer(7)
    assert not mixing_flips(z, logits, w, np.empty((0, 5))).any()
    assert not mixing_flips(z, logits[:, :1], w[:1], z).any()
    assert not mixing_flips(z, np.zeros((7, 4)), np.ones((4, 5)), z).any()
    assert not mixing_flips(z, logits, w, z, epsilon=0).any()
    assert mixing_flips(z[:0], logits[:0], w, z).shape == (0,)


@pytest.mark.parametrize("p, masks", [(0.0, 1), (0.3, 2), (0.75, 3), (0.9, 5)])
def test_changes_under_dropout_are_counted(p, masks):
    z, logits, w, b = layer(60)
    draws = generator(5).random((60, masks, 5))
    wanted = []
    for i in range(60):
        count = 0
        for m in range(masks):
            dropped = [0.0 if draws[i, m, d] < p else z[i, d] / (1 - p) for d in range(5)]
            count += int(np.argmax(w @ dropped + b) != np.argmax(logits[i]))
        wanted.append(count)
    assert_array_equal(dropout_changes(z, logits, w, generator(5), masks=masks, p=p), wanted)
    assert (max(wanted) > 0) == (p > 0)


def test_a_sample_that_rests_on_one_value_changes_as_often_as_it_drops():
    """Logits (z₁, 0.5): without z₁ the second class wins, so changes are binomial with p."""
    z, w = np.ones((4000, 1)), np.array([[1.0], [0.0]])
    changes = dropout_changes(z, z @ w.T + [0, 0.5], w, generator(1), masks=3, p=0.75)
    shares = np.bincount(changes, minlength=4) / 4000
    assert_allclose(shares, [1 / 64, 9 / 64, 27 / 64, 27 / 64], atol=0.04)  # five standard deviations


@settings(max_examples=30, deadline=None)
@given(n=st.integers(1, 30), classes=st.integers(1, 5), width=st.integers(1, 6), seed=st.integers(0, 2**32))
def test_a_shift_of_all_classes_and_the_size_of_blocks_change_nothing(n, classes, width, seed):
    z, logits, w, _ = layer(n, classes, width, seed)
    shift = generator(seed, "shift").normal(size=width)
    anchors = z[:3] + 1
    mixed = mixing_flips(z, logits, w, anchors)
    dropped = dropout_changes(z, logits, w, generator(seed))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "rows_per_block", lambda width: 4)
        assert_array_equal(mixing_flips(z, logits - (z @ shift)[:, None], w - shift, anchors), mixed)
        assert_array_equal(
            dropout_changes(z, logits - (z @ shift)[:, None], w - shift, generator(seed)), dropped
        )


def test_torch_gives_the_same():
    torch = pytest.importorskip("torch")
    z, logits, w, _ = layer(40)
    tensors = [torch.from_numpy(a) for a in (z, logits, w)]
    assert_array_equal(mixing_flips(*tensors, tensors[0][:3]), mixing_flips(z, logits, w, z[:3]))
    assert_array_equal(dropout_changes(*tensors, generator(1)), dropout_changes(z, logits, w, generator(1)))
    assert_array_equal(class_means(tensors[0], torch.arange(40) % 3), class_means(z, np.arange(40) % 3))
    one, other = (kmeans_among(x, z[:, 0] > 0, 9, generator(2)) for x in (z, tensors[0]))
    assert_array_equal(one, other)


def test_class_means_leave_out_classes_without_samples():
    z = np.array([[0.0, 1.0], [2.0, 3.0], [4.0, 8.0]], np.float16)
    assert_allclose(class_means(z, [7, 2, 7]), [[2, 3], [2, 4.5]])
    assert class_means(z[:0], np.empty(0, int)).shape == (0, 2)


def test_class_means_of_many_blocks_are_means(monkeypatch):
    monkeypatch.setattr(clusters, "rows_per_block", lambda width: 7)
    z, y = layer(50)[0], generator(4, "tests", "labels").integers(9, size=50)
    assert_allclose(class_means(z, y), [z[y == c].mean(axis=0) for c in np.unique(y)], atol=1e-12)


def test_k_means_is_among_candidates_and_the_rest_is_drawn_evenly():
    x = layer(60)[0]
    candidates = np.arange(60) % 3 == 0
    among = np.flatnonzero(candidates)
    rows = kmeans_among(x, candidates, 8, generator(1), unit=True)
    assert_array_equal(rows, among[kmeans_batch(x[among], 8, generator(1), unit=True)])
    assert_array_equal(kmeans_among(x, candidates, 20, generator(1)), among)
    seen = np.zeros(60)
    for seed in range(400):
        rows = kmeans_among(x, candidates, 30, generator(seed))
        assert_array_equal(rows[:20], among)
        assert len(set(rows.tolist())) == 30
        seen[rows] += 1
    assert_allclose(seen[~candidates] / 400, 10 / 40, atol=0.12)  # five standard deviations and more
    assert sorted(kmeans_among(x, candidates, 99, generator(0))) == list(range(60))
    assert kmeans_among(x, candidates, 0, generator(0)).size == 0
    one_less = int(candidates.sum()) - 1
    assert kmeans_among(x, candidates, one_less, generator(0)).size == one_less


def test_what_is_wrong_is_said():
    z, logits, w, _ = layer(6)
    hole = z.copy()
    hole[3, 1] = np.nan
    with pytest.raises(InputError, match="embeddings: row 3"):
        mixing_flips(hole, logits, w, z)
    with pytest.raises(InputError, match="anchors: row 3"):
        mixing_flips(z, logits, w, hole)
    with pytest.raises(InputError, match="embeddings: row 3"):
        class_means(hole, np.zeros(6, int))
    with pytest.raises(InputError, match="logits: row 0"):
        dropout_changes(z, logits * np.inf, w, generator(0))
    with pytest.raises(ShapeError, match=r"weight must have shape \(C=4, D=5\)"):
        dropout_changes(z, logits, w[:, :3], generator(0))
    with pytest.raises(ShapeError, match="logits"):
        mixing_flips(z, logits[:4], w, z)
    with pytest.raises(ShapeError, match="y must be whole numbers"):
        class_means(z, np.ones(6))
    with pytest.raises(InputError, match="epsilon must be a number of at least 0"):
        mixing_flips(z, logits, w, z, epsilon=-1)
    with pytest.raises(InputError, match=r"p must be in \[0, 1\)"):
        dropout_changes(z, logits, w, generator(0), p=1)
    with pytest.raises(ShapeError, match="candidates must be true or false"):
        kmeans_among(z, np.arange(6), 2, generator(0))
