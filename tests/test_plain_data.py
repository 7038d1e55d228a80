"""Arrays and pictures of strangers: sizes are checked before memory is set aside. Each file here is a few kilobytes."""

import io
import struct
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nerfstudio_mobavatar.capture import CaptureError
from nerfstudio_mobavatar.images import read_pixels
from nerfstudio_mobavatar.picture_header import picture_size
from nerfstudio_mobavatar.plain_data import NotPlainError, read_json, read_npy, read_npz

MOST_BYTES = 100 << 20


def npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def claims(shape: str, dtype: str = "<f4", body: bytes = b"1234") -> bytes:
    """A `.npy` of a header that lies."""
    header = f"{{'descr': {dtype!r}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + body


def archive(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method, compresslevel=1) as target:
        for name, content in members.items():
            target.writestr(name, content)
    return stream.getvalue()


ARRAYS = [
    np.arange(6).reshape(2, 3),
    np.zeros((3, 4), order="F"),
    np.array("text"),
    np.array(7.0),
    np.zeros((0, 3), bool),
]


@pytest.mark.parametrize("array", ARRAYS, ids=lambda a: f"{a.dtype}{a.shape}")
def test_plain_arrays_come_back(tmp_path: Path, array: np.ndarray) -> None:
    np.save(tmp_path / "a.npy", array)
    np.savez_compressed(tmp_path / "a.npz", a=array, b=np.zeros(3))
    for found in (read_npy(tmp_path / "a.npy"), read_npz(tmp_path / "a.npz")[0]["a"]):
        assert found.dtype == array.dtype and found.flags.writeable
        np.testing.assert_array_equal(found, array)
    assert read_npz(tmp_path / "a.npz", ("b", "absent")) == ({"b": pytest.approx(np.zeros(3))}, ["a", "b"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (claims("(1000000000, 3)"), "4 bytes of an array that claims 12000000000"),
        (claims("(9223372036854775807, 9223372036854775807)"), "that claims"),
        (claims("(-1,)"), r"the shape \(-1,\)"),
        (claims("(1000000000000, 0)", body=b""), "without any element"),
        (claims("(1,)", "|O"), "pickled Python objects"),
        (claims("(1,)", "<M8[s]"), "not plain numbers"),
        (claims("(1,)", "('<f4', (1000000000,))"), "cannot be read|claims"),
        (npy(np.zeros(9))[:-1], "71 bytes of an array that claims 72: it was cut off"),
        (claims("(" * 3000), "cannot be read"),
        (b"\x93NUMPY\x02\x00\xff\xff\xff\x7f", "a header of"),
        (b"hello, this is no array", "starts with b'hello, t'"),
        (b"", "starts with b''"),
    ],
)
@pytest.mark.parametrize("kind", ["npy", "npz"])
def test_arrays_that_lie(tmp_path: Path, content: bytes, message: str, kind: str) -> None:
    path = tmp_path / f"a.{kind}"
    path.write_bytes(content if kind == "npy" else archive({"a.npy": content}))
    with pytest.raises(NotPlainError, match=message), Limited():
        read_npy(path) if kind == "npy" else read_npz(path)


class Limited:
    """Inside, no more than `MOST_BYTES` are taken."""

    def __enter__(self) -> None:
        tracemalloc.start()

    def __exit__(self, *_: object) -> None:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < MOST_BYTES, f"{peak >> 20} MB were taken"


def bomb(_: Path) -> bytes:
    return archive({"a.npy": claims("(30000000,)", body=bytes(120_000_000))})


def many(_: Path) -> bytes:
    return archive({f"{i}.npy": claims("(5000000,)", body=bytes(20_000_000)) for i in range(6)})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (bomb, "unpack to 0.11 GB, more than a file of"),
        (many, "unpack to 0.11 GB"),
        (lambda _: archive({"a.npy": npy(np.zeros(3))}, zipfile.ZIP_LZMA), "packed by method 14"),
        (lambda _: archive({"a.npy": npy(np.zeros(3))})[:-30], "cannot be read"),
        (lambda _: b"PK\x03\x04", "cannot be read"),
    ],
)
def test_archives_that_lie(tmp_path: Path, make: Callable[[Path], bytes], message: str) -> None:
    path = tmp_path / "a.npz"
    path.write_bytes(make(tmp_path))
    with pytest.raises(NotPlainError, match=message), Limited():
        read_npz(path)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=200), st.integers(0, 200), st.integers(0, 3))
def test_no_damage_is_anything_else(tmp_path_factory: pytest.TempPathFactory, noise: bytes, at: int, kind: int) -> None:
    sound = npy(np.arange(12.0)) if kind < 2 else archive({"a.npy": npy(np.arange(12.0))})
    path = tmp_path_factory.getbasetemp() / f"damaged{kind}"
    path.write_bytes(sound[:at] + noise + sound[at + (len(noise) if kind % 2 else 0) :])
    try:
        read_npy(path) if kind < 2 else read_npz(path)
    except NotPlainError:
        pass


def test_json_that_is_none(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    for content in (b"{", b"[" * 200_000, b"\xff\xfe", b'{"a": ' + b"9" * 5000 + b"}"):
        path.write_bytes(content)
        with pytest.raises(NotPlainError, match=r"does not parse|is no text"):
            read_json(path)


def png(width: int, height: int) -> bytes:
    """A PNG of one grey level whose header says what it likes."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    pixels = zlib.compress(bytes(10_000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
@pytest.mark.parametrize("flags", [[], [cv2.IMWRITE_JPEG_PROGRESSIVE, 1]], ids=["plain", "progressive"])
def test_sizes_of_pictures(tmp_path: Path, suffix: str, flags: list[int]) -> None:
    cv2.imwrite(str(tmp_path / f"a{suffix}"), np.zeros((20, 30, 3), np.uint8), flags if suffix == ".jpg" else [])
    assert picture_size(tmp_path / f"a{suffix}") == (30, 20)


def test_pictures_that_claim_gigabytes_are_not_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr(cv2, "imread", fail)
    path = tmp_path / "a.png"
    for width, height, message in ((30_000, 30_000, "not a picture"), (3000, 2000, "found 3000x2000")):
        path.write_bytes(png(width, height))
        with pytest.raises(CaptureError, match=message):
            read_pixels(path, 30, 20, gray=False)
    for other in (b"P6 60000 60000 255\n", b"BM", b"#EXTM3U\n", b"GIF89a", b"\xff\xd8\xff", b""):
        path.write_bytes(other)
        with pytest.raises(NotPlainError, match="cannot be read"):
            picture_size(path)
