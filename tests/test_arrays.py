"""Arrays and ids from files, picks to files."""

import datetime
import os
import zipfile

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from labelwise import arrays
from labelwise.arrays import read_array, read_ids, write_picks
from labelwise.errors import InputError, ShapeError, UnknownName

Z = np.array([[0.25, 0.75], [0.5, 0.5], [1.0, 0.0]])


def parquet(path, **columns):
    import pyarrow as pa
    from pyarrow import parquet as pq

    pq.write_table(pa.table(columns), path)
    return path


def test_npy_is_memory_mapped(tmp_path):
    np.save(tmp_path / "p.npy", Z)
    got = read_array(tmp_path / "p.npy")
    assert isinstance(got.base, np.memmap)
    assert_array_equal(got, Z)


def test_npz_takes_its_only_array_or_the_one_named(tmp_path):
    np.savez(tmp_path / "one.npz", p=Z)
    np.savez_compressed(tmp_path / "two.npz", p=Z, q=Z[:1])
    assert_array_equal(read_array(tmp_path / "one.npz"), Z)
    assert_array_equal(read_array(tmp_path / "two.npz", "q"), Z[:1])
    with pytest.raises(InputError, match="two.npz holds p, q; name one of them: two.npz:p"):
        read_array(tmp_path / "two.npz")
    with pytest.raises(UnknownName, match="No array of two.npz is named 'r'"):
        read_array(tmp_path / "two.npz", "r")


def test_tables_leave_their_ids_out(tmp_path):
    (tmp_path / "p.csv").write_text("id,a,b\nx,0.25,0.75\ny,0.5,0.5\nz,1,0\n")
    assert_array_equal(read_array(tmp_path / "p.csv"), Z)
    file = parquet(tmp_path / "p.parquet", id=["x", "y", "z"], a=Z[:, 0], b=Z[:, 1])
    assert_array_equal(read_array(file), Z)
    assert_array_equal(read_array(file, "b", axes=1), Z[:, 1])
    for name in ("p.csv", "p.parquet"):
        assert read_ids(tmp_path / name).tolist() == ["x", "y", "z"]


def test_a_csv_without_a_header_loses_no_row(tmp_path):
    (tmp_path / "p.csv").write_text("0.25,0.75\n0.5,0.5\n1,0\n")
    assert_array_equal(read_array(tmp_path / "p.csv"), Z)


def test_a_list_column_is_a_matrix(tmp_path):
    file = parquet(tmp_path / "z.parquet", id=[1, 2, 3], z=Z.tolist())
    assert_array_equal(read_array(file), Z)
    ragged = parquet(tmp_path / "r.parquet", z=[[1.0], [1.0, 2.0, 3.0]])
    with pytest.raises(ShapeError, match="lists of column 'z' differ in length"):
        read_array(ragged)


def test_ids_are_the_first_column_where_none_is_named_id(tmp_path):
    (tmp_path / "i.csv").write_text("name,size\nb,1\na,2\n")
    assert read_ids(tmp_path / "i.csv").tolist() == ["b", "a"]
    np.save(tmp_path / "i.npy", np.array([7, 5]))
    assert read_ids(tmp_path / "i.npy").tolist() == [7, 5]


def test_ids_that_are_no_numbers_are_words(tmp_path):
    days = [datetime.date(2026, 1, day) for day in (1, 2)]
    assert read_ids(parquet(tmp_path / "d.parquet", id=days)).tolist() == ["2026-01-01", "2026-01-02"]
    with pytest.raises(InputError, match="ids must be numbers or words; they are list"):
        read_ids(parquet(tmp_path / "l.parquet", id=[[1], [2]]))


def test_an_archive_of_nothing_is_refused(tmp_path):
    np.savez(tmp_path / "none.npz")
    with pytest.raises(InputError, match="none.npz must hold an array; it holds none"):
        read_array(tmp_path / "none.npz")


def write(path, content):
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    "name, content, words",
    [
        ("a.txt", b"1", "must be one of .npy, .npz, .parquet, .csv"),
        ("a.npy", None, "There is no file"),
        ("a.npy", b"", "cannot be read"),
        ("a.npy", b"\x93NUMPY\x01\x00", "cannot be read"),
        ("a.npz", b"PK nonsense", "cannot be read"),
        ("a.parquet", b"PAR1 nonsense PAR1", "cannot be read"),
        ("a.csv", b"", "cannot be read"),
        ("a.csv", b"a,b\n1,2\n3\n", "cannot be read"),
        ("a.csv", b"a,b\n1,2\n3,\n", "row 1 has nothing in column 'b'"),
        ("a.csv", b"a,b\n1,x\n", "column 'b' must hold numbers; it holds string"),
        ("a.csv", b"id\n1\n", "holds no column of numbers"),
        ("a.csv", b"a,a\n1,2\n", "the column 'a' stands there more than once"),
    ],
)
def test_damaged_files_are_named(tmp_path, name, content, words):
    file = tmp_path / name
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_array(file)
    assert words in str(caught.value)
    assert name in str(caught.value)


def test_nothing_is_unpickled(tmp_path):
    np.save(tmp_path / "o.npy", np.array([{}], object), allow_pickle=True)
    with pytest.raises(InputError, match="cannot be read as numbers: .*Python objects"):
        read_array(tmp_path / "o.npy")


def test_a_zip_bomb_is_not_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(arrays, "MOST_UNPACKED", 2**20)
    np.savez_compressed(tmp_path / "bomb.npz", p=np.zeros((2**18, 1)))  # 2 MiB of zeros in some 2 KiB
    with pytest.raises(InputError, match="bomb.npz would unpack to .* GiB, .* times its size"):
        read_array(tmp_path / "bomb.npz")
    np.savez(tmp_path / "large.npz", p=np.zeros((2**18, 1)))  # as large, but honestly so
    assert read_array(tmp_path / "large.npz").shape == (2**18, 1)


def test_an_npz_entry_with_a_lying_header_is_refused(tmp_path):
    import io

    body = io.BytesIO()
    np.lib.format.write_array_header_1_0(body, {"descr": "<f8", "fortran_order": False, "shape": (10**6, 2)})
    with zipfile.ZipFile(tmp_path / "lie.npz", "w") as archive:
        archive.writestr("p.npy", body.getvalue() + b"\0" * 16)
    with pytest.raises(InputError, match="lie.npz cannot be read"):
        read_array(tmp_path / "lie.npz")


def test_wrong_axes_are_refused(tmp_path):
    np.save(tmp_path / "y.npy", np.arange(3))
    with pytest.raises(ShapeError, match=r"y.npy must have shape \(n, k\); it has shape \(3,\)"):
        read_array(tmp_path / "y.npy")
    (tmp_path / "y.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ShapeError, match="y.csv must hold one column; it holds 2"):
        read_array(tmp_path / "y.csv", axes=1)


def test_ids_must_be_there_and_distinct(tmp_path):
    (tmp_path / "i.csv").write_text("id\na\nb\na\n")
    with pytest.raises(InputError, match="i.csv: ids must be distinct; a stands there more than once"):
        read_ids(tmp_path / "i.csv")
    with pytest.raises(InputError, match="row 1 has no id"):
        read_ids(parquet(tmp_path / "i.parquet", id=["a", None]))


def test_picks_are_written_whole_or_not_at_all(tmp_path, monkeypatch):
    out = tmp_path / "picked.csv"
    text = write_picks(out, ["a", "b,c", "d"], np.array([2, 1]), np.array([0.0, 0.5, 0.25]))
    assert out.read_text() == text == 'id,row,score,rank\nd,2,0.25,1\n"b,c",1,0.5,2\n'

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match="picked.csv cannot be written: No space left on device"):
        write_picks(out, ["a"], np.array([0]), None)
    assert out.read_text() == text
    assert [file.name for file in tmp_path.iterdir()] == ["picked.csv"]
    with pytest.raises(InputError, match="cannot be written: No such file or directory"):
        write_picks(tmp_path / "none" / "p.csv", ["a"], np.array([0]), None)


def test_picks_without_scores_leave_the_column_empty():
    assert write_picks(None, ["a", "b"], np.array([1]), None) == "id,row,score,rank\nb,1,,1\n"
