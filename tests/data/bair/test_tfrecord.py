"""TFRecord files against the format's definition and against damage."""

import struct

import google_crc32c
import numpy as np
import pytest

from svg_pyro.data.bair import tfrecord
from svg_pyro.errors import DataError

# Example{features{feature{key "a" value{bytes_list{value "hi"}}}}}, by hand.
HAND_MADE = bytes.fromhex("0a0d0a0b0a0161" + "12060a040a026869")


def bitwise_crc32c(data):
    """CRC-32C by its definition: reflected polynomial 0x82F63B78."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def values(data, span):
    raw = data[span.offset : span.offset + (span.length // 4 - 1) * span.stride + 4]
    if span.kind == "bytes":
        return bytes(data[span.offset : span.offset + span.length])
    return [
        struct.unpack_from("<f", raw, i)[0] for i in range(0, len(raw), span.stride)
    ]


def varint(value):
    out = b""
    while value > 127:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def field(number, data):
    return bytes([number << 3 | 2]) + varint(len(data)) + data


def test_the_crc_is_crc32c():
    assert (
        google_crc32c.value(b"123456789") == 0xE3069283 == bitwise_crc32c(b"123456789")
    )
    for data in (b"", b"\0" * 32, bytes(range(256))):
        crc = bitwise_crc32c(data)
        rotated = (crc >> 15 | crc << 17) & 0xFFFFFFFF
        assert tfrecord.masked_crc(data) == (rotated + 0xA282EAD8) % 2**32


def test_the_bytes_are_those_of_the_definition(tmp_path):
    assert tfrecord.encode_example({"a": b"hi"}) == HAND_MADE
    path = tmp_path / "a.tfrecords"
    tfrecord.write_records(path, [HAND_MADE])
    length = struct.pack("<Q", len(HAND_MADE))
    parts = [length, struct.pack("<I", tfrecord.masked_crc(length))]
    parts += [HAND_MADE, struct.pack("<I", tfrecord.masked_crc(HAND_MADE))]
    assert path.read_bytes() == b"".join(parts)


def test_a_float_list_is_packed():
    data = tfrecord.encode_example({"f": np.array([1.0, -2.5], np.float32)})
    packed = field(1, struct.pack("<2f", 1.0, -2.5))
    assert data == field(1, field(1, field(1, b"f") + field(2, field(2, packed))))
    span = tfrecord.parse_features(data)["f"]
    assert span.kind == "float" and values(data, span) == [1.0, -2.5]


def test_round_trip_and_order_of_keys(tmp_path):
    rng = np.random.default_rng(0)
    features = {f"{i}/x": rng.bytes(300 * i + 1) for i in range(9)}
    features |= {f"{i}/f": rng.normal(size=4).astype(np.float32) for i in range(9)}
    shuffled = {k: features[k] for k in rng.permutation(sorted(features)).tolist()}
    data = tfrecord.encode_example(features)
    assert tfrecord.encode_example(shuffled) == data
    path = tmp_path / "r.tfrecords"
    tfrecord.write_records(path, [HAND_MADE, data])
    assert tfrecord.verify(path) == 2
    buffer = tfrecord.RecordFile(path)
    found = tfrecord.read_features(
        buffer, tfrecord.scan_records(buffer, path)[1], 1, path
    )
    assert set(found) == set(features)
    for key, value in features.items():
        expected = value if isinstance(value, bytes) else value.tolist()
        assert values(buffer, found[key]) == expected


def test_any_writer_is_understood():
    """Unpacked floats, value before key, unknown fields, 64-bit integers."""
    floats = b"".join(b"\x0d" + struct.pack("<f", v) for v in (1.5, 2.5, -3.0))
    entries = [
        field(2, field(2, floats)) + field(1, b"late"),
        field(1, b"one") + field(2, field(2, b"\x0d" + struct.pack("<f", 7.0))),
        field(7, b"unknown") + field(1, b"n") + field(2, field(3, field(1, b"\x05"))),
        field(1, b"empty") + field(2, b""),
    ]
    strange = (
        b"\x48\x96\x01" + b"\x51" + b"8 bytes!" + b"\x5d" + b"four" + field(9, b"x")
    )
    data = strange + field(1, b"".join(field(1, e) for e in entries) + strange)
    found = tfrecord.parse_features(data)
    assert set(found) == {"late", "one", "n"}
    assert values(data, found["late"]) == [1.5, 2.5, -3.0]
    assert values(data, found["one"]) == [7.0]
    assert found["n"].kind == "int64"


def test_every_flipped_byte_is_found(tmp_path):
    path = tmp_path / "a.tfrecords"
    tfrecord.write_records(path, [HAND_MADE, HAND_MADE])
    whole = path.read_bytes()
    for i in range(len(whole)):
        path.write_bytes(whole[:i] + bytes([whole[i] ^ 0x10]) + whole[i + 1 :])
        number = i * 2 // len(whole)
        with pytest.raises(
            DataError, match=rf"a.tfrecords, record {number}, byte \d+: corrupt"
        ):
            tfrecord.verify(path)


def test_every_truncation_is_found(tmp_path):
    path = tmp_path / "a.tfrecords"
    tfrecord.write_records(path, [HAND_MADE, HAND_MADE])
    whole = path.read_bytes()
    half = len(whole) // 2
    for size in range(1, len(whole)):
        path.write_bytes(whole[:size])
        if size == half:
            assert tfrecord.verify(path) == 1
            continue
        with pytest.raises(
            DataError, match=rf"record {size // half}, byte \d+: truncated"
        ):
            tfrecord.verify(path)


def test_errors_are_one_line_and_say_what_to_do(tmp_path):
    empty = tmp_path / "empty.tfrecords"
    empty.touch()
    with pytest.raises(DataError, match="empty; delete the file and get it again"):
        tfrecord.verify(empty)
    with pytest.raises(DataError, match=r"none\.tfrecords: cannot be read"):
        tfrecord.verify(tmp_path / "none.tfrecords")
    with pytest.raises(DataError) as caught:
        buffer = (
            b"\0" * 12
            + b"\xff\xff\xff"
            + struct.pack("<I", tfrecord.masked_crc(b"\xff" * 3))
        )
        tfrecord.read_features(buffer, (12, 3), 4, "x")
    assert "x, record 4, byte 12: is not a tf.train.Example" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_failed_write_leaves_nothing(tmp_path):
    def broken():
        yield HAND_MADE
        raise RuntimeError

    path = tmp_path / "a.tfrecords"
    path.write_bytes(b"old")
    with pytest.raises(RuntimeError):
        tfrecord.write_records(path, broken())
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(DataError, match="cannot be written"):
        tfrecord.write_records(path / "inside_a_file.tfrecords", [HAND_MADE])
