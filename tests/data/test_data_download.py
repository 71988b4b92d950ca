"""Fetching of public sets against a server on this machine: good, wrong, missing and cut files."""

from __future__ import annotations

import gzip
import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from labelwise.data import download as face
from labelwise.data import make
from labelwise.data.download import PUBLIC, DownloadError, Public, download
from labelwise.errors import UnknownName


def idx(array: np.ndarray) -> bytes:
    head = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    return gzip.compress(head + array.tobytes())


class Server(ThreadingHTTPServer):
    """Serves what is in `files`; a path in `cut` breaks off after half of the bytes it announced."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.cut: set[str] = set()
        self.asked: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/mirror"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        name = self.path.rsplit("/", 1)[-1]
        self.server.asked.append(name)
        if name not in self.server.files:
            self.send_error(404)
            return
        body = self.server.files[name]
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if name in self.server.cut else body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: the test's output is not a server's log."""


@pytest.fixture
def server(monkeypatch):
    """A server with a tiny made-up MNIST, whose checksums stand in the table for the time of the test."""
    made = Server()
    for part, n in (("train", 60), ("t10k", 20)):
        made.files[f"{part}-images-idx3-ubyte.gz"] = idx(np.arange(n * 4, dtype=np.uint8).reshape(n, 2, 2))
        made.files[f"{part}-labels-idx1-ubyte.gz"] = idx((np.arange(n) % 10).astype(np.uint8))
    sums = {name: hashlib.md5(body).hexdigest() for name, body in made.files.items()}
    monkeypatch.setitem(PUBLIC, "mnist", Public("mnist", "http://127.0.0.1:9/", sums))
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


def test_a_set_is_fetched_and_becomes_a_task(server, tmp_path, monkeypatch):
    files = face("mnist", tmp_path / "data", base_url=server.url, progress=False)
    assert {file.name: file.read_bytes() for file in files} == server.files
    assert all(file.parent == tmp_path / "data" / "mnist" for file in files)
    assert len(list((tmp_path / "data" / "mnist").iterdir())) == 4  # nothing temporary stays
    monkeypatch.setenv("LABELWISE_DATA", str(tmp_path / "data"))
    task = make("mnist", validation=0).task
    assert (len(task.pool), len(task.test)) == (60, 20)


def test_what_is_there_already_is_not_fetched_again(server, tmp_path):
    download("mnist", tmp_path, base_url=server.url, progress=False)
    first = len(server.asked)
    download("mnist", tmp_path, base_url=server.url + "/", progress=False)
    assert (first, len(server.asked)) == (4, 4)


def test_a_file_that_was_changed_on_disk_is_fetched_again(server, tmp_path):
    (file, *_) = download("mnist", tmp_path, base_url=server.url, progress=False)
    file.write_bytes(b"damaged")
    download("mnist", tmp_path, base_url=server.url, progress=False)
    assert file.read_bytes() == server.files[file.name]
    assert server.asked.count(file.name) == 2


def kept(folder) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_a_wrong_checksum_keeps_nothing_and_says_so(server, tmp_path):
    server.files["train-labels-idx1-ubyte.gz"] += b"!"
    with pytest.raises(DownloadError, match=r"train-labels-idx1-ubyte\.gz could not be fetched.*hash"):
        download("mnist", tmp_path, base_url=server.url, progress=False)
    assert kept(tmp_path) == ["train-images-idx3-ubyte.gz"]  # the good one before it


def test_a_missing_file_is_named_with_its_address(server, tmp_path):
    del server.files["train-images-idx3-ubyte.gz"]
    with pytest.raises(DownloadError, match=r"mirror/train-images-idx3-ubyte\.gz could not be fetched.*404"):
        download("mnist", tmp_path, base_url=server.url, progress=False)
    assert kept(tmp_path) == []


def test_a_cut_connection_leaves_no_half_file_and_the_next_try_finishes(server, tmp_path):
    server.cut.add("t10k-images-idx3-ubyte.gz")
    with pytest.raises(DownloadError, match=r"t10k-images-idx3-ubyte\.gz could not be fetched"):
        download("mnist", tmp_path, base_url=server.url, progress=False)
    assert kept(tmp_path) == ["train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"]
    server.cut.clear()
    download("mnist", tmp_path, base_url=server.url, progress=False)
    assert len(kept(tmp_path)) == 4
    assert server.asked.count("train-images-idx3-ubyte.gz") == 1


def test_an_interruption_leaves_no_half_file(server, tmp_path):
    def stop(file: str, done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download("mnist", tmp_path, base_url=server.url, progress=stop)
    assert kept(tmp_path) == []


def test_a_server_that_is_not_there_is_a_clear_error(server, tmp_path):
    with pytest.raises(DownloadError, match="could not be fetched"):
        download("mnist", tmp_path, progress=False)  # port 9 of this machine


def test_progress_is_told_up_to_the_whole_size(server, tmp_path):
    told: dict[str, tuple[int, int]] = {}
    download("mnist", tmp_path, base_url=server.url, progress=lambda *now: told.update({now[0]: now[1:]}))
    assert told == {name: (len(body), len(body)) for name, body in server.files.items()}


def test_a_bar_in_the_terminal_does_no_harm(server, tmp_path, capsys):
    assert len(download("mnist", tmp_path, base_url=server.url)) == 4
    assert "md5" not in "".join(capsys.readouterr())


def test_a_folder_that_cannot_be_written_is_a_clear_error(server, tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(DownloadError, match="could not be fetched"):
        download("mnist", tmp_path / "file", base_url=server.url, progress=False)


def test_only_public_sets_are_fetched(tmp_path):
    with pytest.raises(UnknownName, match="Did you mean 'fashion-mnist'"):
        download("fashionmnist", tmp_path)


def test_the_checksums_are_md5_sums():
    for public in PUBLIC.values():
        assert public.base_url.endswith("/")
        for md5 in public.files.values():
            assert len(bytes.fromhex(md5)) == 16
