"""Fetches public data sets for LABELWISE_DATA; a file is there whole and checked, or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from labelwise.checks import check_name
from labelwise.errors import LabelwiseError

TIMEOUT = 60.0  # seconds without a byte


class DownloadError(LabelwiseError, RuntimeError):
    """A file could not be fetched, or is not what it should be; nothing of it was kept."""


@dataclass(frozen=True)
class Public:
    """Where a public set lies: folder below $LABELWISE_DATA, address, file -> md5 as its publishers say."""

    folder: str
    base_url: str
    files: dict[str, str]


PUBLIC = {
    "mnist": Public(
        "mnist",
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        {
            "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
            "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
            "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
            "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
        },
    ),
    "fashion-mnist": Public(
        "fashion_mnist",
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        {
            "train-images-idx3-ubyte.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
            "train-labels-idx1-ubyte.gz": "25c81989df183df01b3e8a0aad5dffbe",
            "t10k-images-idx3-ubyte.gz": "bef4ecab320f06d8554ea6380940ec79",
            "t10k-labels-idx1-ubyte.gz": "bb300cfdad3c16e7a12a480ee83cd310",
        },
    ),
    "pneumonia-mnist": Public(
        "pneumonia_mnist",
        "https://zenodo.org/records/10519652/files/",
        {"pneumoniamnist.npz": "28209eda62fecd6e6a2d98b1501bb15f"},
    ),
}


@dataclass
class _Bar:
    """What pooch expects of a progress bar; tells (file, bytes so far, bytes in all)."""

    tell: Callable[[str, int, int], None]
    file: str
    total: int = 0
    done: int = field(default=0, init=False)

    def update(self, step: int) -> None:
        self.done += step
        self.tell(self.file, min(self.done, self.total or self.done), self.total)

    def reset(self) -> None:
        self.done = 0

    def close(self) -> None:
        """Nothing to let go of."""


@contextmanager
def _shown(file: str, progress: bool | Callable[[str, int, int], None]) -> Iterator[_Bar | None]:
    """Give pooch something to tell its progress to: a function, a bar in the terminal, or nothing."""
    if progress is False:
        yield None
    elif progress is not True:
        yield _Bar(progress, file)
    else:
        from rich.progress import Progress

        with Progress(transient=True) as bar:
            task = bar.add_task(file, total=None)
            yield _Bar(lambda _, done, total: bar.update(task, completed=done, total=total or None), file)


def download(
    name: str,
    folder: str | os.PathLike[str],
    *,
    base_url: str | None = None,
    progress: bool | Callable[[str, int, int], None] = True,
) -> tuple[Path, ...]:
    """Return the files of a public set, fetched to their place in `folder` where missing or wrong.

    Args:
        name: a key of PUBLIC.
        folder: what LABELWISE_DATA names; made if it is not there.
        base_url: a mirror that has the same files.
        progress: True shows a bar in the terminal; a function is told (file, bytes so far, bytes in all or
            0).

    Raises:
        UnknownName: no public set has this name.
        DownloadError: a file could not be fetched or has another checksum; files fetched before it stay.
    """
    import pooch
    import requests

    check_name(name, tuple(PUBLIC), "public data set")
    public = PUBLIC[name]
    place = Path(folder) / public.folder
    address = (base_url if base_url is not None else public.base_url).rstrip("/") + "/"
    pooch.get_logger().setLevel("WARNING")  # it would print each address with its checksum
    files = []
    for file, md5 in public.files.items():
        with _shown(file, progress) as bar:
            fetch = pooch.HTTPDownloader(progressbar=bar or False, timeout=TIMEOUT, chunk_size=1 << 16)
            try:
                got = pooch.retrieve(address + file, f"md5:{md5}", fname=file, path=place, downloader=fetch)
            except (requests.RequestException, OSError, ValueError) as error:
                raise DownloadError(
                    f"{address + file} could not be fetched to {place}: {error} Nothing of it was "
                    "kept; try again, or name a mirror (base_url)."
                ) from error
        files.append(Path(got))
    return tuple(files)
