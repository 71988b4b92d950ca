"""Files that are whole or not there: written beside their place, synced, moved; disk failures in words."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from labelwise.errors import InputError, LabelwiseError, StoreError, StoreFull


def disk_error(path: Path, error: OSError, doing: str) -> LabelwiseError:
    """Return the error that says in words why `path` could not be read or written.

    Args:
        path: what was to be read or written.
        error: what the system said.
        doing: "read" or "written".
    """
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return StoreFull(
                f"The disk of {path} is full; nothing was changed. Free some space and try again."
            )
        case errno.EACCES | errno.EPERM | errno.EROFS:
            return StoreError(
                f"{path} cannot be {doing}: no permission. Change its permissions, or its owner."
            )
        case errno.ENOENT if doing == "written":
            return InputError(f"{path} cannot be written: there is no folder {path.parent}. Make it first.")
        case errno.ENOENT:
            return InputError(f"There is no {path}.")
        case errno.EISDIR:
            return InputError(f"{path} is a folder; it must be a file.")
        case errno.ENOTDIR:
            return InputError(f"{path} cannot be {doing}: a part of its path is a file, no folder.")
        case _:
            return StoreError(f"{path} cannot be {doing}: {error.strerror or error}.")


def sync_folder(folder: Path) -> None:
    """Make renames in a folder survive a power cut, where the system can (Windows cannot open folders)."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def whole_file(path: Path, mode: str = "w") -> Iterator[IO[Any]]:
    """Yield a file that takes the place of `path` when the block ends well; else nothing has changed.

    Args:
        path: where the file shall stand; its folder must exist.
        mode: "w" for UTF-8 text (line ends are written as given) or "wb".

    Raises:
        StoreFull: the disk is full.
        StoreError: it cannot be written.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}.draft")
    text: dict[str, Any] = {} if "b" in mode else {"encoding": "utf-8", "newline": ""}
    try:
        with draft.open(mode, **text) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise disk_error(path, error, "written") from error
    finally:
        with suppress(OSError):  # moved by now, or never made; a leftover draft is never read
            draft.unlink(missing_ok=True)


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, in hex.

    Raises:
        LabelwiseError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise disk_error(path, error, "read") from error
