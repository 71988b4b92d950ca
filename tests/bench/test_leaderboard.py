"""The leaderboard's numbers: read from the package, and equal to the committed results."""

from __future__ import annotations

import pytest

from labelwise.bench.leaderboard import FILE, Method, read
from labelwise.errors import InputError


def test_the_packages_numbers_are_read():
    board = read()
    assert {"digits", "mfeat"} <= set(board.sets)
    for name, one in board.sets.items():
        assert one.name == name and one.start < one.budget <= one.pool and 0 < one.full <= 1
        assert {"random", "margin"} <= set(one.methods)
        assert not {"without-curriculum", "diff-set", "grand-oracle"} & set(one.methods)  # variants, cheats
        for method in one.methods.values():
            assert len(method.seeds) == len(method.aubc) == len(method.last) > 0
            assert all(0 <= value <= 1 for value in (*method.aubc, *method.last))


def test_it_stays_small_enough_for_a_package():
    assert FILE.stat().st_size < 250_000


def test_what_is_no_leaderboard_is_refused_in_words(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        read(tmp_path / "none.json")
    (tmp_path / "other.json").write_text('{"sets": {"a": {"classes": 2}}}')
    with pytest.raises(InputError, match=r"no leaderboard of this version .* Write it anew"):
        read(tmp_path / "other.json")


def test_a_method_keeps_its_numbers(tmp_path):
    text = """{"made_by": "by hand", "sets": {"s": {"task": {"name": "t"}, "material": ["m"], "kind": "text", "classes": 3,
      "modalities": 1, "pool": 9, "imbalance": 2.0, "dimension": 4, "start": 1, "batch": 1, "budget": 3, "recipe": {},
      "protocol": "p", "full": 0.9, "full_runs": 0,
      "methods": {"a": {"seeds": [3], "aubc": [0.5], "last": [0.75], "to_95": null, "seconds": 0.25}}}}}"""
    (tmp_path / "board.json").write_text(text)
    assert read(tmp_path / "board.json").sets["s"].methods["a"] == Method((3,), (0.5,), (0.75,), None, 0.25)
