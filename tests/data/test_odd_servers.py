"""Servers that refuse what they need not offer, and downloads that were killed."""

import contextlib
import hashlib
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from svg_pyro.data.download import disk, published
from svg_pyro.data.download.archives import unpack
from svg_pyro.data.download.disk import sole_writer
from svg_pyro.data.download.fetch import fetch
from svg_pyro.errors import DataError

DATA = bytes(range(256)) * 40


@contextlib.contextmanager
def server(*, head=200, ranges=206, length=True, whole=True):
    """Serve DATA; `head` and `ranges` are the statuses of HEAD and of partial GETs."""
    seen = []

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *args):
            pass

        def begin(self, status, body):
            self.send_response(status)
            if length:
                self.send_header("Content-Length", str(len(body)))
            if status == 416 and whole:
                self.send_header("Content-Range", f"bytes */{len(DATA)}")
            self.end_headers()

        def do_HEAD(self):
            self.begin(head, DATA if head == 200 else b"")

        def do_GET(self):
            asked = self.headers.get("Range")
            seen.append(asked)
            body, status = DATA, 200
            if asked:
                status, start = ranges, int(asked[6:-1])
                if start >= len(DATA) and ranges == 206:
                    status = 416
                body = DATA[start:] if status == 206 else DATA * (status == 200)
            self.begin(status, body)
            self.wfile.write(body)

    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=running.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{running.server_port}/file.bin", seen
    finally:
        running.shutdown()
        thread.join()
        running.server_close()


@pytest.mark.parametrize("have", [0, 100, len(DATA), len(DATA) + 5])
@pytest.mark.parametrize(
    "refuses",
    [
        {"head": 405},
        {"head": 403, "length": False},
        {"head": 501, "ranges": 416},
        {"head": 405, "ranges": 416, "whole": False},
        {"ranges": 416, "whole": False},
        {"ranges": 403},
        {"ranges": 501},
        {"ranges": 200},
    ],
    ids=str,
)
def test_what_a_server_refuses_is_done_without(tmp_path, refuses, have):
    path, part = tmp_path / "file.bin", tmp_path / "file.bin.part"
    if have:
        part.write_bytes((DATA + b"more!")[:have])
    with server(**refuses) as (url, _):
        for _ in range(2):  # a part that is too long is dropped, and fetched again
            try:
                fetch(url, path)
            except DataError as error:
                assert "\n" not in str(error) and have > len(DATA)
                continue
            break
    assert path.read_bytes() == DATA and not part.exists()


def test_a_partial_file_that_is_whole_is_known_by_a_416(tmp_path):
    (tmp_path / "file.bin.part").write_bytes(DATA)
    with server(head=405) as (url, seen):
        fetch(url, tmp_path / "file.bin")
    assert seen == [f"bytes={len(DATA)}-"]


def test_checksums_are_compared(tmp_path):
    right = hashlib.sha256(DATA).hexdigest()
    with server() as (url, _):
        with pytest.raises(DataError, match="not what was published") as caught:
            fetch(url, tmp_path / "a", sha256=right[::-1])
        assert "\n" not in str(caught.value) and not list(tmp_path.iterdir())
        fetch(url, tmp_path / "a", sha256=right)
    assert (tmp_path / "a").read_bytes() == DATA


def test_the_published_archive_of_bair_has_its_checksum_and_a_mirror_none(
    tmp_path, monkeypatch
):
    asked = []

    def fetched(url, path, *, sha256=None):
        asked.append((url, path.name, sha256))
        raise DataError("no network")

    monkeypatch.setattr(published, "fetch", fetched)
    for url in (published.BAIR_URL, "http://mirror/deep/bair.tar?key=1", "http://x/"):
        with pytest.raises(DataError, match="no network"):
            published.download_bair(tmp_path, url)
    assert [a[1] for a in asked] == [
        "bair_robot_pushing_dataset_v0.tar",
        "bair.tar",
        "bair.tar",
    ]
    assert len(asked[0][2]) == 64 and asked[1][2] is asked[2][2] is None


KILLED = """
import os, signal, sys
from pathlib import Path
from svg_pyro.data.download.archives import unpack
def extract(archive, folder):
    (folder / "things").mkdir()
    (folder / "things" / "first").write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
unpack(Path(sys.argv[1]), "things", extract, print, what="things")
"""


@pytest.mark.slow
def test_a_kill_while_unpacking_leaves_no_folder_for_ever(tmp_path):
    archive = tmp_path / "things.tar"
    archive.write_bytes(b"an archive")
    subprocess.run([sys.executable, "-c", KILLED, str(archive)])
    assert any(tmp_path.glob(".things*part"))
    # As the programs before named it, by the number of their process.
    (tmp_path / ".things.4711.part" / "things").mkdir(parents=True)

    def extract(archive, folder):
        (folder / "things").mkdir()

    with sole_writer(tmp_path):
        unpack(archive, "things", extract, lambda folder: None, what="things")
    assert sorted(set(os.listdir(tmp_path)) - {".lock"}) == ["things"]


def test_a_second_process_waits_for_the_first(tmp_path, monkeypatch, capsys):
    waits = []

    class Busy(disk.FolderLock):
        def acquire(self, *, wait=0.0):
            waits.append(wait)
            return wait == -1

    monkeypatch.setattr(disk, "FolderLock", Busy)
    with sole_writer(tmp_path):
        pass
    assert waits == [0.0, -1] and "waiting for another" in capsys.readouterr().out
