"""Banks: what they hold is found by protocol and seed, and what is no bank is refused in words."""

from __future__ import annotations

import json

import pytest

from labelwise.errors import InputError
from labelwise.strategies.balance.bank import FORMAT, LARGEST, read_bank

SCORES = {
    "0": {"badge": {"10": 0.5, "20": 0.7}, "core-gcn": {"10": 0.3, "20": 0.4}},
    "-1": {"badge": {"10": 0.1}},
}


def written(tmp_path, scores=None, **changes):
    content = {"format": FORMAT, "banks": {"abc": {"about": {"task": "digits"}, "scores": scores or SCORES}}}
    file = tmp_path / "bank.json"
    file.write_text(json.dumps(content | changes))
    return file


def test_a_baseline_is_the_mean_of_its_strategies(tmp_path):
    baseline = read_bank(written(tmp_path)).of("abc", 0)
    assert baseline.at(10) == pytest.approx(0.4)  # (0.5 + 0.3) / 2
    assert baseline.at(20) == pytest.approx(0.55)  # (0.7 + 0.4) / 2
    assert baseline.at(15) == pytest.approx(0.475)  # half way
    assert read_bank(written(tmp_path)).of("abc", -1).at(10) == 0.1


@pytest.mark.parametrize("labels", [9, 21])
def test_a_baseline_makes_nothing_up_outside_of_what_was_measured(tmp_path, labels):
    with pytest.raises(InputError, match=f"10 to 20 labels; it was asked for {labels}"):
        read_bank(written(tmp_path)).of("abc", 0).at(labels)


def test_the_digest_names_the_numbers_of_one_seed_and_nothing_else(tmp_path):
    first = read_bank(written(tmp_path)).of("abc", 0).digest
    more = SCORES | {"7": {"badge": {"10": 0.9}}}
    assert read_bank(written(tmp_path, more)).of("abc", 0).digest == first
    turned = {"0": {name: dict(reversed(curve.items())) for name, curve in reversed(SCORES["0"].items())}}
    assert read_bank(written(tmp_path, turned)).of("abc", 0).digest == first
    other = {"0": SCORES["0"] | {"badge": {"10": 0.5, "20": 0.71}}}
    assert read_bank(written(tmp_path, other)).of("abc", 0).digest != first


@pytest.mark.parametrize(
    "protocol, seed, words", [("abd", 0, "no bank of protocol abd"), ("abc", 3, "no scores of seed 3")]
)
def test_another_protocol_or_seed_is_refused_with_the_cure(tmp_path, protocol, seed, words):
    with pytest.raises(InputError, match=f"{words}.*labelwise bank"):
        read_bank(written(tmp_path)).of(protocol, seed)


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"format": "labelwise-bank/2"}, "is no bank"),
        ({"banks": [1]}, r"banks must be an object; it is \[1\]"),
        ({"banks": {"abc": {"about": {}}}}, "abc.scores must be an object; it is None"),
        ({"banks": {"abc": {"about": {}, "scores": {"0": {}}}}}, "abc.scores.0 holds no strategy"),
        ({"banks": {"abc": {"about": {}, "scores": {"0": {"badge": {}}}}}}, "badge holds no accuracy"),
        ({"banks": {"abc": {"about": {}, "scores": {"0": {"badge": {"10": 1.5}}}}}}, r"in \[0, 1\]; it is 1.5"),
        ({"banks": {"abc": {"about": {}, "scores": {"0": {"badge": {"10": True}}}}}}, "it is True"),
        ({"banks": {"abc": {"about": {}, "scores": {"0": {"badge": {"010": 0.5}}}}}}, "whole numbers as keys.*'010'"),
        ({"banks": {"abc": {"about": {}, "scores": {"x": {}}}}}, "whole numbers as keys.*'x'"),
    ],
)  # fmt: skip
def test_what_is_no_bank_is_refused_with_what_was_found(tmp_path, changes, words):
    with pytest.raises(InputError, match=words):
        read_bank(written(tmp_path, **changes))


def test_a_file_that_is_missing_too_large_or_no_json_is_refused(tmp_path):
    with pytest.raises(InputError, match="There is no bank"):
        read_bank(tmp_path / "none.json")
    (tmp_path / "text.json").write_text("[" * 100_000)
    with pytest.raises(InputError, match="is no bank.*Delete it, and `labelwise bank`"):
        read_bank(tmp_path / "text.json")
    (tmp_path / "text.json").write_text(json.dumps({"format": FORMAT, "banks": list(range(10_000))}))
    with pytest.raises(InputError) as raised:
        read_bank(tmp_path / "text.json")
    assert len(str(raised.value)) < 1000
    with (tmp_path / "large.json").open("wb") as file:
        file.truncate(LARGEST + 1)
    with pytest.raises(
        InputError, match=r"large.json is no bank: it has [\d,]+ bytes; a bank has up to [\d,]+\. Delete it"
    ):
        read_bank(tmp_path / "large.json")
    with pytest.raises(InputError, match="cannot be read"):
        read_bank(tmp_path)
