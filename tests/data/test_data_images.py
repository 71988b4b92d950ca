"""Decoding of image files: orientation, shapes, bad files and bombs, and the cache."""

from __future__ import annotations

import io
import os
import re
import struct
import subprocess
import sys
import time
import warnings
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image

from labelwise.data import images
from labelwise.data.images import decode, decode_all, decode_files
from labelwise.errors import InputError
from labelwise.seeds import generator

rng = generator(0, "test", "images")


def encoded(array: np.ndarray, kind: str = "PNG", **options) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, kind, **options)
    return stream.getvalue()


def png_claiming(width: int, height: int) -> bytes:
    """A PNG whose head claims a size, with a few bytes of pixels: a bomb before it is opened."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def test_an_image_of_the_right_shape_comes_back_bit_for_bit():
    picture = rng.integers(0, 256, (6, 9, 3), dtype=np.uint8)
    assert_array_equal(decode(encoded(picture), (6, 9)), picture)
    assert_array_equal(decode(encoded(picture[..., 0]), (6, 9), grey=True), picture[..., 0])


def test_an_image_is_cropped_at_its_centre_and_averaged():
    # 4 x 8, the middle square holds four 2 x 2 blocks of one value each; the sides would spoil them
    middle = np.kron(np.array([[10, 20], [30, 40]]), np.ones((2, 2))).astype(np.uint8)
    picture = np.pad(middle, ((0, 0), (2, 2)), constant_values=255)
    assert_array_equal(decode(encoded(picture), (2, 2), grey=True), [[10, 20], [30, 40]])


def test_a_photograph_is_turned_upright():
    picture = np.zeros((4, 8), np.uint8)
    picture[:, :4] = 200  # bright on the left
    exif = Image.Exif()
    exif[0x0112] = 6  # stored a quarter turn to the left: its left side is the upright picture's top
    upright = decode(encoded(picture, "PNG", exif=exif), (8, 4), grey=True)
    assert (upright[:4] == 200).all()
    assert (upright[4:] == 0).all()


def test_transparent_pixels_become_white():
    picture = np.zeros((2, 2, 4), np.uint8)
    picture[0] = [10, 20, 30, 255]
    assert_array_equal(decode(encoded(picture), (2, 2))[:, 0], [[10, 20, 30], [255, 255, 255]])


def test_sixteen_bit_grey_keeps_its_upper_bits():
    picture = np.array([[0, 256], [40_000, 65_535]], np.uint16)
    assert_array_equal(
        decode(encoded(picture), (2, 2), grey=True), [[0, 1], [156, 255]]
    )  # 40,000 // 256 = 156


def test_other_modes_and_formats_are_read():
    picture = np.full((8, 8, 3), 128, np.uint8)
    for kind in ("JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM"):
        assert_allclose(decode(encoded(picture, kind), (8, 8)), 128, atol=3)  # lossy formats
    stream = io.BytesIO()
    Image.fromarray(picture).convert("CMYK").save(stream, "JPEG")
    assert_allclose(decode(stream.getvalue(), (8, 8)), 128, atol=3)


def test_large_photographs_are_reduced_as_the_plain_way_does():
    smooth = np.add.outer(np.arange(1200), np.arange(1600)) / 2800 * 255
    raw = encoded(smooth.astype(np.uint8), "JPEG", quality=95)
    plain = np.asarray(
        Image.open(io.BytesIO(raw)).crop((200, 0, 1400, 1200)).resize((32, 32), Image.Resampling.BOX)
    )
    assert_allclose(decode(raw, (32, 32), grey=True).astype(int), plain.astype(int), atol=3)


@pytest.mark.parametrize(
    "raw, words",
    [
        (b"", "no image of a format"),
        (b"plain text", "no image of a format"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "no image of a format"),
        (encoded(rng.integers(0, 256, (40, 40, 3), dtype=np.uint8))[:-400], "damaged"),
        (encoded(rng.integers(0, 256, (40, 40, 3), dtype=np.uint8), "JPEG")[:300], "damaged|no image"),
        (png_claiming(8000, 7000), "56,000,000 pixels; at most 50,000,000"),  # below Pillow's own bounds
        (png_claiming(10_000, 10_000), "too many pixels|100,000,000 pixels"),  # where Pillow only warns
        (png_claiming(60_000, 60_000), "too many pixels"),  # where Pillow refuses
        (encoded(np.zeros((2, 2), np.float32), "TIFF"), "mode F"),
    ],
)
def test_what_is_no_good_image_is_refused_with_a_reason(raw, words):
    result = decode_all([raw, None], (4, 4))
    ((row, reason),) = result.bad  # the source that is None is not bad
    assert row == 0
    assert re.search(words, reason), reason
    assert not result.images.any()


def test_a_bomb_costs_no_memory(tmp_path):
    code = (
        "import resource, sys; from pathlib import Path; from labelwise.data.images import decode_all\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "bad = decode_all([Path(sys.argv[1]).read_bytes()] * 3, 8).bad\n"
        "after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "assert len(bad) == 3, bad\n"
        "assert after - before < 60_000, after - before\n"  # kilobytes; one decoded bomb would be 300 MB
    )
    bomb = encoded(np.zeros((10_000, 10_000), np.uint8))
    assert len(bomb) < 200_000
    (tmp_path / "bomb.png").write_bytes(bomb)
    subprocess.run([sys.executable, "-c", code, tmp_path / "bomb.png"], check=True, timeout=60)


@settings(max_examples=150)
@given(st.data())
def test_any_damage_is_an_image_or_a_reason(data):
    kind = data.draw(st.sampled_from(["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM"]))
    picture = np.arange(12 * 9 * 3, dtype=np.uint8).reshape(12, 9, 3)
    raw = bytearray(encoded(picture, kind))
    for _ in range(data.draw(st.integers(1, 8))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    raw = bytes(raw[: data.draw(st.integers(0, len(raw)))])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of odd metadata; that is not what is asked here
        try:
            decoded = decode(raw, (5, 5))
        except InputError:
            return
    assert decoded.shape == (5, 5, 3)


def test_a_pipe_is_refused_instead_of_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    assert "no regular file" in decode_all([tmp_path / "pipe.png"], 4).bad[0][1]


def test_a_missing_file_is_bad_and_the_others_are_read(tmp_path):
    good = rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)
    (tmp_path / "good.png").write_bytes(encoded(good))
    result = decode_all([tmp_path / "gone.png", tmp_path / "good.png"], 4)
    assert result.bad == ((0, "there is no such file"),)
    assert_array_equal(result.images[1], good)


@pytest.mark.parametrize("size", [0, -3, (4, 0), (1, 2, 3), (4, 2.5)])
def test_a_wrong_size_is_refused(size):
    with pytest.raises(InputError, match="size"):
        decode_all([], size)


# --------------------------------------------------------------------------------------------------- cache


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for k in range(5):
        (folder / f"{k}.png").write_bytes(encoded(np.full((4, 4, 3), 10 * k, np.uint8)))
    (folder / "3.png").write_bytes(b"broken")
    return [folder / f"{k}.png" for k in range(5)] + [None]


def test_the_cache_gives_the_same_images_as_decoding(pictures, tmp_path):
    plain = decode_files(pictures, 4)
    for _ in range(2):
        cached = decode_files(pictures, 4, cache=tmp_path / "cache" / "deep")
        assert_array_equal(cached.images, plain.images)
        assert cached.bad == plain.bad
        assert [row for row, _ in cached.bad] == [3]
        assert isinstance(cached.images, np.memmap)
        assert not cached.images.flags.writeable
    assert sorted(p.suffix for p in (tmp_path / "cache" / "deep").iterdir()) == [
        ".json",
        ".npy",
    ]  # nothing half


def test_the_second_time_nothing_is_decoded(pictures, tmp_path, monkeypatch):
    told = []
    decode_files(pictures, 4, cache=tmp_path, progress=lambda done, total: told.append((done, total)))
    assert told == [(6, 6)]

    def never(*_, **__):
        raise AssertionError("decoded again")

    monkeypatch.setattr(images, "decode", never)
    decode_files(pictures, 4, cache=tmp_path, progress=never)


@pytest.mark.parametrize("change", ["content", "touch", "size", "grey", "order", "mended", "gone"])
def test_any_change_misses_the_cache(pictures, tmp_path, change):
    decode_files(pictures, 4, cache=tmp_path / "cache")
    options = {"size": 4, "grey": False}
    if change == "content":
        pictures[0].write_bytes(encoded(np.full((4, 4, 3), 99, np.uint8)))
    elif change == "touch":
        os.utime(pictures[0], ns=(time.time_ns(), time.time_ns() + 10**9))
    elif change == "size":
        options["size"] = (4, 5)
    elif change == "grey":
        options["grey"] = True
    elif change == "order":
        pictures = pictures[::-1]
    elif change == "mended":
        pictures[3].write_bytes(encoded(np.full((4, 4, 3), 7, np.uint8)))
    else:
        pictures[0].unlink()
    again = decode_files(pictures, cache=tmp_path / "cache", **options)
    assert len(list((tmp_path / "cache").glob("*.npy"))) == 2
    assert_array_equal(again.images, decode_files(pictures, **options).images)


def test_an_interrupted_decoding_leaves_nothing_behind(pictures, tmp_path):
    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        decode_files(pictures, 4, cache=tmp_path / "cache", progress=stop)
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_cache_of_another_shape_or_damaged_is_refused(pictures, tmp_path):
    decode_files(pictures, 4, cache=tmp_path / "cache")
    (array,) = (tmp_path / "cache").glob("*.npy")
    np.save(array, np.zeros((2, 2)))
    with pytest.raises(InputError, match="Delete it"):
        decode_files(pictures, 4, cache=tmp_path / "cache")
    array.write_bytes(b"garbage")
    with pytest.raises(InputError, match=f"delete {array.name}"):
        decode_files(pictures, 4, cache=tmp_path / "cache")


def test_a_cache_that_cannot_be_written_is_refused_in_words(pictures, tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(InputError, match="image cache"):
        decode_files(pictures, 4, cache=tmp_path / "file" / "cache")


def test_many_blocks_are_put_in_their_places(tmp_path, monkeypatch):
    monkeypatch.setattr(images, "BLOCK", 4)
    sources = [encoded(np.full((2, 2), k, np.uint8)) for k in range(11)]
    told = []
    result = decode_all(sources, 2, grey=True, progress=lambda done, total: told.append((done, total)))
    assert_array_equal(result.images[:, 0, 0], np.arange(11))
    assert told == [(4, 11), (8, 11), (11, 11)]
