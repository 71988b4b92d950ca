"""Kinetics-Sound and VGGSound, read back from tiny copies of exactly their layouts."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image

from labelwise import Campaign, Plan, models
from labelwise import make as strategy
from labelwise.data import make
from labelwise.data.clips import heard, log_stft
from labelwise.errors import InputError, UnknownName
from labelwise.oracle import SimulatedOracle
from labelwise.seeds import generator
from labelwise.store.memory import MemoryStore

rng = generator(0, "test", "clips")
KINETICS = ("kinetics_sound/{split}/video", "kinetics_sound/{split}/audio")
VGG = ("vggsound/frames/{split}", "vggsound/audio/{split}")
CLASSES = ("bowling", "tapping pen")
QUIET = float(np.log(1e-7))


@pytest.fixture
def data(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("LABELWISE_DATA", str(tmp_path))
    return tmp_path


def frames(folder: Path, values: list[int], shape: tuple[int, int] = (24, 32)) -> None:
    """One grey value all over; JPEG keeps such a picture to within one."""
    folder.mkdir(parents=True)
    for k, value in enumerate(values):
        Image.fromarray(np.full((*shape, 3), value, np.uint8)).save(folder / f"frame_{k}.jpg", "JPEG")


def sound(file: Path, samples: np.ndarray, rate: int = 16_000) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(file), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes(np.rint(samples * 32767).astype("<i2").tobytes())


def clip_name(split: str, k: int) -> str:
    return f"{split:_<9}{k:02}_000010_000020"  # eleven characters of YouTube, then from when to when


def copy_of(data: Path, layout: tuple[str, str] = KINETICS, train: int = 4, test: int = 2) -> None:
    """Clips of two classes: frame t of clip k shows 20 k + 2 t (+ 100 in the second class), the sound is a tone."""
    tone = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(16_000 * 4) / 16_000)
    for split, n in (("train", train), ("test", test)):
        video, audio = (data / folder.format(split=split) for folder in layout)
        for c, top in enumerate(CLASSES):
            for k in range(n):
                name = clip_name(split, 10 * c + k)
                frames(video / top / name, [20 * k + 2 * t + 100 * c for t in range(10)])
                sound(audio / top / f"{name}.wav", tone)


# ------------------------------------------------------------------------------------------------- layout


@pytest.mark.parametrize("task, layout", [("kinetics-sound", KINETICS), ("vggsound", VGG)])
def test_clips_are_read_from_the_folders_of_their_classes(data, task, layout):
    copy_of(data, layout)
    made = make(task)
    assert made.task.data.modalities == ("video", "audio")
    assert made.task.classes == CLASSES
    # 5 % of 8 would be none: each class gives one
    assert (len(made.task.pool), len(made.task.validation), len(made.task.test)) == (6, 2, 4)
    assert_array_equal(np.sort(made.task.validation.y), [0, 1])
    assert made.keys[0] == f"train/bowling/{clip_name('train', 0)}"
    assert [key.startswith("test/") for key in made.keys] == [False] * 8 + [True] * 4
    assert_array_equal(made.truth, [0] * 4 + [1] * 4 + [0] * 2 + [1] * 2)
    assert_array_equal(made.task.test.ids, np.arange(8, 12))
    batch = made.task.data.batch(np.array([5, 0]))
    assert batch["video"].shape == (2, 5, 112, 112, 3)
    assert batch["video"].dtype == np.uint8
    assert batch["audio"].shape == (2, 257, 504)  # 1 + 80000 // 159
    assert batch["audio"].dtype == np.float32
    assert batch["present"].all()
    # frames 1, 3, 5, 7, 9 of clips 1 and 0 of their classes
    assert_allclose(batch["video"][0, :, 50, 50, 0], [122, 126, 130, 134, 138], atol=1)
    assert_allclose(batch["video"][1, :, 50, 50, 0], [2, 6, 10, 14, 18], atol=1)


def test_clips_can_shift_and_their_sound_is_a_sound(data):
    copy_of(data)
    task = make("kinetics-sound", shifts="all", shifts_size=2).task
    assert {(s.modality, s.kind) for s in task.shifts if s.kind not in ("zeros", "missing")} == {
        ("video", "noise"),
        ("audio", "noise"),
        ("audio", "reverb"),
        ("audio", "clip"),
    }
    clean = task.data.batch(task.unmoved().ids)
    for shift in task.shifts:
        if shift.severity == 5 and shift.kind != "zeros":
            batch = shift.data.batch(shift.part.ids)
            for name in ("video", "audio"):
                assert np.array_equal(batch[name], clean[name]) == (name != shift.modality), shift.name
            assert batch["present"].all() == (shift.kind != "missing")


def test_the_two_sets_standardise_sound_by_their_own_constants(data):
    copy_of(data)
    copy_of(data, VGG)
    one, two = (make(name).task.data.batch(np.array([0]))["audio"] for name in ("kinetics-sound", "vggsound"))
    # four seconds of sound: of the window from 2.5 to 7.5 seconds, the last 3.5 are silent
    assert one[0, :, -1] == pytest.approx((QUIET + 3.0352) / 3.0475, abs=1e-4)
    assert two[0, :, -1] == pytest.approx((QUIET + 3.0093) / 2.7911, abs=1e-4)
    loud = 0.5 * 256 / 2  # amplitude times the sum of the window, half of it at the positive frequency
    assert one[0, 32, 50] == pytest.approx((np.log(loud) + 3.0352) / 3.0475, abs=1e-3)  # 1000 Hz = 32 bins
    assert one[0, :, 50].argmax() == 32


def test_other_frames_can_be_shown(data):
    copy_of(data)
    shown = make("kinetics-sound", frames=[0, 9]).task.data.batch(np.array([0]))["video"]
    assert_allclose(shown[0, :, 0, 0, 0], [0, 18], atol=1)
    for wrong in ([], [10], "13"):
        with pytest.raises(InputError, match="frames must be numbers from 0 to 9"):
            make("kinetics-sound", frames=wrong)


def test_a_frame_is_squeezed_to_128_by_171_and_its_middle_is_shown(data):
    copy_of(data)
    noise = rng.integers(0, 256, (9, 32, 3), dtype=np.uint8)  # wide, smooth after enlarging
    file = data / "kinetics_sound/train/video/bowling" / clip_name("train", 0) / "frame_3.jpg"
    Image.fromarray(noise).resize((512, 144), Image.Resampling.BICUBIC).save(file, "JPEG", quality=95)
    shown = make("kinetics-sound").task.data.batch(np.array([0]))["video"][0, 1]
    with Image.open(file) as picture:
        whole = np.asarray(picture.convert("RGB").resize((171, 128), Image.Resampling.BILINEAR))
    assert np.abs(shown.astype(int) - whole[8:120, 30:142]).mean() < 3
    fitted = np.asarray(Image.open(file).crop((160, 0, 352, 144)).resize((171, 128)))
    assert np.abs(shown.astype(int) - fitted[8:120, 30:142]).mean() > 10


def test_nothing_is_read_before_it_is_asked_for_nor_kept_afterwards(data):
    copy_of(data)
    made = make("kinetics-sound")
    folder = data / "kinetics_sound/train/video/bowling" / clip_name("train", 0)
    before = made.task.data.batch(np.array([0]))["video"]
    Image.fromarray(np.full((24, 32, 3), 250, np.uint8)).save(folder / "frame_1.jpg", "JPEG")
    after = made.task.data.batch(np.array([0]))["video"]
    assert_array_equal(before[0, 1:], after[0, 1:])
    assert after[0, 0].min() >= 249


def test_a_large_batch_is_read_as_its_samples_are(data, monkeypatch):
    from labelwise.data import ondisk

    copy_of(data)
    dataset = make("kinetics-sound").task.data
    ids = np.array([3, 3, 11, 0, 7])
    one_by_one = [dataset.batch(ids[k : k + 1]) for k in range(5)]
    monkeypatch.setattr(ondisk, "BLOCK", 2)
    together = dataset.batch(ids)
    for name in ("video", "audio", "present"):
        assert_array_equal(together[name], np.concatenate([one[name] for one in one_by_one]))
    assert dataset.batch(ids[:0])["video"].shape == (0, 5, 112, 112, 3)


# --------------------------------------------------------------------------------------------------- sound


def test_the_log_stft_is_that_of_the_definition():
    x = rng.standard_normal(100)
    padded = np.concatenate([np.zeros(8), x, np.zeros(8)])
    told = log_stft(x, n_fft=16, hop=7)
    assert told.shape == (9, 1 + 100 // 7)
    hann = np.sin(np.pi * np.arange(16) / 16) ** 2
    for frame in (0, 5, 14):
        piece = padded[7 * frame : 7 * frame + 16] * hann
        for k in (0, 3, 8):
            value = abs(sum(piece[n] * np.exp(-2j * np.pi * k * n / 16) for n in range(16)))
            assert told[k, frame] == pytest.approx(np.log(value + 1e-7), abs=1e-5)


def test_the_middle_five_of_ten_seconds_are_heard():
    long = np.arange(12 * 16_000) / 200_000
    assert_array_equal(heard(long, 16_000), long[40_000:120_000])
    short = heard(np.ones(3 * 16_000), 16_000)  # filled up to ten seconds at its end
    assert_array_equal(short, [1.0] * 8_000 + [0.0] * 72_000)
    assert_array_equal(heard(np.full(160_000, -3.0), 16_000), np.full(80_000, -1.0))


def test_another_rate_is_resampled():
    t = np.arange(80_000) / 8_000
    told = heard(np.sin(2 * np.pi * 440 * t), 8_000)
    wanted = np.sin(2 * np.pi * 440 * np.arange(40_000, 120_000) / 16_000)
    assert np.abs(told - wanted).max() < 0.01


# ------------------------------------------------------------------------------------------ what is not there


def damage(data: Path) -> None:
    """Clips of bowling: 0 lacks its sound, 1 has an empty one, 2 lacks a frame, 3 lacks all."""
    video, audio = (data / folder.format(split="train") / "bowling" for folder in KINETICS)
    (audio / f"{clip_name('train', 0)}.wav").unlink()
    sound(audio / f"{clip_name('train', 1)}.wav", np.empty(0))
    (video / clip_name("train", 2) / "frame_9.jpg").unlink()
    (video / clip_name("train", 3) / "frame_9.jpg").unlink()
    (audio / f"{clip_name('train', 3)}.wav").unlink()


def test_what_a_clip_lacks_is_a_missing_modality(data):
    copy_of(data)
    damage(data)
    made = make("kinetics-sound", validation=0)
    assert len(made.truth) == 11
    batch = made.task.data.batch(np.arange(11))
    assert_array_equal(batch["present"][:3], [[True, False], [True, False], [False, True]])
    assert batch["present"][3:].all()
    assert not batch["audio"][:2].any()
    assert not batch["video"][2].any()
    assert batch["video"][:2, 1:].any() and batch["audio"][2].any()
    ((key, why),) = made.bad
    assert key == f"train/bowling/{clip_name('train', 3)}"
    assert "no video" in why and "no audio" in why and f"{clip_name('train', 3)}.wav" in why


def test_incomplete_clips_can_be_left_out(data):
    copy_of(data)
    damage(data)
    made = make("kinetics-sound", validation=0, incomplete="leave out")
    assert [key for key, _ in made.bad] == [f"train/bowling/{clip_name('train', k)}" for k in range(4)]
    assert len(made.truth) == 8
    assert set(made.truth[made.task.pool]) == {1}
    with pytest.raises(UnknownName, match="incomplete"):
        make("kinetics-sound", incomplete="drop")


def spoil(data: Path) -> None:
    """Damaged files: of bowling's clip 0 a frame, of clip 1 the sound, of clip 2 both."""
    video, audio = (data / folder.format(split="train") / "bowling" for folder in KINETICS)
    for k in (0, 2):
        (video / clip_name("train", k) / "frame_5.jpg").write_bytes(b"no picture")
    for k in (1, 2):
        (audio / f"{clip_name('train', k)}.wav").write_bytes(b"RIFF" + b"no sound" * 20)


def test_a_file_that_turns_out_damaged_is_missing_and_fails_no_round(data):
    copy_of(data)
    spoil(data)
    made = make("kinetics-sound", validation=0)
    assert made.bad == ()
    batch = made.task.data.batch(np.arange(4))
    # of clip 2 nothing can be read: it counts as a black video
    assert_array_equal(batch["present"], [[False, True], [True, False], [True, False], [True, True]])
    assert not batch["video"][[0, 2]].any()
    assert not batch["audio"][[1, 2]].any()
    assert batch["video"][[1, 3]].any() and batch["audio"][[0, 3]].any()


def test_a_check_at_the_beginning_names_the_damaged_files(data):
    copy_of(data)
    spoil(data)
    made = make("kinetics-sound", validation=0, check=True)
    ((key, why),) = made.bad
    assert key.endswith(clip_name("train", 2))
    assert "frame_5.jpg: it is no image" in why and f"{clip_name('train', 2)}.wav" in why
    assert_array_equal(
        made.task.data.batch(np.arange(3))["present"], [[False, True], [True, False], [True, True]]
    )
    reasons = dict(make("kinetics-sound", check=True, incomplete="leave out").bad)
    assert len(reasons) == 3
    assert "frame_5.jpg" in reasons[f"train/bowling/{clip_name('train', 0)}"]


def test_a_set_without_any_good_clip_is_refused_with_reasons(data):
    copy_of(data, train=1, test=1)
    for file in data.rglob("frame_9.jpg"):
        file.unlink()
    with pytest.raises(InputError, match="none can be read.*no video"):
        make("kinetics-sound", incomplete="leave out")


# ------------------------------------------------------------------------------------------------- the lists


def test_the_lists_of_kinetics_sound_say_who_belongs_to_a_part(data):
    copy_of(data)
    lists = {"train": (0, 1, 10, 11, 12), "test": (0, 10)}
    for split, members in lists.items():
        lines = [f"{clip_name(split, k)[:11]}_10,10,3" for k in members]
        (data / f"kinetics_sound/my_{split}.txt").write_text("\n".join(lines) + "\n")
    made = make("kinetics-sound", validation=0)
    assert made.keys == tuple(
        f"{split}/{CLASSES[k // 10]}/{clip_name(split, k)}" for split in lists for k in lists[split]
    )


def test_the_list_of_vggsound_says_who_belongs_to_a_part(data):
    copy_of(data, VGG)
    file = data / "vggsound/vggsound.csv"
    rows = [f'{clip_name("train", k)[:11]},30,"x, y",train' for k in (0, 1, 10, 11)]
    rows += [f"{clip_name('train', 2)[:11]},30,z,test"]  # it lies in the wrong folder
    rows += [f"{clip_name('test', k)[:11]},30,z,test" for k in (0, 11)]
    file.write_text("\n".join(rows))
    made = make("vggsound", validation=0)
    assert [key[-16:-14] for key in made.keys] == ["00", "01", "10", "11", "00", "11"]
    file.write_text("one,2\n")
    with pytest.raises(InputError, match=r"vggsound.csv, row 1: a video.*2 cells"):
        make("vggsound")


def test_a_part_without_clips_and_a_class_without_training_are_refused(data):
    copy_of(data, test=0)
    with pytest.raises(InputError, match="finds no clip for test.*Expected there: "):
        make("kinetics-sound")
    frames(data / "kinetics_sound/test/video/juggling" / clip_name("test", 0), [0] * 10)
    with pytest.raises(InputError, match="test/juggling/.* is of a class that no clip for training has"):
        make("kinetics-sound")


# ------------------------------------------------------------------------------------------- as other tasks


def test_clips_can_be_shaped_and_weakened_like_other_tasks(data):
    copy_of(data)
    plain = make("kinetics-sound", validation=0)
    weak = make(
        "kinetics-sound",
        validation=0,
        corrupt={"modality": "video", "kind": "noise", "amount": 1.0},
        missing={"audio": 0.5},
        seed=3,
    )
    ids = np.arange(8)
    before, after = plain.task.data.batch(ids), weak.task.data.batch(ids)
    assert (before["video"] != after["video"]).any(axis=(1, 2, 3, 4)).all()
    gone = ~after["present"][:, 1]
    assert 0 < gone.sum() < 8
    assert not after["audio"][gone].any()
    assert_array_equal(after["audio"][~gone], before["audio"][~gone])
    assert len(make("kinetics-sound", pool=2, test_size=2).task.pool) == 2
    assert plain.task.fingerprint() == make("kinetics-sound", validation=0).task.fingerprint()
    assert plain.task.fingerprint()["sha256"] != weak.task.fingerprint()["sha256"]


def test_a_campaign_of_two_rounds_runs_on_clips_some_of_which_lack_something(data):
    copy_of(data)
    spoil(data)
    made = make("kinetics-sound")
    recipe = models.make("multimodal", width=2, projection=4, epochs=1, batch_size=4)
    campaign = Campaign(
        made.task, recipe, strategy("entropy"), MemoryStore(), Plan(start=2, batch=2, budget=4)
    )
    oracle = SimulatedOracle(made.truth, 2)
    asked = []
    while ids := campaign.ask():
        campaign.tell(oracle.answer(ids))
        asked += ids
    assert len(set(asked)) == 4
    assert set(asked) <= set(made.task.pool.tolist())
