"""Whatever is given: our own errors in words or a right result, and a store that stays sound."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from datetime import date, datetime, time

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import fake
from labelwise import make
from labelwise.bench.spec import Spec, read_bench, read_spec
from labelwise.campaign import Campaign, Plan
from labelwise.data.base import NOBODY, ArrayDataset, Labelled
from labelwise.data.task import Task
from labelwise.errors import BadAnswer, InputError
from labelwise.events import Answered, replay
from labelwise.oracle import Answer
from labelwise.signals import Signals
from labelwise.store.memory import MemoryStore

SOME = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

odd = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.binary(max_size=3),
    st.dates(),
    st.just(object()),
    st.lists(st.integers(), max_size=2),
    st.sampled_from([np.int64(3), np.float32("nan"), np.array([1, 2]), np.array(2), 2**70, -1, 10**9, "3"]),
)

# -- tell ------------------------------------------------------------------------------------------------------------


def asked() -> tuple[Campaign, tuple[int, ...]]:
    campaign = Campaign(fake.task(n=30), fake.FakeRecipe(), make("margin"), MemoryStore(), Plan(1, 10, 5, 20))
    return campaign, campaign.ask()


ids = st.one_of(st.integers(-2, 45), st.integers(-2, 45).map(np.int32), odd)
labels = st.one_of(st.none(), st.integers(-1, 4), st.integers(0, 2).map(np.uint8), odd)
rows = st.one_of(
    st.tuples(ids, labels),
    st.builds(
        Answer,
        ids,
        labels,
        st.one_of(st.text(max_size=4), odd),
        st.one_of(st.floats(0, 99), st.just(np.longdouble(2)), odd),
    ),
    st.lists(ids, max_size=3),
    odd,
)


@SOME
@given(st.lists(rows, max_size=12), st.booleans())
@example([3], False)  # a bare id is no pass
@example([Answer(3, 0, seconds=math.nan), Answer(3, 0)], False)
@example([Answer(3, 0, annotator=7), Answer(3, 0, annotator="\ud800")], True)
def test_tell_some_keeps_the_good_rows_and_says_why_of_the_others(given_rows, correct):
    campaign, open_ids = asked()
    good, refused = campaign.tell_some(given_rows, correct=correct)
    assert len(good) + len(refused) == len(given_rows)
    assert all(r.why.endswith(".") or "?" in r.why for r in refused)
    told = [e for e in campaign.store.read() if isinstance(e, Answered)]
    assert [(e.id, e.label) for e in told] == [(a.id, a.label) for a in good]
    assert campaign.state == replay(campaign.store.read())
    state = campaign.state
    assert set(state.answers) == {e.id for e in told} <= set(open_ids)
    assert set(state.open_ids) == set(open_ids) - set(state.answers)
    assert all(e.label is None or (type(e.label) is int and 0 <= e.label < 3) for e in told)
    if not correct:
        assert len({e.id for e in told}) == len(told)
    # A right answer is kept whatever stands around it.
    for row in given_rows:
        if isinstance(row, tuple) and type(row[0]) is int and type(row[1]) is int:
            assert row[0] in state.answers or row[0] not in open_ids or not 0 <= row[1] < 3
    campaign.tell_some([(i, 0) for i in state.open_ids])
    assert campaign.ask()  # and it goes on


@SOME
@given(st.lists(rows, min_size=1, max_size=6))
def test_tell_records_all_or_nothing(given_rows):
    campaign, _ = asked()
    try:
        campaign.tell(given_rows)
    except BadAnswer:
        assert campaign.state.answers == {}
    else:
        assert len([e for e in campaign.store.read() if isinstance(e, Answered)]) == len(given_rows)


# -- specs -----------------------------------------------------------------------------------------------------------

toml = st.recursive(
    st.one_of(
        st.booleans(),
        st.integers(-3, 300),
        st.integers(),
        st.floats(),
        st.text(max_size=6),
        st.sampled_from([date(2026, 1, 2), datetime(2026, 1, 2, 3), time(4, 5), 10**30, "digits", "margin"]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=6), inner, max_size=3)
    ),
    max_leaves=6,
)


def table(names, keys):
    """A table that is nearly right: often a known name and known keys, with any values."""
    known = st.dictionaries(st.sampled_from(keys), toml, max_size=2)
    return st.one_of(
        st.builds(lambda name, more: {"name": name, **more}, st.sampled_from(names), known), toml
    )


specs = st.fixed_dictionaries(
    {},
    optional={
        "task": table(["digits", "digit", "table"], ["seed", "classes", "sed"]),
        "recipe": table(["logistic", "cnn", "forest"], ["threads", "epochs", "width", "x"]),
        "strategy": table(["margin", "random"], ["blocks"]),
        "plan": st.one_of(
            st.dictionaries(st.sampled_from(["seed", "start", "batch", "budget", "cold", "candidates", "sed"]), toml, max_size=3),
            toml,
        ),
        "oracle": st.one_of(st.dictionaries(st.sampled_from(["noise", "passes", "noize"]), toml, max_size=2), toml),
        "extra": toml,
    },
)  # fmt: skip


def check_spec(spec: Spec) -> None:
    """A spec that was accepted can be stored, read back equal, and named."""
    text = json.dumps(spec.values(), allow_nan=False)
    again = read_spec(json.loads(text))
    assert again.id == spec.id
    assert len(spec.id) == 12


@SOME
@given(specs)
@example({"task": {"name": "digits"}, "recipe": {"name": "logistic"}, "oracle": {"noise": True}})
def test_a_spec_is_read_or_refused_in_words(values):
    try:
        spec = read_spec(values)
    except InputError as error:
        said = str(error)
        assert said.startswith("the spec: ")
        return
    check_spec(spec)
    assert type(spec.plan.cold) is bool
    assert type(values.get("oracle", {}).get("noise", 0.0)) in (int, float)


def as_toml(value) -> str:
    match value:
        case bool():
            return str(value).lower()
        case str():
            return json.dumps(value).replace("\x7f", "\\u007f")
        case datetime() | date() | time():
            return value.isoformat()
        case list():
            return f"[{', '.join(map(as_toml, value))}]"
        case dict():
            return "{" + ", ".join(f"{json.dumps(k)} = {as_toml(v)}" for k, v in value.items()) + "}"
        case _:
            return repr(value)


dotted = st.sampled_from(["plan.seed", "strategy.name", "task", "recipe.x", "plan", "a.b", "", "."])
benches = st.builds(
    lambda spec, more: {**spec, **more},
    specs,
    st.fixed_dictionaries(
        {},
        optional={
            "grid": st.one_of(toml, st.dictionaries(dotted, st.one_of(st.lists(toml, max_size=2), toml), max_size=2)),
            "scale": st.one_of(toml, st.dictionaries(st.just("full"), st.one_of(toml, st.dictionaries(dotted, toml, max_size=2)))),
            "name": toml,
            "about": toml,
        },
    ),
)  # fmt: skip


@SOME
@given(benches, st.sampled_from([None, "full", "mini"]))
@example({"grid": 3}, None)
@example({"scale": 3}, "full")
@example({"scale": {"full": 1}}, "full")
@example({"plan": {"seed": 10**5000}}, None)
def test_a_bench_is_read_or_refused_in_words(tmp_path, values, scale):
    path = tmp_path / "grid.toml"
    try:
        text = "\n".join(f"{key} = {as_toml(value)}" for key, value in values.items())
    except ValueError:  # Python itself does not print integers of more than 4,300 digits
        text = "[plan]\nseed = " + "9" * 5000
    assume("\\ud" not in text)  # lone surrogates are no Unicode
    path.write_text(text, encoding="utf-8")
    try:
        bench = read_bench(path, scale)
    except InputError as error:
        said = str(error)
        assert str(path) in said
        return
    assert isinstance(bench.name, str) and isinstance(bench.about, str)
    for spec in bench.specs:
        check_spec(spec)


@SOME
@given(st.binary(max_size=60))
def test_a_file_of_any_bytes_is_refused_in_words(tmp_path, raw):
    path = tmp_path / "grid.toml"
    path.write_bytes(raw)
    with pytest.raises(InputError, match=r"grid\.toml"):
        read_bench(path)


# -- plans, tasks, signals -------------------------------------------------------------------------------------------


@SOME
@given(
    st.dictionaries(
        st.sampled_from(["seed", "start", "batch", "budget", "candidates", "cold"]),
        st.one_of(st.integers(-2, 60), odd),
        max_size=4,
    )
)
def test_a_plan_is_right_or_refused(values):
    try:
        plan = Plan(**values)
    except InputError:
        return
    assert 1 <= plan.start <= plan.budget
    assert plan.batch >= 1
    assert plan.candidates is None or plan.candidates >= plan.batch
    assert type(plan.cold) is bool
    assert replace(plan) == plan


parts = st.one_of(st.lists(st.integers(-1, 12), max_size=5), hnp.arrays(st.sampled_from(["i8", "f8", "u1", "?"]), st.integers(0, 4)), odd)  # fmt: skip


@SOME
@given(
    parts,
    parts,
    parts,
    st.lists(st.one_of(st.text(max_size=2), odd), max_size=3),
    st.one_of(st.none(), parts),
)
@example([1, 2], [3], [0], ["a", "b"], None)
def test_a_task_is_right_or_refused(pool, held, y, classes, features):
    data = ArrayDataset({"table": np.zeros((10, 2))})
    try:
        validation = Labelled(held, y)
        task = Task("t", data, tuple(classes), pool, validation, NOBODY, features=features)
    except InputError:
        return
    everybody = np.concatenate([task.pool, task.validation.ids])
    assert task.pool.size
    assert len(np.unique(everybody)) == everybody.size
    assert everybody.min() >= 0 and everybody.max() < 10
    assert task.n_classes == len(set(classes)) >= 2
    assert np.all((task.validation.y >= 0) & (task.validation.y < task.n_classes))
    assert json.dumps(task.fingerprint())


arrays = st.one_of(
    hnp.arrays(
        st.sampled_from(["f4", "f8", "i8", "u1", "?", "c8", "U2"]),
        hnp.array_shapes(min_dims=0, max_dims=3, max_side=3, min_side=0),
    ),
    odd,
)


@SOME
@given(
    st.one_of(hnp.arrays("i8", st.integers(0, 3), elements=st.integers(-5, 5)), arrays),
    st.dictionaries(st.sampled_from(sorted(Signals.__dataclass_fields__.keys() - {"ids", "scalars"})), arrays, max_size=3),
    st.dictionaries(st.text(max_size=3), arrays, max_size=2),
)  # fmt: skip
@example(np.arange(2), {"modal_embeddings": 3}, {})
def test_signals_are_right_or_refused(row_ids, values, scalars):
    try:
        signals = Signals(row_ids, **values, scalars=scalars)
    except InputError:
        return
    n = len(signals)
    assert len(set(signals.ids.tolist())) == n
    for name in signals.names:
        value = signals.need(name)
        for array in value if isinstance(value, tuple) else (value,):
            assert len(array) == n
            assert not array.flags.writeable
    assert signals.take(np.arange(n)[::-1]).names == signals.names
