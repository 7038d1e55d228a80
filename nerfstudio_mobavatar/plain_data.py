"""`.npy`, `.npz` and JSON of plain numbers and text: every size is checked against the bytes that are there before
memory is set aside, and no pickle inside is ever opened.

`numpy.load` sets aside what a header claims, and unpacks an archive whatever it expands to.
"""

import io
import json
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy import ndarray

MOST_BYTES = 2 << 30
"""Of all arrays of one file together."""
ALWAYS_FINE = 64 << 20
MOST_EXPANDED = 100
"""Times the file's own size that an archive of more than `ALWAYS_FINE` bytes may expand to; real numbers reach 10."""
MOST_EMPTY = 1 << 18
"""Rows of an array without columns: readers make arrays of as many rows."""
KINDS = "biufcSU"
MAGIC = b"\x93NUMPY"
MOST_TEXT = 256 << 20
"""Of a table of numbers written out."""
DAMAGE = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""What comes of taking for granted what a damaged file says."""


class NotPlainError(ValueError):
    """What a file is instead of plain arrays; whoever reads names the file and says what to do."""


def read_npz(path: Path, keys: Iterable[str] | None = None) -> tuple[dict[str, ndarray], list[str]]:
    """The arrays of these names (None: all of them) and the names of everything in the archive.

    Raises:
        NotPlainError: damaged, not a `.npz` of plain arrays, or larger than what it could hold.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            entries = {entry.filename.removesuffix(".npy"): entry for entry in archive.infolist()}
            wanted = [key for key in (entries if keys is None else keys) if key in entries]
            _check_size(sum(entries[key].file_size for key in wanted), path.stat().st_size)
            arrays = {key: _member(archive, entries[key]) for key in wanted}
            return arrays, sorted(entries)
    except NotPlainError:
        raise
    except Exception as error:  # a damaged archive can raise anything at all
        raise NotPlainError(f"that it cannot be read ({_said(error)})") from error


def read_npy(path: Path) -> ndarray:
    """The array of a `.npy`. Raises `NotPlainError`."""
    try:
        size = path.stat().st_size
        _check_size(size, size)
        with path.open("rb") as stream:
            return parse_npy(stream, size)
    except NotPlainError:
        raise
    except Exception as error:
        raise NotPlainError(f"that it cannot be read ({_said(error)})") from error


def parse_npy(stream: Any, size: int) -> ndarray:
    """The array of a `.npy` that takes the next `size` bytes of a binary stream. Raises `NotPlainError`, and whatever
    numpy raises for a damaged header."""
    start = stream.read(min(size, 12))
    shape, fortran, dtype, used = read_header(start + stream.read(max(header_bytes(start) - len(start), 0)))
    if dtype.hasobject:
        raise NotPlainError("pickled Python objects, which could run code; it must hold plain numbers")
    if dtype.kind not in KINDS:
        raise NotPlainError(f"elements of type {str(dtype)[:60]}, which are not plain numbers")
    count = check_shape(shape)
    if count * dtype.itemsize != size - used:
        raise NotPlainError(f"{size - used} bytes of an array that claims {count * dtype.itemsize}: it was cut off")
    raw = stream.read(size - used)
    if len(raw) != size - used:
        raise NotPlainError(f"{len(raw)} of {size - used} bytes: it was cut off")
    return np.frombuffer(raw, dtype, count).reshape(shape, order="F" if fortran else "C").copy(order="K")


def header_bytes(start: bytes) -> int:
    """Length of a header with everything before it, from its first 12 bytes."""
    if len(start) < 10 or not start.startswith(MAGIC):
        raise NotPlainError(f"that it starts with {start[:8]!r} and not as a numpy array")
    width = 2 if start[6] == 1 else 4
    length = 8 + width + int.from_bytes(start[8 : 8 + width], "little")
    if length > 1 << 16:
        raise NotPlainError(f"a header of {length} bytes")
    return length


def read_header(header: bytes) -> tuple[tuple[int, ...], bool, np.dtype, int]:
    """Shape, whether columns come first, type, and bytes used."""
    stream = io.BytesIO(header)
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(stream)
    return shape, bool(fortran), dtype, stream.tell()


def check_shape(shape: Any) -> int:
    """How many elements an array of this shape has. Raises `NotPlainError` for what is no shape."""
    if not isinstance(shape, tuple) or len(shape) > 16 or not all(type(n) is int and n >= 0 for n in shape):
        raise NotPlainError(f"the shape {str(shape)[:60]}")
    count = 1
    for n in shape:
        count *= n
    if count == 0 and max(shape) > MOST_EMPTY:
        raise NotPlainError(f"the shape {shape} without any element")
    return count


def read_json(path: Path) -> Any:
    """What a JSON file holds. Raises `NotPlainError`."""
    text = read_text(path)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise NotPlainError(f"that it does not parse ({_said(error)})") from error


def read_text(path: Path) -> str:
    """A whole text file of UTF-8. Raises `NotPlainError`."""
    size = path.stat().st_size
    if size > MOST_TEXT:
        raise NotPlainError(f"{size >> 20} MB of text, more than {MOST_TEXT >> 20}")
    try:
        return path.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise NotPlainError(f"that it is no text ({error})") from error


@contextmanager
def damage_as(kind: type[Exception], where: Path | str, expected: str, remedy: str) -> Iterator[None]:
    """Whatever reading a damaged file leads to becomes one error of `kind` that says where, what was expected, what was
    found and what to do. Errors of `kind` pass."""
    try:
        yield
    except kind:
        raise
    except NotPlainError as error:
        raise kind(f"{where}: expected {expected}, found {error}. {remedy}") from error
    except DAMAGE as error:
        raise kind(f"{where}: expected {expected}, found that it is not so ({_said(error)}). {remedy}") from error


def check_torch_zip(path: Path) -> None:
    """What `torch.save` writes is not packed, and holds no more than it has bytes: torch sets aside what it claims.
    Raises `NotPlainError`, and `zipfile.BadZipFile` for what is no archive."""
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise NotPlainError("a packed archive, as torch never writes it")
    if sum(entry.file_size for entry in entries) > path.stat().st_size:
        raise NotPlainError("an archive that claims more than it has bytes")


def _member(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> ndarray:
    # what numpy writes; other methods set memory aside as the file says
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise NotPlainError(f"an archive packed by method {entry.compress_type}, expected numpy's")
    with archive.open(entry) as stream:
        try:
            return parse_npy(stream, entry.file_size)
        except NotPlainError as error:
            raise NotPlainError(f"in {entry.filename[:60]!r} {error}") from None


def _check_size(expanded: int, stored: int) -> None:
    most = min(MOST_BYTES, max(ALWAYS_FINE, MOST_EXPANDED * stored))
    if expanded > most:
        gigabytes = expanded / 2**30
        raise NotPlainError(f"arrays that unpack to {gigabytes:.2f} GB, more than a file of {stored:,} bytes holds")


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
