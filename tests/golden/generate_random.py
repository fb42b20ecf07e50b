"""Philox4x32-10 known answers → random.npz.

`kat.*`: the three vectors published with Random123 (Salmon et al. 2011, kat_vectors, philox 4x32-10).
`stream.*`: further blocks from the plain Python form of the algorithm below, which is itself checked
against the published vectors before anything is written.
"""
import numpy as np

from golden_common import Golden

SEED = 7
KAT = [  # counter, key, output
    ([0, 0, 0, 0], [0, 0], [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]),
    ([0xffffffff] * 4, [0xffffffff] * 2, [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd]),
    ([0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344], [0xa4093822, 0x299f31d0],
     [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1])]


def philox4x32(counter, key, rounds=10):
    c, k = list(counter), list(key)
    for _ in range(rounds):
        p0, p1 = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(p1 >> 32) ^ c[1] ^ k[0], p1 & 0xffffffff, (p0 >> 32) ^ c[3] ^ k[1], p0 & 0xffffffff]
        k = [(k[0] + 0x9E3779B9) & 0xffffffff, (k[1] + 0xBB67AE85) & 0xffffffff]
    return c


for counter, key, out in KAT:
    assert philox4x32(counter, key) == out

g = Golden("random", SEED, {"algorithm": "Philox4x32-10", "source": "Random123 kat_vectors"})
for name, column in [("counter", 0), ("key", 1), ("out", 2)]:
    g.put(f"kat.{name}", np.array([row[column] for row in KAT], np.uint32))

rng = np.random.default_rng(SEED)
counters = rng.integers(0, 2**32, (16, 4), dtype=np.uint32)
keys = rng.integers(0, 2**32, (16, 2), dtype=np.uint32)
counters[:8] = 0
counters[:8, 0] = np.arange(8)
keys[:8] = keys[0]
g.put("stream.counter", counters)
g.put("stream.key", keys)
g.put("stream.out", np.array([philox4x32(map(int, c), map(int, k))
                              for c, k in zip(counters, keys)], np.uint32))
g.write()
