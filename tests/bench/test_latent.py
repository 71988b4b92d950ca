"""The latent space of a failing class: the very model again, its plane, and words for what is left out."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fabricated import CLASSES
from fabricated import run as fabricate
from numpy.testing import assert_allclose, assert_array_equal

from labelwise.bench.diagnose import Diagnosis, GivenUp, diagnose
from labelwise.bench.latent import latent, principal_plane, refit, taken_for
from labelwise.bench.report import write_report
from labelwise.bench.results import Run
from labelwise.bench.run import run
from labelwise.bench.settings import Group, group
from labelwise.bench.spec import read_spec
from labelwise.data import make
from labelwise.data.truth import Simulation
from labelwise.errors import InputError
from labelwise.functional.metrics import measure
from labelwise.seeds import generator

TASK = {"name": "digits", "classes": [0, 1, 2], "pool": 60, "test_size": 60}


def trained(folder: Path, recipe: dict[str, Any], strategy: str = "margin") -> Run:
    """Run a real campaign of three fits."""
    plan = {"seed": 0, "start": 6, "batch": 6, "budget": 18}
    return run(
        read_spec({"task": TASK, "recipe": recipe, "strategy": {"name": strategy}, "plan": plan}), folder
    )


@pytest.fixture(scope="module")
def data() -> Simulation:
    params = dict(TASK)
    return make(str(params.pop("name")), **params)


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return trained(tmp_path_factory.mktemp("warm"), {"name": "mlp", "width": 8, "epochs": 2, "warm": True})


@pytest.fixture(scope="module")
def cold(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return trained(tmp_path_factory.mktemp("cold"), {"name": "mlp", "width": 8, "epochs": 2})


def told(one: Run, data: Simulation) -> tuple[Group, tuple[Diagnosis, ...], tuple[str, ...]]:
    [found] = group([one])
    classes = data.task.classes
    return found, diagnose(found, classes, None, next(iter(found.compared))), classes


# --------------------------------------------------------------------------------------------- the model again


@pytest.mark.parametrize("row", [0, 1, 2])
@pytest.mark.parametrize("which", ["warm", "cold"])
def test_every_recorded_fit_is_fitted_again_exactly(
    which: str, row: int, data: Simulation, request: pytest.FixtureRequest
) -> None:
    one: Run = request.getfixturevalue(which)
    fit = one.fits[row]
    task = data.task
    assert task.test is not None
    again = refit(one, fit, task).infer(task.data, task.test.ids, frozenset({"probs"}))
    # not only the accuracy: the log likelihood of every test sample
    assert measure(again.need("probs"), task.test.y, 3)["nll"] == fit.test["nll"]


def test_fits_that_took_too_long_are_not_repeated(warm: Run, cold: Run, data: Simulation) -> None:
    all_three = sum(fit.seconds["fit"] for fit in warm.fits)
    with pytest.raises(InputError, match=r"The 3 fits up to 18 labels took .* --latent-seconds"):
        refit(warm, warm.fits[2], data.task, seconds=0.99 * all_three)
    last = cold.fits[2].seconds["fit"]  # a cold fit needs nothing before it
    refit(cold, cold.fits[2], data.task, seconds=1.01 * last)
    with pytest.raises(InputError, match="The fit up to 18 labels took"):
        refit(cold, cold.fits[2], data.task, seconds=0.99 * last)


def test_a_recipe_without_embeddings_and_a_lost_file_are_told(tmp_path: Path, data: Simulation) -> None:
    flat = trained(tmp_path, {"name": "logistic"})
    with pytest.raises(InputError, match="'logistic' gives no embeddings"):
        refit(flat, flat.fits[0], data.task)
    gone = trained(tmp_path, {"name": "mlp", "width": 4, "epochs": 1})
    gone.path.unlink()
    with pytest.raises(InputError, match="There is no file"):
        refit(gone, gone.fits[0], data.task)


# --------------------------------------------------------------------------------------------------- pictures


def test_the_worst_class_is_shown_where_none_was_lost(cold: Run, data: Simulation) -> None:
    found, diagnoses, classes = told(cold, data)
    [picture] = latent(found, diagnoses, classes, data, worst=True).pictures
    ends = cold.fits[-1].test["per_class"]
    assert ends[picture.class_index] == min(ends)
    assert picture.points.shape == (60, 2)
    assert (picture.strategy, picture.seed, picture.labels) == ("margin", 0, 18)
    assert_array_equal(picture.row, cold.fits[-1].test["confusion"][picture.class_index])
    assert picture.sibling == ""  # the very model
    assert latent(found, diagnoses, classes, data).missing == (
        "No class was lost, so no latent space is shown.",
    )


def losing(one: Run, data: Simulation) -> tuple[Group, tuple[Diagnosis, ...], tuple[str, ...]]:
    """The diagnosis of a run whose class "1" is lost at its second measured fit."""
    found, [diagnosis], classes = told(one, data)
    alarm = GivenUp(seed=0, class_index=1, labels=12.0, words="Lost.", kind="lost", round=1)
    return found, (replace(diagnosis, alarms=(alarm,)),), classes


def test_a_lost_class_is_shown_at_the_fit_that_lost_it(warm: Run, data: Simulation) -> None:
    found, diagnoses, classes = losing(warm, data)
    [picture] = latent(found, diagnoses, classes, data).pictures
    assert (picture.labels, picture.class_index, picture.why) == (12, 1, "Lost.")
    assert_array_equal(picture.row, warm.fits[1].test["confusion"][1])


def test_a_model_that_is_not_the_recorded_one_is_called_a_sibling(cold: Run, data: Simulation) -> None:
    *before, last = cold.fits
    other = replace(last, test={**last.test, "accuracy": 0.123})
    changed = replace(cold, state=replace(cold.state, fits=(*before, other)))
    [picture] = latent(*told(changed, data), data, worst=True).pictures
    assert "not the recorded 12.3 %" in picture.sibling


def test_what_is_left_out_is_said(tmp_path: Path, warm: Run, data: Simulation) -> None:
    found, diagnoses, classes = losing(warm, data)
    out = latent(found, diagnoses, classes, data, seconds=0.0)
    assert out.pictures == ()
    assert out.missing[0].startswith(
        "The latent space of margin is left out: The 2 fits up to 12 labels took"
    )
    [why] = latent(found, diagnoses, classes, None).missing
    assert why == "The data are not at hand, so no latent space is shown."


# ------------------------------------------------------------------------------------------- plane and sentence


def test_the_plane_by_hand() -> None:
    z = np.array([[3.0, 0, 7], [-3, 0, 7], [0, -1, 7], [0, 1, 7]])
    points, shares = principal_plane(z)
    # centred, the axes are the first two coordinates: 18 and 2 of the squares' sum 20
    assert_allclose(points, z[:, :2], atol=1e-12)
    assert shares == pytest.approx((0.9, 0.1))


def test_the_plane_is_that_of_a_full_decomposition_and_does_not_flip() -> None:
    from sklearn.decomposition import PCA

    z = generator(0, "test", "plane").normal(size=(50, 7)) * np.arange(1, 8)
    points, shares = principal_plane(z)
    other = PCA(2, svd_solver="full").fit(z)
    assert_allclose(np.abs(points), np.abs(other.transform(z)), atol=1e-9)
    assert_allclose(shares, other.explained_variance_ratio_, rtol=1e-9)
    assert_allclose(principal_plane(z[::-1])[0][::-1], points, atol=1e-9)


@pytest.mark.parametrize("z", [np.ones((5, 3)), np.arange(5.0)[:, None]])
def test_without_a_plane_there_is_no_picture(z: np.ndarray[Any, Any]) -> None:
    with pytest.raises(InputError):
        principal_plane(z)


@pytest.mark.parametrize(
    "row, words",
    [
        ([10, 0, 0, 0, 0], "all were recognised."),
        ([0, 6, 0, 4, 0], "none was recognised; 60 % were taken for 'b' and 40 % for 'd'."),
        # 2 + 1 + 1 wrong, the others after the third are summed
        ([90, 4, 3, 2, 1], "90 % were recognised; 4 % were taken for 'b', 3 % for 'c', 2 % for 'd' and 1 % for others."),
    ],
)  # fmt: skip
def test_a_row_of_the_confusion_in_words(row: list[int], words: str) -> None:
    n = sum(row)
    assert taken_for(np.array(row), 0, "abcde", "test") == f"Of the {n} test samples of 'a', {words}"


# ------------------------------------------------------------------------------------------------------ report


@pytest.mark.slow
def test_the_report_shows_the_picture_only_when_asked(tmp_path: Path, cold: Run, data: Simulation) -> None:
    off = write_report([cold], tmp_path / "a" / "r.html", name="x", load=lambda _: data).paths
    assert "Latent space" not in off["html"].read_text()
    assert "latent" not in json.loads(off["json"].read_text())["settings"][0]
    on = write_report([cold], tmp_path / "b" / "r.html", name="x", load=lambda _: data, failing="worst").paths
    html = on["html"].read_text()
    assert "Latent space of a failing class" in html
    assert "margin, seed 0, 18 labels" in html
    assert "ends worst" in on["md"].read_text()
    [picture] = json.loads(on["json"].read_text())["settings"][0]["latent"]["pictures"]
    assert picture["taken"] == cold.fits[-1].test["confusion"][picture["class"]]
    again = write_report(
        [cold], tmp_path / "c" / "r.html", name="x", load=lambda _: data, failing="worst"
    ).paths
    assert again["html"].read_bytes() == on["html"].read_bytes()


def test_the_report_says_why_a_picture_is_missing(tmp_path: Path) -> None:
    lost = {t: {"per_class": [0.9, 0.9, 0.9 if t < 2 else 0.0]} for t in range(6)}
    one = fabricate("margin", 0, (0.8,) * 6, made=lost, classes=CLASSES)
    paths = write_report([one], tmp_path / "r.html", name="x", failing="lost").paths
    for kind in ("html", "md"):
        assert "The data are not at hand, so no latent space is shown." in paths[kind].read_text()
