"""The protobuf message tf.train.Example, read and written by hand.

Example{1: Features{1: map<string, Feature>}}, where a Feature holds one of
BytesList (1), FloatList (2) and Int64List (3), each with its values in field 1.
"""

import itertools
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

_KINDS = {1: "bytes", 2: "float", 3: "int64"}


class Span(NamedTuple):
    """Where a feature's value lies in its message.

    `kind` is "bytes" (the first value), "float" (consecutive little-endian
    float32), "float scattered" (an unpacked list: four bytes each, `stride`
    apart) or "int64" (its packed bytes). `offset` and `length` are in bytes.
    """

    offset: int
    length: int
    kind: str
    stride: int = 4


def encode_example(features: Mapping[str, bytes | npt.ArrayLike]) -> bytes:
    """Serialise one tf.train.Example; the same features give the same bytes.

    Parameters
    ----------
    features : dict
        Name to bytes (a BytesList of one value) or to an array (a packed
        FloatList of float32).

    Returns
    -------
    bytes
        The message.
    """
    entries = []
    for key in sorted(features):
        value = features[key]
        if isinstance(value, bytes):
            feature = _field(1, _field(1, value))
        else:
            feature = _field(2, _field(1, np.asarray(value, "<f4").tobytes()))
        entries.append(_field(1, _field(1, key.encode()) + _field(2, feature)))
    return _field(1, b"".join(entries))


def parse_features(data: bytes) -> dict[str, Span]:
    """Find the features of a serialised tf.train.Example.

    Parameters
    ----------
    data : bytes
        The message.

    Returns
    -------
    dict of str to Span
        Offsets are from the start of `data`. Fields that are not known are
        skipped; a feature without values is left out.

    Raises
    ------
    ValueError, IndexError
        The bytes are no protobuf message of this kind.
    """
    features: dict[str, Span] = {}
    for number, start, end in _fields(data, 0, len(data)):
        if number == 1:
            for entry, first, last in _fields(data, start, end):
                if entry == 1:
                    _read_entry(data, first, last, features)
    return features


def _read_entry(data: bytes, start: int, end: int, features: dict[str, Span]) -> None:
    key: str | None = None
    span: Span | None = None
    for number, first, last in _fields(data, start, end):
        if number == 1:
            key = bytes(data[first:last]).decode()
        elif number == 2:
            span = _read_feature(data, first, last)
    if key is not None and span is not None:
        features[key] = span


def _read_feature(data: bytes, start: int, end: int) -> Span | None:
    for number, first, last in _fields(data, start, end):
        if number in _KINDS:
            values = [v for v in _fields(data, first, last) if v[0] == 1]
            return _read_list(_KINDS[number], values)
    return None


def _read_list(kind: str, values: list[tuple[int, int, int]]) -> Span | None:
    if not values:
        return None
    _, first, last = values[0]
    if kind == "float" and len(values) > 1:
        # Unpacked: a tag byte and four bytes for each value, one after another.
        if {b[1] - a[1] for a, b in itertools.pairwise(values)} != {5}:
            raise ValueError("a float list that is packed in part")
        return Span(first, 4 * len(values), "float scattered", 5)
    return Span(first, last - first, kind)


def _fields(data: bytes, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """All fields between two offsets: (number, start, end) of each value.

    The numbers of one byte are read in place: a file has thousands of them.
    """
    while start < end:
        tag, start = data[start], start + 1
        if tag > 127:
            tag, start = _decode_varint(data, start - 1)
        wire = tag & 7
        if wire == 2:
            length, start = data[start], start + 1
            if length > 127:
                length, start = _decode_varint(data, start - 1)
            last = start + length
        elif wire == 0:
            _, last = _decode_varint(data, start)
        elif wire in (1, 5):
            last = start + (8 if wire == 1 else 4)
        else:
            raise ValueError(f"unknown wire type {wire}")
        if last > end:
            raise ValueError("a field runs past the end")
        yield tag >> 3, start, last
        start = last


def _decode_varint(data: bytes, offset: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[offset]
        offset += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, offset
        shift += 7
        if shift > 63:
            raise ValueError("a number of more than 64 bits")


def _field(number: int, data: bytes) -> bytes:
    """A length-delimited protobuf field."""
    return bytes([number << 3 | 2]) + _encode_varint(len(data)) + data


def _encode_varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)
