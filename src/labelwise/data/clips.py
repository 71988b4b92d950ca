"""Kinetics-Sound and VGGSound: clips of frames and sound, from the user's own copy."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Sequence
from math import gcd
from pathlib import Path
from typing import Unpack

import numpy as np
from numpy.typing import NDArray

from labelwise.checks import Array, as_array, check_count, check_shape
from labelwise.data.files import read_lines
from labelwise.data.imagesets import set_folder
from labelwise.data.ondisk import Incomplete, Pictures, Reader, Sounds, from_disk
from labelwise.data.shaping import Shape, shaped
from labelwise.data.splits import TEST, TRAIN, Samples
from labelwise.data.truth import Simulation
from labelwise.errors import InputError

RATE = 16_000
SECONDS, WINDOW = 10, 5  # of a clip, and of those in the middle that are heard
N_FFT, HOP, LEAST = 512, 159, 1e-7
SHOWN = (1, 3, 5, 7, 9)  # of the ten frames
STORED = 10
SIDE, CANVAS = 112, (128, 171)
HEAD = 44  # bytes of a WAV file without any sound
NAME = 11  # characters of the name that YouTube gives a video
LAYOUT = "frame_0.jpg to frame_9.jpg in a folder for each clip, and its sound as <clip>.wav, 16 kHz"
KINETICS_CURE = (
    "Expected there: kinetics_sound/train/video/<class>/<clip>/, kinetics_sound/train/audio/<class>/<clip>.wav and the "
    f"same below kinetics_sound/test: {LAYOUT}. labelwise cannot fetch it: fetch Kinetics-400 and extract the clips "
    "with the scripts of https://github.com/MengShen0709/bmmal."
)
VGG_CURE = (
    "Expected there: vggsound/frames/train/<class>/<clip>/, vggsound/audio/train/<class>/<clip>.wav and the same for "
    f"test: {LAYOUT}. labelwise cannot fetch it: fetch VGGSound (https://www.robots.ox.ac.uk/~vgg/data/vggsound/) and "
    "extract the clips with the scripts of https://github.com/MengShen0709/bmmal."
)


def log_stft(waveform: Array, *, n_fft: int = N_FFT, hop: int = HOP) -> NDArray[np.float32]:
    """Return ln(|STFT| + 1e-7) of one clip, (n_fft // 2 + 1, 1 + n // hop) float32.

    Periodic Hann windows, the first of which is centred on the first sample; beyond both ends there is silence.

    Args:
        waveform: (n,) mono, finite.
        n_fft: samples of a window, an even number.
        hop: samples from one window to the next.

    Raises:
        ShapeError: the waveform is not one row of numbers.

    Source:
        BMMAL's public code, `librosa.stft(sample, n_fft=512, hop_length=159)` with that library's defaults since 0.10.
    """
    wave = as_array(waveform, "waveform").astype(np.float64)
    check_shape(wave, "waveform", ("n",), (None,))
    check_count(n_fft, "n_fft", 2)
    check_count(hop, "hop", 1)
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n_fft) / n_fft)
    cut = np.lib.stride_tricks.sliding_window_view(np.pad(wave, n_fft // 2), n_fft)[::hop]
    out: NDArray[np.float32] = np.log(np.abs(np.fft.rfft(cut * hann, axis=1)).T + LEAST).astype(np.float32)
    return out


def heard(waveform: Array, rate: int) -> Array:
    """Return the middle 5 of the first 10 seconds of a clip, (80000,) at 16 kHz, cut off at -1 and 1.

    A shorter clip is first filled with silence at its end.
    """
    from scipy.signal import resample_poly

    wave = waveform[: SECONDS * rate]
    if rate != RATE:
        common = gcd(rate, RATE)
        wave = resample_poly(wave, RATE // common, rate // common)
    wave = np.pad(wave[: SECONDS * RATE], (0, max(0, SECONDS * RATE - len(wave))))
    start = (SECONDS - WINDOW) * RATE // 2
    return np.clip(wave[start : start + WINDOW * RATE], -1.0, 1.0)


class _Spectrograms:
    """The log-STFT of the middle of a clip, standardised."""

    shape = (N_FFT // 2 + 1, 1 + WINDOW * RATE // HOP)

    def __init__(self, mean: float, std: float) -> None:
        self.mean, self.std = np.float32(mean), np.float32(std)

    def __call__(self, waveform: Array, rate: int) -> NDArray[np.float32]:
        return (log_stft(heard(waveform, rate)) - self.mean) / self.std


def _names(folder: Path, *, sounds: bool) -> set[tuple[str, str]]:
    """Return (class, clip) of the sound files, or of the folders of frames, below folders named like classes."""
    found: set[tuple[str, str]] = set()
    if not folder.is_dir():
        return found
    for top in os.scandir(folder):
        if top.name.startswith(".") or not top.is_dir():
            continue
        for clip in os.scandir(top.path):
            stem, suffix = os.path.splitext(clip.name)
            if clip.name.startswith("."):
                continue
            if not sounds and clip.is_dir():
                found.add((top.name, clip.name))
            elif sounds and suffix == ".wav" and clip.stat().st_size > HEAD:
                found.add((top.name, stem))
    return found


def _clips(
    task: str,
    place: Path,
    folders: Callable[[str], tuple[Path, Path]],
    listed: Callable[[str], frozenset[str] | None],
    constants: tuple[float, float],
    cure: str,
    frames: Sequence[int],
    incomplete: Incomplete,
    check: bool,
    shape: Shape,
) -> Simulation:
    """Return the task of the clips of one set.

    Args:
        task: its name.
        place: where it lies.
        folders: of a part, the folder of videos and that of sounds.
        listed: of a part, the videos that belong to it; None: all that are there.
        constants: mean and standard deviation of the log-STFT.
        cure: how to get the set.
        frames, incomplete, check, shape: as in `kinetics_sound`.
    """
    if isinstance(frames, str) or not len(frames) or any(check_count(k, "A frame") >= STORED for k in frames):
        raise InputError(f"frames must be numbers from 0 to {STORED - 1}, at least one; they are {frames!r}.")
    keys: list[str] = []
    videos: list[str] = []
    sounds: list[str] = []
    tops: list[str] = []
    there: list[tuple[bool, bool]] = []
    part: list[int] = []
    for split, number in (("train", TRAIN), ("test", TEST)):
        video, audio = folders(split)
        seen, told = _names(video, sounds=False), _names(audio, sounds=True)
        known = listed(split)
        before = len(keys)
        for top, clip in sorted(seen | told):
            if known is not None and clip[:NAME] not in known:
                continue
            folder = video / top / clip
            # the last of the frames: the extraction writes all ten or none
            whole = (top, clip) in seen and (folder / f"frame_{STORED - 1}.jpg").is_file()
            keys.append(f"{split}/{top}/{clip}")
            videos.append(str(folder))
            sounds.append(str(audio / top / f"{clip}.wav"))
            there.append((whole, (top, clip) in told))
            tops.append(top)
            part.append(number)
        if len(keys) == before:
            raise InputError(f"Task {task!r} finds no clip for {split} below {place}. {cure}")
    classes = tuple(sorted({top for top, number in zip(tops, part, strict=True) if number == TRAIN}))
    index = {name: k for k, name in enumerate(classes)}
    strange = [key for key, top in zip(keys, tops, strict=True) if top not in index]
    if strange:
        raise InputError(f"{place}: {strange[0]} is of a class that no clip for training has.")
    rows = np.arange(len(keys))
    samples = Samples(
        task,
        {"video": rows, "audio": rows},
        np.array([index[top] for top in tops], np.int64),
        classes,
        np.array(part, np.int8),
        present=np.array(there),
        keys=tuple(keys),
        sounds=("audio",),
    )
    make = _Spectrograms(*constants)
    readers: dict[str, Reader] = {
        "video": Pictures(videos, tuple(f"frame_{k}.jpg" for k in frames), SIDE, CANVAS, squeeze=True),
        "audio": Sounds(sounds, make.shape, make),
    }
    return from_disk(samples, readers, "video", shape, incomplete=incomplete, check=check)


@shaped()
def kinetics_sound(
    *,
    frames: Sequence[int] = SHOWN,
    incomplete: Incomplete = "keep",
    check: bool = False,
    **shape: Unpack[Shape],
) -> Simulation:
    """Return Kinetics-Sound, clips of 31 actions that are seen and heard: modalities "video", uint8
    (n, 5, 112, 112, 3), and "audio", float32 (n, 257, 504), read batch by batch.

    The copy lies below $LABELWISE_DATA in `kinetics_sound`, as BMMAL's scripts extract it. A class is a folder. Of ten
    frames five are shown, each resized to 128 x 171 and cropped to its middle. Of ten seconds the middle five are
    heard: ln(|STFT| + 1e-7), less the mean -3.0352, divided by the standard deviation 3.0475 of the set. Where
    `my_train.txt` and `my_test.txt` lie there, a clip belongs to a part only if its first eleven characters begin a
    line of that part's list.

    A clip has no video if its folder lacks frame_9.jpg, and no sound if its WAV file is not there or holds nothing. A
    file that turns out to be damaged while it is read is missing, too; see `labelwise.data.ondisk.OnDisk`.

    Args:
        frames: which of the ten, from 0 to 9, in that order.
        incomplete: "keep": a modality that is not there is missing (`present`), and only clips without both are left
            out; "leave out": clips that lack any are.
        check: read every file once at the beginning, so that damaged ones count as not there; this takes minutes, and
            `Simulation.bad` names what is left out.
        shape: see `labelwise.data.splits.build`.

    Raises:
        InputError: the set is not there, a part has no clip, a list cannot be read, or a class stands in the test part
            only.

    Source:
        Arandjelovic, Zisserman 2017, "Look, Listen and Learn"; the 31 classes and the extraction of Shen et al. 2023,
        "Towards Balanced Active Learning for Multimodal Classification", and their public code.
        Deviations: there training clips are drawn anew in every epoch (five random frames, random crop, mirrored, any
        five seconds); here every clip is shown as in their test. Pictures are resized by area, not bilinearly. Clips
        that lack a modality are kept. 5 % of the training part validate; there the test part did.
    """
    place = set_folder("kinetics-sound", "kinetics_sound", KINETICS_CURE, ("kinetics-sound", "KineticsSound"))

    def folders(split: str) -> tuple[Path, Path]:
        return place / split / "video", place / split / "audio"

    def listed(split: str) -> frozenset[str] | None:
        file = place / f"my_{split}.txt"
        return frozenset(line[:NAME] for line in read_lines(file)) if file.is_file() else None

    constants = (-3.0352, 3.0475)
    return _clips(
        *(
            "kinetics-sound",
            place,
            folders,
            listed,
            constants,
            KINETICS_CURE,
            frames,
            incomplete,
            check,
            shape,
        )
    )


@shaped()
def vggsound(
    *,
    frames: Sequence[int] = SHOWN,
    incomplete: Incomplete = "keep",
    check: bool = False,
    **shape: Unpack[Shape],
) -> Simulation:
    """Return VGGSound, clips of 309 kinds of sounds and what makes them: modalities and parameters as of
    `kinetics_sound`, but the log-STFT has mean -3.0093 and standard deviation 2.7911.

    The copy lies below $LABELWISE_DATA in `vggsound`, as BMMAL's scripts extract it. Where the public list
    `vggsound.csv` (video, second, class, part; no head) lies there, a clip belongs to a part only if its first eleven
    characters are a video of it.

    Raises:
        InputError: as `kinetics_sound`.

    Source:
        Chen, Xie, Vedaldi, Zisserman 2020, "VGGSound: A Large-scale Audio-Visual Dataset"; extraction, constants and
        deviations as in `kinetics_sound`.
    """
    place = set_folder("vggsound", "vggsound", VGG_CURE, ("VGGSound",))

    def folders(split: str) -> tuple[Path, Path]:
        return place / "frames" / split, place / "audio" / split

    def listed(split: str) -> frozenset[str] | None:
        file = place / "vggsound.csv"
        if not file.is_file():
            return None
        rows = list(csv.reader(read_lines(file)))
        short = next((number for number, row in enumerate(rows, 1) if len(row) != 4), None)
        if short is not None:
            raise InputError(
                f"{file}, row {short}: a video, a second, a class and a part must stand there; it has "
                f"{len(rows[short - 1])} cells."
            )
        return frozenset(row[0] for row in rows if row[3].strip() == split)

    constants = (-3.0093, 2.7911)
    return _clips(
        *("vggsound", place, folders, listed, constants, VGG_CURE, frames, incomplete, check, shape)
    )
