"""Methods with recipes of their own beside those without: one classifier, one setting, and no two labels alike."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys

import pytest
from fabricated import run

from labelwise.bench.classifiers import classifier, needs_companion
from labelwise.bench.compare import compare
from labelwise.bench.report import write_report
from labelwise.bench.settings import group, shared_part

CNN = {"name": "cnn", "width": 8, "epochs": 5}
WAAL = {"name": "waal", "width": 8, "epochs": 5}
OLD = [
    {"name": "logistic"},
    {"name": "cnn", "epochs": 30, "warm": False},
    {"name": "cnn", "width": 8, "dropout": 0.2, "draws": 10},
    {"name": "waal", "mu": 0.1},
    {"name": "ensemble", "recipe": "cnn"},
    {"name": "of-another-version", "a": 1},
]


@pytest.mark.parametrize(
    "one, other, same",
    [
        ({"name": "cnn"}, {"name": "waal"}, True),
        ({"name": "cnn", "network": "mlp"}, {"name": "waal", "network": "mlp", "mu": 0.2}, True),
        ({"name": "cnn", "network": "mlp"}, {"name": "mlp"}, True),
        ({"name": "mlp"}, {"name": "waal"}, False),
        ({"name": "cnn", "dropout": 0.2, "draws": 10}, {"name": "vaal", "dropout": 0.2}, True),
        ({"name": "cnn", "dropout": 0.2}, {"name": "vaal"}, False),
        ({"name": "cnn", "epochs": 20}, {"name": "learning-loss"}, True),  # 20 is what is not written
        ({"name": "cnn", "epochs": 21}, {"name": "learning-loss"}, False),
        ({"name": "cnn"}, {"name": "dfal"}, False),  # it trains the classifier itself otherwise
        ({"name": "waal", "companion_lr": 0.1}, {"name": "learning-loss", "units": 8}, True),
    ],
)
def test_two_recipes_train_one_classifier_if_its_fields_agree(one, other, same):
    assert (classifier(one).values == classifier(other).values) is same


def test_a_companion_keeps_its_own_fields_and_signals_apart():
    found = classifier({**WAAL, "mu": 0.5})
    assert not found.plain and found.own["mu"] == 0.5 and "mu" not in found.values
    assert "pool.scalars.critic" in found.extra
    assert needs_companion({"name": "waal"}, found)
    assert not needs_companion({"name": "random"}, found)
    assert not needs_companion({"name": "bald"}, found)  # draws come from the classifier
    assert classifier(CNN).plain and not classifier(CNN).own


def test_random_and_waal_stand_in_one_setting():
    runs = [run("random", s, recipe={**CNN, "draws": 4, "dropout": 0.1}) for s in range(2)]
    runs += [run("waal", s, (0.5, 0.8, 0.9), recipe={**WAAL, "dropout": 0.1}) for s in range(2)]
    [setting] = compare(runs).settings
    assert [s.name for s in setting.strategies] == ["waal", "random"]
    assert setting.reference == "random"
    assert setting.pair("waal", "aubc").seeds == (0, 1)
    assert setting.shared["recipe"] == {**CNN, "dropout": 0.1}
    said = [c for c in setting.caveats if "companion" in c]
    assert said == [
        "One method trains a companion beside the same classifier: waal (recipe waal). The companion may change how "
        "the classifier is trained, so their differences are of picking and training together."
    ]


def test_random_on_a_companions_recipe_says_so():
    runs = [run("random", 0, recipe=CNN), run("random", 0, recipe=WAAL), run("waal", 0, recipe=WAAL)]
    [found] = group(runs)
    assert list(found.runs) == ["random", "random, recipe waal", "waal"]
    assert set(found.recipes) == {"random, recipe waal", "waal"}


def test_companions_that_differ_in_their_own_fields_are_told_apart():
    runs = [run("random", 0, recipe=CNN)]
    runs += [run("waal", 0, recipe={**WAAL, "mu": mu}) for mu in (0.1, 0.2)]
    runs += [run("bald", 0, recipe={**CNN, "dropout": 0.5, "draws": n}) for n in (5, 9)]
    runs += [run("random", 0, recipe={**CNN, "dropout": 0.5, "draws": n}) for n in (0, 5, 9)]
    first, second = group(runs)
    assert list(first.runs) == ["random", "waal, mu 0.1", "waal, mu 0.2"]
    # the draws of a run that does not read them change nothing
    assert list(second.runs) == ["random", "bald, draws 5", "bald, draws 9"]


def test_another_classifier_is_another_setting():
    runs = [run("random", 0, recipe=CNN), run("waal", 0, recipe={**WAAL, "epochs": 6})]
    assert [g.title for g in group(runs)] == [
        "hand-made, epochs 5, name cnn",
        "hand-made, epochs 6, name waal",
    ]


def test_recipes_that_are_what_is_compared_stay_settings_of_their_own():
    """Without a plain recipe, the same strategies on two recipes ask which recipe is better for each of them."""
    runs = [run(name, 0, recipe={**WAAL, "mu": mu}) for mu in (0.1, 0.2) for name in ("random", "waal")]
    assert [(g.title, list(g.runs)) for g in group(runs)] == [
        ("hand-made, mu 0.1", ["random", "waal"]),
        ("hand-made, mu 0.2", ["random", "waal"]),
    ]
    alone = [run("waal", 0, recipe=WAAL), run("vaal", 0, recipe={**WAAL, "name": "vaal"})]
    [found] = group(alone)
    assert list(found.runs) == ["vaal", "waal"]
    assert found.shared["recipe"] == {"network": "cnn", "width": 8, "epochs": 5}


@pytest.mark.parametrize("recipe", OLD, ids=lambda r: r["name"])
def test_runs_of_one_recipe_are_grouped_as_ever(recipe):
    runs = [run(name, s, recipe=recipe) for s in range(2) for name in ("random", "margin")]
    [found] = group(runs)
    shared = shared_part(runs[0].spec)
    assert found.shared == shared and not found.recipes
    assert found.key == hashlib.sha256(json.dumps(shared, sort_keys=True).encode()).hexdigest()[:12]
    assert list(found.runs) == ["random", "margin"]
    assert not any("companion" in c for c in found.caveats)


@pytest.mark.parametrize(
    "field, values",
    [("epochs", (3, 4)), ("warm", (False, True)), ("width", (8, None)), ("threads", (1, 2))],
)
def test_recipes_that_train_other_classifiers_are_grouped_as_ever(field, values):
    runs = [run(name, 0, recipe={**CNN, field: v}) for v in values for name in ("random", "margin")]
    found = group(runs)
    assert [g.shared["recipe"][field] for g in found] == list(values)
    assert [list(g.runs) for g in found] == [["random", "margin"]] * 2


def test_the_files_beside_the_page_name_methods_as_the_page_does(tmp_path):
    runs = [run("random", 0, recipe=CNN), run("random", 0, recipe=WAAL), run("waal", 0, recipe=WAAL)]
    paths = write_report(runs, tmp_path / "report.html", name="trial").paths
    rows = paths["csv"].read_text().splitlines()
    assert sum(",waal," in row and '"random, recipe waal"' in row for row in rows) == 3
    assert "recipe of waal = {" in paths["html"].read_text().replace("&#34;", '"')


def test_comparing_runs_of_one_recipe_loads_no_torch():
    code = """
import sys
sys.path.insert(0, "tests/bench")
from fabricated import run
from labelwise.bench.settings import group
group([run("random"), run("margin")])
group([run("random"), run("random", recipe={"name": "forest"})])
print("torch" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def trained(*methods, cases=("one",), seeds=2, **kwargs):
    """Runs of a protocol whose methods are ways to train, and their cases."""
    runs, named = [], {}
    for case in cases:
        for method, recipe in methods:
            for seed in range(seeds):
                made = run("random", seed, (0.9,), start=30, recipe=recipe, task={"a": len(case)}, **kwargs)
                runs.append(made)
                named[made.id] = {"set": case, "method": method}
    return runs, named


MULTI = {"name": "multimodal", "width": 8}
WAYS = (
    ("erm", MULTI),
    ("mmdro", {**MULTI, "objective": {"name": "mmdro", "rho": 0.1}}),
    ("late", {**MULTI, "fusion": "mean"}),
    ("dropped", {**MULTI, "modality_dropout": 0.3}),
)


def test_ways_to_train_are_methods_of_one_setting_where_a_protocol_says_so():
    runs, cases = trained(*WAYS, cases=("one", "three"))
    first, second = compare(runs, cases).settings
    assert (first.title, second.title) == ("one", "three")
    assert {s.name for s in first.strategies} == {"erm", "mmdro", "late", "dropped"}
    assert first.reference == "erm" and first.pair("mmdro", "final").seeds == (0, 1)
    assert first.shared["recipe"] == MULTI
    assert not any("weakest" in line for line in first.detail)
    # without a protocol nobody says what is a method: recipes are settings, as ever
    assert len(compare(runs).settings) == 8


def test_recipes_that_differ_in_more_than_training_stay_apart():
    found = group(*trained(("erm", MULTI), ("wide", {**MULTI, "width": 16, "objective": "mmdro"})))
    assert [list(one.runs) for one in found] == [["random"], ["random"]]


def test_a_method_that_trains_in_two_ways_loses_no_run():
    runs, cases = trained(("erm", MULTI), ("both", dict(WAYS[1][1])), seeds=1)
    more, other = trained(("both", {**MULTI, "objective": "dual"}), seeds=1)
    found = group(runs + more, cases | other)
    assert sum(len(mine) for one in found for mine in one.runs.values()) == 3
