"""Files of numbers, read without running what is in them and without filling the memory."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from numpy import ndarray

from nerfstudio_mobavatar.capture import CaptureError
from nerfstudio_mobavatar.plain_data import NotPlainError, check_torch_zip, read_npz

from .types import MotionError

MAX_FILE_BYTES = 1 << 30
"""WHAM stores the vertices of every frame: a thousand frames take 83 MB."""
PLAIN = "Save it again as plain numbers where you trust it: numpy.savez(path, **arrays)."


def check_size(path: Path) -> None:
    """Raise unless `path` is a file of a size that a motion can have."""
    if not path.is_file():
        raise MotionError(f"{path}: expected a motion file, found no such file; check the path.")
    if path.stat().st_size > MAX_FILE_BYTES:
        raise MotionError(
            f"{path}: expected at most {MAX_FILE_BYTES >> 20} MB, found {path.stat().st_size >> 20} MB. "
            "Cut the motion into pieces."
        )


def npz_arrays(path: Path, keys: Iterable[str]) -> tuple[dict[str, ndarray], list[str]]:
    """The arrays of these names that the `.npz` has, and the names of all it has. Pickled objects are never opened."""
    check_size(path)
    try:
        return read_npz(path, keys)
    except NotPlainError as error:
        raise MotionError(f"{path}: expected an .npz of plain arrays, found {error}. {PLAIN}") from error


def read_json(path: Path) -> Any:
    """A JSON file; numbers that JSON does not have (NaN) are refused."""
    check_size(path)

    def refuse(text: str) -> float:
        raise ValueError(f"{text} is not a number")

    try:
        return json.loads(path.read_bytes(), parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise MotionError(f"{path}: expected JSON, found that it cannot be read ({error}). Export it again.") from error


def pt_content(path: Path) -> Any:
    """What `torch.save` wrote: tensors in plain containers only, everything on the CPU."""
    check_size(path)
    import torch

    try:
        check_torch_zip(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged archive can raise anything at all
        raise MotionError(
            f"{path}: expected a .pt file with nothing but tensors, found that it cannot be read "
            f"({type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}). {PLAIN}"
        ) from error


def pickle_content(path: Path) -> Any:
    """A pickle, an uncompressed joblib file or a `.npy` that holds an object: arrays in plain containers only."""
    check_size(path)
    from nerfstudio_mobavatar.dataparsers.safe_pickle import load_plain

    try:
        return load_plain(path)
    except CaptureError as error:
        raise MotionError(str(error)) from error


def plain(value: Any) -> Any:
    """The same with tensors as numpy arrays."""
    return value.detach().cpu().numpy() if hasattr(value, "detach") else value
