"""The codecs: states as safetensors, events as JSON; round trips, refusals, damage."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from safetensors.numpy import load, save

from labelwise.errors import CorruptStore, InputError, NewerStore
from labelwise.events import KINDS, Answered, Asked, Fitted, Opened, Plan
from labelwise.store.bodies import decode_event, digest_of, encode_event
from labelwise.store.states import decode_state, encode_state

DTYPES = st.sampled_from(
    ["?", "i1", "i2", "<i4", ">i4", "i8", "u1", "u2", "u4", "u8", "f2", "<f4", ">f4", "f8"]
)
ARRAYS = hnp.arrays(DTYPES, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3))
VIEWS = ARRAYS.map(lambda a: a.T) | ARRAYS.filter(lambda a: a.ndim > 0).map(lambda a: a[::-1])
LEAVES = st.none() | st.booleans() | st.integers(-(2**130), 2**130) | st.floats() | st.text() | ARRAYS | VIEWS
TREES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def same(one: object, other: object) -> bool:
    """Equal to the bit, types included; byte order and strides of arrays aside."""
    if isinstance(one, np.ndarray):
        return (
            isinstance(other, np.ndarray)
            and one.shape == other.shape
            and one.dtype.newbyteorder("=") == other.dtype.newbyteorder("=")
            and one.astype(one.dtype.newbyteorder("<")).tobytes() == other.tobytes()
        )
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[k], other[k]) for k in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float) and math.isnan(one):
        return math.isnan(other)
    return one == other and str(one) == str(other)  # str tells 0.0 from -0.0


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.text(), TREES, max_size=4))
def test_a_state_comes_back_to_the_bit(state: dict[str, object]) -> None:
    assert same(state, decode_state(encode_state(state)))


def test_a_strided_array_comes_back_as_it_reads_and_not_as_it_lies() -> None:
    # Memory holds 0 1 2 3 4 5; the transpose of its 2 x 3 shape reads 0 3 / 1 4 / 2 5.
    back = decode_state(encode_state({"a": np.arange(6).reshape(2, 3).T}))["a"]
    assert back.tolist() == [[0, 3], [1, 4], [2, 5]]


def test_arrays_of_a_state_come_back_writable_and_numpy_scalars_as_numbers() -> None:
    back = decode_state(
        encode_state({"w": np.zeros(2), "n": np.int32(3), "x": np.float64(0.5), "b": np.True_})
    )
    back["w"][0] = 1
    assert {k: type(v) for k, v in back.items()} == {"w": np.ndarray, "n": int, "x": float, "b": bool}


def deep(levels: int) -> object:
    tree: object = 1
    for _ in range(levels):
        tree = [tree]
    return tree


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"a": {"b": [0, {1, 2}]}}, r"state\.a\.b\[1\] is a builtins\.set"),
        ({"a": (1, 2)}, r"state\.a is a builtins\.tuple.*Make it a list"),
        ({"a": {1: 2}}, r"state\.a has the key 1; keys must be strings"),
        ({"a": np.array(["x"])}, r"state\.a is an array of <U1"),
        ({"a": np.array([object()])}, r"state\.a is an array of object"),
        ({"a": np.ma.array([1], mask=[True])}, r"state\.a is a .*MaskedArray"),
        ({"a": np.zeros(1, np.complex64)}, "complex64"),
        ({"a": np.longdouble(1)}, "longdouble"),
        ({"a": b"x"}, r"state\.a is a builtins\.bytes"),
        ({"a": lambda: 1}, r"state\.a is a builtins\.function"),
        ({"a": 1 << 5000}, "5001 bits"),
        ({"a": deep(70)}, "nested deeper than 64"),
        ([1], "state must be a dict; it is a list"),
    ],
)
def test_a_state_with_something_else_is_refused_and_the_path_named(state: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        encode_state(state)  # type: ignore[arg-type]


def test_a_state_that_holds_itself_is_refused() -> None:
    loop: dict[str, object] = {}
    loop["a"] = loop
    with pytest.raises(InputError, match="nested deeper"):
        encode_state(loop)


def test_a_truncated_state_is_corrupt_at_every_length() -> None:
    blob = encode_state({"w": np.arange(5.0), "n": 1})
    for length in range(len(blob)):
        with pytest.raises(CorruptStore):
            decode_state(blob[:length])


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_damaged_state_is_corrupt_or_differs_in_values_only(data: st.DataObject) -> None:
    blob = bytearray(
        encode_state({"w": np.arange(5.0), "n": [1, {"x": float("nan")}], "e": np.zeros((0, 2))})
    )
    for _ in range(data.draw(st.integers(1, 4))):
        blob[data.draw(st.integers(0, len(blob) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with suppress(CorruptStore, NewerStore):  # and no other exception
        assert isinstance(decode_state(bytes(blob)), dict)


@pytest.mark.parametrize(
    "tree",
    [
        '{"dict": {"a": {"array": "9"}}}',
        '{"dict": {}}',
        '{"pickle": "x"}',
        "[]",
        "{}",
        "[" * 5000,
        '{"array": []}',
        "1",
    ],
)
def test_a_tree_that_does_not_fit_its_arrays_is_corrupt(tree: str) -> None:
    with pytest.raises(CorruptStore):
        decode_state(save({"0": np.zeros(1)}, {"labelwise": "1", "tree": tree}))


def test_a_state_of_a_newer_layout_is_refused_with_the_cure() -> None:
    with pytest.raises(NewerStore, match=r"layout 2; this one reads up to 1.*pip install -U"):
        decode_state(save({}, {"labelwise": "2", "tree": '{"dict": {}}'}))


def test_a_state_is_a_plain_safetensors_file() -> None:
    assert load(encode_state({"w": np.arange(3)}))["0"].tolist() == [0, 1, 2]


FINITE = st.floats(allow_nan=False, allow_infinity=False)
NOTES = st.dictionaries(
    st.text(),
    st.recursive(
        st.none() | st.booleans() | st.integers() | FINITE | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=5,
    ),
    max_size=3,
)
WHOLE, TEXT = st.integers(-(2**70), 2**70), st.text(st.characters(exclude_categories=[]))
EVENTS = (
    st.builds(
        Opened, st.builds(Plan, seed=WHOLE), NOTES, NOTES, NOTES, st.dictionaries(TEXT, TEXT), NOTES, TEXT
    )
    | st.builds(Fitted, WHOLE, WHOLE, WHOLE, NOTES, NOTES, NOTES, st.dictionaries(TEXT, FINITE), TEXT)
    | st.integers(0, 4).flatmap(
        lambda n: st.builds(
            Asked,
            WHOLE,
            st.lists(WHOLE, min_size=n, max_size=n).map(tuple),
            st.none() | st.lists(FINITE, min_size=n, max_size=n).map(tuple),
            NOTES,
            TEXT,
        )
    )
    | st.builds(Answered, WHOLE, st.none() | WHOLE, TEXT, st.none() | FINITE, st.booleans(), TEXT)
)


@settings(max_examples=300, deadline=None)
@given(EVENTS)
def test_an_event_comes_back_equal(event) -> None:
    assert decode_event(*encode_event(event)) == event


def test_every_kind_of_event_is_tried() -> None:
    assert {"opened", "fitted", "asked", "answered"} == set(KINDS)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("answered", '{"id":1,"label":NaN}'),
        ("answered", '{"id":1'),
        ("answered", "[1]"),
        ("answered", '{"id":true,"label":1}'),
        ("answered", '{"id":1,"label":"cat"}'),
        ("answered", '{"id":1,"label":1,"extra":1}'),
        ("answered", '{"id":1}'),
        ("answered", "[" * 100_000),
        ("answered", '{"id":' + "9" * 5000 + ',"label":1}'),
        ("asked", '{"round":0,"ids":[1,"2"]}'),
        ("asked", '{"round":0,"ids":[1],"scores":["x"]}'),
        ("asked", '{"round":0,"ids":{"a":1}}'),
        ("fitted", '{"round":0,"n_labelled":1,"seen":1,"validation":[],"test":{}}'),
        ("opened", '{"plan":{"start":0},"strategy":{},"recipe":{},"task":{},"versions":{}}'),
        ("opened", '{"plan":{"nonsense":0},"strategy":{},"recipe":{},"task":{},"versions":{}}'),
        ("opened", '{"plan":[],"strategy":{},"recipe":{},"task":{},"versions":{}}'),
        ("erased", "{}"),
    ],
)
def test_a_strangers_event_that_no_labelwise_writes_is_corrupt(kind: str, body: str) -> None:
    with pytest.raises(CorruptStore):
        decode_event(kind, body)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), np.float32("-inf"), np.array([1.0, np.nan])])
def test_numbers_that_json_lacks_are_refused_in_events_and_named(value: object) -> None:
    with pytest.raises(InputError, match=r"fitted\.validation\.loss.* finite numbers only"):
        encode_event(Fitted(0, 1, 1, {"loss": value}, {}))


def test_a_body_is_strict_json() -> None:
    body = encode_event(Asked(0, (1, 2), (0.5, 1.0), {"a": "ü"}))[1]
    assert json.loads(body) == {
        "round": 0,
        "ids": [1, 2],
        "scores": [0.5, 1.0],
        "notes": {"a": "ü"},
        "at": "",
    }
    assert body.isascii()  # PostgreSQL refuses NUL and lone surrogates in text; JSON escapes are ASCII


def test_a_digest_tells_where_its_parts_end() -> None:
    assert digest_of("ab", "c") != digest_of("a", "bc")
    assert len(digest_of("x")) == 16


def test_stores_do_not_import_torch_nor_sqlalchemy_before_they_must() -> None:
    code = (
        "import sys, labelwise.store as s; s.open_store(); import labelwise.store.sql as q; "
        "assert 'torch' not in sys.modules; print('ok')"
    )
    lazy = "import sys, labelwise.store as s; s.open_store(); print('sqlalchemy' in sys.modules)"
    for program, said in ((code, "ok"), (lazy, "False")):
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        assert done.stdout.strip() == said
