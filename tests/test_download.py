"""Download and unpacking, against a server on this machine."""

import contextlib
import io
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from svg_pyro.data import BairPush, download, download_bair
from svg_pyro.data.tfrecord import encode_example, write_records
from svg_pyro.errors import DataError


def tar_of(members):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """The bytes of a small BAIR archive."""
    path = tmp_path_factory.mktemp("tar") / "a.tfrecords"
    image = bytes(range(256)) * 48
    features = {f"{t}/image_aux1/encoded": image for t in range(3)}
    write_records(path, [encode_example(features)] * 40)
    data = path.read_bytes()
    names = [f"softmotion30_44k/{s}/traj_0_to_39.tfrecords" for s in ("train", "test")]
    return tar_of([(name, data) for name in names])


@contextlib.contextmanager
def serving(data, ranges=True, break_after=None, status=200):
    """Serve `data`; the first GET may break off. Yields the address and requests."""
    seen, left = [], [break_after]

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *args):
            pass

        def do_HEAD(self):
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()

        def do_GET(self):
            asked = self.headers.get("Range")
            seen.append(asked)
            start = int(asked[6:-1]) if asked and ranges else 0
            if start >= len(data):
                self.send_error(416)
                return
            self.send_response(206 if asked and ranges else 200)
            self.send_header("Content-Length", str(len(data) - start))
            self.end_headers()
            self.wfile.write(data[start:][: left[0]])
            left[0] = None
            self.close_connection = True

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/bair.tar", seen
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def left_over(root):
    return sorted(p.name for p in root.iterdir())


def test_downloads_unpacks_and_tells_the_size(tmp_path, archive, capsys):
    with serving(archive) as (url, seen):
        root = download_bair(tmp_path / "new", url)
        assert download_bair(root, url) == root
    assert seen == [None]  # the second call asked for nothing
    assert "of 0.0 GB" in capsys.readouterr().out
    assert left_over(root) == ["softmotion30_44k"]
    assert len(BairPush(root, n_frames=3)) == 40


@pytest.mark.parametrize("ranges", [True, False])
def test_a_broken_download_goes_on(tmp_path, archive, ranges):
    with serving(archive, ranges, break_after=1_500_000) as (url, seen):
        with pytest.raises(DataError, match="run it again to go on") as caught:
            download_bair(tmp_path, url)
        assert "\n" not in str(caught.value)
        assert left_over(tmp_path) == ["bair.tar.part"]
        have = (tmp_path / "bair.tar.part").stat().st_size
        assert 0 < have <= 1_500_000
        download_bair(tmp_path, url)
    assert seen == [None, f"bytes={have}-"]
    assert left_over(tmp_path) == ["softmotion30_44k"]
    assert len(BairPush(tmp_path, n_frames=3)) == 40


def test_a_partial_file_that_is_complete_is_not_fetched_again(tmp_path, archive):
    (tmp_path / "bair.tar.part").write_bytes(archive)
    with serving(archive) as (url, seen):
        download_bair(tmp_path, url)
    assert seen == []
    assert left_over(tmp_path) == ["softmotion30_44k"]


def test_a_partial_file_that_is_too_long_is_dropped(tmp_path, archive):
    (tmp_path / "bair.tar.part").write_bytes(archive + b"more")
    with serving(archive) as (url, seen):
        with pytest.raises(DataError, match="run it again"):
            download_bair(tmp_path, url)
        assert seen == [f"bytes={len(archive) + 4}-"]  # answered by 416
        download_bair(tmp_path, url)
    assert left_over(tmp_path) == ["softmotion30_44k"]


def test_http_errors_and_no_network(tmp_path, archive):
    with serving(archive, status=404) as (url, _):
        with pytest.raises(
            DataError, match=r"bair.tar: HTTP error 404 .*check the address"
        ):
            download_bair(tmp_path, url)
    with pytest.raises(DataError, match="cannot be reached"):
        download_bair(tmp_path, url)  # the server is gone


def test_the_disk_is_looked_at_first(tmp_path, archive, monkeypatch):
    usage = download.shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(download.shutil, "disk_usage", lambda _: usage)
    with serving(archive) as (url, seen):
        with pytest.raises(DataError, match="disk too small"):
            download_bair(tmp_path, url)
    assert seen == []


@pytest.mark.parametrize("filtered", [True, False])
@pytest.mark.parametrize("name", ["../outside", "softmotion30_44k/../../outside"])
def test_members_outside_the_folder_are_refused(tmp_path, monkeypatch, name, filtered):
    if not filtered:
        monkeypatch.delattr(tarfile, "data_filter")
    root = tmp_path / "root"
    with serving(tar_of([(name, b"x")])) as (url, _):
        with pytest.raises(DataError, match="cannot be unpacked"):
            download_bair(root, url)
    assert left_over(tmp_path) == ["root"]
    assert left_over(root) == ["bair.tar"]


def test_the_own_member_check_lets_plain_files_through(tmp_path):
    download._check_member(tarfile.TarInfo("softmotion30_44k/train/a"), tmp_path)
    link = tarfile.TarInfo("link")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc"
    with pytest.raises(tarfile.TarError, match="neither a file nor a folder"):
        download._check_member(link, tmp_path)


def test_another_archive_is_refused(tmp_path, archive):
    with serving(tar_of([("softmotion30_44k/train/readme", b"x")])) as (url, _):
        with pytest.raises(DataError, match="damaged or not the BAIR set"):
            download_bair(tmp_path / "a", url)
    with serving(archive[: len(archive) // 2]) as (url, _):
        with pytest.raises(DataError, match="bair.tar: cannot be unpacked"):
            download_bair(tmp_path / "b", url)
    assert left_over(tmp_path / "b") == ["bair.tar"]


def test_a_record_of_another_kind_is_refused(tmp_path):
    path = tmp_path / "x"
    write_records(path, [b"\xff\xff\xff"])
    names = [f"softmotion30_44k/{s}/a.tfrecords" for s in ("train", "test")]
    with serving(tar_of([(n, path.read_bytes()) for n in names])) as (url, _):
        with pytest.raises(DataError, match="is not a tf.train.Example"):
            download_bair(tmp_path / "root", url)
    assert not (tmp_path / "root" / "softmotion30_44k").exists()
