"""TFRecord files, read and written without TensorFlow.

A record is: length (8 bytes, little endian), masked CRC-32C of these 8 bytes
(4 bytes), the payload, masked CRC-32C of the payload (4 bytes). The payload is a
serialised tf.train.Example.
"""

import os
import struct
import threading
import weakref
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

import numpy as np

from svg_pyro.data.bair.example_proto import Span, encode_example, parse_features
from svg_pyro.errors import DataError
from svg_pyro.util.files import written_beside
from svg_pyro.util.optional import need

__all__ = [
    "RecordFile",
    "check_record",
    "encode_example",
    "masked_crc",
    "parse_features",
    "read_features",
    "scan_records",
    "verify",
    "write_records",
]

_HEADER, _FOOTER = 12, 4
_ADVICE = "delete the file and get it again"


def masked_crc(data: bytes) -> int:
    """The CRC-32C of `data`, masked as TFRecord files store it.

    Parameters
    ----------
    data : bytes
        A length or a payload.

    Returns
    -------
    int
        32 bits, without sign.

    Raises
    ------
    DataError
        google-crc32c is not installed.
    """
    crc = int(_crc32c().value(bytes(data)))
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def _crc32c() -> ModuleType:
    return need("google_crc32c", "google-crc32c", "checking TFRecord files")


def write_records(path: str | Path, examples: Iterable[bytes]) -> None:
    """Write serialised examples; the file appears under its name when complete.

    Parameters
    ----------
    path : str or Path
        The file; its folder is made if need be.
    examples : iterable of bytes
        The payloads in their order.

    Raises
    ------
    DataError
        The file cannot be written, or google-crc32c is not installed.
    """
    try:
        with written_beside(path) as beside, open(beside, "wb") as file:
            for data in examples:
                length = struct.pack("<Q", len(data))
                file.write(length + struct.pack("<I", masked_crc(length)))
                file.write(data)
                file.write(struct.pack("<I", masked_crc(data)))
    except OSError as error:
        raise DataError(
            f"{path}: cannot be written ({error.strerror}); see that the folder may be "
            "written to and the disk has room"
        ) from error


class RecordFile:
    """A file's bytes, read where they lie.

    It is not mapped into memory: of a mapped file that becomes shorter, the first
    byte beyond its end ends the process.

    Parameters
    ----------
    path : str or Path
        The file.

    Raises
    ------
    DataError
        The file cannot be opened.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = path
        try:
            self._file = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        except OSError as error:
            raise DataError(f"{path}: cannot be read ({error.strerror})") from error
        weakref.finalize(self, os.close, self._file)
        self._size = os.fstat(self._file).st_size
        self._place = threading.Lock()

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, part: slice) -> bytes:
        start, stop, _ = part.indices(self._size)
        return self.read(start, max(0, stop - start))

    def read(self, offset: int, length: int) -> bytes:
        """`length` bytes from `offset` on.

        Raises
        ------
        DataError
            The file has become shorter, or the disk cannot be read.
        """
        parts, left = [], length
        try:
            while left:
                data = self._read_at(offset + length - left, left)
                if not data:
                    raise DataError(
                        f"{self._path}: became shorter while it was in use, it ends "
                        f"before byte {offset + length}; {_ADVICE}"
                    )
                parts.append(data)
                left -= len(data)
        except OSError as error:
            raise DataError(
                f"{self._path}: cannot be read ({error.strerror})"
            ) from error
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _read_at(self, offset: int, length: int) -> bytes:
        if hasattr(os, "pread"):
            return os.pread(self._file, length, offset)
        with self._place:
            os.lseek(self._file, offset, os.SEEK_SET)
            return os.read(self._file, length)


def scan_records(buffer: RecordFile | bytes, path: str | Path) -> np.ndarray:
    """Find the records of a file by their lengths.

    The CRC of each length is checked, for a wrong length would lose all that
    follows; the payloads are not (see `verify`).

    Parameters
    ----------
    buffer : RecordFile or bytes
        The whole file.
    path : str or Path
        Its name, for messages.

    Returns
    -------
    numpy.ndarray
        int64, shape ``(N, 2)``: offset and length of each payload, in bytes.

    Raises
    ------
    DataError
        The file is empty or truncated, or a length is corrupt.
    """
    size, offset = len(buffer), 0
    records: list[tuple[int, int]] = []
    while offset < size:
        where = f"{path}, record {len(records)}, byte {offset}"
        header = bytes(buffer[offset : offset + _HEADER])
        if len(header) < _HEADER:
            raise DataError(
                f"{where}: truncated, the file ends inside the record; {_ADVICE}"
            )
        length, crc = struct.unpack("<QI", header)
        if masked_crc(header[:8]) != crc:
            raise DataError(
                f"{where}: corrupt (CRC of the length does not match); {_ADVICE}"
            )
        if offset + _HEADER + length + _FOOTER > size:
            raise DataError(
                f"{where}: truncated, the file ends inside the record; {_ADVICE}"
            )
        records.append((offset + _HEADER, length))
        offset += _HEADER + length + _FOOTER
    if not records:
        raise DataError(f"{path}: holds no record, the file is empty; {_ADVICE}")
    return np.array(records, np.int64)


def read_features(
    buffer: RecordFile | bytes, record: np.ndarray, number: int, path: str | Path
) -> dict[str, Span]:
    """`parse_features` on one record; a failure says whether its CRC matches.

    Parameters
    ----------
    buffer : RecordFile or bytes
        The whole file.
    record : numpy.ndarray
        Offset and length of the payload, a row of `scan_records`.
    number : int
        The record's number, for messages.
    path : str or Path
        The file's name, for messages.

    Returns
    -------
    dict of str to Span
        Offsets are from the start of the file.

    Raises
    ------
    DataError
        The record is corrupt or no tf.train.Example.
    """
    offset, length = int(record[0]), int(record[1])
    try:
        features = parse_features(buffer[offset : offset + length])
    except (ValueError, IndexError) as error:
        check_record(buffer, record, number, path)
        raise DataError(
            f"{path}, record {number}, byte {offset}: is not a tf.train.Example "
            f"({error}); give a folder of the BAIR data set"
        ) from error
    return {k: s._replace(offset=s.offset + offset) for k, s in features.items()}


def check_record(
    buffer: RecordFile | bytes, record: np.ndarray, number: int, path: str | Path
) -> None:
    """Compare one payload with its CRC.

    Parameters
    ----------
    buffer : RecordFile or bytes
        The whole file.
    record : numpy.ndarray
        Offset and length of the payload, a row of `scan_records`.
    number : int
        The record's number, for messages.
    path : str or Path
        The file's name, for messages.

    Raises
    ------
    DataError
        They differ.
    """
    offset, end = int(record[0]), int(record[0] + record[1])
    (crc,) = struct.unpack("<I", buffer[end : end + _FOOTER])
    if masked_crc(buffer[offset:end]) != crc:
        raise DataError(
            f"{path}, record {number}, byte {offset}: corrupt (CRC does not match); "
            f"{_ADVICE}"
        )


def verify(path: str | Path) -> int:
    """Check both CRCs of every record of a file.

    Parameters
    ----------
    path : str or Path
        The file.

    Returns
    -------
    int
        The number of records.

    Raises
    ------
    DataError
        Names the file, the record and the byte of the first fault.
    """
    buffer = RecordFile(path)
    records = scan_records(buffer, path)
    for number, record in enumerate(records):
        check_record(buffer, record, number, path)
    return len(records)
