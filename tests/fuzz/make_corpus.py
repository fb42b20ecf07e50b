#!/usr/bin/env python3
"""Writes tests/fuzz/corpus: small files, one attack or corner of a format each. Those that start with
"bad_" must be refused, those with "good_" read; the fuzzers damage all of them further. Files named by a hash are
not from here: libFuzzer found them (scripts/fuzz.sh --keep).

Needs nothing but Python's standard library; the same bytes every time."""

import pathlib
import struct
import zlib

CORPUS = pathlib.Path(__file__).resolve().parent / "corpus"


def npy(descr, shape, data):
    header = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    header += b" " * (-(10 + len(header) + 1) % 64) + b"\n"
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header + data


def npz(entries):
    """entries: (name, method, stored bytes, promised size, CRC)."""
    body, directory = b"", b""
    for name, method, data, size, crc in entries:
        common = struct.pack("<HHHHHIIIH", 20, 0, method, 0, 0x21, crc, len(data), size, len(name))
        directory += b"PK\1\2" + struct.pack("<H", 20) + common + struct.pack("<HHHHII", 0, 0, 0, 0, 0, len(body))
        directory += name
        body += b"PK\3\4" + common + struct.pack("<H", 0) + name + data
    end = struct.pack("<HHHHIIH", 0, 0, len(entries), len(entries), len(directory), len(body), 0)
    return body + directory + b"PK\5\6" + end


def deflate(data):
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -15)
    return squeeze.compress(data) + squeeze.flush()


def entry(name, data, size=None):
    return (name, 8, deflate(data), len(data) if size is None else size, zlib.crc32(data))


def safetensors(header, data=b""):
    return struct.pack("<Q", len(header)) + header + data


four = npy("<f4", "(4,)", struct.pack("<4f", 0, 1, 2, 3))
one = b'"dtype":"U8","shape":[4],"data_offsets":[0,4]'
FILES = {
    "json/good_bom.json": b"\xef\xbb\xbf[1]",
    "json/good_integers.json": b"[9007199254740993,-9223372036854775808,18446744073709551615]",
    "json/good_escapes.json": rb'["\u0000\ud83d\ude00\"\\\/\b\f\n\r\t", "\u00e9"]',
    "json/good_numbers.json": b"[0,-0,-0.0,1e-400,5e-324,1.7976931348623157e308]",
    "json/bad_zero_byte.json": b"[1]\0[2]",
    "json/bad_deep.json": b"[" * 70 + b"]" * 70,
    "json/bad_duplicate.json": rb'{"a":1,"\u0061":2}',
    "json/bad_overflow.json": b"[1e400]",
    "json/bad_nan.json": b"[NaN]",
    "json/bad_utf8.json": b'["\xed\xa0\x80"]',
    "json/bad_surrogate.json": rb'["\ud800x"]',
    "config/good_options.json": b'{"epochs": 3, "learning_rate": 1e-3, "thresholds": [0.3, 0.5], "kind": "sum"}',
    "config/bad_unknown.json": b'{"epoch": 3}',
    "config/bad_object.json": b'{"epochs": {"a": 1}}',
    "config/bad_overflow.json": b'{"epochs": 18446744073709551616}',
    "glove/good_crlf.txt": b"the 1 -2.5e-3\r\ncliff 3 4\r\ndiving 5 6",
    "glove/bad_count.txt": b"the 1 2\ncliff 3\n",
    "glove/bad_infinite.txt": b"the 1 inf\n",
    "glove/bad_overflow.txt": b"cliff 1e999 1\n",
    "glove/bad_no_numbers.txt": b"the\n",
    "npy/good_empty.npy": npy("<f4", "(0, 3)", b""),
    "npy/bad_shape_overflow.npy": npy("<f8", "(4611686018427387904, 4)", b"\0" * 8),
    "npy/bad_promise.npy": npy("<f4", "(1000000000000,)", b"\0" * 8),
    "pickle/bad_call.pkl": b"cos\nsystem\n(S'true'\ntR.",
    "pickle/bad_cycle.pkl": b"]q\0h\0a.",
    # 60 lists, each twice the one before: 2^60 values in 250 bytes, which the reader must not walk.
    "pickle/good_shared.pkl": b"(]q\0" + b"".join(b"](h%ch%ceq%c" % (i, i, i + 1) for i in range(60)) + b"t.",
    "inflate/bad_promise": struct.pack("<I", 0xFFFFFFF0) + deflate(b"a" * 1000),
    "inflate/bad_more": struct.pack("<I", 999) + deflate(b"a" * 1000),
    "npz/good_deflated.npz": npz([entry(b"x.npy", four)]),
    "npz/bad_bomb.npz": npz([entry(b"x.npy", four, 0xFFFFFFF0)]),
    "safetensors/good_empty.safetensors": safetensors(b"{}"),
    "safetensors/bad_duplicate.safetensors": safetensors(b'{"a":{%s},"a":{%s}}' % (one, one), b"\0" * 4),
    "safetensors/bad_overlap.safetensors": safetensors(b'{"a":{%s},"b":{%s}}' % (one, one), b"\0" * 4),
    "safetensors/bad_length.safetensors": struct.pack("<Q", 2**63) + b"{}",
    "safetensors/bad_deep.safetensors": safetensors(b'{"a":' * 50 + b"1" + b"}" * 50),
}


def main():
    for name, data in FILES.items():
        path = CORPUS / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    print(f"{len(FILES)} files, {sum(map(len, FILES.values()))} bytes")


if __name__ == "__main__":
    main()
