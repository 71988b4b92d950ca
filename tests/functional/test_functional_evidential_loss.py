"""Evidential losses: golden numbers, closed forms at any size of evidence, bad input."""

from decimal import Decimal, localcontext
from math import inf, log, nan

import numpy as np
import pytest
from golden_numbers import cases
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import digamma, gammaln

from labelwise.errors import InputError, ShapeError, UnknownName
from labelwise.functional.evidence import dempster_shafer, dirichlet_variance
from labelwise.functional.evidential_loss import LOSSES, annealing, dirichlet_kl, evidential_loss
from labelwise.seeds import generator

GOLDEN = cases("evidential")
SHORT = {"squared_error": "mse", "log_likelihood": "log", "digamma": "digamma"}


def close(found, wanted):
    assert_allclose(found, wanted, rtol=1e-9, atol=1e-12)


def test_losses_by_hand():
    # α = (4, 1), S = 5, label 1: ψ(5) - ψ(1) = 1 + 1/2 + 1/3 + 1/4; α~ = (4, 1), and Beta(4, 1) has density 4 x³
    kl = log(4) - 1 + 1 / 4
    wanted = {"squared_error": 0.8**2 * 2 + 2 * 4 / 150, "log_likelihood": log(5), "digamma": 25 / 12}
    for kind, loss in wanted.items():
        assert_allclose(evidential_loss([[3.0, 0.0]], [1], kind), [loss])
        assert_allclose(evidential_loss([[3.0, 0.0]], [1], kind, kl_weight=0.5), [loss + kl / 2])
        # label 0: no evidence of a wrong class
        right = evidential_loss([[3.0, 0.0]], [0], kind)
        assert_array_equal(evidential_loss([[3.0, 0.0]], [0], kind, kl_weight=0.5), right)
    assert [annealing(t) for t in (0, 3, 10, 99)] == [0, 0.3, 1, 1]


@pytest.mark.parametrize("kind", LOSSES)
def test_losses_equal_golden_numbers(kind):
    data, out = GOLDEN["edl"]["in"], GOLDEN["edl"]["out"]
    e, y = data["evidence"], data["labels"]
    weights = [annealing(int(step), int(data["annealing_step"])) for step in data["step"]]
    close(weights, out["annealing_coef"])
    for t, weight in enumerate(weights):
        found = evidential_loss(e, y, kind, kl_weight=weight)
        close(found, out[f"{SHORT[kind]}_per_sample"][t])
        close(found.mean(), out[f"{SHORT[kind]}_mean"][t])
    close(dirichlet_kl(out["alpha_tilde"] - 1), out["kl"])
    close(dirichlet_variance(e).sum(axis=-1), out["var"])
    close(evidential_loss(e, y, "squared_error") - out["var"], out["err"])


def test_the_loss_of_two_views_and_their_fusion_equals_golden_numbers():
    data, out = GOLDEN["ds"]["in"], GOLDEN["ds"]["out"]
    one, other = data["evidence"][:2]
    fused = dempster_shafer(np.stack([one, other], axis=1))
    loss = sum(evidential_loss(e, data["labels"], kl_weight=0.5) for e in (one, other, fused))
    close(loss, out["tmc_loss_2view_coef0p5"])
    close(loss.mean(), out["tmc_loss_2view_coef0p5_mean"])


def test_the_kl_term_and_the_losses_are_exact_for_any_evidence():
    for e in ([0.0, 0.0, 0.0], [0.2, 3.0, 0.0], [30.0, 31.0, 33.0], [5.0, 400.0, 0.01]):
        alpha = np.array(e) + 1
        s = alpha.sum()
        kl = (
            gammaln(s)
            - gammaln(3)
            - gammaln(alpha).sum()
            + ((alpha - 1) * (digamma(alpha) - digamma(s))).sum()
        )
        assert_allclose(dirichlet_kl(e), kl, rtol=1e-11, atol=1e-13)
        assert_allclose(evidential_loss([e], [1], "digamma"), digamma(s) - digamma(alpha[1]), rtol=1e-12)
        assert_allclose(evidential_loss([e], [1], "log_likelihood"), log(s / alpha[1]), rtol=1e-12)
    # Dir(1, 1 + e) is Beta(1, a) with density a x^(a - 1): KL to the uniform is ln a - 1 + 1 / a
    for e in (1e-6, 1.0, 31.5, 1e5, 1e12, 1e300):
        with localcontext() as context:
            context.prec = 50
            a = Decimal(e) + 1
            wanted = float(a.ln() - 1 + 1 / a)
        assert_allclose(dirichlet_kl([0.0, e]), wanted, rtol=1e-12, atol=1e-15)
        # and ψ(a + 1) - ψ(a) = 1 / a
        assert_allclose(evidential_loss([[0.0, e]], [1]), float(1 / a), rtol=1e-12)


def test_huge_evidence_and_none_break_nothing():
    e = np.array([[1e300, 0.0, 0.0], [1e300, 1e300, 1e300], [0.0, 1e300, 1e-300]])
    y = [0, 0, 0]
    assert_allclose(evidential_loss(e, y, "log_likelihood"), [2e-300, log(3), 300 * log(10)])
    assert_allclose(evidential_loss(e, y, "squared_error"), [0, 2 / 3, 2], atol=1e-15)
    for kind in LOSSES:
        loss = evidential_loss(e, y, kind, kl_weight=1.0)
        assert np.isfinite(loss).all()
        assert (loss >= 0).all()
        assert_array_equal(evidential_loss([[3.0], [0.0]], [0, 0], kind, kl_weight=1.0), [0, 0])
    for c in (1, 2, 31, 11_000):
        assert_allclose(dirichlet_kl(np.zeros(c)), 0, atol=1e-11)
    assert dirichlet_kl([3.0]) == 0


def test_a_row_does_not_depend_on_its_block():
    rng = generator(0, "tests", "loss")
    e, y = rng.exponential(5, size=(5000, 200)), rng.integers(200, size=5000)
    for kind in LOSSES:
        whole = evidential_loss(e, y, kind, kl_weight=1.0)
        assert_allclose(evidential_loss(e[-7:], y[-7:], kind, kl_weight=1.0), whole[-7:], rtol=1e-12)


def test_what_is_wrong_is_said():
    for bad in (nan, inf, -1.0):
        with pytest.raises(InputError, match=f"evidence: row 1 holds {bad}"):
            evidential_loss([[1.0, 2.0], [bad, 2.0]], [0, 0])
        with pytest.raises(InputError, match=f"evidence: row 1 holds {bad}"):
            dirichlet_kl([[1.0, 2.0], [bad, 2.0]])
    with pytest.raises(ShapeError, match=r"evidence must have shape \(n, C\)"):
        evidential_loss([1.0], [0])
    with pytest.raises(UnknownName, match="No evidential loss is named 'digama'.*digamma"):
        evidential_loss([[1.0]], [0], "digama")
    with pytest.raises(InputError, match="y: row 0 is label 1"):
        evidential_loss([[1.0]], [1])
    with pytest.raises(ShapeError, match="y must have shape"):
        evidential_loss([[1.0]], [0, 0])
    with pytest.raises(InputError, match="kl_weight must be a number of at least 0"):
        evidential_loss([[1.0]], [0], kl_weight=-1.0)
    with pytest.raises(InputError, match="steps must be a whole number of at least 1"):
        annealing(3, 0)
