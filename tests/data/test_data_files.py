"""Readers of idx, npz and tables, with damaged and hostile files; paths that try to leave their root."""

from __future__ import annotations

import gzip
import io
import math
import os
import struct
import zipfile

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.testing import assert_array_equal

from labelwise.data import files
from labelwise.data.files import Root, as_text, read_idx, read_npz, read_table
from labelwise.errors import InputError


def idx(array: np.ndarray, code: int = 0x08) -> bytes:
    head = bytes([0, 0, code, array.ndim]) + b"".join(struct.pack(">I", size) for size in array.shape)
    return head + array.astype(array.dtype.newbyteorder(">")).tobytes()


# ----------------------------------------------------------------------------------------------------- idx


@pytest.mark.parametrize(
    "code, dtype", [(0x08, "u1"), (0x09, "i1"), (0x0B, "i2"), (0x0C, "i4"), (0x0D, "f4"), (0x0E, "f8")]
)
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_idx_files_of_every_type_come_back(tmp_path, code, dtype, pack):
    array = np.arange(24).reshape(2, 3, 4).astype(dtype)
    (tmp_path / "file").write_bytes(pack(idx(array, code)))
    read = read_idx(tmp_path / "file")
    assert_array_equal(read, array)
    assert read.dtype == np.dtype(dtype)
    assert read.dtype.isnative


@pytest.mark.parametrize(
    "damage, words",
    [
        (lambda raw: b"", "no idx file"),
        (lambda raw: b"\1" + raw[1:], "no idx file: it begins with the bytes 01 00 08 02"),
        (lambda raw: raw[:2] + b"\x07" + raw[3:], "no idx file"),
        (lambda raw: raw[:3] + b"\0" + raw[4:], "no idx file"),
        (lambda raw: raw[:6], "ends inside its head"),
        (lambda raw: raw[:-1], "must hold 12 bytes for shape \\(3, 4\\); it holds 11"),
        (lambda raw: raw + b"x", "it holds more"),
    ],
)
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_damaged_idx_file_is_refused(tmp_path, damage, words, pack):
    (tmp_path / "file").write_bytes(pack(damage(idx(np.zeros((3, 4), np.uint8)))))
    with pytest.raises(InputError, match=words):
        read_idx(tmp_path / "file")


def test_a_damaged_gzip_is_refused(tmp_path):
    raw = gzip.compress(idx(np.arange(200, dtype=np.uint8)))
    for broken in (raw[:-9], raw[:30] + bytes([raw[30] ^ 255]) + raw[31:], raw[:12] + b"\xff" * 20):
        (tmp_path / "file").write_bytes(broken)
        with pytest.raises(InputError):
            read_idx(tmp_path / "file")


def test_an_idx_head_that_lies_about_its_size_allocates_nothing(tmp_path):
    (tmp_path / "file").write_bytes(bytes([0, 0, 8, 4]) + b"\xff" * 16 + b"x" * 10)
    with pytest.raises(InputError, match="at most"):
        read_idx(tmp_path / "file")


def test_a_gzip_bomb_is_refused(tmp_path):
    (tmp_path / "file").write_bytes(gzip.compress(idx(np.zeros((4 << 20), np.uint8))))
    with pytest.raises(InputError, match="ratio"):
        read_idx(tmp_path / "file")


@given(st.binary(max_size=60))
def test_any_bytes_are_an_idx_file_or_an_input_error(tmp_path_factory, raw):
    file = tmp_path_factory.getbasetemp() / "fuzz.idx"
    file.write_bytes(raw)
    try:
        array = read_idx(file)
    except InputError:
        return
    assert math.prod(array.shape) * array.itemsize <= len(raw)


def test_a_missing_file_is_named(tmp_path):
    for read in (read_idx, read_npz, read_table):
        with pytest.raises(InputError, match="nowhere"):
            read(tmp_path / "nowhere.csv")


# ----------------------------------------------------------------------------------------------------- npz


@given(
    hnp.arrays(
        st.sampled_from(["u1", "i8", "f4", "?", "U3"]),
        hnp.array_shapes(min_dims=0, max_dims=3, min_side=0),
        elements=None,
    )
)
def test_npz_files_come_back(tmp_path_factory, array):
    file = tmp_path_factory.getbasetemp() / "fuzz.npz"
    np.savez_compressed(file, one=array, two=np.asfortranarray(array))
    read = read_npz(file)
    assert list(read) == ["one", "two"]
    for one in read.values():
        assert_array_equal(one, array)
        assert one.dtype == array.dtype


def test_a_pickle_in_an_npz_is_never_read(tmp_path):
    canary = tmp_path / "canary"

    class Hostile:
        def __reduce__(self):
            return open, (str(canary), "w")

    np.savez(tmp_path / "file.npz", x=np.array([Hostile()], dtype=object))
    with pytest.raises(InputError, match="pickled"):
        read_npz(tmp_path / "file.npz")
    assert not canary.exists()


def test_an_npz_bomb_is_refused_before_it_is_unpacked(tmp_path):
    np.savez_compressed(tmp_path / "file.npz", x=np.zeros(32 << 20, np.uint8))
    with pytest.raises(InputError, match="ratio of 200"):
        read_npz(tmp_path / "file.npz")


def test_an_npz_above_the_largest_size_is_refused(tmp_path, monkeypatch):
    np.savez(tmp_path / "file.npz", x=np.arange(1000))
    monkeypatch.setattr(files, "MOST_BYTES", 8000)
    with pytest.raises(InputError, match="at most 8,000 bytes"):  # 8,000 of data and a head
        read_npz(tmp_path / "file.npz")


def npy(shape: tuple[int, ...], body: bytes, descr: str = "|u1") -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": descr, "fortran_order": False, "shape": shape})
    return stream.getvalue() + body


@pytest.mark.parametrize(
    "member",
    [
        npy((10**12,), b"x" * 10),  # claims a terabyte
        npy((4,), b"x" * 10),
        npy((-1,), b"x"),
        npy((3,), b"xyz")[:20],
        b"\x93NUMPY\x09\x09",
        b"",
    ],
)
def test_an_array_that_lies_about_its_size_is_refused(tmp_path, member):
    with zipfile.ZipFile(tmp_path / "file.npz", "w") as archive:
        archive.writestr("x.npy", member)
    with pytest.raises(InputError, match=r"file\.npz"):
        read_npz(tmp_path / "file.npz")


def test_a_damaged_npz_is_refused(tmp_path):
    file = tmp_path / "file.npz"
    np.savez_compressed(file, x=np.arange(5000))
    whole = file.read_bytes()
    flipped = whole[:200] + bytes([whole[200] ^ 255]) + whole[201:]
    for raw in (b"", b"not a zip", whole[:-50], whole[: len(whole) // 2], flipped):
        file.write_bytes(raw)
        with pytest.raises(InputError):
            read_npz(file)
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("readme.txt", "no array")
    with pytest.raises(InputError, match="it holds 0"):
        read_npz(file)


def test_an_npz_whose_checksum_is_wrong_is_refused(tmp_path):
    file = tmp_path / "file.npz"
    np.savez(file, x=np.arange(500, dtype=np.uint8))
    raw = bytearray(file.read_bytes())
    raw[400] ^= 1  # stored, not compressed: only the CRC can notice
    file.write_bytes(bytes(raw))
    with pytest.raises(InputError, match="CRC"):
        read_npz(file)


# -------------------------------------------------------------------------------------------------- tables


def test_a_csv_keeps_every_cell_as_text(tmp_path):
    (tmp_path / "t.csv").write_text('\ufeffid,label,text\n007,NA,"two\nlines"\n008,,\n', encoding="utf-8")
    table = read_table(tmp_path / "t.csv")
    assert table.to_pydict() == {"id": ["007", "008"], "label": ["NA", None], "text": ["two\nlines", None]}


def test_a_tsv_is_split_at_tabs(tmp_path):
    (tmp_path / "t.tsv").write_text("a\tb\n1,5\tx\n")
    assert read_table(tmp_path / "t.tsv").to_pydict() == {"a": ["1,5"], "b": ["x"]}


def test_parquet_keeps_its_types(tmp_path):
    table = pyarrow.table({"a": [1, None], "b": [b"x", b"y"]})
    pyarrow.parquet.write_table(table, tmp_path / "t.parquet")
    assert read_table(tmp_path / "t.parquet").equals(table)


@pytest.mark.parametrize(
    "name, raw, words",
    [
        ("t.csv", b"a,b\n1\n", "cannot be read as a table"),
        ("t.csv", b"a,b\n\xff\xfe,1\n", "cannot be read as a table"),
        ("t.csv", b"", "cannot be read as a table"),
        ("t.csv", b"a,b\n", "at least one row"),
        ("t.csv", b"a,a\n1,2\n", "'a' stands there more than once"),
        ("t.parquet", b"PAR1 but not really PAR1", "cannot be read as a table"),
        ("t.xlsx", b"", "must end in .csv, .tsv or .parquet"),
    ],
)
def test_a_table_that_cannot_be_read_is_refused(tmp_path, name, raw, words):
    (tmp_path / name).write_bytes(raw)
    with pytest.raises(InputError, match=words):
        read_table(tmp_path / name)


def test_text_of_any_length_and_none_come_back():
    text = as_text(["a", None, "ü" * 500])
    assert text.tolist() == ["a", "", "ü" * 500]
    assert text[np.array([2, 0])].tolist() == ["ü" * 500, "a"]


# --------------------------------------------------------------------------------------------------- paths


@pytest.fixture
def root(tmp_path):
    inside = tmp_path / "root"
    (inside / "sub").mkdir(parents=True)
    (inside / "sub" / "a.png").write_bytes(b"a")
    (tmp_path / "root-but-not").mkdir()
    (tmp_path / "root-but-not" / "b.png").write_bytes(b"secret")
    (inside / "link.png").symlink_to(tmp_path / "root-but-not" / "b.png")
    (inside / "dirlink").symlink_to(tmp_path / "root-but-not")
    (inside / "deep").symlink_to(inside / "dirlink")
    (inside / "fine.png").symlink_to(inside / "sub" / "a.png")
    return inside


@pytest.mark.parametrize("given", ["sub/a.png", "./sub/a.png", "sub//a.png", "fine.png", "not-there.png"])
def test_paths_inside_the_root_are_found(root, given):
    found = Root(root).find(given)
    assert found.is_relative_to(root)
    assert found.exists() == (given != "not-there.png")


def test_an_absolute_path_inside_the_root_is_found(root):
    assert Root(root).find(str(root / "sub" / "a.png")).read_bytes() == b"a"


@pytest.mark.parametrize(
    "given",
    [
        "",
        "\0",
        "sub/a.png\0.txt",
        "..",
        "../root-but-not/b.png",
        "sub/../../root-but-not/b.png",
        "sub/../sub/a.png",
        "/etc/passwd",
        "//etc/passwd",
        "/",
        "link.png",
        "dirlink/b.png",
        "dirlink",
        "deep/b.png",
        "sub/../dirlink/b.png",
    ],
)
def test_paths_that_leave_the_root_are_refused(root, given):
    with pytest.raises(InputError, match="path"):
        Root(root).find(given)


def test_an_absolute_path_beside_the_root_is_refused(root):
    with pytest.raises(InputError, match="leads out of it"):
        Root(root).find(str(root.parent / "root-but-not" / "b.png"))


def test_a_root_may_itself_be_a_link(root, tmp_path):
    (tmp_path / "alias").symlink_to(root)
    assert Root(tmp_path / "alias").find("sub/a.png").read_bytes() == b"a"
    assert Root(tmp_path / "alias").find(str(root / "sub" / "a.png")).exists()


@given(st.text(alphabet="./ab\\%#~:é\0", max_size=20))
def test_no_path_finds_what_lies_outside(tmp_path_factory, given):
    folder = tmp_path_factory.getbasetemp() / "jail"
    folder.mkdir(exist_ok=True)
    try:
        found = Root(folder).find(given)
    except InputError:
        return
    assert os.path.realpath(found).startswith(os.path.realpath(folder))


def test_a_root_that_is_no_folder_is_refused(tmp_path):
    with pytest.raises(InputError, match="must be a folder"):
        Root(tmp_path / "nothing")


def test_a_stored_size_that_lies_in_the_directory_is_refused(tmp_path):
    file = tmp_path / "file.npz"
    np.savez(file, x=np.arange(100, dtype=np.uint8))
    raw = file.read_bytes()
    at = raw.rindex(b"PK\x01\x02")
    size = struct.unpack("<I", raw[at + 24 : at + 28])[0]
    file.write_bytes(raw[: at + 24] + struct.pack("<I", size - 7) + raw[at + 28 :])
    with pytest.raises(InputError):
        read_npz(file)
