"""Damaged avatar files, as `tests.bench.fuzz_bundle` makes them."""

import gzip
import random
import zlib

import numpy as np

from tests.bench import fuzz_bundle
from tests.fuzz.mutate import Mutator, flip


def safely(mutator: Mutator) -> Mutator:
    """For mutators that read the file: what is damaged already is damaged by bits."""

    def mutate(rng: random.Random, data: bytes) -> bytes:
        try:
            return mutator(rng, data)
        except Exception:
            return flip(rng, data)

    return mutate


def _of(maker) -> Mutator:
    return safely(lambda rng, data: maker(np.random.default_rng(rng.getrandbits(32)), data))


def sealed_motion(rng: random.Random, data: bytes) -> bytes:
    """A `.pose.bin` whose header or table says something else, its checksum right."""
    if len(data) < 28 or data[:8] != b"MOBAPOSE":
        return flip(rng, data)
    header, stored = bytearray(data[:24]), data[28:]
    if rng.random() < 0.5:
        at = rng.choice((8, 12, 16, 20))
        header[at : at + 4] = rng.choice((0, 1, 2, 3, 199_999, 2**31, 2**32 - 1, rng.randrange(2**32))).to_bytes(
            4, "little"
        )
    else:
        raw = flip(rng, gzip.decompress(stored))
        stored = gzip.compress(raw + bytes(rng.choice((0, 0, 1, 10_000_000))), 1)
    return bytes(header) + zlib.crc32(stored, zlib.crc32(header)).to_bytes(4, "little") + stored


ALL: tuple[Mutator, ...] = tuple(_of(maker) for maker in (*fuzz_bundle.BLIND, *fuzz_bundle.SEALED, *fuzz_bundle.SEALED))
