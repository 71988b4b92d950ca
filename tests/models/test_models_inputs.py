"""Reading datasets: kinds, statistics, missing values."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from labelwise.data.base import ArrayDataset
from labelwise.errors import InputError, ShapeError, UnknownName
from labelwise.models.inputs import Reader, Scale, absent_rows, kind_of, kinds_of

TWO = np.arange(2)


@pytest.mark.parametrize(
    "values,kind",
    [
        (np.zeros((2, 8, 8), np.uint8), "image"),
        (np.zeros((2, 8, 8, 3), np.float32), "image"),
        (np.zeros((2, 5)), "table"),
        (np.zeros(2, np.int64), "table"),
        (np.zeros((2, 5, 8, 8, 3), np.uint8), "video"),
        (np.array(["a", "b"], dtype=np.dtypes.StringDType()), "text"),
    ],
)
def test_kinds_are_told_by_shape_and_type(values, kind):
    assert kind_of("x", values) == kind


def test_what_is_none_of_the_kinds_is_refused():
    with pytest.raises(ShapeError, match="'film' must be images"):
        kind_of("film", np.zeros((2, 3, 3, 8, 8, 3)))


def test_an_unknown_modality_is_refused_with_the_nearest_name():
    with pytest.raises(UnknownName, match="Did you mean 'image'"):
        kinds_of(ArrayDataset({"image": np.zeros((2, 8, 8))}), TWO, ("imag",))


def test_a_table_is_standardised_by_the_samples_it_was_measured_on():
    train = np.array([[0.0, 5.0], [2.0, 5.0]])  # mean 1, 5; std 1, 0 -> 1
    scale = Scale.measure("t", train, None, plain=False)
    assert_allclose(scale.read("t", np.array([[3.0, 7.0]]), None), [[2.0, 2.0]])


def test_a_column_that_varies_by_rounding_only_counts_as_constant():
    column = 1e9 + np.array([[0.0], [1e-7], [2e-7]])
    assert Scale.measure("t", column, None, plain=False).spread == 1.0


def test_large_means_do_not_eat_the_spread():
    column = 1e9 + np.array([[0.0], [4.0]])  # E[x²] - E[x]² loses the 4 among 1e18 x 1e-16 = 100
    scale = Scale.measure("t", column, None, plain=False)
    assert_allclose([scale.centre[0], scale.spread[0]], [1e9 + 2, 2.0])


def test_missing_numbers_become_the_mean():
    train = np.array([[1.0, np.nan], [3.0, np.nan]])  # the second column was never seen: mean 0
    scale = Scale.measure("t", train, None, plain=False)
    assert_allclose(scale.fill, [2.0, 0.0])
    assert_allclose(scale.read("t", np.array([[np.nan, 4.0]]), None), [[0.0, 4.0]])


def test_infinite_numbers_are_refused():
    scale = Scale.measure("t", np.zeros((2, 1)), None, plain=False)
    with pytest.raises(InputError, match="sample 1 of the batch holds inf"):
        scale.read("t", np.array([[0.0], [np.inf]]), None)


def test_bytes_of_images_stay_bytes_and_their_factors_standardise_them():
    train = np.array([0, 255, 0, 255], np.uint8).reshape(2, 1, 2)  # mean 1/2, std 1/2 in units of 255
    scale = Scale.measure("i", train, None, plain=False)
    held = scale.read("i", train, None)
    assert held.dtype == np.uint8
    assert held.shape == (2, 1, 2, 1)
    factor, offset = scale.factors()
    assert_allclose((held * factor + offset).ravel(), [-1, 1, -1, 1], atol=1e-6)


def test_float_and_byte_images_mean_the_same():
    bytes_ = np.arange(48, dtype=np.uint8).reshape(2, 2, 4, 3) * 5
    a = Scale.measure("i", bytes_, None, plain=False)
    b = Scale.measure("i", (bytes_ / 255).astype(np.float64), None, plain=False)
    assert_allclose(a.centre, b.centre)
    assert_allclose(a.spread, b.spread)
    factor, offset = a.factors()
    assert_allclose(a.read("i", bytes_, None) * factor + offset, b.read("i", bytes_ / 255, None), atol=1e-5)


def test_samples_that_lack_a_modality_read_as_its_mean_and_do_not_count():
    data = ArrayDataset(
        {"t": np.array([[1.0], [3.0], [1000.0]]), "i": np.array([[[10]], [[20]], [[255]]], np.uint8)},
        present=np.array([[True, True], [True, True], [False, False]]),
    )
    ids = np.arange(3)
    batch = data.batch(ids)
    scale = Scale.measure("t", batch["t"], absent_rows(data, batch, "t"), plain=False)
    assert_allclose(scale.read("t", batch["t"], absent_rows(data, batch, "t")), [[-1], [1], [0]])
    image = Scale.measure("i", batch["i"], absent_rows(data, batch, "i"), plain=False)
    assert_array_equal(image.read("i", batch["i"], absent_rows(data, batch, "i")).ravel(), [10, 20, 15])
    assert batch["i"][2] == 255  # the dataset's own batch is not written to


def test_another_shape_than_at_the_fit_is_refused():
    scale = Scale.measure("i", np.zeros((2, 4, 4), np.uint8), None, plain=False)
    with pytest.raises(ShapeError, match=r"\(4, 4, 1\), as at the fit; they have \(5, 4, 1\)"):
        scale.read("i", np.zeros((2, 5, 4), np.uint8), None)


def test_several_modalities_stand_side_by_side():
    data = ArrayDataset({"i": np.array([[[0]], [[255]]], np.uint8), "t": np.array([[1.0, 2.0], [3.0, 2.0]])})
    reader = Reader.measure(data, TWO, ("i", "t"))
    assert reader.shape == (3,)
    assert_allclose(reader.read(data, TWO), [[-1, -1, 0], [1, 1, 0]], atol=1e-6)


def test_a_reader_survives_its_state():
    data = ArrayDataset({"t": np.array([[1.0, 2.0], [3.0, 2.5]])})
    reader = Reader.measure(data, TWO, ("t",))
    again = Reader.from_state(reader.state_dict(), ("t",))
    assert_array_equal(again.read(data, TWO), reader.read(data, TWO))


def test_numbers_that_float32_cannot_hold_are_refused():
    with pytest.raises(InputError, match=r"at most 3.4e\+38, or NaN .*; sample 1 of the batch holds 1e\+300"):
        Scale.measure("t", np.array([[1.0], [1e300]]), None, plain=False)
    narrow = Scale.measure("t", np.array([[0.0], [1e-30]]), None, plain=False)
    with pytest.raises(InputError, match=r"float32 can after scaling; sample 1 of the batch holds 1e\+30"):
        narrow.read("t", np.array([[0.0], [1e30]]), None)  # 1e30 / 5e-31


def test_samples_without_a_number_are_refused():
    with pytest.raises(ShapeError, match=r"at least one number a sample; its batch has shape \(2, 0\)"):
        kind_of("t", np.zeros((2, 0)))
