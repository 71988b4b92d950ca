"""The last layer from what goes in and what comes out."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from labelwise.errors import InputError, ShapeError
from labelwise.functional import heads
from labelwise.functional.heads import linear_head
from labelwise.seeds import generator


def layer(name, n=200, classes=4, width=6):
    rng = generator(0, "tests", "heads", name)
    w, b, h = rng.normal(size=(classes, width)), rng.normal(size=classes), rng.normal(size=(n, width)) + 3
    return w, b, h, h @ w.T + b


def test_a_linear_layer_is_recovered(monkeypatch):
    w, b, h, z = layer("exact")
    for block in (heads.BLOCK_BYTES, 8 * 10 * 7):  # all rows at once, and seven at a time
        monkeypatch.setattr(heads, "BLOCK_BYTES", block)
        head = linear_head(h, z)
        assert_allclose(head.weight, w, atol=1e-12)
        assert_allclose(head.bias, b, atol=1e-11)
        assert head.residual < 1e-14


@pytest.mark.parametrize("kind, close", [(np.float32, 1e-5), (np.float16, 2e-2)])
def test_rounding_is_forgiven(kind, close):
    w, _, h, z = layer("rounded")
    head = linear_head(h.astype(kind), z.astype(kind))
    assert_allclose(head.weight, w, atol=close)


def test_columns_of_very_different_size_are_told_apart():
    w, _, h, _ = layer("scales")
    h = h * np.logspace(-6, 3, 6)
    assert_allclose(linear_head(h, h @ w.T).weight, w, rtol=1e-6)


def test_log_probabilities_give_the_same_differences():
    w, _, h, z = layer("softmax")
    log_p = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    found = linear_head(h, log_p, centred=True).weight
    assert_allclose(found - found[0], w - w[0], atol=1e-12)
    with pytest.raises(InputError, match="logits are not linear in embeddings"):
        linear_head(h, log_p)  # as they are, the normaliser bends them


def test_directions_without_data_get_no_weight():
    w, b, h, _ = layer("flat")
    h[:, 2] = 5.0
    h[:, 4] = 2 * h[:, 1]
    z = h @ w.T + b
    head = linear_head(h, z)
    assert_allclose(head.weight[:, 2], 0, atol=1e-12)
    # along (1, 2) of columns 1 and 4 lies w₁ + 2 w₄; the smallest weights that do the same are that / 5 · (1, 2)
    assert_allclose(head.weight[:, [1, 4]], np.outer(w[:, 1] + 2 * w[:, 4], [0.2, 0.4]), atol=1e-12)
    assert_allclose(h @ head.weight.T + head.bias, z, atol=1e-11)


@pytest.mark.parametrize("n", [1, 3])
def test_fewer_samples_than_columns_are_fitted_exactly(n):
    _, _, h, z = layer("few")
    head = linear_head(h[:n], z[:n])
    assert_allclose(h[:n] @ head.weight.T + head.bias, z[:n], atol=1e-12)


def test_constant_logits_have_no_weights():
    _, _, h, _ = layer("constant")
    for kind in (np.float32, np.float64):
        head = linear_head(h.astype(kind), np.full((200, 4), 0.1, kind))
        assert_allclose(head.weight, 0, atol=1e-6)
        assert head.residual == 0


def test_a_hidden_layer_is_refused_in_words():
    _, _, h, z = layer("hidden")
    with pytest.raises(
        InputError, match=r"the best layer leaves 0\.\d+ of their spread unexplained, and at most 0.01"
    ):
        linear_head(h, np.maximum(z, 0))
    residual = linear_head(h, np.maximum(z, 0), unexplained=1).residual
    fitted = np.column_stack([h, np.ones(200)])
    left = np.maximum(z, 0) - fitted @ np.linalg.lstsq(fitted, np.maximum(z, 0))[0]
    centred = np.maximum(z, 0) - np.maximum(z, 0).mean(axis=0)
    assert_allclose(residual, np.linalg.norm(left) / np.linalg.norm(centred), rtol=1e-9)


def test_wrong_arguments_are_refused_in_words():
    _, _, h, z = layer("wrong")
    with pytest.raises(ShapeError, match=r"logits must have shape \(n=200, C\)"):
        linear_head(h, z[:5])
    with pytest.raises(ShapeError, match="A layer needs samples"):
        linear_head(h[:0], z[:0])
    z[7, 1] = np.inf
    with pytest.raises(InputError, match="logits: row 7 is not finite"):
        linear_head(h, z)
