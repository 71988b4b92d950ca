"""Log-mel spectrograms against hand-made tones and the stored ones; folders of sound files."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.io import wavfile

from labelwise.data import audio_folder, log_mel, make, read_audio
from labelwise.data.audio import loudness_bytes
from labelwise.errors import InputError, ShapeError
from labelwise.seeds import generator


def tone(hertz: float, rate: int = 8000, seconds: float = 0.5) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * hertz * np.arange(round(rate * seconds)) / rate)


@pytest.fixture
def no_soundfile(monkeypatch):
    monkeypatch.setitem(sys.modules, "soundfile", None)  # importing it fails, as where it is not installed


# ------------------------------------------------------------------------------------------------- log-mel


@pytest.mark.parametrize("hertz, band", [(200, 3), (1000, 17), (3000, 35)])
def test_a_tone_sounds_in_its_band(hertz, band):
    # mel(f) = 2595 log10(1 + f / 700); the middle of band k lies at mel(50) + (k + 1) · (mel(4000) - mel(50)) / 41 =
    # 77.8 + 50.45 (k + 1): 200 Hz = 283.2 mel is k = 3.07, 1000 Hz = 1000.0 mel k = 17.28, 3000 Hz = 1876.5 mel k = 34.66
    mel = log_mel(tone(hertz), 8000)
    loudest = mel.mean(axis=1).argmax()
    assert loudest == band
    assert mel[loudest].min() > -1  # a steady tone is as loud in all frames
    far = np.abs(np.arange(40) - loudest) > 6
    assert mel[far].max() < -30


def test_log_mel_equals_the_sums_written_out():
    wave, rate, window, hop, bands = generator(0, "test", "wave").standard_normal(100), 1000, 32, 16, 4
    edges = 700 * (
        10 ** (np.linspace(2595 * np.log10(1 + 50 / 700), 2595 * np.log10(1 + 500 / 700), 6) / 2595) - 1
    )
    hann = [0.5 - 0.5 * np.cos(2 * np.pi * t / (window - 1)) for t in range(window)]
    power = np.zeros((bands, 5))  # 1 + (100 - 32) // 16 = 5 windows
    for frame in range(5):
        for k in range(window // 2 + 1):
            parts = [
                hann[t] * wave[frame * hop + t] * np.exp(-2j * np.pi * k * t / window) for t in range(window)
            ]
            hertz = k * rate / window
            for band in range(bands):
                left, middle, right = edges[band : band + 3]
                height = min((hertz - left) / (middle - left), (right - hertz) / (right - middle))
                power[band, frame] += max(0, height) * abs(sum(parts)) ** 2
    expected = np.maximum(10 * np.log10(power / power.max()), -20)
    got = log_mel(wave, rate, bands=bands, window=window, hop=hop, lowest=50, floor=20)
    assert got.dtype == np.float32
    assert_allclose(got, expected, atol=1e-5)  # float32 at 20 dB


def test_loudness_does_not_matter_and_half_is_6_decibels():
    wave = generator(0, "test", "loud").standard_normal(2000)
    assert_array_equal(log_mel(wave, 8000), log_mel(wave / 4, 8000))  # a power of two: exactly
    mel = log_mel(np.concatenate([tone(1000), tone(1000) / 2]), 8000)
    # 10 log10(1 / 4) = -6.02 dB
    assert_allclose(mel[:, 0].max() - mel[:, -1].max(), 6.02, atol=0.1)


def test_silence_is_the_floor():
    assert_array_equal(log_mel(np.zeros(1000), 8000), np.full((40, 6), -80))  # 1 + (1000 - 256) // 128 = 6
    assert_array_equal(log_mel(np.full(300, 1e-30), 8000, floor=60), np.full((40, 1), -60))
    assert_array_equal(loudness_bytes(log_mel(np.zeros(1000), 8000)), np.zeros((40, 6), np.uint8))


def test_width_is_cut_and_filled_with_the_floor():
    wave = generator(0, "test", "width").standard_normal(1000)
    whole = log_mel(wave, 8000)
    assert_array_equal(log_mel(wave, 8000, frames=4), whole[:, :4])
    wide = log_mel(wave, 8000, frames=9)
    assert_array_equal(wide[:, :6], whole)
    assert (wide[:, 6:] == -80).all()
    assert log_mel(wave[:10], 8000).shape == (40, 1)  # shorter than a window


@pytest.mark.parametrize(
    "params, words",
    [
        ({"waveform": np.zeros((2, 3))}, "must have shape"),
        ({"waveform": np.zeros(0)}, "at least one number"),
        ({"waveform": np.array([1.0, np.nan])}, "all finite"),
        ({"bands": 200}, r"band \d+ of 200 holds none of 129. Take fewer bands or a longer window"),
        ({"lowest": 4000}, "lowest must be below highest, 4000 hertz"),
        ({"highest": 5000}, "highest must be a number from 0 to 4000; it is 5000"),
        ({"hop": 0}, "hop must be a whole number of at least 1"),
    ],
)
def test_wrong_numbers_are_refused(params, words):
    with pytest.raises(InputError, match=words):
        log_mel(**{"waveform": np.ones(500), "rate": 8000, **params})
    assert issubclass(ShapeError, InputError)


@pytest.mark.skipif(
    "LABELWISE_DATA" not in os.environ, reason="LABELWISE_DATA names no folder of real data sets"
)
def test_the_stored_spectrograms_are_made_the_same_way():
    soundfile = pytest.importorskip(
        "soundfile", reason="the stored recordings are FLAC, which soundfile reads"
    )
    folder = Path(os.environ["LABELWISE_DATA"]) / "fsdd"
    with np.load(folder / "fsdd_logmel.npz") as stored:
        spectrograms, ends = stored["logmel"], np.cumsum(stored["n_samples"][:20])
    raw, rate = soundfile.read(folder / "fsdd_8khz_int16.flac", frames=int(ends[-1]))
    for k, wave in enumerate(np.split(raw, ends[:-1])):
        # stored in float16: half a step between -64 and -80 is 0.031
        assert_allclose(log_mel(wave, rate, frames=64), spectrograms[k], atol=0.032)


@pytest.mark.skipif(
    "LABELWISE_DATA" not in os.environ, reason="LABELWISE_DATA names no folder of real data sets"
)
def test_the_stored_spectrograms_have_as_many_frames_as_ours_would():
    with np.load(Path(os.environ["LABELWISE_DATA"]) / "fsdd" / "fsdd_logmel.npz") as stored:
        spectrograms, samples = stored["logmel"], stored["n_samples"]
    for k in range(0, 3000, 150):
        frames = log_mel(np.ones(samples[k]), 8000).shape[1]
        sounding = np.flatnonzero((spectrograms[k] > -80).any(axis=0))
        assert sounding.max() + 1 == min(frames, 64)


# --------------------------------------------------------------------------------------------------- files


def test_every_kind_of_wav_is_read_as_numbers_from_minus_1_to_1(tmp_path, no_soundfile):
    wave = np.array([0.0, 0.5, -0.5, -1.0, 0.25])
    kinds = {
        "u1": np.rint(wave * 128 + 128).astype(np.uint8),
        "i2": np.rint(wave * 32768).astype(np.int16),
        "i4": np.rint(wave * 2**31).astype(np.int32),
        "f4": wave.astype(np.float32),
        "two": np.stack([wave, np.zeros(5)], axis=1).astype(np.float32),
    }
    for name, values in kinds.items():
        wavfile.write(tmp_path / f"{name}.wav", 8000, values)
        got, rate = read_audio(tmp_path / f"{name}.wav")
        assert rate == 8000
        assert_array_equal(got, wave / 2 if name == "two" else wave)  # two channels: their mean


def test_files_that_are_no_sound_are_refused(tmp_path, no_soundfile):
    wavfile.write(tmp_path / "whole.wav", 8000, np.ones(4000, np.int16))
    raw = (tmp_path / "whole.wav").read_bytes()
    broken = {"cut.wav": raw[:3000], "head.wav": raw[:20], "text.wav": b"not a sound", "none.wav": b""}
    for name, content in broken.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=f"{name} is damaged or no sound file"):
            read_audio(tmp_path / name)
    (tmp_path / "a.mp3").write_bytes(raw)
    with pytest.raises(InputError, match="must end in .wav or .flac; a.mp3 does not"):
        read_audio(tmp_path / "a.mp3")
    with pytest.raises(InputError, match="there is none"):
        read_audio(tmp_path / "b.wav")
    wavfile.write(tmp_path / "empty.wav", 8000, np.ones(0, np.int16))
    wavfile.write(tmp_path / "nan.wav", 8000, np.full(5, np.nan, np.float32))
    for name in ("empty.wav", "nan.wav"):
        with pytest.raises(InputError, match=name):
            read_audio(tmp_path / name)


def test_flac_needs_soundfile_and_uses_it(tmp_path, monkeypatch, no_soundfile):
    for name in ("a/1.flac", "a/2.wav", "b/1.wav", "b/2.wav"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        wavfile.write(tmp_path / name, 8000, np.ones(4000, np.int16))
    with pytest.raises(InputError, match="FLAC is read by soundfile. Install it"):
        read_audio(tmp_path / "a" / "1.flac")
    with pytest.raises(InputError, match="holds 1 FLAC files, such as 'a/1.flac'.*pip install soundfile"):
        audio_folder(tmp_path)
    asked = []

    class Sound:
        """What soundfile opens."""

        frames, channels, samplerate = 4000, 2, 8000

        def __init__(self, path: str) -> None:
            self.name = Path(path).name

        def __enter__(self):
            return self

        def __exit__(self, *_) -> None: ...

        def read(self, dtype: str) -> np.ndarray:
            asked.append(self.name)
            return np.ones((4000, 2))

    monkeypatch.setitem(sys.modules, "soundfile", SimpleNamespace(SoundFile=Sound))
    audio_folder(tmp_path, test=1)
    assert asked == ["1.flac", "2.wav", "1.wav", "2.wav"]
    asked.clear()
    monkeypatch.setattr(Sound, "frames", 1 << 40)  # a year and more of silence in a small file
    with pytest.raises(InputError, match=r"1\.flac unpacks to 2,199,023,255,552 numbers; at most"):
        read_audio(tmp_path / "a" / "1.flac")
    assert not asked


def test_more_numbers_than_memory_should_hold_are_refused(tmp_path, monkeypatch, no_soundfile):
    monkeypatch.setattr("labelwise.data.audio.MOST_NUMBERS", 599)
    wavfile.write(tmp_path / "long.wav", 8000, np.ones((300, 2), np.uint8))
    with pytest.raises(InputError, match=r"long\.wav unpacks to 600 numbers; at most 599"):
        read_audio(tmp_path / "long.wav")


def test_a_rate_that_no_sound_has_is_refused_before_resampling(tmp_path, no_soundfile):
    wavfile.write(tmp_path / "odd.wav", 2_147_483_647, np.ones(300, np.uint8))  # a prime: 4e10 taps to 16 kHz
    with pytest.raises(InputError, match="1 to 1,000,000 samples a second; it says 2,147,483,647"):
        read_audio(tmp_path / "odd.wav")


# -------------------------------------------------------------------------------------------------- folder


@pytest.fixture
def sounds(tmp_path) -> Path:
    for word, hertz in (("high", 3000), ("low", 300)):
        for k in range(6):
            rate = (8000, 16000)[k % 2]
            (tmp_path / word).mkdir(exist_ok=True)
            wave = np.rint(tone(hertz + 20 * k, rate) * 32767).astype(np.int16)
            wavfile.write(tmp_path / word / f"{k}.wav", rate, wave)
    return tmp_path


def test_a_folder_of_sounds_is_a_task(sounds, no_soundfile):
    made = make("audio-folder", path=str(sounds), rate=8000, seconds=1.0, test=2, validation=0)
    task = made.task
    assert (task.classes, len(task.pool), len(task.test)) == (("high", "low"), 10, 2)
    audio = task.data.batch(np.arange(12))["audio"]
    assert audio.shape == (12, 40, 61) and audio.dtype == np.uint8  # 1 + (8000 - 256) // 128 = 61
    assert made.keys[0] == "high/0.wav"
    loudest = audio[:, :, :28].sum(axis=2).argmax(axis=1)
    assert (loudest[made.truth == 0] > 30).all() and (loudest[made.truth == 1] < 10).all()
    assert not audio[:, :, 33:].any()  # half a second of sound: 30 windows, and some that resampling adds


def test_resampling_keeps_the_band_of_a_tone(sounds, no_soundfile):
    made = make("audio-folder", path=str(sounds), rate=8000, seconds=0.4, test=2)
    audio = made.task.data.batch(np.arange(12))["audio"]
    bands = audio.sum(axis=2).argmax(axis=1)
    # files of 8 and of 16 kHz in turn; 20 Hz more each time: never a step of more than a band
    for start in (0, 6):
        assert np.abs(np.diff(bands[start : start + 6].astype(int))).max() <= 1


def test_a_bad_file_is_set_aside_or_refused(sounds, no_soundfile):
    (sounds / "low" / "9.wav").write_bytes(b"RIFF")
    seen = []
    made = audio_folder(sounds, progress=lambda done, total: seen.append((done, total)))
    assert [key for key, _ in made.bad] == ["low/9.wav"]
    assert seen[-1] == (13, 13)
    with pytest.raises(InputError, match="low/9.wav"):
        audio_folder(sounds, on_bad="raise")


def test_folders_that_are_no_task_are_refused(sounds, tmp_path_factory, no_soundfile):
    empty = tmp_path_factory.mktemp("empty")
    with pytest.raises(InputError, match="must hold sounds"):
        audio_folder(empty)
    with pytest.raises(InputError, match="Take fewer bands"):
        audio_folder(sounds, bands=500)
    with pytest.raises(InputError, match="seconds"):
        audio_folder(sounds, seconds=0.01)
    wavfile.write(sounds / "loose.wav", 8000, np.ones(300, np.int16))
    with pytest.raises(InputError, match="'loose.wav' does not"):
        audio_folder(sounds)
