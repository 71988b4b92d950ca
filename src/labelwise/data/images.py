"""Decodes image files once, in threads, into one uint8 array; bad files are told, bombs refused."""

from __future__ import annotations

import hashlib
import io
import json
import os
import stat
import struct
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.lib import format as npy

from labelwise.checks import Array, check_count
from labelwise.errors import InputError

Progress = Callable[[int, int], None]
SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm"})
FORMATS = (
    "JPEG",
    "PNG",
    "WEBP",
    "BMP",
    "GIF",
    "TIFF",
    "PPM",
)  # Pillow knows more, some of them programs (EPS)
MAX_PIXELS = 50_000_000
BLOCK = 128  # images between two reports of progress; bounds what is in memory when a cache is written
VERSION = 1  # of the decoding: a change of the pixels must miss the cache


@dataclass(frozen=True, eq=False)
class Decoded:
    """Images, and which of them are none.

    Attributes:
        images: uint8 (n, height, width) if grey, else (n, height, width, 3); black where nothing could be
            read.
        bad: (row, reason) of those.
    """

    images: Array
    bad: tuple[tuple[int, str], ...]


def decode(
    source: Path | bytes, size: tuple[int, int], *, grey: bool = False, squeeze: bool = False
) -> Array:
    """Return one image, turned upright, centre-cropped to the shape and resized, as uint8.

    Transparent pixels become white; of an animation the first frame is taken; 16-bit grey keeps its upper 8
    bits.

    Args:
        source: a file, or the bytes of one.
        size: (height, width).
        grey: one channel instead of three.
        squeeze: nothing is cropped; the whole image is squeezed into the shape.

    Raises:
        InputError: not a readable image of an accepted format, or more than 50 million pixels.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    height, width = size
    try:
        if isinstance(source, Path) and not stat.S_ISREG(source.stat().st_mode):
            raise InputError("it is no regular file")  # opening a pipe would wait for ever
        with Image.open(
            io.BytesIO(source) if isinstance(source, bytes) else source, formats=FORMATS
        ) as picture:
            if picture.width * picture.height > MAX_PIXELS:
                raise InputError(
                    f"it has {picture.width * picture.height:,} pixels; at most {MAX_PIXELS:,} are decoded"
                )
            # a JPEG can be decoded at a half, a quarter, an eighth: never below twice what is wanted
            picture.draft(None, (2 * max(size), 2 * max(size)))
            image: Image.Image = ImageOps.exif_transpose(picture)
            if image.mode.startswith("I;16"):
                image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
            elif image.mode in ("I", "F"):
                raise InputError(
                    f"its pixels are of mode {image.mode}, whose range is unknown; save it with 8 or 16 bits"
                )
            elif image.has_transparency_data:
                image = image.convert("RGBA")
                image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
            image = image.convert("L" if grey else "RGB")
            if squeeze:
                return np.asarray(image.resize((width, height), Image.Resampling.BOX))
            return np.asarray(ImageOps.fit(image, (width, height), Image.Resampling.BOX))
    except InputError:
        raise
    except FileNotFoundError as error:
        raise InputError("there is no such file") from error
    except UnidentifiedImageError as error:
        raise InputError("it is no image of a format that is read") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise InputError(f"it has too many pixels; at most {MAX_PIXELS:,} are decoded") from error
    except (  # what Pillow's parsers are known to raise on damaged files
        OSError,
        SyntaxError,
        ValueError,
        EOFError,
        MemoryError,
        struct.error,
        IndexError,
        KeyError,
        TypeError,
        OverflowError,
        RuntimeError,
    ) as error:
        raise InputError(f"it is damaged ({type(error).__name__}: {error})") from error


def shape_of(size: int | tuple[int, int], grey: bool) -> tuple[int, ...]:
    """Return the shape of one image, (height, width) or (height, width, 3)."""
    if not isinstance(size, int) and len(size) != 2:
        raise InputError(f"size must be one number or (height, width); it is {size}.")
    height, width = (size, size) if isinstance(size, int) else size
    check_count(height, "size", 1)
    check_count(width, "size", 1)
    return (height, width) if grey else (height, width, 3)


def _blocks(
    sources: Sequence[Path | bytes | None],
    shape: tuple[int, ...],
    progress: Progress | None,
    squeeze: bool = False,
) -> Iterator[tuple[int, Array, list[tuple[int, str]]]]:
    """Yield (first row, images, bad) a block at a time."""
    from PIL import Image

    def one(row: int) -> Array | str | None:
        source = sources[row]
        if source is None:
            return None
        try:
            return decode(source, (shape[0], shape[1]), grey=len(shape) == 2, squeeze=squeeze)
        except InputError as error:
            return str(error)

    # Between one and two times its own bound Pillow only warns. Filters belong to the process, hence here.
    with warnings.catch_warnings(), ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as threads:
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        for start in range(0, len(sources), BLOCK):
            stop = min(start + BLOCK, len(sources))
            images = np.zeros((stop - start, *shape), np.uint8)
            bad: list[tuple[int, str]] = []
            for row, result in zip(range(start, stop), threads.map(one, range(start, stop)), strict=True):
                if isinstance(result, str):
                    bad.append((row, result))
                elif result is not None:
                    images[row - start] = result
            yield start, images, bad
            if progress is not None:
                progress(stop, len(sources))


def decode_all(
    sources: Sequence[Path | bytes | None],
    size: int | tuple[int, int] = 64,
    *,
    grey: bool = False,
    squeeze: bool = False,
    progress: Progress | None = None,
) -> Decoded:
    """Return all images in one array in memory; a source that is None stays black and is not bad.

    Args:
        sources: files, or bytes of files.
        size: height = width, or (height, width).
        grey: one channel instead of three.
        squeeze: see `decode`.
        progress: told (done, total) now and then.
    """
    shape = shape_of(size, grey)
    images = np.zeros((len(sources), *shape), np.uint8)
    bad: list[tuple[int, str]] = []
    for start, block, wrong in _blocks(sources, shape, progress, squeeze):
        images[start : start + len(block)] = block
        bad += wrong
    return Decoded(images, tuple(bad))


def decode_files(
    files: Sequence[Path | None],
    size: int | tuple[int, int] = 64,
    *,
    grey: bool = False,
    cache: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
) -> Decoded:
    """Return all images in one array; with a cache it is a memory map, and decoded only once.

    The cache is keyed by shape and by path, size and time of change of every file, so that any change decodes
    anew.

    Args:
        files: where the images lie; None stays black and is not bad.
        size: height = width, or (height, width).
        grey: one channel instead of three.
        cache: a folder, made if it is not there; None decodes into memory.
        progress: told (done, total) now and then; not at all if the cache answers.

    Raises:
        InputError: the cache folder cannot be written.
    """
    if cache is None:
        return decode_all(files, size, grey=grey, progress=progress)
    shape = shape_of(size, grey)
    key = hashlib.sha256(json.dumps([VERSION, shape, [_state(file) for file in files]]).encode()).hexdigest()[
        :24
    ]
    folder = Path(cache)
    array, notes = folder / f"images-{key}.npy", folder / f"images-{key}.json"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not array.is_file():
            _write(files, shape, array, notes, progress)
        images = np.load(array, mmap_mode="r", allow_pickle=False)
        bad = tuple((int(row), str(reason)) for row, reason in json.loads(notes.read_text("utf-8")))
    except (OSError, ValueError) as error:
        raise InputError(
            f"The image cache {folder} cannot be used: {error}. Free some space there, delete {array.name}, "
            "or name another folder."
        ) from error
    if images.shape != (len(files), *shape) or images.dtype != np.uint8:
        raise InputError(
            f"{array} must hold {(len(files), *shape)} uint8; it holds {images.shape}. Delete it."
        )
    return Decoded(images, bad)


def _state(file: Path | None) -> tuple[str, int, int] | None:
    if file is None:
        return None
    try:
        found = file.stat()
    except OSError:
        return (str(file), -1, -1)  # missing now; its coming changes the key
    return (str(file), found.st_size, found.st_mtime_ns)


def _write(
    files: Sequence[Path | None], shape: tuple[int, ...], array: Path, notes: Path, progress: Progress | None
) -> None:
    """Write the array a block at a time beside its place, then move it there: it is always whole.

    Plain writes, not a writable memory map: on a full disk the latter kills the process.
    """
    bad: list[tuple[int, str]] = []
    with tempfile.NamedTemporaryFile(dir=array.parent, prefix=".images-", delete=False) as stream:
        try:
            head = {"descr": "|u1", "fortran_order": False, "shape": (len(files), *shape)}
            npy.write_array_header_1_0(stream, head)
            for _, block, wrong in _blocks(files, shape, progress):
                stream.write(block.tobytes())
                bad += wrong
            stream.flush()
            os.fsync(stream.fileno())
            # the notes first: an array in its place has its notes
            draft = Path(stream.name + ".json")
            draft.write_text(json.dumps(bad), "utf-8")
            draft.replace(notes)
            Path(stream.name).replace(array)
        except BaseException:
            Path(stream.name).unlink(missing_ok=True)
            raise
