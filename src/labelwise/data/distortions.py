"""What a corruption does to samples: pure functions from arrays and drawn numbers to arrays of the same shape."""

from __future__ import annotations

import re
from collections.abc import Callable
from io import BytesIO

import numpy as np
from numpy.typing import NDArray

from labelwise.checks import Array

Floats = NDArray[np.float64]
BYTES_PER_DECIBEL = 255 / 80  # of spectrograms in bytes, as `labelwise.data.audio.loudness_bytes` writes them
DECIBELS_PER_SPREAD = 20  # what one standard deviation of a spectrogram in other units counts as
FADED = 60.0  # decibels below which a sound has died away


def each(values: Array, change: Callable[[Floats], Floats]) -> Array:
    """Return every sample (row) changed; bytes are rounded and stay from 0 to 255.

    One by one, since a whole pool in float64 would be eight times its bytes.
    """
    worse = values.copy()
    for row, value in enumerate(values):
        changed = change(value.astype(np.float64))
        worse[row] = np.rint(np.clip(changed, 0, 255)) if values.dtype == np.uint8 else changed
    return worse


def blurred(image: Floats, sigma: float) -> Floats:
    """Return the image (H, W, ...) after a Gaussian of sigma pixels; channels do not mix."""
    from scipy.ndimage import gaussian_filter

    widths = (sigma, sigma, *(0.0,) * (image.ndim - 2))
    return np.asarray(gaussian_filter(image, widths, mode="nearest"))


def faded(image: Floats, amount: float) -> Floats:
    """Return the image (H, W, ...) with its contrast lowered: x + amount (mean - x), the mean of each channel."""
    return np.asarray(image + amount * (image.mean(axis=(0, 1), keepdims=True) - image))


def recompressed(images: Array, amount: float) -> Array:
    """Return images uint8 (b, H, W) or (b, H, W, 1 or 3) after JPEG of quality 100 - amount, rounded."""
    from PIL import Image

    worse = images.copy()
    for row, image in enumerate(images):
        flat = image[..., 0] if image.ndim == 3 and image.shape[-1] == 1 else image
        held = BytesIO()
        Image.fromarray(flat).save(held, "JPEG", quality=round(100 - amount))
        held.seek(0)
        with Image.open(held) as opened:
            worse[row] = np.asarray(opened).reshape(image.shape)
    return worse


def decibel(values: Array, spread: float) -> float:
    """Return how much one decibel is in the units of a spectrogram: bytes as stored here, else by their spread."""
    return BYTES_PER_DECIBEL if values.dtype == np.uint8 else spread / DECIBELS_PER_SPREAD


def smeared(spectrogram: Floats, amount: float, unit: float) -> Floats:
    """Return a log spectrogram (bands, frames) in a room: each value dies away by 60 dB in `amount` of its frames.

    y_t = max(x_t, y_{t-1} - drop): an exponential tail of power is a straight line in decibels.

    Args:
        spectrogram: louder is higher.
        amount: above 0.
        unit: of one decibel.
    """
    frames = np.arange(spectrogram.shape[-1])
    slope = FADED * unit / (amount * len(frames)) * frames
    return np.asarray(np.maximum.accumulate(spectrogram + slope, axis=-1) - slope)


def echoed(wave: Floats, amount: float, noise: Floats) -> Floats:
    """Return a waveform (n,) in a room: convolved with itself and a tail of decaying noise of the same energy.

    Args:
        wave: samples.
        amount: share of the clip after which the tail has died away by 60 dB, above 0.
        noise: (n,) standard normal: the room.

    Returns:
        (n,) as loud as before in the mean (root of mean squares).
    """
    from scipy.signal import fftconvolve

    n = len(wave)
    tail = noise * 10 ** (-FADED / 20 * np.arange(n) / (amount * n))
    tail[0] = 0
    room = tail / max(np.linalg.norm(tail), np.finfo(float).tiny)
    room[0] = 1
    heard = fftconvolve(wave, room)[:n]
    before, after = np.linalg.norm(wave), np.linalg.norm(heard)
    return np.asarray(heard * (before / after if after > 0 else 1.0))


def overdriven(wave: Floats, decibels: float) -> Floats:
    """Return a waveform (n,) amplified by so many decibels and cut off at the peak that it had."""
    peak = np.abs(wave).max(initial=0)
    return np.clip(wave * 10 ** (decibels / 20), -peak, peak)


def saturated(spectrogram: Floats, decibels: float, unit: float) -> Floats:
    """Return a log spectrogram amplified by so many decibels and cut off at the loudest value that it had.

    What is at its lowest value is silence, and stays.
    """
    low, high = spectrogram.min(), spectrogram.max()
    return np.where(spectrogram > low, np.minimum(spectrogram + decibels * unit, high), spectrogram)


def worded(text: str, stays: NDArray[np.bool_]) -> str:
    """Return the words that stay, or the text itself where all do."""
    return text if stays.all() else " ".join(w for w, s in zip(text.split(), stays, strict=True) if s)


def mistyped(text: str, rate: float, drawn: Floats) -> str:
    """Return the text with typos: in a share `rate` of its words two neighbours change places, or a letter is left out
    or written twice; a word of one letter has it twice. What stands between words stays.

    Args:
        text: any.
        rate: from 0 to 1.
        drawn: (words, 3) in [0, 1): whether, which typo, and where.
    """
    words = iter(drawn.tolist())

    def typed(match: re.Match[str]) -> str:
        word = match.group()
        whether, which, where = next(words)
        if whether >= rate:
            return word
        if len(word) == 1:
            return word * 2
        at = int(where * (len(word) - 1))
        if which < 1 / 3:
            return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
        return word[:at] + word[at + 1 :] if which < 2 / 3 else word[: at + 1] + word[at:]

    return re.sub(r"\S+", typed, text)


def count_words(text: str) -> int:
    """Return how many words `mistyped` finds in a text."""
    return len(re.findall(r"\S+", text))
