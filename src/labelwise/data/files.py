"""Reads idx, npz, CSV and Parquet files that may come from a stranger, and keeps paths inside a root."""

from __future__ import annotations

import csv
import gzip
import math
import os
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib import format as npy

from labelwise.checks import Array
from labelwise.errors import InputError

if TYPE_CHECKING:
    import pyarrow

MOST_BYTES = 8 << 30  # one file, unpacked
MOST_TEXT = 1 << 28  # one file of lines
MOST_RATIO = 200  # unpacked / packed; pictures and tables reach about 30
SMALL = 1 << 20  # nothing that unpacks to less is worth a suspicion
MOST_ENTRIES = 10_000
IDX_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def _existing(path: str | os.PathLike[str]) -> Path:
    file = Path(path)
    if not file.is_file():
        raise InputError(f"{file} must be a file; there is none.")
    return file


def _check_size(file: Path, unpacked: int, packed: int) -> None:
    if unpacked > MOST_BYTES or (unpacked > SMALL and unpacked > MOST_RATIO * max(packed, 1)):
        raise InputError(
            f"{file} unpacks from {packed:,} to {unpacked:,} bytes; at most {MOST_BYTES:,} bytes and a "
            f"ratio of {MOST_RATIO} are read. If the file is yours and right, save it uncompressed."
        )


def read_idx(path: str | os.PathLike[str]) -> Array:
    """Return the array in an idx file (the format of MNIST), gzipped or not.

    Args:
        path: the file; whether it is gzipped is seen from its first bytes, not from its name.

    Raises:
        InputError: no such file, no idx file, more or fewer bytes than its head declares, or a bomb.

    Source:
        LeCun, Cortes, Burges, "The MNIST database of handwritten digits": file formats.
    """
    file = _existing(path)
    packed = file.stat().st_size
    with file.open("rb") as plain:
        zipped = plain.read(2) == b"\x1f\x8b"
    try:
        with gzip.open(file, "rb") if zipped else file.open("rb") as stream:
            magic = stream.read(4)
            if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in IDX_TYPES or not 1 <= magic[3] <= 8:
                raise InputError(f"{file} is no idx file: it begins with the bytes {magic.hex(' ')}.")
            head = stream.read(4 * magic[3])
            if len(head) < 4 * magic[3]:
                raise InputError(f"{file} is cut short: it ends inside its head.")
            shape = tuple(int(size) for size in np.frombuffer(head, ">u4"))
            dtype = np.dtype(IDX_TYPES[magic[2]])
            declared = math.prod(shape) * dtype.itemsize
            _check_size(file, declared, packed)
            body = stream.read(declared)
            if len(body) < declared or stream.read(1):
                raise InputError(
                    f"{file} must hold {declared:,} bytes for shape {shape}; it holds "
                    f"{'more' if len(body) == declared else f'{len(body):,}'}. Fetch it anew."
                )
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(f"{file} is damaged: {error}. Fetch it anew.") from error
    return np.frombuffer(body, dtype).reshape(shape).astype(dtype.newbyteorder("="), copy=False)


def read_npz(path: str | os.PathLike[str]) -> dict[str, Array]:
    """Return name -> array of an npz file; sizes are checked before unpacking, pickles are refused.

    Raises:
        InputError: no such file, no npz file, damaged, a bomb, or an array of Python objects.
    """
    file = _existing(path)
    arrays: dict[str, Array] = {}
    try:
        with zipfile.ZipFile(file) as archive:
            entries = [entry for entry in archive.infolist() if entry.filename.endswith(".npy")]
            if not entries or len(entries) > MOST_ENTRIES:
                raise InputError(f"{file} must hold 1 to {MOST_ENTRIES:,} arrays; it holds {len(entries):,}.")
            _check_size(file, sum(e.file_size for e in entries), sum(e.compress_size for e in entries))
            for entry in entries:
                with archive.open(entry) as stream:
                    arrays[entry.filename.removesuffix(".npy")] = _read_npy(file, entry, stream)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{file} is no npz file that can be read: {error}.") from error
    return arrays


def _read_npy(file: Path, entry: zipfile.ZipInfo, stream: Any) -> Array:
    version = npy.read_magic(stream)
    if version not in ((1, 0), (2, 0)):
        raise InputError(f"{file}: {entry.filename} has npy version {version}; (1, 0) and (2, 0) are read.")
    head = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, fortran, dtype = head(stream)
    if dtype.hasobject:
        raise InputError(
            f"{file}: {entry.filename} holds pickled Python objects, which are never read. Save plain arrays."
        )
    declared, there = math.prod(shape) * dtype.itemsize, entry.file_size - stream.tell()
    if min(shape, default=0) < 0 or declared != there:
        raise InputError(
            f"{file}: {entry.filename} must hold {declared:,} bytes for shape {shape}; it holds {there:,}."
        )
    body = stream.read(declared)  # a ZipFile checks the CRC when the end is reached
    if len(body) != declared:
        raise InputError(f"{file}: {entry.filename} is cut short.")
    flat = np.frombuffer(body, dtype) if declared else np.empty(0, dtype)
    return flat.reshape(shape[::-1]).T if fortran else flat.reshape(shape)


def read_table(path: str | os.PathLike[str]) -> pyarrow.Table:
    """Return a CSV (or TSV) or Parquet file as a pyarrow table.

    Of a CSV every column is text, an empty cell is null and nothing is guessed: "007" stays "007" and "NA"
    stays "NA". Parquet is memory-mapped and keeps its types.

    Raises:
        InputError: no such file, another suffix, not readable as such, no rows, or two columns of one name.
    """
    import pyarrow
    import pyarrow.csv
    import pyarrow.parquet

    file = _existing(path)
    kind = file.suffix.lower()
    if kind not in (".csv", ".tsv", ".parquet"):
        raise InputError(f"A table must end in .csv, .tsv or .parquet; {file.name} does not.")
    try:
        if kind == ".parquet":
            table = pyarrow.parquet.read_table(file, memory_map=True)
        else:
            parse = pyarrow.csv.ParseOptions(
                delimiter="\t" if kind == ".tsv" else ",", newlines_in_values=True
            )
            with file.open(encoding="utf-8-sig", newline="") as stream:
                names = next(csv.reader(stream, delimiter=parse.delimiter), [])
            convert = pyarrow.csv.ConvertOptions(
                column_types={name: pyarrow.string() for name in names},
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=True,
            )
            table = pyarrow.csv.read_csv(file, parse_options=parse, convert_options=convert)
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{file} cannot be read as a table: {error}.") from error
    twice = sorted({name for name in table.column_names if table.column_names.count(name) > 1})
    if twice:
        raise InputError(f"{file}: column names must be distinct; {twice[0]!r} stands there more than once.")
    if not table.num_rows:
        raise InputError(f"{file} must have at least one row; it has none.")
    return table


def read_lines(path: str | os.PathLike[str]) -> list[str]:
    """Return the lines of a text file in UTF-8, stripped of blanks at their ends; empty lines at its end are left out.

    Raises:
        InputError: no such file, it is larger than 256 MiB, or it is not UTF-8.
    """
    file = _existing(path)
    if (size := file.stat().st_size) > MOST_TEXT:
        raise InputError(f"{file} has {size:,} bytes; at most {MOST_TEXT:,} of a text are read.")
    try:
        return [line.rstrip() for line in file.read_text("utf-8").rstrip().splitlines()]
    except UnicodeDecodeError as error:
        raise InputError(f"{file} must be text in UTF-8: {error}.") from error


def as_text(values: Sequence[str | None]) -> Array:
    """Return strings of any length as a NumPy StringDType array (n,); None becomes ""."""
    return np.array([value or "" for value in values], dtype=np.dtypes.StringDType())


class Root:
    """A folder that paths may not leave: neither by `..`, nor by an absolute path, nor by a symbolic link.

    Args:
        folder: an existing folder.

    Raises:
        InputError: there is no such folder.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        if not Path(folder).is_dir():
            raise InputError(f"{Path(folder)} must be a folder; there is none.")
        self.folder = Path(folder).resolve(strict=True)
        # whether files of a folder lie inside: resolving is slow, and 100,000 files share a few folders
        self._parents: dict[str, str | None] = {}

    def find(self, given: str) -> Path:
        """Return the file that `given` names, relative to the root or absolute inside it; it need not exist.

        Raises:
            InputError: the path leaves the root, is empty or holds a zero byte.
        """
        if not given or "\0" in given:
            raise InputError(f"A path must be some characters without a zero byte; it is {given!r}.")
        if ".." in given.replace(os.sep, "/").split("/"):
            raise InputError(f"A path may not climb with '..'; it is {given!r}.")
        # an absolute path replaces the root here and is judged below
        parent, name = os.path.split(os.path.normpath(os.path.join(self.folder, given)))
        if parent not in self._parents:
            real = os.path.realpath(parent)
            self._parents[parent] = real if Path(real).is_relative_to(self.folder) else None
        inside = self._parents[parent]
        if inside is not None:
            file = os.path.join(inside, name)
            if not os.path.islink(file):
                return Path(file)
            linked = Path(os.path.realpath(file))
            if linked.is_relative_to(self.folder):
                return linked
        raise InputError(f"A path must stay inside {self.folder}; {given!r} leads out of it.")


def check_columns(names: Sequence[str], known: Sequence[str], file: Path) -> None:
    """Raise InputError unless every name is a column of the file; the message lists the columns."""
    for name in names:
        if name not in known:
            raise InputError(f"{file.name} has no column {name!r}; it has {', '.join(map(repr, known))}.")
