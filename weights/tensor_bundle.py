"""Reads a TensorFlow checkpoint of the second format (Saver V2: model.ckpt.index, model.ckpt.data-…), without
TensorFlow. Every length is checked against the files and every checksum against its bytes.

The index is a LevelDB table: blocks of prefix-compressed keys, each followed by a kind and a CRC-32C, a block
that lists the blocks, and a footer. Key "" holds BundleHeaderProto, every other key is a tensor's name with a
BundleEntryProto: type, shape, shard, offset, size, CRC-32C.
[tensorflow/core/protobuf/tensor_bundle.proto; leveldb/doc/table_format.md]
"""
from __future__ import annotations

import pathlib
import struct

import numpy as np

MAGIC = 0xDB4775248B80FB57
DTYPES = {1: "<f4", 2: "<f8", 3: "<i4", 9: "<i8"}  # DT_FLOAT, DT_DOUBLE, DT_INT32, DT_INT64


class BadBundle(Exception):
    """A sentence that says what is wrong with a file."""


def crc_table():
    table = []
    for i in range(256):
        for _ in range(8):
            i = i >> 1 ^ (0x82F63B78 if i & 1 else 0)
        table.append(i)
    return table


CRC = crc_table()


def masked_crc32c(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc = CRC[(crc ^ byte) & 255] ^ crc >> 8
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data) and shift < 70:
        value |= (data[at] & 127) << shift
        at += 1
        if data[at - 1] < 128:
            return value, at
        shift += 7
    raise BadBundle(f"a number at byte {at} does not end")


def fields(data: bytes) -> list[tuple[int, int | bytes]]:
    """The fields of a protocol buffer, in order: numbers or bytes."""
    out, at = [], 0
    while at < len(data):
        key, at = varint(data, at)
        if key & 7 == 0:
            value, at = varint(data, at)
        else:
            if key & 7 == 2:
                length, at = varint(data, at)
            elif key & 7 in (1, 5):
                length = 8 if key & 7 == 1 else 4
            else:
                raise BadBundle(f"a field of the unknown kind {key & 7}")
            if length > len(data) - at:
                raise BadBundle("a field runs past the end of its entry")
            value, at = data[at:at + length], at + length
            if key & 7 != 2:
                value = int.from_bytes(value, "little")
        out.append((key >> 3, value))
    return out


def read_block(file: bytes, handle: bytes, at: int = 0) -> dict[bytes, bytes]:
    """The entries of the block at the offset and size that `handle` holds."""
    offset, at = varint(handle, at)
    size, _ = varint(handle, at)
    if offset + size + 5 > len(file):
        raise BadBundle(f"a block of {size} bytes at byte {offset} runs past the end of the file")
    data, kind = file[offset:offset + size], file[offset + size]
    if masked_crc32c(file[offset:offset + size + 1]) != struct.unpack_from("<I", file, offset + size + 1)[0]:
        raise BadBundle(f"the checksum of the block at byte {offset} is wrong: the file is damaged")
    if kind != 0:
        raise BadBundle("the index is compressed, which TensorFlow's Saver does not do")
    restarts = struct.unpack_from("<I", data, size - 4)[0] if size >= 4 else 0
    end = size - 4 - 4 * restarts
    if end < 0:
        raise BadBundle(f"the block at byte {offset} is too short for its {restarts} restarts")
    out, key, at = {}, b"", 0
    while at < end:
        shared, at = varint(data, at)
        more, at = varint(data, at)
        length, at = varint(data, at)
        if shared > len(key) or at + more + length > end:
            raise BadBundle(f"an entry of the block at byte {offset} runs past its end")
        key = key[:shared] + data[at:at + more]
        out[key] = data[at + more:at + more + length]
        at += more + length
    return out


def read_index(path: pathlib.Path) -> tuple[int, list[dict]]:
    """The number of data files, and per tensor its name, dtype, shape, shard, offset, bytes, masked_crc32c."""
    file = path.read_bytes()
    if len(file) < 48 or struct.unpack("<Q", file[-8:])[0] != MAGIC:
        raise BadBundle(f"{path}: this is no index of a TensorFlow checkpoint")
    try:
        read_block(file, file[-48:])  # of filters: empty, but its checksum counts
        _, at = varint(file[-48:], 0)
        _, at = varint(file[-48:], at)
        entries = {}
        for handle in read_block(file, file[-48:], at).values():
            entries |= read_block(file, handle)
        if b"" not in entries:
            raise BadBundle("the header entry is missing")
        header = dict(fields(entries.pop(b"")))
        if header.get(2, 0) != 0:
            raise BadBundle("the numbers are big-endian, expected little-endian")
        tensors = []
        for key, value in entries.items():
            entry = fields(value)
            if any(number == 7 for number, _ in entry):
                raise BadBundle(f'tensor "{key.decode()}" is stored in slices')
            entry = dict(entry)
            shape = [dict(fields(dim)).get(1, 0) for number, dim in fields(entry.get(2, b"")) if number == 2]
            tensors.append({"name": key.decode(), "dtype": entry.get(1, 0), "shape": shape,
                            "shard": entry.get(3, 0), "offset": entry.get(4, 0), "bytes": entry.get(5, 0),
                            "masked_crc32c": entry.get(6, 0)})
    except (BadBundle, struct.error, TypeError, ValueError) as error:
        raise BadBundle(f"{path}: {error}") from None
    return header.get(1, 1), tensors


def read_bundle(index: pathlib.Path) -> tuple[dict[str, np.ndarray], list[pathlib.Path]]:
    """The tensors by name, and the data files they lie in."""
    shards, entries = read_index(index)
    stem = index.name.removesuffix(".index")
    paths = [index.with_name(f"{stem}.data-{i:05}-of-{shards:05}") for i in range(shards)]
    for path in paths:
        if not path.is_file():
            raise BadBundle(f"{path}: the data file of {index.name} is missing")
    files = [path.read_bytes() for path in paths]
    out = {}
    for entry in entries:
        name, offset, size = entry["name"], entry["offset"], entry["bytes"]
        if entry["dtype"] not in DTYPES:
            raise BadBundle(f'{index}: tensor "{name}" has the type {entry["dtype"]}, expected numbers')
        dtype = np.dtype(DTYPES[entry["dtype"]])
        count = 1
        for n in entry["shape"]:
            count *= n
        if entry["shard"] >= shards or size != count * dtype.itemsize or offset + size > len(files[entry["shard"]]):
            raise BadBundle(f'{index}: tensor "{name}" of shape {tuple(entry["shape"])} and {size} bytes at byte '
                            f"{offset} does not lie in the data file")
        data = files[entry["shard"]][offset:offset + size]
        if masked_crc32c(data) != entry["masked_crc32c"]:
            raise BadBundle(f'{paths[entry["shard"]]}: the checksum of tensor "{name}" is wrong: the file is damaged')
        out[name] = np.frombuffer(data, dtype).reshape(entry["shape"])
    return out, paths
