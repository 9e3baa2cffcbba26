"""Files that are whole or not there, whatever the disk and the writers do."""

import errno
import os
import sys

import pytest
import torch

from svg_pyro.util.files import check_writable, write_json, written_beside

FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def without_words(beside):
    raise FULL


def hidden(beside):
    """As Matplotlib's PDF, which fails once more on the way out."""
    try:
        raise FULL
    finally:
        raise AttributeError("'Stream' object has no attribute 'pos'")


def of_the_temporary_name(beside):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(beside))


@pytest.mark.parametrize("fail", [without_words, hidden, of_the_temporary_name])
def test_a_full_disk_names_the_file_whatever_its_writer_makes_of_it(tmp_path, fail):
    path = tmp_path / "run" / "scores.pdf"
    with pytest.raises(OSError) as caught, written_beside(path) as beside:
        beside.write_text("half of")
        fail(beside)
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(path))
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(sys.platform != "linux", reason="needs /dev/full")
def test_what_torch_says_of_a_full_disk_is_an_error_of_the_disk(tmp_path):
    path = tmp_path / "state.pt"
    with pytest.raises(OSError) as caught, written_beside(path) as beside:
        beside.symlink_to("/dev/full")
        torch.save({"a": torch.zeros(9)}, beside)
    assert caught.value.filename == str(path) and caught.value.strerror
    assert os.listdir(tmp_path) == []


def test_other_errors_pass_as_they_are(tmp_path):
    raised = [OSError(errno.ENOENT, "gone", "video.mp4"), ValueError("no"), OSError()]
    for error in raised:
        with pytest.raises(type(error)) as caught, written_beside(tmp_path / "a"):
            raise error
        assert caught.value is error


def test_a_name_as_long_as_the_system_takes_is_written_and_cleared(tmp_path):
    path = tmp_path / f"{246 * 'n'}.json"
    write_json(path, [1])
    assert os.listdir(tmp_path) == [path.name]
    with pytest.raises(OSError) as caught:
        write_json(tmp_path / f"{251 * 'n'}.json", [1])
    assert caught.value.errno == errno.ENAMETOOLONG
    assert os.listdir(tmp_path) == [path.name]


def test_a_name_that_cannot_be_written_is_refused_before_the_work(tmp_path):
    path = tmp_path / "new" / "fitted.pt"
    check_writable(path)
    assert os.listdir(tmp_path) == []
    (tmp_path / "new").mkdir()
    path.write_text("the earlier one")
    check_writable(path)
    assert path.read_text() == "the earlier one"
    assert os.listdir(path.parent) == [path.name]
    for wrong in (path / "below.pt", path.with_name(f"{300 * 'n'}.pt")):
        with pytest.raises(OSError):
            check_writable(wrong)
