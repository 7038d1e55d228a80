"""Damaged `.npy` and `.npz`: headers that lie, other arrays under a name, archives that lie or explode."""

import io
import random
import struct
import zipfile
from typing import Any

import numpy as np

from tests.fuzz.mutate import BYTES, Mutator, flip

MOST_UNPACKED = 64 << 20
DTYPES = ("<f4", "<f8", "<f2", "<i8", "<u1", "|b1", "<U3", "|S2", "|O", "<c16", "<M8[s]", "|V8", "<f16", "(2,)<f4",
    "f8,i4", ">f8",
          "(1000000000,)<f8", "x", "")  # fmt: skip
SHAPES = ("()", "(0,)", "(1,)", "(3,)", "(1000000000000,)", "(-1,)", "(0, 1000000000000)", "(1000000000000, 0)",
    "(2, 3, 4)", "(1,)*40",
          "(9223372036854775807, 9223372036854775807)", "3", "None", "('a',)", "(1.5,)", "(True,)", "[3]")  # fmt: skip


def array(rng: random.Random, like: np.ndarray | None = None) -> Any:
    """An array that somebody might mistake for the right one."""
    if like is not None and rng.random() < 0.6 and like.dtype.kind in "fiub":
        out = like.astype(rng.choice((like.dtype, np.float16, np.float64, np.int8, np.int64, np.uint8, np.complex64)))
        kind = rng.randrange(7)
        if kind == 0 and out.size:
            out = out.copy()
            flat = out.reshape(-1)
            flat[rng.randrange(len(flat))] = (
                rng.choice((np.nan, np.inf, -np.inf, 1e30, -1)) if out.dtype.kind in "fc" else -1 % 256 // 2
            )
        elif kind == 1:
            out = out[: rng.randrange(len(out) + 1)] if out.ndim else out[None]
        elif kind == 2:
            out = out[..., : max(1, out.shape[-1] // 2)] if out.ndim else out
        elif kind == 3:
            out = out.reshape(-1)
        elif kind == 4:
            out = out[None]
        elif kind == 5 and out.size < 100_000:
            out = np.concatenate([out, out]) if out.ndim else out
        else:
            out = out.T
        return out
    return rng.choice((
        np.zeros(0), np.zeros((0, 3)), np.zeros((3, 0)), np.zeros(()), np.array("text"), np.array(b"bytes"),
        np.array([None, {}], object),
        np.zeros(3, "f8,i4"), np.array(["a", "b"]), np.zeros((4, 4)), np.eye(3), np.full((2, 3), np.nan), np.zeros(1,
            np.complex128),
        np.array([2**63 - 1]), np.array([np.inf]), np.array(True), np.array(1e308), np.zeros((1, 1, 1, 1, 1, 1)),
        np.datetime64("now"),
        np.array('{"a": [1'), np.array(7), np.zeros((300_000, 1), np.uint8),
    ))  # fmt: skip


def npy_bytes(value: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, value)
    return stream.getvalue()


def npy_header(rng: random.Random, data: bytes) -> bytes:
    """A header that says something else."""
    if not data.startswith(b"\x93NUMPY"):
        return flip(rng, data)
    wide = data[6:7] != b"\x01"
    length = struct.unpack("<I" if wide else "<H", data[8 : 12 if wide else 10])[0]
    start = 12 if wide else 10
    text, body = data[start : start + length].decode("latin1"), data[start + length :]
    try:
        shown = eval(text, {"__builtins__": {}})
        descr, shape, order = repr(shown["descr"]), repr(shown["shape"]), shown["fortran_order"]
    except Exception:
        descr, shape, order = "'<f4'", "(1,)", False
    if rng.random() < 0.6:
        shape = rng.choice(SHAPES)
    if rng.random() < 0.4:
        descr = rng.choice(
            (repr(rng.choice(DTYPES)), "[('a', '<f4'), ('b', 'O')]", "('<f4', (3,))", "[]", "[('', '')]", "'<f4', 7")
        )
    new = f"{{'descr': {descr}, 'fortran_order': {rng.choice((order, not order, 1, 'x'))}, 'shape': {shape}, }}"
    if rng.random() < 0.1:
        new = rng.choice(
            (
                "(" * 200,
                "{" * 50,
                "[" * 5000,
                "__import__('os').system('x')",
                "{'a': 1}",
                "",
                "1" * 9000,
                new + "#" * 60_000,
            )
        )
    encoded = new.encode("latin1", "replace")
    version = rng.choice((b"\x01\x00", b"\x02\x00", b"\x03\x00", b"\x01\x00", b"\x09\x09"))
    size = len(encoded) if rng.random() < 0.9 else rng.choice((0, 1, 65535, 2**31))
    prefix = struct.pack("<H", size & 0xFFFF) if version[:1] == b"\x01" else struct.pack("<I", size)
    return data[:6] + version + prefix + encoded + body


def npy_other(rng: random.Random, data: bytes) -> bytes:
    try:
        like = np.load(io.BytesIO(data), allow_pickle=False)
    except Exception:
        like = None
    return npy_bytes(array(rng, like))


def npz_member(rng: random.Random, data: bytes) -> bytes:
    """Something else in one file of the archive."""
    members = _members(data)
    if not members:
        return flip(rng, data)
    at = rng.randrange(len(members))
    name, content = members[at]
    kind = rng.randrange(10)
    if kind < 3:
        members[at] = name, npy_other(rng, content)
    elif kind < 6:
        members[at] = name, npy_header(rng, content)
    elif kind == 6:
        members[at] = name, rng.choice(BYTES)(rng, content)
    elif kind == 7:
        del members[at]
    elif kind == 8:
        members[at] = (
            rng.choice(("../../x.npy", "/etc/passwd", name.upper(), "", "x" * 300, "\0.npy", members[0][0])),
            content,
        )
    else:
        members.append(
            (rng.choice((name, "extra.npy", "frames.npy", "fps.npy", "poses.npy", "betas.npy")), npy_bytes(array(rng)))
        )
    return _archive(members, rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)))


def npz_lie(rng: random.Random, data: bytes) -> bytes:
    """An archive whose directory says something else: sizes, method, checksum, place."""
    out = bytearray(data)
    places = [i for i in range(len(data) - 46) if data[i : i + 4] == b"PK\x01\x02"]
    if not places:
        return flip(rng, data)
    at = rng.choice(places)
    offset, width = rng.choice(((8, 2), (10, 2), (16, 4), (20, 4), (24, 4), (28, 2), (30, 2), (42, 4)))
    value = rng.choice((0, 1, 8, 12, 14, 99, 0xFFFF, 2**31, 2**32 - 1, rng.randrange(2**32))) & ((1 << 8 * width) - 1)
    out[at + offset : at + offset + width] = value.to_bytes(width, "little")
    return bytes(out)


def npz_bomb(rng: random.Random, data: bytes) -> bytes:
    """A few kilobytes that expand to a hundred megabytes and more, or that a rare method packed."""
    members = _members(data)
    if not members:
        return flip(rng, data)
    if rng.random() < 0.7:
        return _archive(members, rng.choice((zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)))
    name, rows = rng.choice(members)[0], rng.choice((1_000_000, 15_000_000))
    rest = _archive([member for member in members if member[0] != name], zipfile.ZIP_DEFLATED)
    stream = io.BytesIO(rest)
    with zipfile.ZipFile(stream, "a", zipfile.ZIP_DEFLATED) as archive, archive.open(name or "x", "w") as member:
        shape = {"descr": "<f4", "fortran_order": False, "shape": (rows, 3)}
        np.lib.format.write_array_header_1_0(member, shape)
        for _ in range(rows // 1000):  # in pieces: the memory of this process is what the reader is judged by
            member.write(bytes(12_000))
    return stream.getvalue()


def _members(data: bytes) -> list[tuple[str, bytes]]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > MOST_UNPACKED:
                return []  # a bomb already
            return [(name, archive.read(name)) for name in archive.namelist()]
    except Exception:
        return []


def _archive(members: list[tuple[str, bytes]], method: int) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method, compresslevel=1) as archive:
        for name, content in members:
            archive.writestr(zipfile.ZipInfo(name or "x"), content, method)
    return stream.getvalue()


NPY: tuple[Mutator, ...] = (npy_header, npy_header, npy_other, npy_other, *BYTES)
NPZ: tuple[Mutator, ...] = (npz_member,) * 12 + (npz_lie, npz_lie, npz_bomb) + BYTES
