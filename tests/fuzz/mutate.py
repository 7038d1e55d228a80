"""How files are damaged: blindly by bytes, and with knowledge of what a format holds."""

import json
import random
import struct
import zlib
from collections.abc import Callable
from typing import Any

Mutator = Callable[[random.Random, bytes], bytes]

INTS = (
    0,
    1,
    2,
    3,
    127,
    128,
    255,
    256,
    32767,
    32768,
    65535,
    65536,
    2**24,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**40,
    2**63 - 1,
    2**64 - 1,
)
WORDS = ("nan", "NaN", "inf", "-inf", "Infinity", "-1", "0", "1e309", "1e-320", "-0.0", "9" * 30, "9" * 5000, "0x10",
    "1_0",
         "", " ", "\u0661", "null", "true", "../../../etc/passwd", "/etc/passwd", "..", ".", "a/../../b", "C:\\x",
         "\0", "\ud800",
         "%s%n", "{}", "[]", "'", '"', "\\", "a" * 300, "a" * 70000, "é", "\u202e", "\r\n")  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 3, 1.5, 255, 2**31, 2**63, 2**64, 10**400, 1e308, float("nan"), float("inf"),
    -1e-320, "", "7",
    "x", [], {}, [[]], [[1, 2], [3]], [None], {"a": 1}, [1e999] * 3, "../../x", "/etc/passwd", "..", "\0", "\ud800",
    "a" * 400,
    [0.0] * 9, [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]], [1, 2, 3, 4], "🦊",
)  # fmt: skip


def flip(rng: random.Random, data: bytes) -> bytes:
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4, 16)) if data else 0):
        out[rng.randrange(len(out))] ^= 1 << rng.randrange(8)
    return bytes(out)


def poke(rng: random.Random, data: bytes) -> bytes:
    """A telling integer somewhere, near the start more often: that is where lengths are."""
    width, order = rng.choice((1, 2, 4, 4, 8)), rng.choice(("little", "big"))
    value = rng.choice(INTS) & ((1 << 8 * width) - 1)
    reach = len(data) if rng.random() < 0.5 else min(len(data), 256)
    at = rng.randrange(max(reach - width + 1, 1))
    return data[:at] + value.to_bytes(width, order) + data[at + width :]


def cut(rng: random.Random, data: bytes) -> bytes:
    a, b = sorted(rng.randrange(len(data) + 1) for _ in range(2))
    return data[:a] if rng.random() < 0.4 else data[:a] + data[b:]


def double(rng: random.Random, data: bytes) -> bytes:
    a = rng.randrange(len(data) + 1)
    b = min(len(data), a + rng.choice((1, 4, 16, 64, 4096)))
    at = rng.randrange(len(data) + 1)
    return data[:at] + data[a:b] * rng.choice((1, 2, 50)) + data[at:]


def insert(rng: random.Random, data: bytes) -> bytes:
    at = rng.randrange(len(data) + 1)
    return data[:at] + rng.randbytes(rng.choice((1, 2, 8, 64))) + data[at:]


def empty(rng: random.Random, data: bytes) -> bytes:
    return rng.choice((b"", b"\0", b"\0" * 100, b"\xff" * 100, b"\n", data[:1], data[:8], data[:64]))


BYTES: tuple[Mutator, ...] = (flip, flip, poke, poke, cut, double, insert)


def token(rng: random.Random, data: bytes) -> bytes:
    """Another word in place of one of a text."""
    words = data.split(b" ") if rng.random() < 0.5 else data.replace(b"\n", b"\n ").split(b" ")
    at = rng.randrange(len(words))
    end = b"\n" if words[at].endswith(b"\n") else b""
    words[at] = rng.choice(WORDS).encode("utf-8", "surrogatepass") + end
    return b" ".join(words)


def number(rng: random.Random, data: bytes) -> bytes:
    """Another number in place of one of a text."""
    import re

    found = list(re.finditer(rb"-?\d[\d.eE+-]*", data[:200_000]))
    if not found:
        return token(rng, data)
    at = rng.choice(found)
    new = (
        rng.choice(WORDS[:14]).encode("utf-8", "surrogatepass")
        if rng.random() < 0.6
        else str(rng.choice(INTS)).encode()
    )
    return data[: at.start()] + new + data[at.end() :]


def line(rng: random.Random, data: bytes) -> bytes:
    """A line lost, doubled, moved or emptied."""
    lines = data.split(b"\n")
    at, to = rng.randrange(len(lines)), rng.randrange(len(lines))
    kind = rng.randrange(5)
    if kind == 0:
        del lines[at]
    elif kind == 1:
        lines[to:to] = [lines[at]] * rng.choice((1, 2, 100))
    elif kind == 2:
        lines[at], lines[to] = lines[to], lines[at]
    elif kind == 3:
        lines[at] = b""
    else:
        lines[at] = lines[at][: rng.randrange(len(lines[at]) + 1)]
    return b"\n".join(lines)


TEXT: tuple[Mutator, ...] = (token, number, number, line, line, flip, cut, insert)


def change_json(rng: random.Random, data: bytes) -> bytes:
    """Another value, key, length or depth somewhere in a JSON."""
    try:
        content = json.loads(data)
    except (ValueError, RecursionError):
        return rng.choice(TEXT)(rng, data)
    if rng.random() < 0.03:
        content = rng.choice(VALUES)
    elif rng.random() < 0.02:
        return rng.choice((b"[", b'{"a":')) * rng.choice((10, 1000, 100_000)) + data
    else:
        _change(rng, content)
    return json.dumps(content, ensure_ascii=rng.random() < 0.7).encode("utf-8", "surrogatepass")


def _change(rng: random.Random, content: Any) -> None:
    place: Any = content
    if not isinstance(place, (dict, list)) or not place:
        return
    key: Any = rng.choice(list(place)) if isinstance(place, dict) else rng.randrange(len(place))
    while isinstance(place[key], (dict, list)) and place[key] and rng.random() < 0.8:
        place = place[key]
        key = rng.choice(list(place)) if isinstance(place, dict) else rng.randrange(len(place))
    kind = rng.randrange(8)
    if kind < 4:
        place[key] = rng.choice(VALUES)
    elif kind == 4:
        del place[key]
    elif kind == 5 and isinstance(place, dict):
        place[rng.choice(WORDS)] = place.pop(key)
    elif kind == 5 or kind == 6:
        if isinstance(place, list):
            place[key:key] = [place[key]] * rng.choice((1, 3, 50))
        else:
            place[f"{key}{rng.randrange(9)}"] = place[key]
    elif isinstance(place[key], (int, float)) and not isinstance(place[key], bool):
        place[key] = place[key] * rng.choice((-1, 0, 1e-30, 1e30, 1000)) + rng.choice((0, 1, -1, 0.5))
    else:
        place[key] = str(place[key])


def png_size(rng: random.Random, data: bytes) -> bytes:
    """A PNG that claims another size or coding, its checksum right."""
    if data[:8] != b"\x89PNG\r\n\x1a\n" or len(data) < 33:
        return rng.choice(BYTES)(rng, data)
    width, height, depth, kind, *rest = struct.unpack(">IIBBBBB", data[16:29])
    if rng.random() < 0.7:
        width, height = (rng.choice((side, 0, 1, 30000, 65535, 2**31 - 1)) for side in (width, height))
    else:
        depth, kind = rng.choice((1, 2, 4, 8, 16, 3)), rng.choice((0, 2, 3, 4, 6, 5))
    header = struct.pack(">IIBBBBB", width, height, depth, kind, *rest)
    return data[:16] + header + struct.pack(">I", zlib.crc32(b"IHDR" + header)) + data[33:]


def jpeg_size(rng: random.Random, data: bytes) -> bytes:
    """A JPEG whose frame header claims another size."""
    at = max(data.find(b"\xff\xc0"), data.find(b"\xff\xc2"))
    if not data.startswith(b"\xff\xd8") or at < 0:
        return rng.choice(BYTES)(rng, data)
    size = struct.pack(">HH", rng.choice((0, 1, 30000, 65500, 65535)), rng.choice((0, 1, 30000, 65500, 65535)))
    return data[: at + 5] + size + data[at + 9 :]


def other_picture(rng: random.Random, data: bytes) -> bytes:
    """A file of another format under this name."""
    headers = (
        b"P6 60000 60000 255\n", b"P5 3 3 255\n123456789", b"BM" + b"\0" * 8 + struct.pack("<IIiiHH", 54, 40, 60000,
        60000, 1, 24),
        b"II*\0\x08\0\0\0", b"#?RADIANCE\n\n-Y 40000 +X 40000\n", b"GIF89a\xff\xff\xff\xff\0\0\0",
        b"RIFF\0\0\0\0WEBPVP8 ", b"v/1\x01",
        b"\0\0\0\x0cjP  \r\n\x87\n", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", b"<svg/>",
        b"\0\0\x01\0\x01\0\0\0",
    )  # fmt: skip
    return rng.choice(headers) + data[rng.randrange(64) :]


def by_kind(name: str) -> tuple[Mutator, ...]:
    """What fits the file of this name."""
    from tests.fuzz import mutate_arrays, mutate_avatar, mutate_pickle

    suffix = name.rpartition(".")[2].lower()
    if name.endswith(".mobavatar"):
        return (*mutate_avatar.ALL, *BYTES)
    if name.endswith(".pose.bin"):
        return (*[mutate_avatar.safely(mutate_avatar.sealed_motion)] * 4, *BYTES)
    known: dict[str, tuple[Mutator, ...]] = {
        "json": (change_json,) * 6 + TEXT, "csv": TEXT, "txt": TEXT, "bvh": TEXT, "obj": TEXT, "off": TEXT, "yml": TEXT,
        "npz": mutate_arrays.NPZ, "npy": (*mutate_arrays.NPY, *mutate_pickle.ALL), "pkl": (*mutate_pickle.ALL, *BYTES),
        "pt": (*mutate_pickle.TORCH, *BYTES), "ckpt": (*mutate_pickle.TORCH, *BYTES),
        "png": (png_size, png_size, other_picture, *BYTES), "jpg": (jpeg_size, jpeg_size, other_picture, *BYTES),
    }  # fmt: skip
    return known.get(suffix, BYTES)


def damaged(rng: random.Random, name: str, data: bytes) -> bytes:
    """The file with one to three things broken."""
    if rng.random() < 0.01:
        return empty(rng, data)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        if not data:
            break
        try:
            data = rng.choice(by_kind(name))(rng, data)
        except Exception:  # what was damaged before is no such file any more
            data = flip(rng, data)
    return data[: 4 << 20]
