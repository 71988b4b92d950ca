"""GLISTER: by brute force with whole gradients, and the likelihood that it is for."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy.special import softmax

from labelwise.errors import InputError, ShapeError
from labelwise.functional.batches import glister
from labelwise.seeds import generator


def data(n=40, m=15):
    rng = generator(0, "tests", "glister")
    weights = rng.normal(size=(3, 5))
    z, z_v = rng.normal(size=(n, 4)), rng.normal(size=(m, 4))
    logits, logits_v = (np.column_stack([x, np.ones(len(x))]) @ weights.T for x in (z, z_v))
    return softmax(logits, 1), z, softmax(logits_v, 1), z_v, rng.integers(3, size=m)


def chosen(arrays, n, **more):
    p, z, p_v, z_v, y = arrays
    return glister(p, z, n, validation_probs=p_v, validation_embeddings=z_v, validation_y=y, **more)


@pytest.mark.parametrize("eta", [0.01, 0.5])
def test_picks_equal_those_of_whole_gradients(eta):
    p, z, p_v, z_v, y = data()
    x, x_v = (np.column_stack([a, np.ones(len(a))]) for a in (z, z_v))
    gradients = np.einsum("nc,nd->ncd", p - np.eye(3)[p.argmax(1)], x)
    weights, wanted = np.zeros((3, 5)), []  # the change of the last layer
    for _ in range(10):
        now = softmax(np.log(p_v) + x_v @ weights.T, 1)
        validation = np.einsum("nc,nd->cd", now - np.eye(3)[y], x_v)
        gains = (gradients * validation).sum((1, 2))
        gains[wanted] = -np.inf
        wanted.append(int(gains.argmax()))
        weights = weights - eta * gradients[wanted[-1]]
    assert_array_equal(chosen(data(), 10, eta=eta), wanted)


def test_a_step_on_the_batch_helps_more_than_one_on_others():
    p, z, p_v, z_v, y = data()
    x, x_v = (np.column_stack([a, np.ones(len(a))]) for a in (z, z_v))

    def likelihood(rows):
        step = -0.1 * np.einsum("nc,nd->cd", p[rows] - np.eye(3)[p[rows].argmax(1)], x[rows])
        return np.log(softmax(np.log(p_v) + x_v @ step.T, 1)[np.arange(15), y]).mean()

    rng = generator(0, "tests", "glister", "others")
    others = [likelihood(rng.choice(40, 6, replace=False)) for _ in range(50)]
    assert likelihood(chosen(data(), 6, eta=0.1)) > max(others)


def test_stochastic_is_seeded_and_near():
    first, second, other = (
        chosen(data(400), 20, method="stochastic", epsilon=0.5, rng=generator(s)) for s in (1, 1, 2)
    )
    assert_array_equal(first, second)
    assert first.tolist() != other.tolist()
    assert len(set(first.tolist())) == 20


def test_numpy_and_torch_choose_alike():
    torch = pytest.importorskip("torch")
    arrays = data()
    assert_array_equal(chosen(arrays, 12), chosen([torch.from_numpy(a) for a in arrays], 12))


def test_without_validation_samples_nothing_gains():
    p, z, p_v, z_v, y = data()
    assert_array_equal(chosen((p, z, p_v[:0], z_v[:0], y[:0]), 4), np.arange(4))


def test_what_is_wrong_is_said():
    p, z, p_v, z_v, y = data()
    with pytest.raises(InputError, match="eta"):
        chosen(data(), 3, eta=0)
    with pytest.raises(ShapeError, match="validation embeddings"):
        chosen((p, z, p_v, z_v[:, :2], y), 3)
    with pytest.raises(ShapeError, match="validation probs"):
        chosen((p, z, np.ones((15, 1)), z_v, np.zeros(15, int)), 3)
    with pytest.raises(InputError, match="validation y: row 0 is label 9"):
        chosen((p, z, p_v, z_v, y * 0 + 9), 3)
    bad = z.copy()
    bad[5] = np.nan
    with pytest.raises(InputError, match="embeddings: row 5"):
        chosen((p, bad, p_v, z_v, y), 3)


@pytest.mark.parametrize("kinds", ["dddd", "dfdf", "fdfd", "ffdd"])
def test_tensors_of_several_types_give_the_rows_of_arrays(kinds):
    torch = pytest.importorskip("torch")
    *arrays, y = data()
    arrays = [a.astype(kind) for a, kind in zip(arrays, kinds, strict=True)]
    assert_array_equal(chosen((*map(torch.from_numpy, arrays), y), 9), chosen((*arrays, y), 9))


def test_a_step_out_of_all_numbers_is_an_error():
    *arrays, y = data()
    with np.errstate(all="ignore"), pytest.raises(InputError, match="after|After"):
        chosen((*(a.astype(np.float32) for a in arrays), y), 9, eta=1e38)
