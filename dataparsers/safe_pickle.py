"""Pickled data files (`.pkl`, `.npy` with Python objects, joblib), read without running anything that is in them.

Data sets store plain containers of numpy arrays this way, but a pickle may name any function of Python to be called.
What is done about that: `plain_pickle`. What comes back holds only dictionaries, lists, tuples, sets, text, numbers and
numpy arrays.
"""

from io import BytesIO
from pathlib import Path
from typing import Any

from numpy import ndarray

from nerfstudio_mobavatar import plain_pickle
from nerfstudio_mobavatar.capture import CaptureError
from nerfstudio_mobavatar.plain_data import MAGIC, MOST_BYTES, NotPlainError, header_bytes, parse_npy, read_header
from nerfstudio_mobavatar.plain_pickle import RefusedPickleError

REMEDY = "Save it again as .npz of plain arrays, on a machine where you trust the file."


def load_plain(path: Path) -> Any:
    """Content of a pickle, a joblib file (uncompressed) or a `.npy`, numbers and containers only.

    Raises:
        CaptureError: no such file, damaged, or it holds something that would have to be executed.
    """
    if not path.is_file():
        raise CaptureError(f"{path}: expected a file, found none. Copy it there, or correct the path.")
    if path.stat().st_size > MOST_BYTES:
        raise CaptureError(f"{path}: expected at most {MOST_BYTES >> 30} GB, found more. {REMEDY}")
    try:
        content = path.read_bytes()
        return _read_npy(content) if content.startswith(MAGIC) else _plain(content, len(content))
    except RefusedPickleError as error:
        raise CaptureError(f"{path}: expected plain numbers and containers, found {error}. {REMEDY}") from error
    except Exception as error:  # a damaged pickle can raise anything at all
        said = str(error) if isinstance(error, NotPlainError) else f"{type(error).__name__}: {str(error)[:300]}"
        raise CaptureError(
            f"{path}: expected a pickle of numbers, found that it cannot be read ({said}). "
            "Copy the file again; a compressed joblib file must be saved again without compression."
        ) from error


def _read_npy(content: bytes) -> Any:
    """An array, or the object that `numpy.save` pickled (other tools read it with the unsafe `allow_pickle`)."""
    shape, _, dtype, used = read_header(content[: header_bytes(content[:12])])
    if not dtype.hasobject:
        return parse_npy(BytesIO(content), len(content))
    pickled = _plain(content[used:], len(content))
    return pickled.item() if shape == () and isinstance(pickled, ndarray) else pickled


def _plain(pickled: bytes, size: int) -> Any:
    return plain_pickle.plain(plain_pickle.load(pickled), size)
