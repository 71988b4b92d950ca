"""Sound as pictures: waveforms become log-mel spectrograms, and a folder of sound files becomes a task."""

from __future__ import annotations

import os
import struct
import warnings
from importlib import import_module
from math import gcd
from pathlib import Path
from typing import Any, Unpack

import numpy as np
from numpy.typing import NDArray

from labelwise.checks import Array, as_array, check_count, check_number, check_shape
from labelwise.data.files import Root
from labelwise.data.images import Progress
from labelwise.data.own import OnBad, blame, listing, with_test
from labelwise.data.shaping import Shape, shaped
from labelwise.data.splits import Samples, build
from labelwise.data.truth import Simulation
from labelwise.errors import InputError

SUFFIXES = frozenset({".wav", ".flac"})
FLOOR = 80.0  # decibels below the loudest moment of a clip that still count
WINDOW = 0.032  # seconds; at 8 kHz 256 samples
SILENCE = 1e-20  # power below which nothing sounds: a full-scale tone has about 1e3, the lowest of 24 bits once 1e-14
MOST_BYTES = 1 << 30  # one sound file
MOST_NUMBERS = 1 << 28  # of one sound file, unpacked: FLAC makes a few bytes of an hour of silence
MOST_RATE = 1_000_000  # samples a second; resampling from a rate of billions would need as many numbers


def _mel_bank(rate: float, window: int, bands: int, lowest: float, highest: float) -> NDArray[np.float64]:
    """Return (bands, window // 2 + 1) triangles that are equally wide in mel and 1 at their middle."""
    low, high = (2595 * np.log10(1 + hertz / 700) for hertz in (lowest, highest))
    edges = 700 * (10 ** (np.linspace(low, high, bands + 2) / 2595) - 1)
    left, middle, right = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    hertz = np.arange(window // 2 + 1) * rate / window
    bank = np.maximum(np.minimum((hertz - left) / (middle - left), (right - hertz) / (right - middle)), 0.0)
    empty = np.flatnonzero(~bank.any(axis=1))
    if empty.size:
        raise InputError(
            f"Every mel band must hold a frequency of the spectrum; band {int(empty[0])} of {bands} holds none "
            f"of {window // 2 + 1}. Take fewer bands or a longer window."
        )
    return bank


def log_mel(
    waveform: Array,
    rate: float,
    *,
    bands: int = 40,
    window: int = 256,
    hop: int = 128,
    lowest: float = 50.0,
    highest: float | None = None,
    floor: float = FLOOR,
    frames: int | None = None,
) -> NDArray[np.float32]:
    """Return the log-mel spectrogram of one clip, in decibels relative to its loudest moment.

    Hann windows (symmetric, no padding at the ends) -> power spectrum -> triangular mel bands of height 1 ->
    10 log10, minus the largest value of the clip, at least -floor. The last samples that fill no window are left
    out; a clip shorter than one window is filled with zeros. A silent clip (all powers below 1e-20) is -floor
    everywhere. Loudness is lost: a clip and its half are the same.

    Args:
        waveform: (n,) mono, finite.
        rate: samples a second.
        bands: number of mel bands.
        window: samples of one window, at least 4.
        hop: samples from one window to the next.
        lowest: hertz where the lowest band begins.
        highest: hertz where the highest band ends; None: rate / 2.
        floor: decibels, positive.
        frames: width to cut or fill (with -floor) on the right; None: as many as the clip has.

    Returns:
        (bands, frames) float32 in [-floor, 0].

    Raises:
        ShapeError: the waveform is not one row of numbers.
        InputError: it is empty or not finite, a parameter is out of range, or a band is narrower than the
            spectrum is fine.

    Source:
        Young et al. 2006, "The HTK Book", section 5.6: mel(f) = 2595 log10(1 + f / 700), triangles.
        Deviations: triangles in hertz with corners equally far apart in mel; power, not magnitude.
    """
    wave = as_array(waveform, "waveform").astype(np.float64)
    check_shape(wave, "waveform", ("n",), (None,))
    if not wave.size or not np.isfinite(wave).all():
        raise InputError("waveform must hold at least one number, all finite; it does not.")
    check_number(rate, "rate", 1.0)
    check_count(bands, "bands", 1)
    check_count(window, "window", 4)
    check_count(hop, "hop", 1)
    check_number(floor, "floor", 1e-6)
    top = check_number(rate / 2 if highest is None else highest, "highest", 0.0, rate / 2)
    if not 0 <= check_number(lowest, "lowest", 0.0) < top:
        raise InputError(f"lowest must be below highest, {top:g} hertz; it is {lowest:g}.")
    bank = _mel_bank(rate, window, bands, lowest, top)
    wave = np.pad(wave, (0, max(0, window - len(wave))))
    cut = np.lib.stride_tricks.sliding_window_view(wave, window)[::hop]  # (frames, window)
    power = np.abs(np.fft.rfft(cut * np.hanning(window), axis=1)) ** 2
    mel = bank @ power.T  # (bands, frames)
    if mel.max() <= SILENCE:
        decibels = np.full(mel.shape, -floor)
    else:
        # log10 of an exact zero would be -inf: far below the floor is enough
        decibels = np.maximum(10 * np.log10(np.maximum(mel / mel.max(), 1e-300)), -floor)
    if frames is not None:
        short = check_count(frames, "frames", 1) - decibels.shape[1]
        decibels = np.pad(decibels[:, :frames], ((0, 0), (0, max(0, short))), constant_values=-floor)
    out: NDArray[np.float32] = decibels.astype(np.float32)
    return out


def loudness_bytes(decibels: Array, floor: float = FLOOR) -> NDArray[np.uint8]:
    """Return decibels in [-floor, 0] as bytes: 255 = 0 dB, 0 = -floor."""
    share = np.clip(decibels.astype(np.float32) / np.float32(floor) + 1, 0, 1)
    return np.asarray(np.rint(share * 255), dtype=np.uint8)


def _soundfile() -> Any:
    try:
        return import_module("soundfile")
    except ImportError:  # an extra that many do without
        return None


def read_audio(path: str | os.PathLike[str]) -> tuple[NDArray[np.float64], int]:
    """Return the waveform of a sound file, (n,) in [-1, 1], channels averaged, and its samples a second.

    WAV and FLAC by soundfile where it is installed; without it WAV only, by SciPy.

    Raises:
        InputError: no such file, another kind of file, damaged, empty, larger than 1 GiB or than 2^28 numbers, more
            than a million samples a second, or FLAC without soundfile.
    """
    file = Path(path)
    if not file.is_file():
        raise InputError(f"{file} must be a file; there is none.")
    if file.stat().st_size > MOST_BYTES:
        raise InputError(f"{file} has {file.stat().st_size:,} bytes; at most {MOST_BYTES:,} are read.")
    if file.suffix.lower() not in SUFFIXES:
        raise InputError(f"A sound file must end in .wav or .flac; {file.name} does not.")
    library = _soundfile()
    try:
        if library is not None:
            with library.SoundFile(str(file)) as sound:
                _check_numbers(file, sound.frames * sound.channels)
                values, rate = sound.read(dtype="float64"), sound.samplerate
        elif file.suffix.lower() == ".flac":
            raise InputError(f"{file.name}: FLAC is read by soundfile. Install it: pip install soundfile.")
        else:
            values, rate = _read_wav(file)
    except (RuntimeError, OSError, ValueError, EOFError, struct.error, UserWarning) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{file.name} is damaged or no sound file: {error}.") from error
    wave = np.asarray(values, np.float64)
    wave = wave.mean(axis=1) if wave.ndim == 2 else wave
    if not wave.size or not np.isfinite(wave).all():
        raise InputError(f"{file.name} must hold finite samples; it holds none, or others.")
    if not 1 <= rate <= MOST_RATE:
        raise InputError(f"{file.name} must have 1 to {MOST_RATE:,} samples a second; it says {rate:,}.")
    return wave, int(rate)


def _check_numbers(file: Path, numbers: int) -> None:
    if numbers > MOST_NUMBERS:
        raise InputError(f"{file.name} unpacks to {numbers:,} numbers; at most {MOST_NUMBERS:,} are read.")


def _read_wav(file: Path) -> tuple[Array, int]:
    from scipy.io import wavfile

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", wavfile.WavFileWarning)  # chunks of tags that nobody needs
        warnings.filterwarnings("error", "Reached EOF", wavfile.WavFileWarning)  # cut short
        rate, values = wavfile.read(file)
    _check_numbers(file, values.size)  # before they become eight bytes each
    if values.dtype.kind == "u":
        return values.astype(np.float64) / 128 - 1, rate  # 8 bits are unsigned, 128 is silence
    if values.dtype.kind == "i":
        return values / -float(np.iinfo(values.dtype).min), rate
    return values, rate


def _spectrogram(file: Path, rate: int, seconds: float, bands: int, frames: int) -> NDArray[np.uint8]:
    from scipy.signal import resample_poly

    wave, given = read_audio(file)
    wave = wave[: max(1, round(seconds * given))]
    if given != rate:
        common = gcd(given, rate)
        wave = resample_poly(wave, rate // common, given // common)
    window = round(WINDOW * rate)
    return loudness_bytes(log_mel(wave, rate, bands=bands, window=window, hop=window // 2, frames=frames))


@shaped()
def audio_folder(
    path: str | os.PathLike[str],
    *,
    rate: int = 16_000,
    seconds: float = 2.0,
    bands: int = 40,
    test: float = 0.2,
    on_bad: OnBad = "quarantine",
    progress: Progress | None = None,
    **shape: Unpack[Shape],
) -> Simulation:
    """Return a folder of sounds with one subfolder a class as a simulation: modality "audio", uint8
    (n, bands, frames), log-mel, 255 = 0 dB, 0 = -80 dB.

    Windows of 32 ms that overlap by half; see `log_mel`.

    Args:
        path: the folder; WAV files, and FLAC where soundfile is installed, at any depth below the subfolders.
        rate: samples a second that every clip is resampled to.
        seconds: of each clip that are read, from its beginning; shorter clips are filled with silence.
        bands: number of mel bands.
        test: share (float) or number (int) of the test clips, stratified, the same for all seeds.
        on_bad: "quarantine" leaves files that cannot be read out and lists them; "raise" refuses the folder.
        progress: told (done, total) while reading.
        shape: see `labelwise.data.splits.build`.

    Raises:
        InputError: no such folder, no good file, a file outside the subfolders, fewer than two subfolders, FLAC
            without soundfile.
    """
    check_count(rate, "rate", 1000)
    check_number(seconds, "seconds", WINDOW)
    check_count(bands, "bands", 1)
    root = Root(path)
    keys = listing(root, SUFFIXES, "sounds")
    loose = [key for key in keys if "/" not in key]
    if loose:
        raise InputError(
            f"{root.folder}: every sound must lie in the subfolder of its class; {loose[0]!r} does not."
        )
    packed = [key for key in keys if key.lower().endswith(".flac")]
    if packed and _soundfile() is None:
        raise InputError(
            f"{root.folder} holds {len(packed)} FLAC files, such as {packed[0]!r}; they are read by soundfile, "
            "which is not installed. Install it (pip install soundfile) or save them as WAV."
        )
    window = round(WINDOW * rate)
    frames = 1 + (round(seconds * rate) - window) // (window // 2)
    log_mel(np.zeros(1), rate, bands=bands, window=window)  # refuses wrong numbers before any file is blamed
    audio = np.zeros((len(keys), bands, frames), np.uint8)
    bad: dict[str, str] = {}
    for row, key in enumerate(keys):
        try:
            audio[row] = _spectrogram(root.find(key), rate, seconds, bands, frames)
        except InputError as error:
            bad[key] = str(error)
        if progress is not None:
            progress(row + 1, len(keys))
    blame(bad, on_bad, len(keys), str(root.folder))
    tops = [key.split("/")[0] for key in keys]
    names = tuple(sorted(set(tops)))
    y = np.searchsorted(names, tops).astype(np.int64)
    usable = np.array([key not in bad for key in keys])
    samples = Samples(
        root.folder.name,
        {"audio": audio},
        y,
        names,
        with_test(y, usable, test),
        keys=tuple(keys),
        bad=tuple(bad.items()),
        sounds=("audio",),
    )
    return build(samples, **shape)
