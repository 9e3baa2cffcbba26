"""Download and unpacking, against a server on this machine."""

import contextlib
import io
import shutil
import tarfile
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from svg_pyro.data import BairPush
from svg_pyro.data.bair.tfrecord import encode_example, write_records
from svg_pyro.data.download import archives
from svg_pyro.data.download.published import download_bair, download_kth
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
    """Serve `data`: one file, or a dict of them by name. Yields address and requests.

    The first GET may break off. A name that is not there is answered by 404.
    """
    seen, left = [], [break_after]
    one = isinstance(data, bytes)

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *args):
            pass

        def found(self):
            return data if one else data.get(self.path[1:])

        def do_HEAD(self):
            self.send_response(status if self.found() is not None else 404)
            self.send_header("Content-Length", str(len(self.found() or b"")))
            self.end_headers()

        def do_GET(self):
            content, asked = self.found(), self.headers.get("Range")
            seen.append(asked if one else (self.path[1:], asked))
            start = int(asked[6:-1]) if asked and ranges else 0
            if start >= len(content):
                self.send_error(416)
                return
            self.send_response(206 if asked and ranges else 200)
            self.send_header("Content-Length", str(len(content) - start))
            self.end_headers()
            self.wfile.write(content[start:][: left[0]])
            left[0] = None
            self.close_connection = True

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        name = "bair.tar" if one else ""
        yield f"http://127.0.0.1:{server.server_port}/{name}", seen
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def left_over(root):
    return sorted(p.name for p in root.iterdir() if p.name != ".lock")


def test_downloads_unpacks_and_tells_the_size(tmp_path, archive, capsys):
    with serving(archive) as (url, seen):
        root = download_bair(tmp_path / "new", url)
        assert download_bair(root, url) == root
    assert seen == [None]  # the second call asked for nothing
    assert f"of {len(archive) / 1e6:.2f}MB" in capsys.readouterr().out
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
        download_bair(tmp_path, url)
    assert seen == [f"bytes={len(archive) + 4}-", None]  # the first answered by 416
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
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with serving(archive) as (url, seen):
        with pytest.raises(DataError, match="disk too small"):
            download_bair(tmp_path, url)
    assert seen == []


@pytest.mark.parametrize("filtered", [True, False])
@pytest.mark.parametrize("name", ["../outside", "softmotion30_44k/../../outside"])
def test_members_outside_the_folder_are_refused(tmp_path, monkeypatch, name, filtered):
    if not filtered:
        monkeypatch.delattr(tarfile, "data_filter", raising=False)
    root = tmp_path / "root"
    with serving(tar_of([(name, b"x")])) as (url, _):
        with pytest.raises(DataError, match="cannot be unpacked"):
            download_bair(root, url)
    assert left_over(tmp_path) == ["root"]
    assert left_over(root) == ["bair.tar"]


def test_the_own_member_check_lets_plain_files_through(tmp_path):
    archives._check_member(tarfile.TarInfo("softmotion30_44k/train/a"), tmp_path)
    link = tarfile.TarInfo("link")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc"
    with pytest.raises(tarfile.TarError, match="neither a file nor a folder"):
        archives._check_member(link, tmp_path)


def test_another_archive_is_refused(tmp_path, archive):
    with serving(tar_of([("softmotion30_44k/train/readme", b"x")])) as (url, _):
        with pytest.raises(DataError, match="damaged or not the BAIR set"):
            download_bair(tmp_path / "a", url)
    with serving(archive[: len(archive) // 2]) as (url, _):
        with pytest.raises(DataError, match=r"bair\.tar: cannot be unpacked"):
            download_bair(tmp_path / "b", url)
    assert left_over(tmp_path / "b") == ["bair.tar"]


def test_a_record_of_another_kind_is_refused(tmp_path):
    path = tmp_path / "x"
    write_records(path, [b"\xff\xff\xff"])
    names = [f"softmotion30_44k/{s}/a.tfrecords" for s in ("train", "test")]
    with serving(tar_of([(n, path.read_bytes()) for n in names])) as (url, _):
        with pytest.raises(DataError, match=r"is not a tf\.train\.Example"):
            download_bair(tmp_path / "root", url)
    assert not (tmp_path / "root" / "softmotion30_44k").exists()


ACTIONS = "boxing handclapping handwaving jogging running walking".split()


def zip_of(members):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in members:
            file.writestr(name, data)
    return out.getvalue()


@pytest.fixture
def kth():
    """What KTH's server holds, with files of noise in place of the videos."""
    noise = np.random.default_rng(0)
    files = {"00sequences.txt": b"person01_boxing_d1\tframes\t1-95\n"}
    for action in ACTIONS:
        names = [f"person{p:02d}_{action}_d1_uncomp.avi" for p in (1, 22)]
        files[f"{action}.zip"] = zip_of((n, noise.bytes(50_000)) for n in names)
    return files


def test_kth_is_fetched_unpacked_and_not_fetched_again(tmp_path, kth, capsys):
    root = tmp_path / "new" / "kth"
    with serving(kth) as (url, seen):
        assert download_kth(root, url) == root
        assert sorted(seen) == sorted((name, None) for name in kth)
        assert download_kth(root, url) == root
        assert len(seen) == 7
    assert left_over(root) == sorted(["00sequences.txt", *ACTIONS])
    assert (root / "00sequences.txt").read_bytes() == kth["00sequences.txt"]
    for action in ACTIONS:
        with zipfile.ZipFile(io.BytesIO(kth[f"{action}.zip"])) as archive:
            for name in archive.namelist():
                assert (root / action / name).read_bytes() == archive.read(name)
    assert "walking.zip: of 100kB, 0.00B of it already here" in capsys.readouterr().out


def test_kth_goes_on_where_it_broke_off(tmp_path, kth):
    with serving(kth) as (url, _):
        download_kth(tmp_path, url, ["boxing"])
    with serving(kth, break_after=40_000) as (url, seen):
        with pytest.raises(DataError, match=r"running.zip.*run it again to go on"):
            download_kth(tmp_path, url, ["boxing", "running"])
        have = (tmp_path / "running.zip.part").stat().st_size
        download_kth(tmp_path, url, ["boxing", "running"])
    assert seen == [("running.zip", None), ("running.zip", f"bytes={have}-")]
    assert left_over(tmp_path) == ["00sequences.txt", "boxing", "running"]


def test_a_kth_archive_with_a_flipped_byte_is_refused(tmp_path, kth):
    data = bytearray(kth["walking.zip"])
    data[60_000] ^= 1
    with serving({**kth, "walking.zip": bytes(data)}) as (url, _):
        with pytest.raises(
            DataError, match=r"walking.zip: cannot be unpacked \(Bad CRC"
        ):
            download_kth(tmp_path, url, ["walking"])
    assert left_over(tmp_path) == ["00sequences.txt", "walking.zip"]
    with serving({**kth, "walking.zip": kth["walking.zip"][:-30]}) as (url, _):
        (tmp_path / "walking.zip").unlink()
        with pytest.raises(DataError, match="cannot be unpacked") as caught:
            download_kth(tmp_path, url, ["walking"])
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["../outside.avi", "/outside.avi", "a/../../x.avi"])
def test_kth_members_outside_the_folder_are_refused(tmp_path, kth, name):
    root = tmp_path / "root"
    with serving({**kth, "boxing.zip": zip_of([(name, b"x")])}) as (url, _):
        with pytest.raises(DataError, match="would lie outside the folder"):
            download_kth(root, url, ["boxing"])
    assert left_over(tmp_path) == ["root"]
    assert left_over(root) == ["00sequences.txt", "boxing.zip"]


def test_a_kth_archive_of_something_else_is_refused(tmp_path, kth):
    with serving({**kth, "boxing.zip": kth["walking.zip"]}) as (url, _):
        with pytest.raises(DataError, match="not KTH's boxing videos") as caught:
            download_kth(tmp_path, url, ["boxing"])
    assert "\n" not in str(caught.value)
    assert left_over(tmp_path) == ["00sequences.txt", "boxing.zip"]


def test_kth_folders_of_something_else_and_unknown_actions(tmp_path, kth):
    (tmp_path / "boxing").mkdir()
    with serving(kth) as (url, seen):
        with pytest.raises(
            DataError, match="boxing: holds no video such as person01_b"
        ):
            download_kth(tmp_path, url, ["boxing"])
        with pytest.raises(DataError, match="unknown action 'dancing'"):
            download_kth(tmp_path / "x", url, ["dancing"])
        assert not (tmp_path / "x").exists()
        del kth["walking.zip"]
        with pytest.raises(DataError, match=r"walking.zip: HTTP error 404"):
            download_kth(tmp_path, url, ["walking"])
    assert seen == [("00sequences.txt", None)]
