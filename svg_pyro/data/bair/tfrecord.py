"""TFRecord files, read and written without TensorFlow.

A record is: length (8 bytes, little endian), masked CRC-32C of these 8 bytes
(4 bytes), the payload, masked CRC-32C of the payload (4 bytes). The payload is a
serialised tf.train.Example.
"""

import mmap
import os
import struct
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

import numpy as np

from svg_pyro.data.bair.example_proto import Span, encode_example, parse_features
from svg_pyro.errors import DataError
from svg_pyro.util.files import written_beside
from svg_pyro.util.optional import need

__all__ = [
    "check_record",
    "encode_example",
    "masked_crc",
    "open_buffer",
    "parse_features",
    "read_features",
    "scan_records",
    "verify",
    "write_records",
]

Buffer = mmap.mmap | bytes
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


def open_buffer(path: str | Path) -> Buffer:
    """Map a file into memory, read-only.

    Parameters
    ----------
    path : str or Path
        The file.

    Returns
    -------
    mmap.mmap or bytes
        Empty bytes for an empty file, which cannot be mapped.

    Raises
    ------
    DataError
        The file cannot be opened.
    """
    try:
        with open(path, "rb") as file:
            if os.fstat(file.fileno()).st_size == 0:
                return b""
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error


def scan_records(buffer: Buffer, path: str | Path) -> np.ndarray:
    """Find the records of a file by their lengths.

    The CRC of each length is checked, for a wrong length would lose all that
    follows; the payloads are not (see `verify`).

    Parameters
    ----------
    buffer : bytes-like
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
    buffer: Buffer, record: np.ndarray, number: int, path: str | Path
) -> dict[str, Span]:
    """`parse_features` on one record; a failure says whether its CRC matches.

    Parameters
    ----------
    buffer : bytes-like
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
    buffer: Buffer, record: np.ndarray, number: int, path: str | Path
) -> None:
    """Compare one payload with its CRC.

    Parameters
    ----------
    buffer : bytes-like
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
    buffer = open_buffer(path)
    records = scan_records(buffer, path)
    for number, record in enumerate(records):
        check_record(buffer, record, number, path)
    return len(records)
