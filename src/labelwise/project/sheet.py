"""CSV as people and their tools write it: cells that no spreadsheet runs, a reader that tolerates much."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import IO

from labelwise.errors import InputError

# Spreadsheets run a cell that begins with one of these; the full-width forms are folded to them by some.
_TRIGGERS = "=+\\-@\t\r\n＝＋－＠"
_DANGEROUS = re.compile(f"'*[{_TRIGGERS}]")
_DEFUSED = re.compile(f"'+[{_TRIGGERS}]")
_SEPARATORS = (",", ";", "\t", "|")
_BOM16 = (b"\xff\xfe", b"\xfe\xff")


def defuse(cell: str) -> str:
    """Return the cell with a leading ' if a spreadsheet would take it for a formula; `arm` takes it back.

    A cell that already begins with quotes and then a trigger gets one more, so that the pair is a bijection.

    Source:
        OWASP, "CSV Injection": = + - @ tab, carriage return, line feed, and their full-width forms.
    """
    return "'" + cell if _DANGEROUS.match(cell) else cell


def arm(cell: str) -> str:
    """Return the cell that `defuse` was given."""
    return cell[1:] if _DEFUSED.match(cell) else cell


def write_rows(file: IO[str], columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> None:
    """Write rows as CSV: comma, UTF-8, one line end, formulas defused; None is an empty cell.

    Args:
        file: opened with newline="".
        columns: the header, in order.
        rows: column -> value; texts are defused, numbers are written as they are.
    """
    bare = csv.writer(file, lineterminator="\n")
    # Python's writer leaves a lone carriage return unquoted when lines end in \n, and readers split the row
    # there.
    quoted = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL)
    bare.writerow([defuse(column) for column in columns])
    for row in rows:
        cells = [_cell(row.get(column)) for column in columns]
        (quoted if any("\r" in cell for cell in cells) else bare).writerow(cells)


def _cell(value: object) -> str:
    if value is None:
        return ""
    return defuse(value) if isinstance(value, str) else str(value)


@dataclass(frozen=True)
class Line:
    """One row of a file that was read.

    Attributes:
        number: the line of the file on which the row begins, from 1.
        cells: column (lower case) -> text, armed again.
        extra: how many cells stand beyond the header.
    """

    number: int
    cells: Mapping[str, str]
    extra: int = 0


def read_lines(raw: bytes, name: str, need: Sequence[str], *, strip: bool = True) -> list[Line]:
    """Return the rows of a CSV file, blank ones left out.

    Tolerates a byte order mark, UTF-16 with one, the separators , ; tab and |, Windows line ends, a first
    line `sep=;`, other columns and any order of columns; column names are compared without case.

    Args:
        raw: the file's bytes.
        name: how messages call the file.
        need: columns that must be there.
        strip: take blanks around cells away.

    Raises:
        InputError: the file is no CSV text, or a column is missing or stands there twice.
    """
    text = _decode(raw, name)
    first, _, rest = text.partition("\n")
    skipped = 0
    if re.fullmatch(r"sep=.\r?", first, re.IGNORECASE):
        text, skipped = rest, 1
    if not text.strip():
        raise InputError(
            f"{name} is empty; it must hold a line with the columns {' and '.join(need)}, then rows."
        )
    separator = _separator(text, name, need)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    lines: list[Line] = []
    header: list[str] | None = None
    begin = 0
    try:
        for cells in reader:
            number, begin = begin + 1 + skipped, reader.line_num
            if not any(cell.strip() for cell in cells):
                continue
            if header is None:
                header = [_column(cell) for cell in cells]
                for column in need:
                    if header.count(column) > 1:
                        raise InputError(
                            f"{name}: the column {column} stands there {header.count(column)} times; keep "
                            "one."
                        )
                continue
            armed = {column: arm(cell) for column, cell in zip(header, cells, strict=False)}
            if strip:
                armed = {column: cell.strip() for column, cell in armed.items()}
            beyond = [cell for cell in cells[len(header) :] if cell.strip()]
            lines.append(Line(number, armed, len(beyond)))
    except csv.Error as error:
        raise InputError(
            f"{name} is no sound CSV: the row that begins on line {begin + 1 + skipped}: {error}. "
            "Look for a quotation mark that is not closed."
        ) from error
    return lines


def _decode(raw: bytes, name: str) -> str:
    if raw.startswith(b"PK\x03\x04"):
        raise InputError(f"{name} is a workbook or an archive, no CSV; save the sheet as CSV (UTF-8).")
    try:
        text = raw.decode("utf-16" if raw.startswith(_BOM16) else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{name} is no UTF-8 text: byte {error.start} is 0x{raw[error.start]:02x}. Save it as CSV "
            "(UTF-8)."
        ) from error
    if "\x00" in text:
        raise InputError(f"{name} is no text: it holds NUL bytes. Save it as CSV (UTF-8).")
    return text


def _column(cell: str) -> str:
    return arm(cell).strip().lower()


def _separator(text: str, name: str, need: Sequence[str]) -> str:
    """Return the separator under which the header holds every needed column."""
    first = next(line for line in text.splitlines() if line.strip())
    for separator in _SEPARATORS:
        try:
            header = {_column(cell) for cell in next(csv.reader([first], delimiter=separator))}
        except csv.Error:
            continue
        if set(need) <= header:
            return separator
    shown = first.strip()[:70] + ("…" if len(first.strip()) > 70 else "")
    raise InputError(f"{name} must have the columns {' and '.join(need)}; its first line is {shown!r}.")
