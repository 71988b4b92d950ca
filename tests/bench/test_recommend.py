"""Recommendations: differences by hand, laws of the order, warnings, and that the constants are those of the results."""

from __future__ import annotations

import importlib
import json
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import pytest

from labelwise.bench.able import able, learns_by_network, usual_recipe
from labelwise.bench.advice import Facts, about, groups, likeness, nearest, outside
from labelwise.bench.leaderboard import DataSet, Leaderboard, Method, read
from labelwise.bench.recommend import (
    RULES,
    as_json,
    clearly_better,
    expected,
    gains,
    order,
    recommend,
    witnesses,
)
from labelwise.bench.recommend_words import caveats, command, reasons, sentences, spec, warnings
from labelwise.errors import InputError, UnknownName

ROOT = Path(__file__).parents[2]
FACTS = Facts(pool=1_000, classes=10, budget=200, kind="image", imbalance=1.0)


def a_set(name, methods, *, material=None, **changed):
    """A set just like FACTS unless told otherwise; methods -> AUBC, or one for each seed."""
    made = {}
    for method, values in methods.items():
        aubc = tuple(values) if isinstance(values, tuple | list) else (values, values)
        made[method] = Method(tuple(range(len(aubc))), aubc, aubc, None, 0.1)
    one = DataSet(
        name, {}, (material or name,), "image", 10, 1, 1_000, 1.0, 64, 20, 50, 200, {}, "test", 1.0, 0,
        MappingProxyType(made),
    )  # fmt: skip
    return replace(one, **changed)


def board(*sets):
    return Leaderboard("a test", MappingProxyType({one.name: one for one in sets}))


def first(found):
    return found.choices[0].name


def many(n, **methods):
    """n sets of different data, whose accuracies move a little together."""
    return [
        a_set(f"set-{k}", {name: value + 0.01 * k + 0.001 * (k % 3) * len(name) for name, value in methods.items()})
        for k in range(n)
    ]  # fmt: skip


def test_likeness_by_hand():
    same = a_set("same", {})
    assert likeness(FACTS, same).weight == 1
    ten = replace(same, pool=10_000)  # one factor of ten: a half
    assert likeness(FACTS, ten).weight == pytest.approx(0.5)
    # ten times the classes: a step for classes, and one for labels a class, of which there are a tenth
    assert likeness(FACTS, replace(same, classes=100)).steps == pytest.approx(2)
    assert likeness(FACTS, replace(same, kind="text")).weight == pytest.approx(0.5)
    assert likeness(FACTS, replace(same, kind="several", modalities=2)).steps == 1
    assert likeness(
        replace(FACTS, imbalance=None, kind=None), replace(ten, imbalance=50)
    ).steps == pytest.approx(1)
    assert likeness(FACTS, ten).apart == ("samples × 10",)


def test_sets_that_share_data_are_one_group_even_through_a_third():
    sets = [
        a_set("a", {}, material="x"), replace(a_set("b", {}), material=("x", "y")), a_set("c", {}, material="y"),
        a_set("d", {}),
    ]  # fmt: skip
    assert groups(sets) == [("a", "b", "c"), ("d",)]
    assert groups([sets[0], sets[2], sets[1]]) == [("a", "b", "c")]


def test_differences_are_paired_by_seed():
    one = a_set("one", {"random": (0.5, 0.7), "margin": (0.6, 0.9, 0.1)})
    assert gains([one], "random")["margin"]["one"] == pytest.approx(
        0.15
    )  # (0.1 + 0.2) / 2; the third has no pair
    assert gains([one], "badge") == {}


def test_a_group_is_one_witness_with_the_weight_of_its_most_like_set():
    told = witnesses(
        {"a": 1.0, "b": 4.0, "c": 7.0}, [("a", "b"), ("c",), ("d",)], {"a": 1.0, "b": 0.5, "c": 0.25}
    )
    assert told == ([pytest.approx(2.0), 7.0], [1.0, 0.25])  # (1 · 1 + 0.5 · 4) / 1.5


@pytest.mark.parametrize("rule", RULES)
def test_a_method_best_on_every_set_is_recommended(rule):
    sets = many(6, random=0.5, margin=0.6, badge=0.58, star=0.7)
    found = recommend(FACTS, board(*sets), {"random", "margin", "badge", "star"}, rule=rule)
    assert first(found) == "star"
    assert "star" in found.above_random and found.above_margin == ("star",)
    assert found.choices[0].rank == (1.0, 4.0) and found.materials == 6
    assert sentences(found)[0].startswith("Take star: it is clearly better than margin, +")


def test_similar_takes_what_is_best_on_the_sets_like_it_and_an_unrelated_set_does_not_flip_it():
    like = [a_set(f"like-{k}", {"random": 0.5, "margin": 0.6, "star": 0.66 + 0.01 * k}) for k in range(3)]
    unlike = [
        a_set(f"unlike-{k}", {"random": 0.5, "margin": 0.6, "star": 0.55 - 0.01 * k}, kind="text", pool=1_000_000, classes=1_000)
        for k in range(3)
    ]  # fmt: skip
    before = recommend(FACTS, board(*like), {"margin", "star"}, rule="similar")
    after = recommend(FACTS, board(*like, unlike[0]), {"margin", "star"}, rule="similar")
    assert first(before) == first(after) == "star"
    assert first(recommend(FACTS, board(*like, *unlike), {"margin", "star"}, rule="similar")) == "star"
    assert [one.set.name for one in after.near] == ["like-0", "like-1", "like-2", "unlike-0"]


def test_cautious_stays_with_margin_until_a_difference_is_clear():
    unsure = [
        a_set(f"s{k}", {"random": 0.5, "margin": 0.6, "star": 0.6 + d})
        for k, d in enumerate((0.1, -0.05, 0.02, 0.0))
    ]
    assert first(recommend(FACTS, board(*unsure), {"random", "margin", "star"}, rule="cautious")) == "margin"
    assert first(recommend(FACTS, board(*unsure), {"random", "margin", "star"}, rule="overall")) == "star"
    sure = [
        a_set(f"s{k}", {"random": 0.5, "margin": 0.6, "star": 0.65 + d})
        for k, d in enumerate((0.01, 0.0, 0.02, 0.01, 0.0))
    ]
    assert first(recommend(FACTS, board(*sure), {"random", "margin", "star"}, rule="cautious")) == "star"
    # four sets that agree prove nothing, whatever they say
    assert (
        first(recommend(FACTS, board(*sure[:4]), {"random", "margin", "star"}, rule="cautious")) == "margin"
    )


def test_clearly_better_asks_more_of_each_the_more_are_looked_at():
    over = {
        "margin": dict.fromkeys("abcde", 0.0),
        "star": {"a": 0.02, "b": 0.06, "c": 0.04, "d": 0.02, "e": 0.06},
    }
    grouped = [("a",), ("b",), ("c",), ("d",), ("e",)]
    assert clearly_better(over, grouped, {"margin", "star"}) == ["star"]
    # mean 0.04, s 0.02, n 5: half is 2.78 · 0.0089 = 0.025 alone; of 20 at once t(4, 1 - 0.025 / 20) = 6.76, half 0.060
    crowd = {
        **over,
        **{f"dull-{k}": dict(zip("abcde", (-0.1, 0.1, -0.1, 0.1, -0.1), strict=True)) for k in range(19)},
    }
    assert clearly_better(crowd, grouped, set(crowd)) == []
    assert (
        clearly_better(over, grouped[:4], {"margin", "star"}) == []
    )  # four say nothing clear, whatever they say


def test_a_single_lucky_set_does_not_beat_many_good_ones():
    sets = many(6, random=0.5, margin=0.6, solid=0.63, weak=0.55)
    sets[0] = replace(
        sets[0],
        methods=MappingProxyType(
            {**sets[0].methods, "lucky": Method((0, 1), (0.64, 0.64), (0.64, 0.64), None, None)}
        ),
    )
    noisy = [
        replace(one, methods=MappingProxyType({**one.methods, "noisy": Method((0, 1), (v, v), (v, v), None, None)}))
        for one, v in zip(sets, (0.4, 0.8, 0.5, 0.7, 0.45, 0.75), strict=True)
    ]  # fmt: skip
    told = expected(gains(noisy, "margin"), groups(noisy), {one.name: 1.0 for one in noisy}, "overall")
    assert told["solid"] > told["lucky"]  # 0.03 on six sets, 0.04 on one
    assert told["margin"] == 0


def test_who_was_measured_on_few_origins_stands_behind_the_others():
    sets = many(6, random=0.5, margin=0.6, solid=0.61)
    for k in range(4):
        found = MappingProxyType(
            {**sets[k].methods, "new": Method((0, 1), (0.9, 0.9), (0.9, 0.9), None, None)}
        )
        sets[k] = replace(sets[k], methods=found)
    found = recommend(FACTS, board(*sets), {"random", "margin", "solid", "new"}, rule="overall", top=4)
    assert [choice.name for choice in found.choices] == ["solid", "margin", "random", "new"]
    assert found.choices[-1].expected > found.choices[0].expected
    # with four origins in all, four are all there is
    assert first(recommend(FACTS, board(*sets[:4]), {"random", "margin", "solid", "new"})) == "new"


def test_sets_of_several_modalities_say_nothing_of_one():
    one = many(5, random=0.5, margin=0.6, solid=0.62)
    several = [
        replace(single, name=f"pair-{k}", material=(f"pair-{k}",), modalities=2, methods=MappingProxyType({
            **single.methods, "solid": Method((0, 1), (0.4, 0.4), (0.4, 0.4), None, None),
        }))
        for k, single in enumerate(one)
    ]  # fmt: skip
    mixed = board(*one, *several)
    can = {"random", "margin", "solid"}
    assert first(recommend(FACTS, mixed, can)) == "solid"
    assert first(recommend(replace(FACTS, kind=None, modalities=2), mixed, can)) == "margin"
    assert recommend(FACTS, mixed, can).sets == 5
    with pytest.raises(InputError, match="no set of several modalities"):
        recommend(replace(FACTS, kind=None, modalities=2), board(*one), can)


def test_margin_stands_first_among_equals():
    assert order({"badge": 0.0, "margin": 0.0, "random": 0.1}) == ["random", "margin", "badge"]


def test_nothing_better_than_random_is_said():
    sets = many(5, random=0.6, margin=0.55, badge=0.52)
    found = recommend(FACTS, board(*sets), {"random", "margin", "badge"}, rule="overall")
    assert first(found) == "random"
    assert sentences(found)[0] == "Take random: no strategy that can run here is expected to do better."
    unsure = [a_set(f"s{k}", {"random": 0.6, "margin": 0.6 + d}) for k, d in enumerate((0.1, -0.1, 0.02))]
    told = " ".join(sentences(recommend(FACTS, board(*unsure), {"random", "margin"}, rule="cautious")))
    assert "not clearly better than random" in told


def test_what_is_too_slow_is_left_out_and_only_the_first_are_asked():
    asked = []

    def too_much(name):
        asked.append(name)
        return "slow" if name == "star" else None

    sets = many(5, random=0.5, margin=0.6, star=0.7, badge=0.65, coreset=0.4)
    found = recommend(
        FACTS, board(*sets), {"margin", "star", "badge", "coreset"}, rule="overall", top=1, too_much=too_much
    )
    assert first(found) == "badge" and found.refused == {"star": "slow"}
    assert asked == ["star", "badge"] and found.margin.name == "margin"


def test_where_a_pool_lies_outside_is_said():
    sets = many(3, random=0.5, margin=0.6)
    assert outside(FACTS, sets) == []
    far = Facts(10_000_000, 1_000, 50_000, kind="audio", imbalance=300, network=False)
    told = " ".join(outside(far, sets))
    for words in (
        "Samples: 10,000,000",
        "Classes: 1,000",
        "Imbalance: 300",
        "no set of the suite is audio",
        "neural network",
    ):
        assert words in told
    assert "Modalities: 3" in " ".join(outside(Facts(1_000, 10, 200, modalities=3), sets))
    found = recommend(far, board(*sets), {"margin", "random"})
    assert warnings(found)[-1].startswith("No set is much like yours")


def test_sets_without_margin_or_random_are_no_evidence():
    with pytest.raises(InputError, match="no evidence"):
        recommend(FACTS, board(a_set("a", {"random": 0.5})), {"random"})
    with pytest.raises(InputError, match="No strategy that can run there was measured"):
        recommend(FACTS, board(a_set("a", {"random": 0.5, "margin": 0.6})), {"bmmal"})
    with pytest.raises(UnknownName, match="rule"):
        recommend(FACTS, board(a_set("a", {"random": 0.5, "margin": 0.6})), {"margin"}, rule="best")


@pytest.mark.parametrize(
    "values, words",
    [
        ({"classes": 1}, "nothing to say of regression"),
        ({"budget": 2_000}, "more than the pool, 1,000"),
        ({"start": 300}, "start is 300, more than budget, 200"),
        ({"imbalance": 0.5}, "imbalance must be a number of at least 1"),
        ({"kind": "several"}, "--modalities 2"),
        ({"kind": "text", "modalities": 3}, "kind .text. is of one modality, and there are 3"),
        ({"kind": "foto"}, "No kind of data is named 'foto'"),
        ({"pool": 0}, "pool"),
        ({"classes": 1_001}, "classes is 1,001, more than the pool, 1,000"),
    ],
)
def test_facts_that_make_no_sense_are_refused_in_words(values, words):
    with pytest.raises(InputError, match=words):
        replace(FACTS, **values)


def test_what_can_run_is_read_from_the_strategies_and_recipes_themselves():
    can, cannot = able("cnn", 1)
    assert can["badge"].recipe == "cnn" and can["bald"].fields["draws"] == 10
    assert can["waal"].recipe == "waal" and can["glister"].validation
    assert "several modalities" in cannot["bmmal"] and "knows the pool's labels" in cannot["grand-oracle"]
    can, cannot = able("logistic", 1)
    assert "margin" in can and cannot["badge"] == "needs embeddings, which logistic does not give"
    assert "what only some networks tell" in cannot["deepfool"]
    assert "bmmal" in able("multimodal", 2)[0]
    assert able("mlp", 1)[0]["waal"].fields == {"network": "mlp"}
    assert (
        "badge, badge and badge" not in reasons(cannot)[0] and "more (needs embeddings" in reasons(cannot)[0]
    )


def test_words_for_models():
    assert usual_recipe("network", 1, "image") == "cnn" and usual_recipe("network", 1, "text") == "mlp"
    assert usual_recipe("network", 2, None) == "multimodal" and usual_recipe("linear", 1, None) == "logistic"
    assert usual_recipe("resnet18", 1, None) == "resnet18"
    assert learns_by_network("cnn") and not learns_by_network("forest")
    with pytest.raises(UnknownName, match="No model is named"):
        usual_recipe("cn", 1, None)


def test_the_committed_board_answers_and_its_command_can_be_copied():
    import tomllib

    can, barred = able("cnn", 1)
    found = recommend(FACTS, read(), can, barred=barred)
    told = as_json(found)
    json.dumps(told, allow_nan=False)
    assert len(told["choices"]) == 3 and told["margin"]["strategy"] == "margin"
    assert len({like.set.material for like in found.near}) == len(found.near)
    choice = found.choices[0]
    assert f"--strategy {choice.name}" in command(found, choice, can[choice.name], None)
    assert tomllib.loads(spec(found, choice, can[choice.name]))["plan"] == {
        "start": 20,
        "batch": 50,
        "budget": 200,
    }
    assert "recipe.draws=10" in command(found, choice, can["bald"], "--images x")
    assert "left out in turn" in caveats(found)[-1]
    assert about(FACTS) == "image, 10 classes, 1,000 samples, 20 labels a class"
    assert [like.steps for like in nearest(FACTS, read().sets.values())] == sorted(
        like.steps for like in nearest(FACTS, read().sets.values())
    )


def test_the_constants_and_results_are_those_of_the_committed_board(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    made = importlib.import_module("recommend")
    result = json.loads((ROOT / "benchmarks" / "results" / "recommend.json").read_text())
    assert made.shipped(result) == made.CONSTANTS.read_text(), "run: python benchmarks/recommend.py"
    fresh = json.loads(json.dumps(made.measured(read())))
    assert {key: result[key] for key in fresh} == fresh, "run: python benchmarks/recommend.py"


def test_regret_of_a_made_up_board_by_hand(monkeypatch):
    """Margin is best on all sets but one, by 2 points there: mean regret of always margin is 2 / 4 sets = 0.5."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    made = importlib.import_module("recommend")
    sets = [a_set(f"s{k}", {"random": 0.5, "margin": 0.6, "badge": 0.58 if k else 0.62}) for k in range(4)]
    rows, _ = made.held_out(board(*sets))
    assert [row["regret"]["margin"] for row in rows] == [2.0, 0.0, 0.0, 0.0]
    assert [row["best"] for row in rows] == ["badge", "margin", "margin", "margin"]
    assert made.over_groups(rows, lambda row: row["regret"]["margin"]).mean == pytest.approx(0.5)
    assert rows[0]["picks"]["overall"] == "margin"  # the other three sets know nothing better
    assert made.chosen(rows) == "cautious"  # overall picks margin, too: as good, and less simple


def test_the_rule_is_the_simplest_within_a_standard_error_of_the_best(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    made = importlib.import_module("recommend")

    def rows(*cautious):
        return [
            {"group": str(k), "regret": {"cautious": c, "overall": 1.0, "similar": 0.99}}
            for k, c in enumerate(cautious)
        ]

    # cautious less similar: 0.01, 0.51, 0.01, 0.51: mean 0.26, standard error 0.2887 / 2 = 0.144
    assert made.standard_error(rows(1.0, 1.5, 1.0, 1.5), "cautious", "similar") == pytest.approx(
        0.1443, abs=1e-4
    )
    assert (
        made.chosen(rows(1.0, 1.5, 1.0, 1.5)) == "similar"
    )  # overall is 0.01 worse everywhere: no error at all
    assert made.chosen(rows(0.5, 1.9, 0.6, 1.2)) == "cautious"  # mean 1.05, error 0.32
