"""Archives of PyTorch, believed only when their checksums are right.

PyTorch writes a checksum for every part of an archive and does not look at them.
"""

import zipfile
from pathlib import Path
from typing import BinaryIO

from svg_pyro.errors import CheckpointError

ZIP = b"PK\x03\x04"
_MOST = 100  # times as much as a file holds, that its packed parts may come to


def verify_archive(file: BinaryIO, *, packed: bool = False) -> None:
    """Raise if an archive's checksums are wrong, or its parts claim more than it has.

    Parameters
    ----------
    file : binary file
        What ``torch.save``, or ``torch.jit.save``, wrote; left anywhere.
    packed : bool
        Parts may be compressed, as the code of a TorchScript is. Those of
        ``torch.save`` are not: they could ask for any amount of memory.

    Raises
    ------
    CheckpointError
        When it is damaged.
    zipfile.BadZipFile
        When it is no such archive.
    """
    size = file.seek(0, 2)
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        if not packed and any(m.compress_type != zipfile.ZIP_STORED for m in members):
            raise CheckpointError("its parts are compressed")
        if sum(m.file_size for m in members) > size * (_MOST if packed else 1):
            raise CheckpointError("its parts claim more bytes than it has")
        damaged = archive.testzip()
    if damaged is not None:
        raise CheckpointError(f"it is damaged: the checksum of {damaged} is wrong")


def verify_file(path: str | Path, *, packed: bool = False) -> None:
    """`verify_archive` of a file; the form before PyTorch 1.6 has no checksums."""
    with open(path, "rb") as file:
        if file.read(len(ZIP)) == ZIP:
            verify_archive(file, packed=packed)
