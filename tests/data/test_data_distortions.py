"""What corruptions do to one sample: small cases by hand, and laws of more and less."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from labelwise.data import audio
from labelwise.data.distortions import (
    BYTES_PER_DECIBEL,
    count_words,
    decibel,
    each,
    echoed,
    faded,
    mistyped,
    overdriven,
    recompressed,
    saturated,
    smeared,
    worded,
)
from labelwise.seeds import generator


def drawn(*path: str | int) -> np.random.Generator:
    return generator(0, "test", "distortions", *path)


def test_contrast_goes_towards_the_mean_of_each_channel():
    image = np.zeros((2, 2, 2))
    image[..., 0] = [[0, 100], [0, 100]]  # mean 50
    image[..., 1] = 7
    pale = faded(image, 0.6)  # 50 ± 0.4 · 50
    assert_allclose(pale[..., 0], [[30, 70], [30, 70]])
    assert_allclose(pale[..., 1], 7)
    assert_allclose(faded(image, 1.0)[..., 0], 50)


def test_bytes_are_rounded_and_stay_bytes():
    values = np.array([[[0, 255]], [[10, 20]]], np.uint8)
    assert_array_equal(each(values, lambda x: x * 1.26 - 1), [[[0, 255]], [[12, 24]]])  # 11.6, 24.2
    assert values[0, 0, 1] == 255


@pytest.mark.parametrize("shape", [(9, 12), (9, 12, 1), (9, 12, 3)])
def test_jpeg_keeps_what_is_flat_and_loses_more_at_lower_quality(shape):
    flat = np.full((2, *shape), 128, np.uint8)  # the middle of the range: all coefficients are 0
    assert_array_equal(recompressed(flat, 93), flat)
    noisy = drawn("jpeg").integers(0, 256, (2, *shape), dtype=np.uint8)
    losses = [np.abs(recompressed(noisy, a).astype(int) - noisy).mean() for a in (5, 75, 93)]
    assert 0 < losses[0] < losses[1] < losses[2]
    assert_array_equal(recompressed(noisy, 93)[1:], recompressed(noisy[1:], 93))


def test_a_decibel_of_bytes_is_that_of_the_spectrograms_here():
    assert audio.FLOOR == 80 and BYTES_PER_DECIBEL == 255 / audio.FLOOR
    two = audio.loudness_bytes(np.array([-40.0, -20.0]))
    assert decibel(two, 9.0) * 20 == pytest.approx(float(two[1]) - float(two[0]), abs=1)
    assert decibel(two.astype(np.float32), 9.0) * 20 == 9.0


def test_a_spectrogram_dies_away_by_60_decibels_in_its_share_of_the_clip():
    sound = np.zeros((1, 11))
    sound[0, 2] = 90.0
    # 11 frames, half of them: 60 units in 5.5 frames, 10.909 a frame
    heard = smeared(sound, 0.5, 1.0)[0]
    assert_allclose(heard, [0, 0, *(90 - 60 / 5.5 * np.arange(9)).clip(0)], atol=1e-9)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.integers(0, 999), st.floats(0.05, 5), st.floats(1.01, 10))
def test_a_longer_echo_and_a_harder_clip_are_nowhere_quieter(seed, amount, more):
    x = drawn("spectrogram", seed).normal(size=(3, 12)) * 20
    some, further = smeared(x, amount, 1.0), smeared(x, amount * more, 1.0)
    assert (some >= x - 1e-9).all() and (further >= some - 1e-9).all()
    assert_allclose(some.max(axis=1), x.max(axis=1))  # nothing is louder than the loudest moment of its band
    loud, louder = saturated(x, amount, 1.0), saturated(x, amount * more, 1.0)
    assert (loud >= x).all() and (louder >= loud).all()
    assert louder.max() == x.max() and louder.min() == x.min()


def test_a_saturated_spectrogram_by_hand():
    # 10 louder, cut off at 50, silence stays
    assert_array_equal(saturated(np.array([[0.0, 5, 45, 50]]), 10, 1.0), [[0, 15, 50, 50]])


def test_an_overdriven_waveform_by_hand():
    # 20 dB are ten times
    assert_allclose(overdriven(np.array([0.01, -0.2, 0.5, 0.0]), 20), [0.1, -0.5, 0.5, 0.0])
    assert_array_equal(overdriven(np.zeros(3), 20), np.zeros(3))


def test_an_echo_of_one_click_is_the_room_and_as_loud_as_before():
    click, noise = np.zeros(100), drawn("room").normal(size=100)
    click[0] = 3.0
    heard = echoed(click, 0.5, noise)
    assert_allclose(np.linalg.norm(heard), 3.0)
    assert_allclose(np.linalg.norm(heard[1:]), np.linalg.norm(heard[:1]))  # tail and direct sound are equals
    # 60 dB, a thousandth, after half of the clip
    assert_allclose(heard[51] / heard[1], noise[51] / noise[1] / 1000, rtol=1e-6)
    assert_array_equal(echoed(np.zeros(5), 0.5, noise[:5]), np.zeros(5))
    assert_array_equal(echoed(np.ones(1), 0.5, noise[:1]), np.ones(1))


def test_typos_by_hand():
    text = "ab  cde\tf"
    hit, miss = 0.0, 0.9

    def typed(which, where):
        return mistyped(text, 0.5, np.array([[miss, 0, 0], [hit, which, where], [hit, which, where]]))

    assert typed(0.0, 0.0) == "ab  dce\tff"  # exchanged; a single letter is doubled
    assert typed(0.0, 0.99) == "ab  ced\tff"
    assert typed(0.5, 0.0) == "ab  de\tff"  # left out
    assert typed(0.9, 0.99) == "ab  cdde\tff"  # doubled
    assert mistyped(text, 0.0, np.zeros((3, 3))) == text
    assert mistyped("", 1.0, np.zeros((0, 3))) == ""


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    st.text(alphabet="abcdef \t\n\u00e9\u2003", max_size=40),
    st.integers(0, 99),
    st.floats(0, 1),
    st.floats(0, 1),
)
def test_more_typos_take_the_same_words_and_more_and_no_word_is_lost(text, seed, one, other):
    numbers = drawn("typos", seed).random((count_words(text), 3))
    few, many = (mistyped(text, rate, numbers) for rate in sorted((one, other)))
    words, told, more = text.split(), few.split(), many.split()
    assert len(words) == len(told) == len(more)
    assert all(new in (old, most) for old, new, most in zip(words, told, more, strict=True))
    assert all(abs(len(new) - len(old)) <= 1 for old, new in zip(words, more, strict=True))


def test_words_that_stay():
    assert worded("a  b c", np.array([True, True, True])) == "a  b c"
    assert worded("a  b c", np.array([True, False, True])) == "a c"
