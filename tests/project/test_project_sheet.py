"""CSV out and in: no cell is a formula, everything comes back, and other programs' habits are understood."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from labelwise.errors import InputError
from labelwise.project.sheet import arm, defuse, read_lines, write_rows

TRIGGERS = "=+-@\t\r\n＝＋－＠"
# NUL is refused on reading (a NUL means that the file is no text); surrogates cannot be written as UTF-8.
texts = st.text(st.characters(exclude_characters="\x00", exclude_categories=("Cs",)), max_size=12)
risky = st.one_of(
    texts, st.tuples(st.sampled_from(["", "'", "''"]), st.sampled_from(TRIGGERS), texts).map("".join)
)


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-3", "@SUM(A1)", "\tx", "\rx", "\nx", "＝1", "'=1", "''@x"])
def test_a_cell_that_a_spreadsheet_would_run_gets_a_quote(cell: str):
    assert defuse(cell) == "'" + cell
    assert arm(defuse(cell)) == cell


@pytest.mark.parametrize("cell", ["", "robin", "'tis", "'", "3", "a=b", " =1"])
def test_a_harmless_cell_stays_as_it_is(cell: str):
    assert defuse(cell) == cell
    assert arm(cell) == cell


@given(risky)
@example("'=")
def test_whatever_is_defused_comes_back_and_begins_with_no_trigger(cell: str):
    assert arm(defuse(cell)) == cell
    assert not defuse(cell).startswith(tuple(TRIGGERS))


@given(st.lists(st.tuples(risky, risky), max_size=6))
def test_rows_that_are_written_are_read_back(rows: list[tuple[str, str]]):
    file = io.StringIO(newline="")
    write_rows(file, ("id", "label"), [{"id": k, "label": a, "note": b} for k, (a, b) in enumerate(rows)])
    lines = read_lines(file.getvalue().encode(), "rows.csv", ("id", "label"), strip=False)
    assert [line.cells["label"] for line in lines] == [a for a, _ in rows]
    assert [line.cells["id"] for line in lines] == [str(k) for k in range(len(rows))]


def test_our_own_numbers_are_not_defused():
    file = io.StringIO(newline="")
    write_rows(file, ("id", "score"), [{"id": 1, "score": -3}, {"id": 2, "score": -0.5}])
    assert file.getvalue() == "id,score\n1,-3\n2,-0.5\n"


def test_a_lone_carriage_return_does_not_split_a_row():
    file = io.StringIO(newline="")
    write_rows(file, ("id", "label"), [{"id": 1, "label": "a\rb"}])
    assert list(csv.reader(io.StringIO(file.getvalue(), newline="")))[1] == ["1", "a\rb"]


PLAIN = "id,file,label\n3,a.png,robin\n5,b.png,\n"


@pytest.mark.parametrize(
    "raw",
    [
        PLAIN.encode(),
        b"\xef\xbb\xbf" + PLAIN.encode(),
        PLAIN.replace("\n", "\r\n").encode(),
        PLAIN.replace(",", ";").encode(),
        ("sep=;\r\n" + PLAIN.replace(",", ";").replace("\n", "\r\n")).encode(),
        PLAIN.replace(",", "\t").encode(),
        PLAIN.replace(",", "\t").encode("utf-16"),
        PLAIN.replace("id,file,label", "ID, File ,Label").encode(),
        b"label,other,id\nrobin,x,3\n,y,5\n",
        b'"id","label"\n"3","robin"\n\n"5",""\n',
        b"id,label\n3,robin\n5\n",
    ],
)
def test_other_programs_habits_are_understood(raw: bytes):
    lines = read_lines(raw, "labels.csv", ("id", "label"))
    assert [(line.cells["id"], line.cells.get("label", "")) for line in lines] == [("3", "robin"), ("5", "")]


def test_a_row_knows_the_line_on_which_it_begins():
    raw = b'id,label,note\n1,a,"two\nlines"\n\n2,b,x\n'
    # line 1 is the header, the first row spans 2 and 3, line 4 is blank
    assert [line.number for line in read_lines(raw, "x.csv", ("id", "label"))] == [2, 5]
    raw = b"sep=,\nid,label\n1,a\n"
    assert [line.number for line in read_lines(raw, "x.csv", ("id", "label"))] == [3]


def test_cells_beyond_the_header_are_counted():
    lines = read_lines(b"id,label\n1,a,b,c\n2,a,,\n", "x.csv", ("id", "label"))
    assert [line.extra for line in lines] == [2, 0]


@pytest.mark.parametrize(
    "raw, words",
    [
        (b"", "is empty"),
        (b"\n \n", "is empty"),
        (b"PK\x03\x04rest", "is a workbook"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "is no UTF-8 text"),
        (b"id,label\n1,\x00\n", "NUL bytes"),
        (b"id,label\n1,H\xe4user\n", "byte 12 is 0xe4"),
        (b"id,class\n1,a\n", "must have the columns id and label; its first line is 'id,class'"),
        (b"hello world\n", "must have the columns"),
        (b"id,label,id\n1,a,2\n", "the column id stands there 2 times"),
        (b'id,label\n1,a\n2,"b\n3,c\n', "the row that begins on line 3"),
    ],
)
def test_a_file_that_is_no_csv_is_refused_in_words(raw: bytes, words: str):
    with pytest.raises(InputError, match=r"labels\.csv") as caught:
        read_lines(raw, "labels.csv", ("id", "label"))
    assert words in str(caught.value)


@given(st.binary(max_size=200))
def test_any_bytes_are_rows_or_an_input_error(raw: bytes):
    try:
        numbers = [line.number for line in read_lines(b"id,label\n" + raw, "x.csv", ("id", "label"))]
    except InputError:
        return
    assert numbers == sorted(set(numbers))
    assert not numbers or numbers[0] >= 2
