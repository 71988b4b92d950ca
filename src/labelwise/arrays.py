"""Reads arrays and ids from npy, npz, Parquet and CSV files, and writes what was picked."""

from __future__ import annotations

import csv
import io
import os
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelwise.checks import Array, as_array, check_name, check_shape
from labelwise.errors import InputError, ShapeError

SUFFIXES = (".npy", ".npz", ".parquet", ".csv")
# An archive that grows more than this on unpacking and fills more than this is taken for a zip bomb.
MOST_RATIO, MOST_UNPACKED = 200, 2**30


def read_array(path: Path | str, key: str | None = None, *, axes: int = 2) -> Array:
    """Return the array of numbers that a file holds.

    .npy files are memory-mapped; nothing is ever unpickled. Of a Parquet or CSV table the columns are the
    array's columns, one named "id" left out; a CSV table may lack a header.

    Args:
        path: a .npy, .npz, .parquet or .csv file.
        key: which array of an .npz file, needed where it holds several; which column of a table, None: all.
        axes: 2 for (n, ...), 3 for (n, S, C), 1 for (n,): of a table then one column.

    Returns:
        (n, k) or (n,); an .npy or .npz file may hold more axes.

    Raises:
        InputError: the file is missing, damaged, of another kind, holds no numbers or a hole; the message
            says which and where.
    """
    file = _file(path)
    try:
        if file.suffix == ".npy":
            array = as_array(np.load(file, mmap_mode="r", allow_pickle=False), file.name)
        elif file.suffix == ".npz":
            array = _from_npz(file, key)
        else:
            array = _from_table(_table(file), file.name, key)
            if axes == 1:
                if array.shape[1] != 1:
                    raise ShapeError(f"{file.name} must hold one column; it holds {array.shape[1]}.")
                array = array[:, 0]
    except (OSError, EOFError, zipfile.BadZipFile, MemoryError) as error:
        raise InputError(f"{file} cannot be read: {error}.") from error
    except ValueError as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{file} cannot be read as numbers: {error}") from error
    if array.ndim < axes or (axes == 1 and array.ndim != 1):
        wanted = {1: "(n,)", 2: "(n, k)", 3: "(n, S, C)"}[axes]
        raise ShapeError(f"{file.name} must have shape {wanted}; it has shape {array.shape}.")
    return array


def read_ids(path: Path | str) -> NDArray[Any]:
    """Return the ids that a file names, one a row and all distinct: whole numbers or words.

    Args:
        path: a .csv or .parquet table, of which the column "id" or else the first is taken, or an .npy file.

    Raises:
        InputError: the file cannot be read, or an id is missing or stands twice.
    """
    import pyarrow as pa

    file = _file(path)
    if file.suffix in (".npy", ".npz"):
        ids = np.asarray(read_array(file, axes=1))
    else:
        table = _table(file)
        column = table["id" if "id" in table.column_names else table.column_names[0]]
        if column.null_count:
            row = next(i for i, value in enumerate(column.to_pylist()) if value is None)
            raise InputError(f"{file.name}: row {row} has no id.")
        if pa.types.is_nested(column.type):
            raise InputError(f"{file.name}: ids must be numbers or words; they are {column.type}.")
        if not (pa.types.is_integer(column.type) or pa.types.is_string(column.type)):
            column = column.cast(pa.string())
        ids = np.asarray(column.to_pylist())
    values, counts = np.unique(ids, return_counts=True)
    if values.size < ids.size:
        twice = values[counts > 1][0]
        raise InputError(f"{file.name}: ids must be distinct; {twice!s} stands there more than once.")
    return ids


def write_picks(path: Path | str | None, ids: Sequence[Any], rows: Array, scores: Array | None) -> str:
    """Write picks as CSV with the columns id, row, score, rank, and return the text.

    A file is there whole or not at all: it is written beside its place and then moved.

    Args:
        path: where to; None: nowhere.
        ids: what the rows are called, one a pool row.
        rows: (b,) the rows picked, in the order of asking.
        scores: (n,) one a pool row, or None: the column stays empty.

    Raises:
        InputError: the file cannot be written.
    """
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(["id", "row", "score", "rank"])
    for rank, row in enumerate(rows.tolist(), start=1):
        lines.writerow([ids[row], row, "" if scores is None else f"{scores[row]:.9g}", rank])
    if path is not None:
        _write_whole(Path(path), text.getvalue())
    return text.getvalue()


def _write_whole(path: Path, text: str) -> None:
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}.") from error
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(name, 0o666 & ~mask)  # mkstemp makes files for their owner only
        os.replace(name, path)
    except OSError as error:
        Path(name).unlink(missing_ok=True)
        raise InputError(f"{path} cannot be written: {error.strerror}.") from error


def _file(path: Path | str) -> Path:
    file = Path(path)
    if file.suffix not in SUFFIXES:
        raise InputError(f"{file} must be one of {', '.join(SUFFIXES)}.")
    if not file.is_file():
        raise InputError(f"There is no file {file}.")
    return file


def _from_npz(file: Path, key: str | None) -> Array:
    with zipfile.ZipFile(file) as archive:
        unpacked = sum(entry.file_size for entry in archive.infolist())
    if unpacked > MOST_UNPACKED and unpacked > MOST_RATIO * file.stat().st_size:
        raise InputError(
            f"{file.name} would unpack to {unpacked / 2**30:.1f} GiB, {unpacked // file.stat().st_size} "
            "times its size; unpack it to .npy yourself if you trust it."
        )
    with np.load(file, allow_pickle=False) as archive:
        if key is None and len(archive.files) != 1:
            if not archive.files:
                raise InputError(f"{file.name} must hold an array; it holds none.")
            raise InputError(
                f"{file.name} holds {', '.join(archive.files)}; name one of them: {file.name}:{archive.files[0]}."
            )
        name = archive.files[0] if key is None else key
        check_name(name, archive.files, f"array of {file.name}")
        return as_array(archive[name], f"{file.name}:{name}")


def _table(file: Path) -> Any:
    """Return a pyarrow table; one that cannot be read is an InputError."""
    import pyarrow as pa
    from pyarrow import csv as pa_csv
    from pyarrow import parquet

    try:
        if file.suffix == ".parquet":
            table = parquet.read_table(file, memory_map=True)
        else:
            table = pa_csv.read_csv(file)
        if (
            file.suffix == ".csv"
            and table.column_names
            and all(_is_number(name) for name in table.column_names)
        ):  # the header is data
            table = pa_csv.read_csv(file, read_options=pa_csv.ReadOptions(autogenerate_column_names=True))
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{file} cannot be read: {error}.") from error
    for title in table.column_names:
        if table.column_names.count(title) > 1:
            raise InputError(f"{file.name}: the column {title!r} stands there more than once; rename one.")
    return table


def _from_table(table: Any, name: str, key: str | None) -> Array:
    import pyarrow as pa

    columns = [key] if key is not None else [c for c in table.column_names if c != "id"]
    if key is not None:
        check_name(key, table.column_names, f"column of {name}")
    if not columns:
        raise InputError(f"{name} holds no column of numbers.")
    parts = []
    for title in columns:
        column = table[title].combine_chunks()
        if column.null_count:
            row = next(i for i in range(len(column)) if not column[i].is_valid)
            raise InputError(f"{name}: row {row} has nothing in column {title!r}.")
        if pa.types.is_fixed_size_list(column.type) or pa.types.is_list(column.type):
            values = np.asarray(column.flatten())
            if len(column) and (
                len(values) % len(column) or len(set(column.value_lengths().to_pylist())) > 1
            ):
                raise ShapeError(f"{name}: the lists of column {title!r} differ in length.")
            part = values.reshape(len(column), -1)
        else:
            part = np.asarray(column)[:, None]
        if part.dtype.kind not in "biuf":
            raise InputError(f"{name}: column {title!r} must hold numbers; it holds {column.type}.")
        parts.append(part)
    array = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)
    check_shape(array, name, ("n", "k"), (None, None))
    return array


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
